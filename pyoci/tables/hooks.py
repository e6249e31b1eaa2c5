"""The six kinds of hooks, in the order in which a container's life meets them (runtime-spec config.md)."""

KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
