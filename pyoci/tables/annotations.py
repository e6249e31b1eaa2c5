"""Annotations of config.json that change what the runtime does: names, or prefixes that end in a dot."""

# Whoever lets others write a config.json has to filter these (features.md, potentiallyUnsafeConfigAnnotations).
UNSAFE = ("org.criu.config", "org.systemd.property.", "run.oci.keep_original_groups")
