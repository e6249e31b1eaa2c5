"""linux.seccomp -> a filter in the kernel's own instructions, from the cache or through libseccomp.

    load_filter   here: looks into the cache (cache.py); everything below is loaded on a miss only
    compile.py    the profile's words -> calls of libseccomp
    binding.py    the only importer of libseccomp's Python bindings
    enosys.py     instructions put in front: system calls the profile is too old to know fail with ENOSYS

Compiling docker's profile costs tens of milliseconds, reading its 4 KiB back costs a fraction of one.
"""

import os

from pyoci.errors import ConfigError, HostError
from pyoci.kernel import seccomp as kernel
from pyoci.kernel.syscall import MACHINE
from pyoci.seccomp import cache
from pyoci.tables.annotations import FAIL_UNKNOWN_SYSCALL, SECCOMP_BPF_DATA
from pyoci.tables.seccomp import FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyoci.config.types import Seccomp

# Part of the cache's key: raise it when compile.py or enosys.py make something else of the same profile.
COMPILER_VERSION = 1

_WAIT_KILLABLE_RECV = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
_TSYNC = "SECCOMP_FILTER_FLAG_TSYNC"
_SPEC_ALLOW = "SECCOMP_FILTER_FLAG_SPEC_ALLOW"

# Where the dynamic linker finds the library.  Whichever it takes: a change to any of them changes the key.
_LIBRARIES = tuple(
    directory + "/libseccomp.so.2"
    for directory in (
        "/usr/local/lib", "/lib/%s-linux-gnu" % MACHINE, "/usr/lib/%s-linux-gnu" % MACHINE, "/lib64",
        "/usr/lib64", "/lib", "/usr/lib",
    )
)  # fmt: skip


class Filter:
    """What seccomp(2) takes.

    bpf     the instructions, `struct sock_filter` after `struct sock_filter`
    flags   SECCOMP_FILTER_FLAG_ bits the profile asks for, without NEW_LISTENER
    notify  some system call is to be reported to a listener: install with NEW_LISTENER and pass the fd on
    """

    __slots__ = ("bpf", "flags", "notify")

    def __init__(self, bpf: bytes, flags: int, notify: bool) -> None:
        self.bpf = bpf
        self.flags = flags
        self.notify = notify


def load_filter(
    profile: "Seccomp", cache_root: str | None, annotations: "Mapping[str, str] | None" = None
) -> Filter:
    """The filter for `.linux.seccomp`; `cache_root` is the cache's own directory, None switches it off.

    Of `annotations` one gives the instructions themselves, in place of the profile's, and one makes names that
    libseccomp does not know an error.

    Raises ConfigError for what the profile says wrong, HostError where libseccomp, its binding or the kernel
    cannot do it.
    """
    notify = profile["defaultAction"] == "SCMP_ACT_NOTIFY" or any(
        rule["action"] == "SCMP_ACT_NOTIFY" for rule in profile.get("syscalls", ())
    )
    annotations = annotations or {}
    if SECCOMP_BPF_DATA in annotations:
        from binascii import a2b_base64

        return Filter(a2b_base64(annotations[SECCOMP_BPF_DATA]), _flags(profile, notify=False), notify=False)
    flags = _flags(profile, notify)
    strict = annotations.get(FAIL_UNKNOWN_SYSCALL) == "1"
    key = _key(profile, strict=strict) if cache_root else b""
    bpf = cache.load(cache_root, key) if cache_root and key else None
    if bpf is None:
        from pyoci.seccomp.compile import compile_profile

        bpf = compile_profile(profile, strict=strict)
        if cache_root and key:
            cache.store(cache_root, key, bpf)
    return Filter(bpf, flags, notify)


def _flags(profile: "Seccomp", notify: bool) -> int:
    """The flags' bits.  No `flags` at all means SPEC_ALLOW, as in runc and crun; an empty list means none.

    TSYNC has nothing to synchronise, there is one thread (and it excludes NEW_LISTENER).  The kernel takes
    WAIT_KILLABLE_RECV only together with a listener, so without one it is left out.
    """
    bits = 0
    for index, name in enumerate(profile.get("flags", (_SPEC_ALLOW,))):
        if name not in FLAGS:
            raise ConfigError(
                'unknown seccomp flag "%s"' % name,
                where=".linux.seccomp.flags[%d]" % index,
                fix="use one of " + ", ".join(FLAGS),
            )
        if name == _TSYNC or (name == _WAIT_KILLABLE_RECV and not notify):
            continue
        if name == _WAIT_KILLABLE_RECV and not kernel.flags_supported(FLAGS[name] | 0x8):
            raise HostError(
                "seccomp flag %s: invalid argument" % name,
                where=".linux.seccomp.flags[%d]" % index,
                cause="this kernel does not know the flag (Linux 5.19 does)",
            )
        bits |= FLAGS[name]
    return bits


def _key(profile: "Seccomp", *, strict: bool) -> bytes:
    """A hash over all that the compiled filter depends on; empty if the library's identity is unknown."""
    libraries = []
    for path in _LIBRARIES:
        try:
            status = os.stat(path)
        except OSError:
            continue
        libraries.append((path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
    if not libraries:
        return b""
    return cache.digest(
        repr(
            (
                COMPILER_VERSION,
                strict,
                MACHINE,
                os.uname().release,
                libraries,
                os.environ.get("LD_LIBRARY_PATH"),
                profile["defaultAction"],
                profile.get("defaultErrnoRet"),
                profile.get("architectures"),
                profile.get("syscalls"),
            )
        ).encode("utf-8", "surrogatepass")
    )
