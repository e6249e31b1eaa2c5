"""What every container gets inside its root filesystem without asking (runtime-spec config-linux.md).

Devices and links come after the configured mounts; the paths to hide and to protect are what `pyoci spec`
writes into a new config.json, no container gets them unasked.
"""

# (path, major, minor): character devices, mode 0666, owned by the container's root
DEVICES = (
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
)
DEVICE_MODE = 0o666

# (path, target): made where nothing stands; ptmx replaces what stands there, core needs the host's /proc/kcore
LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
)
PTMX_LINK = ("/dev/ptmx", "pts/ptmx")
CORE_LINK = ("/dev/core", "/proc/kcore")

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
