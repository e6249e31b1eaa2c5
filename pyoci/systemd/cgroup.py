"""A container's cgroups when systemd makes them: a transient scope over D-Bus, the rest through its directories.

    create()       refuses a place in use; makes nothing
    adopt(pid)     asks systemd for the unit with init in it, and makes what systemd does not know of
    update()       the files, then the unit's properties
    remove()       stops the unit, then what is left of the directories

Joining, freezing, counting and killing are the file driver's: the directories are as good as its own
(`Delegate=true`).  On version 1 systemd has no more than some hierarchies; the others are made by us.
"""

import os
from time import monotonic, sleep

from pyoci.cgroup import tree, without
from pyoci.cgroup.directory import Directory, fill_cpuset, make, ready_for, refuse_if_used
from pyoci.cgroup.driver import Cgroup
from pyoci.cgroup.limit import kernel_memory_warnings
from pyoci.errors import HostError, OperationError
from pyoci.systemd.annotations import unit_properties, where_of
from pyoci.systemd.bus import addresses, may_be_reached, unreachable
from pyoci.systemd.names import expand_slice, split_path
from pyoci.systemd.properties import device_properties, properties_of, rounded
from pyoci.systemd.unit import Systemd, UnitExistsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyoci.cgroup.layout import Layout, Mode
    from pyoci.cgroup.limit import Resources
    from pyoci.systemd.unit import Property

_PATIENCE_S = 5.0


