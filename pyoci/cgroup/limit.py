"""One value of `linux.resources` as a record that can print itself and write itself.

The functions in limits_v1 and limits_v2 make lists of these without looking at the host.  What depends on
the kernel's answer (a file that is missing, an order that it refuses) happens inside one record's `apply`.
"""

import errno
import os

from pyoci.cgroup import tree
from pyoci.errors import ConfigError, HostError, OperationError, errno_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from pyoci.cgroup.journal import Journal

    Resources = Mapping[str, Any]

WHERE = ".linux.resources"


class Place:
    """A cgroup directory that is being written to: its path (for messages) and an open descriptor.

    `noprefix`: a version 1 cpuset mounted such that its files lack `cpuset.`.  `journal` keeps what files held.
    """

    __slots__ = ("fd", "journal", "noprefix", "path")

    def __init__(self, path: str, fd: int, *, noprefix: bool = False, journal: "Journal | None" = None) -> None:
        self.path = path
        self.fd = fd
        self.noprefix = noprefix
        self.journal = journal

    def write(self, file: str, value: str) -> None:
        """Write `value` to `file` in one write(2), as cgroup files require.  Raises OSError."""
        name = file.partition(".")[2] if self.noprefix else file
        if self.journal is not None:
            self.journal.note(self.path, name, value, self.read_or_empty(name), _writer(self.path + "/" + name))
        fd = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=self.fd)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)

    def read(self, file: str) -> str:
        """The stripped text of `file`, at most 4 KiB.  Raises OSError."""
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.fd)
        try:
            return os.read(fd, 4096).decode().strip()
        finally:
            os.close(fd)

    def read_or_empty(self, file: str) -> str:
        """As `read`, "" when it cannot be read: for the explanation of an error that already happened."""
        try:
            return self.read(file)
        except OSError:
            return ""


def _writer(path: str) -> "Callable[[str], None]":
    """A function that writes the file at any time, also when the directory's descriptor is closed."""

    def write(value: str) -> None:
        tree.write(path, value)

    return write


class Limit:
    """Write `value` to `file` of the container's cgroup in the hierarchy of `controller`.

    `where` is the jq path that the value comes from.  `early` limits are written before the first process
    joins (version 1: cpuset, realtime).  Frozen by convention: nobody changes a record after making it.
    """

    __slots__ = ("controller", "early", "file", "value", "where")

    def __init__(self, controller: str, file: str, value: object, where: str, *, early: bool = False) -> None:
        self.controller = controller
        self.file = file
        self.value = str(value)
        self.where = WHERE + where
        self.early = early

    def describe(self) -> str:
        """`memory.max = 67108864`."""
        return "%s = %s" % (self.file, self.value)

    def apply(self, place: Place) -> None:
        """Write the value.  Raises OperationError."""
        self.write(place, self.file, self.value)

    def write(self, place: Place, file: str, value: str, where: str = "") -> None:
        """Write one file, with any failure turned into the sentence that the user reads."""
        try:
            place.write(file, value)
        except OSError as error:
            raise self.failure(place, error, file, value, where) from None

    def failure(self, place: Place, error: OSError, file: str, value: str, where: str = "") -> OperationError:
        """The OperationError for a write that failed."""
        number = error.errno or 0
        return OperationError(
            "cannot write %r to %s: %s" % (value, file, errno_text(number)),
            where=where or self.where,
            cause="in %s" % place.path,
            fix=_fix(place, file, number),
        )

    def __repr__(self) -> str:
        return "<%s>" % self.describe()


class FirstFile(Limit):
    """A limit whose file has different names in different kernels: the first that exists takes the value.

    `choices` is [(file, value), ...]; a value may be spelt differently for each file.  With `optional`, no
    file at all is no error.
    """

    __slots__ = ("choices", "optional")

    def __init__(
        self, controller: str, choices: "list[tuple[str, str]]", where: str, *, optional: bool = False
    ) -> None:
        super().__init__(controller, choices[0][0], choices[0][1], where)
        self.choices = choices
        self.optional = optional

    def describe(self) -> str:
        """`blkio.weight = 500 (or blkio.bfq.weight = 500)`."""
        text = super().describe()
        others = " or ".join("%s = %s" % choice for choice in self.choices[1:])
        return "%s (or %s)" % (text, others) if others else text

    def apply(self, place: Place) -> None:
        """Try the files in turn.  Raises OperationError."""
        for file, value in self.choices:
            try:
                place.write(file, value)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self.failure(place, error, file, value) from None
            return
        if not self.optional:
            raise self.failure(place, OSError(errno.ENOENT, ""), self.file, self.value)


