"""What this runtime can do, as the document of runtime-spec features.md and features-linux.md.

Each list is made from the table that the runtime itself works with, so that the document promises what config.json
may ask for and no more.  It describes the implementation and not the host, with two exceptions:
seccomp.supportedFlags depends on the kernel, by its definition, and checkpoint and restore on another program.
"""

from pyoci import __version__
from pyoci.kernel.seccomp import flags_supported
from pyoci.tables.annotations import UNSAFE
from pyoci.tables.capabilities import NAMES
from pyoci.tables.hooks import KINDS
from pyoci.tables.mount_options import OPTIONS
from pyoci.tables.namespaces import CLONE_FLAGS
from pyoci.tables.process import MEMORY_POLICIES, MEMORY_POLICY_FLAGS
from pyoci.tables.seccomp import ACTIONS, ARCHITECTURES, FLAG_NEW_LISTENER, FLAGS, OPERATORS

OCI_VERSION_MIN = "1.0.0"
OCI_VERSION_MAX = "1.3.0"


def make_features(*, checkpoint: bool) -> "dict[str, object]":
    """The whole document; needs no privileges, no files and no environment.

    checkpoint: whether there is a criu to do the work of checkpoint and restore.
    """
    return {
        "ociVersionMin": OCI_VERSION_MIN,
        "ociVersionMax": OCI_VERSION_MAX,
        "hooks": list(KINDS),
        "mountOptions": sorted(OPTIONS),
        "linux": _linux(),
        "annotations": {
            "io.pyoci.version": __version__,
            "org.opencontainers.runc.checkpoint.enabled": "true" if checkpoint else "false",
        },
        "potentiallyUnsafeConfigAnnotations": sorted(UNSAFE),
    }


def _linux() -> "dict[str, object]":
    return {
        "namespaces": sorted(CLONE_FLAGS),
        "capabilities": list(NAMES),
        "cgroup": {
            "v1": True,
            "v2": True,
            "systemd": True,
            "systemdUser": True,
            "rdma": True,
        },
        "seccomp": {
            "enabled": True,
            "actions": sorted(ACTIONS),
            "operators": sorted(OPERATORS),
            "archs": sorted(ARCHITECTURES),
            "knownFlags": sorted(FLAGS),
            "supportedFlags": [name for name in sorted(FLAGS) if flags_supported(_with_listener(name))],
        },
        "apparmor": {"enabled": True},
        "selinux": {"enabled": True},
        "intelRdt": {"enabled": True, "schemata": True, "monitoring": True},
        "memoryPolicy": {"modes": sorted(MEMORY_POLICIES), "flags": sorted(MEMORY_POLICY_FLAGS)},
        "mountExtensions": {"idmap": {"enabled": True}},
        "netDevices": {"enabled": True},
    }


def _with_listener(name: str) -> int:
    """The flag's bit as the kernel can be asked about it: WAIT_KILLABLE_RECV alone is always an error."""
    wants_listener = name == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
    return FLAGS[name] | (FLAG_NEW_LISTENER if wants_listener else 0)
