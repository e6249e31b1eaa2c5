"""`pyoci kill ID [SIGNAL]`: send a signal to init, or to everything in the container."""

import _signal
import os
import select

from pyoci.errors import StateError
from pyoci.runtime.container import load_record, open_directory
from pyoci.runtime.status import CREATING, STOPPED, open_init, status_of
from pyoci.tables.signals import parse_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup.driver import Cgroup
    from pyoci.cli.call import Call
    from pyoci.runtime.container import Record

NOT_RUNNING = "container not running"
_AT_ONCE = 200  # descriptors
_EXITING = 4  # linux/sched.h: PF_EXITING


def main(call: "Call") -> int:
    """Refused for a container that is not created, running or paused; with --all a stopped one is a success."""
    directory = open_directory(call.root, call.arguments[0])
    text = (call.arguments[1] if len(call.arguments) > 1 else call.options.get("signal")) or "TERM"
    signal = parse_signal(text)
    record = load_record(directory)
    everything = bool(call.options.get("all"))
    status = status_of(directory, record, sure=False)
    if status in (STOPPED, CREATING) and not everything:
        if status == STOPPED and signal == _signal.SIGKILL and _kill_leftovers(record):
            return 0
        raise StateError(NOT_RUNNING, cause="its status is %s" % status)
    if everything:
        signal_everything(record, signal)
    else:
        signal_init(record, signal)
    return 0


def cgroup_of(record: "Record") -> "Cgroup":
    """The container's cgroup, from the record."""
    from pyoci.cgroup.driver import Cgroup

    return Cgroup.from_record(record.values["cgroup"])


def has_private_pids(record: "Record") -> bool:
    """Whether the death of init takes every process of the container with it."""
    return bool(record.values.get("privatePidNamespace", False))


def signal_init(record: "Record", signal: int) -> None:
    """Send `signal` to init; SIGKILL without a private pid namespace takes the whole cgroup."""
    pidfd = open_init(record)
    if pidfd < 0:
        raise StateError(NOT_RUNNING)
    try:
        _signal.pidfd_send_signal(pidfd, signal)
    except ProcessLookupError:
        raise StateError(NOT_RUNNING) from None
    finally:
        os.close(pidfd)
    if signal == _signal.SIGKILL:
        if not has_private_pids(record):
            cgroup_of(record).kill()
        else:
            _let_die(record)


def _let_die(record: "Record") -> None:
    """A frozen process of cgroup v1 dies only when it is thawed, and init only after all of its namespace."""
    from pyoci.cgroup.freezer import place_in, thaw_all

    place = place_in(record.values["cgroup"])
    if place is not None:
        thaw_all(place[0], unified=place[1])


def signal_everything(record: "Record", signal: int) -> None:
    """Send `signal` to every process in the container's cgroup."""
    cgroup = cgroup_of(record)
    if signal == _signal.SIGKILL:
        cgroup.kill()
        return
    pids = list(cgroup.processes())
    while pids:
        _signal_each(cgroup, pids[:_AT_ONCE], signal)
        pids = pids[_AT_ONCE:]


def _signal_each(cgroup: "Cgroup", pids: list[int], signal: int) -> None:
    """By pidfd: a number that is still listed when its pidfd is open cannot have become another process's."""
    handles = {}
    for pid in pids:
        try:
            handles[pid] = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
    for pid in cgroup.processes():
        if pid in handles:
            try:
                _signal.pidfd_send_signal(handles[pid], signal)
            except ProcessLookupError:
                continue
    for pidfd in handles.values():
        os.close(pidfd)


def _kill_leftovers(record: "Record") -> bool:
    """Processes that outlived init in a shared pid namespace; False when there were none."""
    if has_private_pids(record):
        return False
    cgroup = cgroup_of(record)
    if not cgroup.processes():
        return False
    cgroup.kill()
    return True


def kill_container(record: "Record", timeout_s: float = 10.0) -> None:
    """Kill init and all that is in the cgroup, and wait for init to end.

    StateError `container init still running` when it has not ended in time.
    """
    pidfd = open_init(record)
    if pidfd >= 0:
        try:
            _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
        except ProcessLookupError:
            pass
    if pidfd < 0 or not has_private_pids(record):
        cgroup_of(record).kill()
    else:
        _let_die(record)
    if pidfd < 0:
        return
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    ended = poller.poll(int(timeout_s * 1000))
    os.close(pidfd)
    if not ended:
        raise StateError("container init still running", cause=_why_alive(record.values["pid"]))


def _why_alive(pid: int) -> str:
    """Why a process did not end of SIGKILL, as far as /proc tells (proc_pid_stat(5): flags, PF_EXITING)."""
    try:
        fd = os.open("/proc/%d/stat" % pid, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    text = os.read(fd, 4096)
    os.close(fd)
    if int(text[text.rindex(b")") + 2 :].split()[6]) & _EXITING:
        return "it waits for dead processes of its pid namespace whose parents, outside of it, have not reaped them"
    return "it waits in the kernel"
