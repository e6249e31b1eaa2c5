"""pyoci: an OCI runtime for Linux that turns config.json into a plan a human can read, and runs the plan."""

__version__ = "0.1.0"