class UnitCgroup(Cgroup):
    """See the module.  `unit` is empty once it turned out to be somebody else's."""

    __slots__ = ("_delegate_to", "_from_annotations", "_resources", "parent", "unit", "user")

    def __init__(
        self, mode: "Mode", directories: "list[Directory]", unit: str, *, user: bool, created: bool = False
    ) -> None:
        super().__init__(mode, directories, created=created)
        self.unit = unit
        self.user = user
        self.parent = ""
        self._resources: Resources = {}
        self._from_annotations: list[Property] = []
        self._delegate_to = -1

    # ---- making one -------------------------------------------------------------------------------------

    @classmethod
    def planned(
        cls,
        layout: "Layout",
        cgroups_path: "str | None",
        container_id: str,
        resources: "Resources",
        annotations: "Mapping[str, str]",
        *,
        in_user_namespace: bool,
    ) -> "UnitCgroup":
        """As Cgroup.for_container.  A caller without privileges gets units of his own service manager."""
        user = in_user_namespace and (os.geteuid() != 0 or bool(addresses(user=True)))
        parent, unit = split_path(cgroups_path, container_id, user=user)
        if layout.mode == "none":
            raise unreachable(user=user, cause="no cgroup file system is mounted")
        if user and layout.mode != "unified":
            raise HostError(
                "the systemd cgroup driver of a user needs cgroup v2",
                cause="his service manager has no controllers of cgroup v1",
                fix="use the cgroupfs driver, or boot the host with systemd.unified_cgroup_hierarchy=1",
            )
        place = (_control_group() if user else "") + expand_slice(parent) + "/" + unit
        every = [*layout.hierarchies, *([layout.unified] if layout.unified is not None else [])]
        self = cls(layout.mode, [Directory.of(x, x.mountpoint + place) for x in every], unit, user=user)
        self.parent = parent
        self._controllers = layout.controllers
        self._resources = rounded(resources)
        self._from_annotations = unit_properties(annotations)
        self.limits = self._make_limits(self._resources, devices=not in_user_namespace)
        self.warnings = kernel_memory_warnings(resources)
        return self

    def to_record(self) -> "dict[str, Any]":
        """The file driver's record, and which unit of whose service manager."""
        return {**super().to_record(), "unit": self.unit, "user": self.user}

    @classmethod
    def of_record(cls, record: "dict[str, Any]") -> "UnitCgroup":
        """The opposite of `to_record`."""
        directories = [Directory.from_record(entry) for entry in record["directories"]]
        return cls(record["mode"], directories, record["unit"], user=record["user"], created=record["created"])

    def steps(self) -> "list[tuple[str, str]]":
        """What `pyoci plan` says of it."""
        whose = "the user's systemd" if self.user else "systemd"
        steps = [("%s starts unit %s in %s" % (whose, self.unit, self.parent), ".linux.cgroupsPath")]
        for name, (_, value) in self._from_annotations:
            steps.append(("unit property %s = %s" % (name, value), ".annotations"))
        return steps

    # ---- creating and limiting --------------------------------------------------------------------------

    def create(self) -> None:
        """Refuse a place in use, and a host without systemd.  Raises OperationError, HostError."""
        try:
            if not may_be_reached(user=self.user):
                raise unreachable(user=self.user)
            for directory in self.directories:
                if os.path.isdir(directory.path):
                    refuse_if_used(directory)
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        """What is there belongs to somebody else: a remove() after this must not touch it."""
        self.unit = ""
        self.directories = []

    def adopt(self, pid: int) -> bool:
        """Have systemd make the unit around the process; then what systemd does not make.

        Raises OperationError, HostError, ConfigError.
        """
        systemd = Systemd.connect(user=self.user)
        try:
            self.created = True  # what follows is ours, unless there is such a unit
            systemd.start(self.unit, self._properties(systemd, pid))
        except UnitExistsError:
            self.created = False
            self._forget()
            raise
        except OperationError as error:
            self._blame_annotation(error)
            raise
        finally:
            systemd.close()
        umask = os.umask(0o022)
        try:
            self._complete()
        finally:
            os.umask(umask)
        if self._is_slice:  # systemd puts no process into one
            self.join(pid)
        if self._delegate_to >= 0:
            super().delegate(self._delegate_to)
        return True

    @property
    def _is_slice(self) -> bool:
        return self.unit.endswith(".slice")

    def _properties(self, systemd: Systemd, pid: int) -> "list[Property]":
        on = ("b", True)
        unified = self.mode == "unified"
        found: list[Property] = [("Description", ("s", "pyoci container " + self.unit))]
        if self._is_slice:
            found.append(("Wants", ("as", [self.parent])))
        else:
            # A failed scope would otherwise stay in systemd's memory, with nobody left to forget it.
            found += [("Slice", ("s", self.parent)), ("Delegate", on), ("PIDs", ("au", [pid]))]
            found.append(("CollectMode", ("s", "inactive-or-failed")))
        found += [
            ("MemoryAccounting", on),
            ("CPUAccounting", on),
            ("IOAccounting" if unified else "BlockIOAccounting", on),
            ("TasksAccounting", on),
            ("DefaultDependencies", ("b", False)),
        ]
        found += properties_of(self._resources, systemd.version, unified=unified, at_start=True)
        if not unified and any(limit.controller == "devices" for limit in self.limits):
            found += device_properties(self._resources)
        return found + self._from_annotations

    def _blame_annotation(self, error: OperationError) -> None:
        """Systemd names the property that it does not take."""
        words = error.message.replace(",", " ").replace(":", " ").split()
        for name, _ in self._from_annotations:
            if name in words:
                error.where = where_of(name)
                error.fix = "see systemd.scope(5), systemd.kill(5) and systemd.resource-control(5)"
                return
        if self._from_annotations and "properties" in words:
            error.where = ".annotations"
            error.fix = "values of org.systemd.property. have the property's type: uint64 5, int32 5, 'text', ['a']"

    def _complete(self) -> None:
        """The hierarchies that systemd does not make, and what must be there before the first process joins."""
        for directory in self.directories:
            if self.mode == "unified":
                self._check_place(directory)
            else:
                self._make_missing(directory)
        for directory in self.directories:
            if "cpuset" in directory.controllers:
                fill_cpuset(directory, [limit.file for limit in self.limits])
            elif directory.unified and self.mode == "unified":
                ready_for(directory, [limit.controller for limit in self.limits])
        self._apply(limit for limit in self.limits if limit.early)

    def _check_place(self, directory: Directory) -> None:
        if not os.path.isdir(directory.path):
            raise OperationError(
                "unit %s has no cgroup where it should be" % self.unit,
                cause="%s is missing" % directory.path,
                fix="compare with systemctl show -p ControlGroup %s" % self.unit,
            )

    def _make_missing(self, directory: Directory) -> None:
        try:
            make(directory.path, self._made)
        except FileExistsError:
            pass
        except OSError as error:
            if not directory.optional:
                raise without.cannot_create(directory.path, error.errno or 0) from None

    def delegate(self, uid: int) -> None:
        """Give the directory to a user of the container, as soon as there is one."""
        self._delegate_to = uid

    def clone_fd(self) -> int:
        """-1 while the container is made: systemd moves its init; later as the file driver."""
        return super().clone_fd() if self.created else -1

    def update(self, resources: "Resources") -> None:
        """The files first: the kernel says no to more than systemd does.  Raises OperationError, HostError."""
        super().update(rounded(resources))

    def _mirror(self, resources: "Resources") -> None:
        systemd = Systemd.connect(user=self.user)
        try:
            found = properties_of(resources, systemd.version, unified=self.mode == "unified", at_start=False)
            systemd.set_properties(self.unit, found)
        finally:
            systemd.close()

    # ---- joining ----------------------------------------------------------------------------------------

    def join(self, pid: int, *, init_pid: int = 0) -> None:
        """As the file driver; where a user may not, since the way leads over a foreign cgroup, systemd does it.

        Raises OperationError.
        """
        try:
            super().join(pid, init_pid=init_pid)
        except OperationError as error:
            if not self.user or self._is_slice:
                raise
            systemd = Systemd.connect(user=True)
            try:
                systemd.attach(self.unit, pid)
            except OperationError as again:
                error.cause += "; " + again.message
                raise error from None
            finally:
                systemd.close()

    # ---- removing ---------------------------------------------------------------------------------------

    def remove(self) -> None:
        """Stop the unit, then remove what is left.  Raises OperationError when something stays.

        systemd kills what is in a unit that it stops, and the name may be another's by now: so only an empty one
        is stopped.  Ours is when this is called; one of a create that was killed is left alone otherwise.
        """
        if not self.unit:
            return
        paths = [directory.path for directory in self.directories]
        if not self._is_empty(_PATIENCE_S if self.created else _PATIENCE_S / 5):
            if self.created:
                raise tree.busy(paths)
            return
        failure: OperationError | HostError | None = None
        try:
            self._stop()
        except (OperationError, HostError) as error:
            failure = error
        tree.remove(paths)
        # Without directories the unit is nothing; systemd notices by itself when it can be reached again.
        if failure is not None and not isinstance(failure, HostError):
            raise failure

    def _stop(self) -> None:
        systemd = Systemd.connect(user=self.user)
        try:
            systemd.stop(self.unit)
        finally:
            systemd.close()

    def _is_empty(self, patience_s: float) -> bool:
        deadline = monotonic() + patience_s
        while self.processes():
            if monotonic() > deadline:
                return False
            sleep(0.01)
        return True


def _control_group() -> str:
    systemd = Systemd.connect(user=True)
    try:
        return systemd.control_group()
    finally:
        systemd.close()