class HugepageLimit(Limit):
    """A limit on huge pages of one size, and the same on their reservations where the kernel counts those."""

    __slots__ = ("reserved",)

    def __init__(self, file: str, reserved: str, value: object, where: str) -> None:
        super().__init__("hugetlb", file, value, where)
        self.reserved = reserved

    def describe(self) -> str:
        """`hugetlb.2MB.max, hugetlb.2MB.rsvd.max = 4194304`."""
        return "%s, %s = %s" % (self.file, self.reserved, self.value)

    def apply(self, place: Place) -> None:
        """Write the plain file, then the reservation's unless the kernel lacks it (before 5.7)."""
        try:
            place.write(self.file, self.value)
        except FileNotFoundError:
            sizes = sorted(name.split("-", 1)[1] for name in _list("/sys/kernel/mm/hugepages"))
            raise OperationError(
                "cannot write %r to %s: %s" % (self.value, self.file, errno_text(errno.ENOENT)),
                where=self.where,
                cause="this kernel has no huge pages of that size; it has %s" % (", ".join(sizes) or "none"),
            ) from None
        except OSError as error:
            raise self.failure(place, error, self.file, self.value) from None
        try:
            place.write(self.reserved, self.value)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self.failure(place, error, self.reserved, self.value) from None


def is_page_size(text: object) -> bool:
    """Whether `text` is a huge page size as cgroup file names have it (`2MB`, `1GB`) and nothing else.

    The text becomes part of a file name, and a `/` in it once led out of the cgroup (runc before 1.1.10).
    """
    if not isinstance(text, str) or text[-2:] not in ("KB", "MB", "GB"):
        return False
    digits = text[:-2]
    return digits.isascii() and digits.isdigit() and digits[0] != "0"


def hugepage_limits(resources: "Resources", plain: str, reserved: str) -> "list[Limit]":
    """`hugepageLimits` as records; `plain` and `reserved` are file name patterns with %s for the size."""
    limits: list[Limit] = []
    for index, entry in enumerate(resources.get("hugepageLimits") or ()):
        where = ".hugepageLimits[%d]" % index
        size = entry.get("pageSize")
        if not is_page_size(size):
            raise ConfigError(
                "invalid huge page size %r" % (size,),
                where=WHERE + where + ".pageSize",
                fix="write it as 2MB or 1GB",
            )
        limits.append(HugepageLimit(plain % size, reserved % size, entry.get("limit", 0), where + ".limit"))
    return limits


def rdma_limits(resources: "Resources") -> "list[Limit]":
    """`rdma`: one write per device, with the given keys only; both versions have the same file."""
    limits = []
    for device, entry in (resources.get("rdma") or {}).items():
        words = [device]
        for key, name in (("hcaHandles", "hca_handle"), ("hcaObjects", "hca_object")):
            if entry.get(key) is not None:
                words.append("%s=%d" % (name, entry[key]))
        if len(words) > 1:
            limits.append(Limit("rdma", "rdma.max", " ".join(words), '.rdma["%s"]' % device))
    return limits


def pids_limits(resources: "Resources") -> "list[Limit]":
    """`pids.limit`: negative is unlimited.

    0 is a real limit (runtime-spec 1.3.0): the program runs and cannot fork.  1 has the same effect, since
    joining ignores the limit, and agrees with systemd, whose TasksMax cannot be 0.
    """
    limit = (resources.get("pids") or {}).get("limit")
    if limit is None:
        return []
    return [Limit("pids", "pids.max", "max" if limit < 0 else max(limit, 1), ".pids.limit")]


def cpuset_limits(resources: "Resources", *, early: bool) -> "list[Limit]":
    """`cpu.cpus` and `cpu.mems`; an empty list is unset."""
    cpu = resources.get("cpu") or {}
    return [
        Limit("cpuset", file, cpu[key], ".cpu." + key, early=early)
        for key, file in (("cpus", "cpuset.cpus"), ("mems", "cpuset.mems"))
        if cpu.get(key)
    ]


