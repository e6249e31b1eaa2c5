"""From the fields that a child reported to the sentence a person reads: what failed, where, why, what to do."""

import os
from errno import EACCES, EBUSY, EINVAL, ENODEV, ENOENT, ENOSPC, ENOSYS, EPERM, EROFS

from pyoci.errors import HookError, OperationError, PyociError, errno_name, errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PREFIX = "unable to start container process: "

# (call, errno) -> (cause, fix): written where the errno alone misleads.
HINTS: "dict[tuple[str, int], tuple[str, str]]" = {
    ("fsopen", ENODEV): (
        "the kernel knows no filesystem of this type",
        "correct the mount's type; /proc/filesystems lists those it has",
    ),
    ("fsconfig", EINVAL): (
        "the filesystem does not know this option or refuses its value",
        "correct the mount's options: words pyoci does not know are handed to the filesystem",
    ),
    ("fsconfig", EPERM): (
        "this filesystem may not be mounted in the container's user namespace, or an instance that is already "
        "visible has parts of it hidden",
        "give the container the namespace that the filesystem shows (sysfs: network, proc: pid, mqueue: ipc)",
    ),
    ("open_tree", EINVAL): (
        "in a user namespace a bind without what is mounted below its source would uncover what that hides; or the "
        "source is an unbindable mount",
        "use rbind, which takes along what is mounted below",
    ),
    ("move_mount", ENOENT): ("the mount point was unlinked meanwhile", "keep others from changing the rootfs"),
    ("openat2", EACCES): (
        "a directory on the way is closed to the user who looks",
        "open it for searching (chmod o+x), also for the user namespace's root",
    ),
    ("mknodat", EROFS): (
        "the root filesystem is read-only on the host, and /dev is part of it",
        "mount a tmpfs on /dev in .mounts",
    ),
    ("clone3", ENOSPC): (
        "a limit on the number of namespaces is reached",
        "raise the sysctl user.max_*_namespaces of the kind asked for",
    ),
    ("clone3", EPERM): (
        "without CAP_SYS_ADMIN namespaces can be made together with a user namespace only, and in a chroot nobody "
        "can make that",
        "",
    ),
    ("clone3", EINVAL): ("this kernel does not have a namespace of every type asked for", ""),
    ("unshare", EINVAL): ("this kernel does not have a namespace of every type asked for", ""),
    ("openat2", ENOSYS): ("pyoci needs Linux 5.12 or newer", "boot a newer kernel"),
    ("mount_setattr", ENOSYS): ("pyoci needs Linux 5.12 or newer", "boot a newer kernel"),
    ("pivot_root", EINVAL): (
        "the root of this mount namespace is the initial ramfs, which cannot be pivoted away from",
        "use --no-pivot",
    ),
    ("pivot_root", EBUSY): ("the rootfs is the present root", "use a directory of its own as the rootfs"),
    ("prlimit64", EPERM): (
        "raising a hard limit needs CAP_SYS_RESOURCE",
        "lower the limit, or raise that of the process that calls pyoci",
    ),
    ("seccomp", EBUSY): (
        "pyoci itself runs under a filter with a listener, and the kernel allows one only",
        "remove SCMP_ACT_NOTIFY here or from the profile of the outer container",
    ),
    ("seccomp", EINVAL): ("this kernel refuses the filter or one of its flags", "check .linux.seccomp.flags"),
}


def explain(report: "dict[str, Any]") -> PyociError:
    """The error that a report stands for."""
    kind = HookError if report.get("kind") == "HookError" else OperationError
    cause, fix = report.get("cause", ""), report.get("fix", "")
    where = report.get("where", "")
    if "message" in report:
        message = report["message"]
    else:
        number = report.get("errno", 0)
        subject = " ".join(word for word in (report.get("call", ""), report.get("detail", "")) if word)
        message = subject + ": " + errno_text(number) if subject else errno_text(number)
        hint = HINTS.get((report.get("call", ""), number))
        if hint is not None:
            cause, fix = cause or hint[0], fix or hint[1]
        cause = cause or "%s from %s" % (errno_name(number), report.get("call") or "the kernel")
    attempt = report.get("attempt", "")
    if attempt and "message" not in report:
        message = "%s: %s" % (attempt, message)
    if kind is HookError:
        return HookError(message, where=where, cause=cause, fix=fix)
    return OperationError(PREFIX + message, where=where, cause=cause, fix=fix)


def died(pid_status: int | None, who: str = "init process") -> OperationError:
    """The child is gone without a word."""
    if pid_status is None:
        return OperationError(PREFIX + "the %s ended without a report" % who)
    code = os.waitstatus_to_exitcode(pid_status)
    how = "exit status %d" % code if code >= 0 else "signal %d" % -code
    return OperationError(PREFIX + "the %s ended without a report: %s" % (who, how))
