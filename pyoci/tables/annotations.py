"""Annotations of config.json that change what the runtime does: names, or prefixes that end in a dot."""

PREFIX = "run.oci."
KEEP_GROUPS = "run.oci.keep_original_groups"
CONTEXT_TYPE = "run.oci.mount_context_type"
HOOKS_STDOUT = "run.oci.hooks.stdout"
HOOKS_STDERR = "run.oci.hooks.stderr"
PIDFD_RECEIVER = "run.oci.pidfd_receiver"
# Where the seccomp listener goes when .linux.seccomp.listenerPath does not say.
SECCOMP_RECEIVER = "run.oci.seccomp.receiver"
FAIL_UNKNOWN_SYSCALL = "run.oci.seccomp_fail_unknown_syscall"
SECCOMP_BPF_DATA = "run.oci.seccomp_bpf_data"

# crun's own for cgroups that are not carried out: warned of, since the specification lets nobody refuse one.
IDLE = ("run.oci.delegate-cgroup", "run.oci.systemd.force_cgroup_v1", "run.oci.systemd.subgroup")

CONTEXT_TYPES = ("context", "fscontext", "defcontext", "rootcontext")

# Whoever lets others write a config.json has to filter these (features.md, potentiallyUnsafeConfigAnnotations).
UNSAFE = (
    "org.criu.config", "org.systemd.property.", KEEP_GROUPS, CONTEXT_TYPE, HOOKS_STDOUT, HOOKS_STDERR,
    PIDFD_RECEIVER, SECCOMP_RECEIVER, FAIL_UNKNOWN_SYSCALL, SECCOMP_BPF_DATA,
)  # fmt: skip
