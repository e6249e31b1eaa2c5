"""The machinery of the suite: knows the command line, the bundle and the kernel, and no runtime in particular."""
