"""Names and numbers as plain data: what the specification's words mean to the kernel, each said once."""
