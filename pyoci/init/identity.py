"""Who the program is: limits, groups, ids, capabilities, in the one order that the kernel allows."""

import os
from errno import EACCES, EINVAL, ENOENT, ENOSYS, EPERM

from pyoci.errors import OperationError, SyscallError, errno_text
from pyoci.init.report import failing
from pyoci.kernel.process import (
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAP_AMBIENT_RAISE,
    PR_CAPBSET_DROP,
    PR_SET_KEEPCAPS,
    PR_SET_NO_NEW_PRIVS,
    capset,
    ioprio_set,
    join_session_keyring,
    keyring_permission,
    personality,
    prctl,
    sched_setattr,
    set_mempolicy,
    setgroups,
    setresgid,
    setresuid,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.init.labels import Labels
    from pyoci.plan.records import ProcessSetup

CAP_SYS_ADMIN = 1 << 21
_KEYS_OF_OWNER_AND_POSSESSOR = 0x3F1B0000 | 0x00080000  # the user may search it too, so that exec can join
_IOPRIO_WHO_PROCESS = 1
_LARGEST_CAPABILITY = 63


def assume(process: "ProcessSetup", *, keep_admin: bool, labels: "Labels | None" = None) -> None:
    """Take on the identity of the container's program.

    With `keep_admin`, CAP_SYS_ADMIN stays effective until execve, which alone may install a seccomp filter
    without no_new_privs; execve then computes the program's capabilities anew, from the bounding and ambient
    sets, so that nothing of it is left.
    """
    if labels is not None:
        # Not as late as the start: a label that the kernel refuses fails the create, and the hooks of the start,
        # which are programs of the image, run no less confined than its own.
        labels.apply()
    if process.keyring:
        if labels is not None:
            labels.label_keys(on=True)
        with failing("identity", "joining a session keyring", "default:keyring"):
            _join_keyring(process.keyring)
    if labels is not None:
        labels.label_keys(on=False)
    _set_scheduling(process)
    inside = _change_directory(process.cwd, again=False)
    if process.no_new_privileges:
        prctl(PR_SET_NO_NEW_PRIVS, 1)
    with failing("identity", "dropping capabilities from the bounding set", ".process.capabilities.bounding"):
        _drop_bounding(process.bounding)
    _set_ids(process)
    with failing("identity", "setting capabilities", ".process.capabilities"):
        _set_capabilities(process, CAP_SYS_ADMIN if keep_admin else 0)
    os.umask(process.umask)
    if not inside:
        _change_directory(process.cwd, again=True)


def drop_groups() -> None:
    """No supplementary group of the caller stays, where the user namespace allows to say so."""
    try:
        setgroups([])
    except SyscallError as error:
        if error.errno != EPERM:
            raise


def _join_keyring(name: str) -> None:
    try:
        serial = join_session_keyring(name.encode())
        keyring_permission(serial, _KEYS_OF_OWNER_AND_POSSESSOR)
    except SyscallError as error:
        if error.errno not in (ENOSYS, EPERM, EACCES):
            raise


def _set_scheduling(process: "ProcessSetup") -> None:
    if process.scheduler is not None:
        with failing("identity", "setting the scheduler", ".process.scheduler"):
            sched_setattr(*process.scheduler)
    if process.io_priority is not None:
        with failing("identity", "setting the I/O priority", ".process.ioPriority"):
            ioprio_set(_IOPRIO_WHO_PROCESS, 0, process.io_priority)
    if process.memory_policy is not None:
        with failing("identity", "setting the memory policy", ".linux.memoryPolicy"):
            set_mempolicy(*process.memory_policy)
    if process.personality is not None:
        with failing("identity", "setting the personality", ".linux.personality"):
            personality(process.personality)


def _change_directory(path: str, *, again: bool) -> bool:
    """Before the change of ids, and after it where that was refused: either user may be the one that has the right.

    A user without the right to its own directory is common: an image with /root as directory, run as somebody else.
    """
    try:
        os.chdir(path)
    except OSError as error:
        if error.errno == EACCES and not again:
            return False
        with failing("identity", "changing to the working directory", ".process.cwd"):
            raise OperationError(
                'chdir to cwd ("%s") set in config.json failed: %s' % (path, errno_text(error.errno or 0)),
                fix="name a directory that the user of the process may enter" if error.errno != ENOENT else "",
            ) from None
    _check_inside()
    return True


def _check_inside() -> None:
    """The working directory must be below the new root (CVE-2024-21626)."""
    try:
        here = os.getcwd()
    except OSError:
        here = ""
    if not here.startswith("/"):
        with failing("identity", "changing to the working directory", ".process.cwd"):
            raise OperationError(
                "current working directory is outside of container mount namespace root: operation not permitted",
                cause="the configured cwd leads to a directory of the host",
            )


def _drop_bounding(keep: int) -> None:
    for number in range(_LARGEST_CAPABILITY):
        if not keep >> number & 1:
            try:
                prctl(PR_CAPBSET_DROP, number)
            except SyscallError as error:
                if error.errno == EINVAL:
                    return  # the kernel knows no capability from here on
                raise


def _set_ids(process: "ProcessSetup") -> None:
    with failing("identity", "setting groups", ".process.user.additionalGids"):
        if process.groups is not None:
            _set_groups(process.groups)
    with failing("identity", "setting the group id", ".process.user.gid"):
        _checked_id(setresgid, process.gid, "gid")
    prctl(PR_SET_KEEPCAPS, 1)
    with failing("identity", "setting the user id", ".process.user.uid"):
        _checked_id(setresuid, process.uid, "uid")
    prctl(PR_SET_KEEPCAPS, 0)


def _set_groups(groups: list[int]) -> None:
    try:
        setgroups(groups)
    except SyscallError as error:
        if error.errno != EPERM:
            raise
        if groups:
            raise OperationError(
                "setgroups: operation not permitted",
                cause="a user namespace that maps only its owner's group denies it, and any needs CAP_SETGID",
                fix="leave additionalGids out, or map further groups in .linux.gidMappings (newgidmap)",
            ) from None
        # Denied in a user namespace with a single mapped group: there is nothing to drop that it could name.


def _checked_id(change: "object", number: int, word: str) -> None:
    try:
        change(number)  # type: ignore[operator]
    except SyscallError as error:
        if error.errno != EINVAL:
            raise
        raise OperationError(
            "cannot set%s to unmapped %s %d in user namespace: invalid argument" % (word, word, number),
            fix="add the id to .linux.%sMappings" % word,
        ) from None


def _set_capabilities(process: "ProcessSetup", kept: int) -> None:
    permitted = process.permitted | kept
    # The ambient set needs its capabilities permitted and inheritable at the time it is raised.
    capset(process.effective | kept, permitted, process.inheritable)
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    for number in range(_LARGEST_CAPABILITY):
        if process.ambient >> number & 1:
            try:
                prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number)
            except SyscallError:
                pass  # not permitted or not inheritable: the runtime has warned of it when it made the plan
