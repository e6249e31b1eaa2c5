"""One Python function per system call, named and ordered as in the manual: no policy, no joined paths."""
