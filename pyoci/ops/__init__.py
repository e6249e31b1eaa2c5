"""What a plan is made of: small records, each with its config path, a one-line `describe()` and an `apply(ctx)`.

An operation holds only what config.json and the host facts say.  It has no conditions on other operations,
passes nothing to them and is never reordered.  Where the kernel may refuse and there is a second way, that
second way is inside the one operation and its description says so.
"""
