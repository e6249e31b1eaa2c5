"""`python -m pyoci.demo`: run one container whose root filesystem is made of the host's own, read-only."""
