"""A container's cgroups: computed, made, limited, joined, frozen, emptied and removed (the file driver).

    for_container()   pure: which directories, which values; what `pyoci plan` prints
    to_record()       goes into the state record, before anything exists
    create()          makes the directories and what has to be there before the first process
    adopt()           what the systemd driver (pyoci/systemd) does around that process
    apply_limits()    writes the values
    clone_fd(), join_fds(), join()   three ways in, see there
    kill(), remove()  at the end

On version 1 and hybrid hosts a container has one directory per hierarchy (and one in the version 2 tree,
which only serves to find and kill processes); on version 2 hosts it has one.
"""

import errno
import os
from time import monotonic, sleep

from pyoci.cgroup import freezer, join, tree, without
from pyoci.cgroup.directory import Directory, fill_cpuset, make, make_unified, may_make, ready_for, refuse_if_used
from pyoci.cgroup.limit import Place, kernel_memory_warnings
from pyoci.cgroup.paths import container_paths
from pyoci.errors import HostError, OperationError, errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from pyoci.cgroup.journal import Journal
    from pyoci.cgroup.layout import Layout, Mode
    from pyoci.cgroup.limit import Limit, Resources

_NO_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)
_GONE = (errno.ENOENT, errno.ENODEV)
_KILL_PATIENCE_S = 10.0


