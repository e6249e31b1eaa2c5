"""What pyoci asks of systemd's manager object (org.freedesktop.systemd1(5)): five calls and one signal."""

from pyoci.errors import HostError, OperationError
from pyoci.systemd.bus import DBUS, BusError, open_bus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyoci.systemd.bus import Bus
    from pyoci.systemd.message import Message

    # (name, (signature, value))
    Property = tuple[str, tuple[str, Any]]

_NAME, _PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
_MANAGER = (_NAME, _PATH, _NAME + ".Manager")
_PROPERTIES = (_NAME, _PATH, "org.freedesktop.DBus.Properties")
_MATCH = "type='signal',sender='%s',path='%s',interface='%s.Manager',member='JobRemoved',arg2='%s'"
_WHERE = ".linux.cgroupsPath"


class UnitExistsError(OperationError):
    """A unit of this name is there and it is not a failed one: it belongs to somebody else."""


class Systemd:
    """The service manager of the system, or (`user`) of the caller."""

    __slots__ = ("_bus", "_subscribed", "_version")

    def __init__(self, bus: "Bus") -> None:
        self._bus = bus
        self._subscribed = False
        self._version = 0

    @classmethod
    def connect(cls, *, user: bool) -> "Systemd":
        """Raises HostError."""
        return cls(open_bus(user=user))

    def close(self) -> None:
        """Close the connection."""
        self._bus.close()

    def version(self) -> int:
        """Its major version: 252.  Raises HostError."""
        if not self._version:
            text = str(self._property("Version")).lstrip("v")
            digits = text[: len(text) - len(text.lstrip("0123456789"))]
            self._version = int(digits or 0)
        return self._version

    def control_group(self) -> str:
        """The cgroup of the manager itself, with all its units below: "" for the root.  Raises HostError."""
        return str(self._property("ControlGroup")).rstrip("/")

    def _property(self, name: str) -> "Any":
        try:
            serial = self._bus.call(_PROPERTIES, "Get", "ss", (_MANAGER[2], name))
            return self._bus.answer(serial)[0][1]
        except BusError as error:
            raise HostError("cannot ask systemd for its %s" % name, cause=str(error)) from None

    def start(self, unit: str, properties: "Sequence[Property]") -> None:
        """Make a transient unit and wait until it is there; one that failed earlier is forgotten first.

        Raises UnitExistsError when there is one that did not fail, OperationError, HostError.
        """
        self._subscribe(unit)
        try:
            job = self._start(unit, properties)
        except BusError as error:
            if not error.name.endswith(".UnitExists"):
                raise _failure("start", unit, str(error), _hint(error)) from None
            self.reset_failed(unit)
            try:
                job = self._start(unit, properties)
            except BusError as again:
                kind = UnitExistsError if again.name.endswith(".UnitExists") else OperationError
                raise kind(
                    "unable to start unit %s: %s" % (unit, again),
                    where=_WHERE,
                    fix="give each container a unit of its own: systemctl status %s" % unit,
                ) from None
        result = self._wait(job, unit, "start")
        if result != "done":
            self.reset_failed(unit)
            raise _failure("start", unit, "its job ended as %s" % result, "see journalctl --unit %s" % unit)

    def _start(self, unit: str, properties: "Sequence[Property]") -> str:
        values = (unit, "replace", properties, ())
        return self._path_of_job(self._bus.call(_MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))", values))

    def stop(self, unit: str) -> None:
        """Stop it, wait for that, and forget it if it had failed; fine when it is gone.  Raises as `start`."""
        self._subscribe(unit)
        try:
            job = self._path_of_job(self._bus.call(_MANAGER, "StopUnit", "ss", (unit, "replace")))
        except BusError as error:
            if not error.name.endswith(".NoSuchUnit"):
                raise _failure("stop", unit, str(error), _hint(error)) from None
        else:
            self._wait(job, unit, "stop")
        self.reset_failed(unit)

    def reset_failed(self, unit: str) -> None:
        """Forget that it failed; fine when it did not."""
        try:
            self._bus.answer(self._bus.call(_MANAGER, "ResetFailedUnit", "s", (unit,)))
        except BusError:
            pass  # NoSuchUnit: what is not there did not fail

    def set_properties(self, unit: str, properties: "Sequence[Property]") -> None:
        """Change a unit until the next boot.  Raises OperationError: then nothing was changed."""
        if not properties:
            return
        try:
            values = (unit, True, properties)
            self._bus.answer(self._bus.call(_MANAGER, "SetUnitProperties", "sba(sv)", values))
        except BusError as error:
            raise OperationError(
                "unable to set properties of unit %s: %s" % (unit, error), where=".linux.resources"
            ) from None

    def attach(self, unit: str, pid: int) -> None:
        """Have it move a process into the unit's cgroup, where we may not.  Raises OperationError."""
        try:
            self._bus.answer(self._bus.call(_MANAGER, "AttachProcessesToUnit", "ssau", (unit, "", (pid,))))
        except BusError as error:
            raise OperationError("cannot join unit %s: %s" % (unit, error), cause="process %d" % pid) from None

    def _subscribe(self, unit: str) -> None:
        """Ask for the ends of this unit's jobs only: a busy host ends many."""
        if self._bus.is_daemon:
            self._bus.call(DBUS, "AddMatch", "s", (_MATCH % (_NAME, _PATH, _NAME, unit),))
        if not self._subscribed:
            self._bus.call(_MANAGER, "Subscribe")
            self._subscribed = True

    def _path_of_job(self, serial: int) -> str:
        return str(self._bus.answer(serial)[0])

    def _wait(self, job: str, unit: str, what: str) -> str:
        """How the job ended: done, canceled, timeout, failed, dependency, skipped."""

        def is_end(message: "Message") -> bool:
            return message.member == "JobRemoved" and len(message.values) == 4 and message.values[1] == job

        try:
            return str(self._bus.signal(is_end).values[3])
        except TimeoutError:
            raise _failure(what, unit, "its job is not done after 30 s", "see systemctl list-jobs") from None


def _failure(what: str, unit: str, cause: str, fix: str = "") -> OperationError:
    return OperationError("unable to %s unit %s: %s" % (what, unit, cause), where=_WHERE, fix=fix)


def _hint(error: BusError) -> str:
    if error.name.endswith((".AccessDenied", ".InteractiveAuthorizationRequired")):
        return "only root may make units of the system; a user has those of his own service manager (--rootless)"
    return ""
