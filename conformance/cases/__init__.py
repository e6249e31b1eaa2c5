"""The cases, one module for each part of the specification. Each module registers its own with @case."""
