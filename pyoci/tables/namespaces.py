"""Namespace types of config.json, their clone flags (namespaces(7)) and files under /proc/PID/ns."""

CLONE_FLAGS = {
    "cgroup": 0x02000000,
    "ipc": 0x08000000,
    "mount": 0x00020000,
    "network": 0x40000000,
    "pid": 0x20000000,
    "time": 0x00000080,
    "user": 0x10000000,
    "uts": 0x04000000,
}

# The namespace the process itself is in.
PROC_NAMES = {
    "cgroup": "cgroup",
    "ipc": "ipc",
    "mount": "mnt",
    "network": "net",
    "pid": "pid",
    "time": "time",
    "user": "user",
    "uts": "uts",
}

# The namespace its children will be in: unshare(2) of these two does not move the caller.
CHILDREN_PROC_NAMES = {"pid": "pid_for_children", "time": "time_for_children"}
