"""Tests that start real containers and ask the kernel what they got.  They need root."""
