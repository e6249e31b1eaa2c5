"""`pyoci events ID`: statistics at intervals and out-of-memory events, one JSON object on each line.

Ends when the last process of the container is gone, or nobody reads any more.
"""

import _signal
import select
from time import monotonic

from pyoci.cgroup.statistics import statistics
from pyoci.config.json_text import dump
from pyoci.errors import HostError, OperationError, StateError, UsageError
from pyoci.runtime.container import load_record, open_directory
from pyoci.runtime.kill import cgroup_of
from pyoci.runtime.status import CREATING, STOPPED, open_init, status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup.driver import Cgroup
    from pyoci.cgroup.oom import OomWatch
    from pyoci.cli.call import Call
    from pyoci.runtime.container import Record

_LEAST_S = 0.001
_LONGEST_S = 86400.0  # poll(2) takes an int of milliseconds
_WITHOUT_INIT_S = 0.1
_STDOUT = 1


def main(call: "Call") -> int:
    """Refused unless init lives.  With --stats one line and no waiting."""
    interval = call.options["interval"]
    if interval <= 0:
        raise UsageError("duration interval must be greater than 0", where="--interval", fix="such as 5s or 100ms")
    directory = open_directory(call.root, call.arguments[0])
    record = load_record(directory)
    if status_of(directory, record, sure=False) in (STOPPED, CREATING):
        raise _not_running(call)
    cgroup = cgroup_of(record)
    if call.options["stats"]:
        _print(call, "stats", statistics(cgroup))
        return 0
    # Ends of a stream that is meant to be ended so: by the keyboard, by a manager, by a reader that goes away.
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGPIPE):
        _signal.signal(number, _signal.SIG_DFL)
    statistics(cgroup)  # what fails always fails now
    return _Stream(call, record, cgroup).run(max(interval, _LEAST_S))


class _Stream:
    __slots__ = ("_call", "_cgroup", "_init", "_oom", "_poller")

    def __init__(self, call: "Call", record: "Record", cgroup: "Cgroup") -> None:
        self._call = call
        self._cgroup = cgroup
        self._oom = _oom_watch(call, cgroup)
        self._init = open_init(record)
        if self._init < 0:
            raise _not_running(call)
        self._poller = select.poll()
        self._poller.register(self._init, select.POLLIN)
        self._poller.register(_STDOUT, 0)  # reports a pipe without a reader
        if self._oom is not None:
            self._poller.register(self._oom.fd, self._oom.mask)

    def run(self, interval: float) -> int:
        """Until the end; statistics that are late are not made up for."""
        due = monotonic() + interval
        while True:
            wait = due - monotonic() if self._init >= 0 else min(due - monotonic(), _WITHOUT_INIT_S)
            ready = {fd for fd, _ in self._poller.poll(max(0.0, min(wait, _LONGEST_S)) * 1000 + 1)}
            if _STDOUT in ready:
                return 0
            if self._init in ready:
                self._poller.unregister(self._init)
                self._init = -1
            ended = self._init < 0 and not self._cgroup.processes()
            # Asked in any case: the kernel holds notices of version 2 back for some milliseconds.
            if self._oom is not None and (ended or self._oom.fd in ready) and self._oom.happened():
                _print(self._call, "oom")
            if ended:
                return 0
            if monotonic() >= due:
                self._statistics()
                due = max(due + interval, monotonic())

    def _statistics(self) -> None:
        try:
            found = statistics(self._cgroup)
        except OperationError as error:
            self._call.log.warning(error.message)
            return
        if self._cgroup.exists():
            _print(self._call, "stats", found)


def _oom_watch(call: "Call", cgroup: "Cgroup") -> "OomWatch | None":
    from pyoci.cgroup.oom import watch

    try:
        return watch(cgroup)
    except (HostError, OperationError) as error:
        call.log.warning("there will be no oom events: %s" % error.message)
        return None


def _not_running(call: "Call") -> StateError:
    return StateError("container with id %s is not running" % call.id)


def _print(call: "Call", kind: str, data: object = None) -> None:
    event: dict[str, object] = {"type": kind, "id": call.id}
    if data is not None:
        event["data"] = data
    call.write(dump(event) + "\n")
