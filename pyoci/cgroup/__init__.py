"""Control groups: where a container's are, what is written into them, and how they are emptied and removed."""
