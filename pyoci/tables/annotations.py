"""Annotations of config.json that change what the runtime does: names, or prefixes that end in a dot."""

# Where the seccomp listener goes when .linux.seccomp.listenerPath does not say.
SECCOMP_RECEIVER = "run.oci.seccomp.receiver"

# Whoever lets others write a config.json has to filter these (features.md, potentiallyUnsafeConfigAnnotations).
UNSAFE = ("org.criu.config", "org.systemd.property.", "run.oci.keep_original_groups", SECCOMP_RECEIVER)