def swap_is_possible(memory: "Mapping[str, Any]") -> None:
    """Raise ConfigError unless `swap`, which counts memory and swap together, fits to `limit`."""
    limit, swap = memory.get("limit") or 0, memory.get("swap") or 0
    where = WHERE + ".memory.swap"
    if swap < -1:
        raise ConfigError("invalid memory+swap limit %d" % swap, where=where, fix="-1 stands for unlimited")
    if limit < -1:
        raise ConfigError("invalid memory limit %d" % limit, where=WHERE + ".memory.limit", fix="-1 is unlimited")
    if 0 < swap < limit:
        raise ConfigError(
            "memory+swap limit should be >= memory limit",
            where=where,
            cause="swap is %d and limit is %d; swap is the sum of memory and swap" % (swap, limit),
            fix="set swap to %d for no swap at all, or leave it out" % limit,
        )


def block_weight(weight: int, where: str) -> int:
    """The weight itself, if the specification allows it (10 to 1000)."""
    if not 10 <= weight <= 1000:
        raise ConfigError("block io weight %d is not between 10 and 1000" % weight, where=WHERE + where)
    return weight


def unavailable(controller: str, where: str, cause: str) -> HostError:
    """The error for a field whose controller this host does not offer."""
    return HostError(
        "cannot set %s limit: container could not join or create cgroup" % controller,
        where=WHERE + where,
        cause=cause,
        fix="leave the field out, or enable the %s controller on this host" % controller,
    )


def not_in_version_2(what: str, where: str, fix: str = "") -> HostError:
    """The error for a field that only version 1 can carry out."""
    return HostError(
        "cannot set %s on cgroup v2" % what, where=WHERE + where, cause="cgroup v2 has no such control", fix=fix
    )


def kernel_memory_warnings(resources: "Resources") -> "list[str]":
    """Words for the deprecated fields that the kernel accepts and ignores."""
    memory = resources.get("memory") or {}
    return [
        "%s.memory.%s is deprecated and ignored: the kernel no longer has that limit" % (WHERE, key)
        for key in ("kernel", "kernelTCP")
        if memory.get(key)
    ]


def _fix(place: Place, file: str, number: int) -> str:
    """What may help; looks at the host, since an error is slow anyway."""
    parent = os.path.dirname(place.path)
    if number == errno.ENOENT:
        if not os.path.isdir(place.path):
            return "the cgroup was removed meanwhile"
        controller = file.split(".", 1)[0]
        lacking = _ancestor_without(place.path, controller)
        if lacking:
            return "%s does not hand the %s controller down: write +%s to its cgroup.subtree_control" % (
                lacking, controller, controller,
            )  # fmt: skip
        return "this kernel was built without it"
    if file.startswith("cpuset."):
        for name in (file + ".effective", file.replace("cpuset.", "cpuset.effective_"), file):
            have = _text(parent + "/" + name)
            if have:
                return "the parent cgroup has %s" % have
    if file.startswith(("cpu.cfs_", "cpu.max")) and number == errno.EINVAL:
        return "quota and period are at least 1000 µs, the period at most 1000000 µs, the burst at most the quota"
    if file.startswith("cpu.rt_") and number == errno.EINVAL:
        return "the parent cgroup's cpu.rt_runtime_us has to be at least as large"
    if file.startswith("memory.") and number == errno.EINVAL:
        return "swap counts memory and swap together and is at least the memory limit: set both"
    if number in (errno.ENODEV, errno.ENXIO):
        return "there is no such device on this host"
    return ""


def _ancestor_without(path: str, controller: str) -> str:
    """The version 2 ancestor nearest to the root that has `controller` and does not hand it down, or ""."""
    found = ""
    path = os.path.dirname(path)
    while os.path.exists(path + "/cgroup.controllers"):
        if controller not in _text(path + "/cgroup.subtree_control").split():
            found = path
        path = os.path.dirname(path)
    return found


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _list(path: str) -> "list[str]":
    try:
        return os.listdir(path)
    except OSError:
        return []
