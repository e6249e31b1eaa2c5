"""One Python function per system call, named and ordered as in the manual.  No policy, no paths joined, no logging."""
