"""Speaking with criu: its messages, its process, and what a container is in its words."""