class Cgroup:
    """See the module.  `directories` is in the order of work; `warnings` are lines for the user."""

    __slots__ = ("_controllers", "_made", "_may_lack", "created", "directories", "limits", "mode", "warnings")

    def __init__(self, mode: "Mode", directories: "list[Directory]", *, created: bool = False) -> None:
        self.mode = mode
        self.directories = directories
        self.created = created
        self.limits: list[Limit] = []
        self.warnings: list[str] = []
        self._controllers: tuple[str, ...] = ()
        self._may_lack = False
        self._made: list[str] = []

    # ---- making one -------------------------------------------------------------------------------------

    @classmethod
    def for_container(
        cls,
        layout: "Layout",
        cgroups_path: "str | None",
        container_id: str,
        resources: "Resources | None",
        *,
        in_user_namespace: bool = False,
        manager: str = "cgroupfs",
        annotations: "Mapping[str, str] | None" = None,
    ) -> "Cgroup":
        """The container's cgroups and their limits; touches nothing.

        `in_user_namespace`: pyoci itself has no power over the host, so device rules are left out, and without
        a `cgroups_path` cgroups that may not be made are done without.  `manager` is `cgroupfs`, `disabled` or
        `systemd`; only the last looks at the `annotations`.  Raises ConfigError and HostError for what cannot
        be had.
        """
        if manager == "systemd":
            from pyoci.systemd.cgroup import UnitCgroup

            return UnitCgroup.planned(
                layout,
                cgroups_path,
                container_id,
                resources or {},
                annotations or {},
                in_user_namespace=in_user_namespace,
            )
        if manager == "disabled" or layout.mode == "none":
            without.refuse_limits(resources or {}, in_user_namespace=in_user_namespace, manager=manager)
            return cls("none", [])
        pairs = container_paths(layout, cgroups_path, container_id)
        self = cls(layout.mode, [Directory.of(hierarchy, path) for hierarchy, path in pairs])
        self._controllers = layout.controllers
        self._may_lack = not cgroups_path and without.needs_none(resources or {}, in_user_namespace)
        self.limits = self._make_limits(resources or {}, devices=not in_user_namespace)
        if self._may_lack:
            limited = without.controllers(self.limits)
            for directory in list(self.directories):
                if not may_make(directory.path) and not limited & set(directory.controllers or limited):
                    self._do_without(directory)
        self.warnings = kernel_memory_warnings(resources or {})
        return self

    def _make_limits(self, resources: "Resources", *, devices: bool) -> "list[Limit]":
        if self.mode == "unified":
            from pyoci.cgroup import limits_v2

            return limits_v2.make_limits(resources, self._controllers, devices=devices)
        from pyoci.cgroup import limits_v1

        available = {name for directory in self.directories for name in directory.controllers}
        if not devices or "devices" in available or not any(x.unified for x in self.directories):
            return limits_v1.make_limits(resources, available, devices=devices)
        # A hybrid host without the devices hierarchy can still filter in its version 2 tree.
        from pyoci.cgroup.device_bpf import DeviceFilter

        limits = limits_v1.make_limits(resources, available, devices=False)
        return [DeviceFilter(resources.get("devices") or []), *limits]

    def to_record(self) -> "dict[str, Any]":
        """What `from_record` needs, as JSON values.

        Written before create() it lets anyone remove what create() made; written again after it, it also
        allows to kill what is inside.
        """
        directories = [directory.to_record() for directory in self.directories]
        return {"mode": self.mode, "created": self.created, "directories": directories}

    @classmethod
    def from_record(cls, record: "dict[str, Any]") -> "Cgroup":
        """The container's cgroups as `to_record` described them; without limits."""
        if record.get("unit"):
            from pyoci.systemd.cgroup import UnitCgroup

            return UnitCgroup.of_record(record)
        directories = [Directory.from_record(entry) for entry in record["directories"]]
        return cls(record["mode"], directories, created=record["created"])

    def steps(self) -> "list[tuple[str, str]]":
        """(what `pyoci plan` says, its place) of making it, beside the limits."""
        return []

    # ---- creating and limiting --------------------------------------------------------------------------

    def create(self) -> None:
        """Make every directory, and what has to be in place before the first process joins.

        Raises OperationError, with everything removed that was made and forgotten what was not: when the
        cgroup has processes or is frozen, may not be made, or the host has no room.
        """
        made = self._made
        umask = os.umask(0o022)
        try:
            for directory in list(self.directories):
                self._make(directory, made)
            for directory in self.directories:
                if "cpuset" in directory.controllers:
                    fill_cpuset(directory, [limit.file for limit in self.limits])
                elif directory.unified and self.mode == "unified":
                    ready_for(directory, [limit.controller for limit in self.limits])
            self._apply(limit for limit in self.limits if limit.early)
        except BaseException:
            for path in reversed(made):
                try:
                    os.rmdir(path)
                except OSError:
                    pass  # somebody else moved in meanwhile
            # What is left is not ours, or nothing: a remove() after this must not touch it.
            self.directories = [x for x in self.directories if x.path in made and os.path.isdir(x.path)]
            raise
        finally:
            os.umask(umask)
        self.created = True

    def _make(self, directory: Directory, made: "list[str]") -> None:
        try:
            if directory.unified and self.mode == "unified":
                make_unified(directory, self._controllers, made)
            else:
                make(directory.path, made)
        except FileExistsError:
            refuse_if_used(directory)
        except OSError as error:
            if error.errno not in _NO_PERMISSION or not self._may_lack:
                raise without.cannot_create(directory.path, error.errno or 0) from None
            limited = (
                directory.controllers if directory.controllers or self.mode != "unified" else self._controllers
            )
            if without.controllers(self.limits) & set(limited):
                raise OperationError(
                    "rootless needs no limits + no cgrouppath when no permission is granted for cgroups: %s"
                    % errno_text(error.errno or 0),
                    where=".linux.resources",
                    cause="mkdir %s" % directory.path,
                    fix="have the cgroup delegated to you, or set no limits",
                ) from None
            self._do_without(directory)

    def _do_without(self, directory: Directory) -> None:
        """Leave out a directory that may not be made, and with it device rules, which allow everything then."""
        self.directories.remove(directory)
        self.limits = [limit for limit in self.limits if limit.controller != "devices"]
        if not self.directories:
            self.mode = "none"

    def adopt(self, pid: int) -> bool:
        """What only can be done around the container's first process; False when that is nothing."""
        return False

    def apply_limits(self) -> None:
        """Write every value but those that create() wrote.  Raises OperationError at the first that fails."""
        self._apply(limit for limit in self.limits if not limit.early)

    def update(self, resources: "Resources") -> None:
        """Write the values of another `resources` document; device rules are never touched again.

        When one is refused, those that were written get their old values back.  Raises OperationError.
        """
        from pyoci.cgroup.journal import Journal

        if self.mode == "unified":
            self._controllers = tuple(tree.read(self.directories[0].path + "/cgroup.controllers").split())
        journal = Journal()
        try:
            self._apply(self._make_limits(resources, devices=False), journal)
            self._mirror(resources)
        except (OperationError, HostError) as error:
            kept = journal.undo()
            if kept:
                error.cause = "%s; and these could not be set back: %s" % (error.cause, ", ".join(kept))
            raise

    def _mirror(self, resources: "Resources") -> None:
        """Tell whoever else keeps the limits of this cgroup."""

    def _apply(self, limits: "Iterable[Limit]", journal: "Journal | None" = None) -> None:
        """Apply in order; the directory of the record before stays open, since its neighbours share it."""
        place: Place | None = None
        try:
            for limit in limits:
                directory = self._directory_of(limit.controller)
                if place is None or place.path != directory.path:
                    if place is not None:
                        os.close(place.fd)
                        place = None
                    place = _open_place(directory, limit, journal)
                limit.apply(place)
        finally:
            if place is not None:
                os.close(place.fd)

    def _directory_of(self, controller: str) -> Directory:
        for directory in self.directories:
            if controller in directory.controllers:
                return directory
            if directory.unified and (self.mode == "unified" or controller == "devices"):
                return directory
        raise OperationError("cannot set %s limit: container could not join or create cgroup" % controller)

    # ---- joining ----------------------------------------------------------------------------------------

    def clone_fd(self) -> int:
        """The version 2 directory for clone3's CLONE_INTO_CGROUP, or -1; the descriptor is the caller's.

        On a hybrid host this covers the version 2 tree only: join_fds() has the rest.
        """
        for directory in self.directories:
            if directory.unified:
                return os.open(directory.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return -1

    def join_fds(self) -> "list[tuple[str, int]]":
        """(controllers, descriptor of `tasks`) of each version 1 hierarchy, for the child to write b"0" into.

        A single-threaded process that moves itself does not wait for the RCU grace period that moving
        another process costs (about 1 ms each).  Memory comes last, so that least of our own pages is
        charged to the container.  The descriptors are the caller's.  A failure to join `name=...` or misc
        does no harm.
        """
        return join.open_tasks(self.directories)

    def join(self, pid: int, *, init_pid: int = 0) -> None:
        """Move a process into every directory; one that is gone is passed over.

        On version 2, when the container has sub-cgroups with controllers (EBUSY) or left its cgroup, the
        process follows `init_pid` to where that is, provided that is below.  Raises OperationError.
        """
        if self.mode == "unified":
            join.move_unified(self.directories[0], pid, init_pid)
        else:
            join.move(self.directories, pid)

    def below(self, sub: str, controllers: "tuple[str, ...]" = ()) -> "Cgroup":
        """The container's sub-cgroup `sub`, which must exist, for `exec --cgroup`.

        With `controllers` only their hierarchies are meant, the others stay at the container's own directory
        (version 1).  Raises OperationError.
        """
        inside = os.path.normpath(sub.lstrip("/") or ".")
        if inside == ".":
            return self
        if inside.partition("/")[0] == "..":
            raise OperationError("%s is not a sub cgroup path: it leads out of the container's" % sub)
        inside = "/" + inside
        unknown = [name for name in controllers if not any(name in x.controllers for x in self.directories)]
        if unknown:
            raise OperationError("unknown controller %s in cgroup options" % ", ".join(unknown))
        result = Cgroup(self.mode, [], created=self.created)
        for directory in self.directories:
            chosen = not controllers or any(name in controllers for name in directory.controllers)
            path = directory.path + inside if chosen else directory.path
            if chosen and not os.path.isdir(path):
                if (directory.optional or directory.unified) and self.mode != "unified":
                    path = directory.path
                else:
                    raise OperationError("cannot join cgroup %s: no such file or directory" % path)
            result.directories.append(
                Directory(directory.controllers, directory.root, path, noprefix=directory.noprefix)
            )
        return result

    def delegate(self, uid: int) -> None:
        """Give the version 2 directory to a user of the container: the files that the kernel lists for that."""
        if self.mode != "unified":
            return
        path = self.directories[0].path
        try:
            names = tree.read("/sys/kernel/cgroup/delegate").split()
        except OSError:
            names = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"]
        os.chown(path, uid, -1)
        for name in names:
            try:
                os.chown(path + "/" + name, uid, -1)
            except FileNotFoundError:
                pass  # the list is for all controllers

    # ---- looking ----------------------------------------------------------------------------------------

    def exists(self) -> bool:
        """Whether any of the directories is there."""
        return any(os.path.isdir(directory.path) for directory in self.directories)

    def processes(self) -> "list[int]":
        """The pids in the container's cgroup and below it, sorted; [] when it is gone."""
        directory = self._listing()
        return sorted(set(tree.processes(directory.path))) if directory else []

    def _listing(self) -> "Directory | None":
        """Where to look for processes: devices on version 1, which every container has to join."""
        for directory in self.directories:
            if "devices" in directory.controllers or self.mode == "unified":
                return directory
        return next((directory for directory in self.directories if os.path.isdir(directory.path)), None)

    def oom_kill_count(self) -> int:
        """How many processes the kernel killed for lack of memory; 0 when it cannot be told."""
        for directory in self.directories:
            if self.mode == "unified":
                file = directory.path + "/memory.events"
            elif "memory" in directory.controllers:
                file = directory.path + "/memory.oom_control"
            else:
                continue
            try:
                lines = tree.read(file).splitlines()
            except OSError:
                return 0
            for line in lines:
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
        return 0

    # ---- freezing, killing, removing --------------------------------------------------------------------

    def freeze(self) -> None:
        """Stop every process, and return when all have stopped.  Raises OperationError, HostError."""
        directory = self._freezer()
        if directory is None:
            raise HostError("cannot pause: there is no freezer cgroup", fix="mount the freezer hierarchy")
        freezer.freeze(directory.path, unified=directory.unified)

    def thaw(self) -> None:
        """Let every process run on, those of frozen sub-cgroups too (version 1); fine when none was stopped."""
        directory = self._freezer()
        if directory is not None:
            freezer.thaw_all(directory.path, unified=directory.unified)

    def is_frozen(self) -> bool:
        """Whether freeze() was called, by anyone; not because a cgroup further up is frozen."""
        directory = self._freezer()
        return directory is not None and freezer.is_frozen(directory.path, unified=directory.unified)

    def _freezer(self) -> "Directory | None":
        found = None
        for directory in self.directories:
            if "freezer" in directory.controllers:
                return directory
            if directory.unified:
                found = directory
        return found

    def kill(self) -> None:
        """Kill every process inside, also those that it forks meanwhile, and wait until all are gone.

        Paused ones too: a frozen process of version 1 dies only once thawed.  What a cgroup holds whose
        create() has not returned is not ours and stays.  Raises OperationError when some outlive it by 10 s.
        """
        if not self.created:
            return
        try:
            self._kill()
        finally:
            self.thaw()

    def _kill(self) -> None:
        rounds_without_us = 4 if self._kill_unified() else 0
        deadline = monotonic() + _KILL_PATIENCE_S
        pause = 0.0002
        while pids := self.processes():
            if rounds_without_us:
                rounds_without_us -= 1
            else:
                self._kill_all(pids)
            if monotonic() > deadline:
                raise OperationError(
                    "unable to kill %d process(es) of the container" % len(pids),
                    cause="still there: %s" % ", ".join(str(pid) for pid in pids[:10]),
                )
            sleep(pause)
            pause = min(pause * 2, 0.05)

    def _kill_unified(self) -> bool:
        """Have the kernel do it (Linux 5.14): one write, sub-cgroups and forks included.  False: it cannot."""
        for directory in self.directories:
            if directory.unified:
                try:
                    tree.write(directory.path + "/cgroup.kill", "1")
                except OSError as error:
                    if error.errno not in (*_GONE, errno.EOPNOTSUPP, *_NO_PERMISSION):
                        raise
                    return False
                self.thaw()  # in version 1's freezer they could not die
                return True
        return False

    def _kill_all(self, pids: "list[int]") -> None:
        if os.getpid() in pids:
            raise OperationError("cannot kill the container's cgroup: pyoci itself is in it")
        stopped = False
        if len(pids) > 1:
            try:
                self.freeze()
                stopped = True
            except (OperationError, HostError):
                pass  # then by being faster than they fork
        try:
            for pid in self.processes() if stopped else pids:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    pass
        finally:
            self.thaw()  # the container may have frozen some itself

    def remove_levels_made(self) -> None:
        """After a failed create and remove(): the levels above that create() made, where nobody else uses them."""
        for path in reversed(self._made):
            try:
                os.rmdir(path)
            except OSError:
                continue

    def remove(self) -> None:
        """Remove the directories and all below them, not their parents.  What is gone is fine.

        Raises OperationError when one stays busy for 5 s: then the state record has to stay too.  A cgroup whose
        create() has not returned (killed in the middle) may be another's: what is below it stays, and when
        its processes are still there after a second, which ours would not be, it stays as well.
        """
        paths = [directory.path for directory in self.directories]
        if self.created:
            tree.remove(paths)
            return
        try:
            tree.remove(paths, deep=False, patience_s=1.0)
        except OperationError:
            if not self.processes():
                raise


def _open_place(directory: Directory, limit: "Limit", journal: "Journal | None") -> Place:
    try:
        fd = os.open(directory.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return Place(directory.path, fd, noprefix=directory.noprefix, journal=journal)
    except OSError as error:
        raise OperationError(
            "cannot set %s limit: %s" % (limit.controller, errno_text(error.errno or 0)),
            where=limit.where,
            cause=directory.path,
        ) from None
