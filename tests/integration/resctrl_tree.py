"""A file system that behaves like the kernel's resctrl, for machines whose processor has none (FUSE, no library).

    python resctrl_tree.py MOUNTPOINT LOG

What it does as the kernel does (Documentation/filesystems/resctrl.rst): a directory that is made is full at once
and goes with all that is in it; files take one write(2) a change, refuse what the hardware would and say why in
info/last_cmd_status; there are few groups; a task is in one class, and in a monitoring group of that only.
What it does not: tasks made by fork(2) do not show up in the group of their parent.

LOG gets a line of JSON for each change, done or refused: [operation, path, text, errno].
"""

import ctypes
import errno
import json
import os
import stat
import struct
import sys

FORGET, BATCH_FORGET, INTERRUPT, INIT, DESTROY = 2, 42, 36, 26, 38
LOOKUP, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE = 1, 3, 4, 14, 15, 16, 17, 18
FLUSH, OPENDIR, READDIR, RELEASEDIR, ACCESS, MKDIR, RMDIR = 25, 27, 28, 29, 34, 9, 11
DIRECT_IO = 1

MOST_CLASSES, MOST_MONITORS = 4, 6
MASK, STEP, LEAST = 0x7FF, 10, 10
INFO = {
    "info/L3/cbm_mask": "7ff\n", "info/L3/min_cbm_bits": "1\n", "info/L3/num_closids": "%d\n" % MOST_CLASSES,
    "info/MB/bandwidth_gran": "%d\n" % STEP, "info/MB/min_bandwidth": "%d\n" % LEAST,
    "info/L3_MON/num_rmids": "%d\n" % MOST_MONITORS,
}  # fmt: skip
RESERVED = {"info", "mon_groups", "mon_data", "schemata", "tasks", "cpus", "mode"}


class Refused(Exception):
    def __init__(self, number, words=""):
        super().__init__(number, words)
        self.number, self.words = number, words


class Group:
    """A class of service with its monitoring groups: {name: tasks}."""

    def __init__(self):
        self.tasks, self.monitors = set(), {}
        self.schemata = {"L3": {0: MASK, 1: MASK}, "MB": {0: 100, 1: 100}}

    def text(self):
        lines = []
        for name, form in (("L3", "%d=%03x"), ("MB", "%d=%4d")):
            lines.append("%6s:%s\n" % (name, ";".join(form % pair for pair in self.schemata[name].items())))
        return "".join(lines)

    def write(self, text):
        if not text.endswith("\n"):
            raise Refused(errno.EINVAL)
        staged = {}
        for line in text.splitlines():
            name, _, rest = line.partition(":")
            if name.strip() not in self.schemata:
                raise Refused(errno.EINVAL, "Unknown or unsupported resource name '%s'" % name.strip())
            for part in rest.split(";"):
                try:
                    domain, value = part.split("=")
                    value = int(value, 16 if name.strip() == "L3" else 10)
                    if (name.strip(), int(domain)) in staged:
                        raise Refused(errno.EINVAL, "Duplicate domain %s" % domain)
                    staged[name.strip(), int(domain)] = self.check(name.strip(), int(domain), value)
                except ValueError:
                    raise Refused(errno.EINVAL, "Missing '=' or non-numeric domain") from None
        for (name, domain), value in staged.items():
            self.schemata[name][domain] = value

    def check(self, name, domain, value):
        if domain not in self.schemata[name]:
            raise Refused(errno.EINVAL, "Could not find domain")
        if name == "MB":
            if not LEAST <= value <= 100:
                raise Refused(errno.EINVAL, "MB value %d out of range [%d,100]" % (value, LEAST))
            return -(-value // STEP) * STEP
        bits = bin(value)[2:].strip("0")
        if not value or value > MASK:
            raise Refused(errno.EINVAL, "Mask out of range")
        if "0" in bits:
            raise Refused(errno.EINVAL, "The mask %x has non-consecutive 1-bits" % value)
        return value


class Resctrl:
    def __init__(self, log):
        self.groups, self.status, self.log = {"": Group()}, "ok", log

    def names(self, path):
        """What is in a directory; None when the path is none."""
        if path == "":
            return [*sorted(set(self.groups) - {""}), "info", "mon_groups", "schemata", "tasks"]
        if path in self.groups:
            return ["mon_groups", "schemata", "tasks"]
        group, _, rest = path.rpartition("mon_groups")
        if path.endswith("mon_groups") and group.rstrip("/") in self.groups:
            return sorted(self.groups[group.rstrip("/")].monitors)
        if rest and group.rstrip("/") in self.groups and rest[1:] in self.groups[group.rstrip("/")].monitors:
            return ["tasks"]
        if path == "info":
            return ["L3", "MB", "L3_MON", "last_cmd_status"]
        inside = [name[len(path) + 1 :] for name in INFO if name.startswith(path + "/")]
        return inside or None

    def place(self, path):
        """(group, name of the monitoring group or None, file) of a file's path."""
        directory, _, name = path.rpartition("/")
        if "mon_groups/" in directory:
            group, _, monitor = directory.partition("mon_groups/")
            return self.groups[group.rstrip("/")], monitor, name
        return self.groups[directory], None, name

    def read(self, path):
        """The text of a file; None when there is none."""
        if path in INFO:
            return INFO[path]
        if path == "info/last_cmd_status":
            return self.status + "\n"
        directory, _, name = path.rpartition("/")
        if name not in (self.names(directory) or []) or name not in ("schemata", "tasks"):
            return None
        group, monitor, name = self.place(path)
        if name == "schemata":
            return group.text()
        tasks = group.tasks if monitor is None else group.monitors[monitor]
        return "".join("%d\n" % task for task in sorted(tasks) if os.path.exists("/proc/%d" % task))

    def write(self, path, text):
        group, monitor, name = self.place(path)
        if name == "schemata":
            group.write(text)
            return
        task = int(text)
        if not os.path.exists("/proc/%d" % task):
            raise Refused(errno.ESRCH, "No task %d" % task)
        if monitor is None:
            for other in self.groups.values():
                for tasks in (other.tasks, *other.monitors.values()):
                    tasks.discard(task)
            group.tasks.add(task)
        elif task not in group.tasks:
            raise Refused(errno.EINVAL, "Can't move task to different control group")
        else:
            group.monitors[monitor].add(task)

    def mkdir(self, path):
        directory, _, name = path.rpartition("/")
        if directory.endswith("mon_groups"):
            group = self.groups[directory.removesuffix("mon_groups").rstrip("/")]
            if len(group.monitors) >= MOST_MONITORS:
                raise Refused(errno.ENOSPC, "Out of RMIDs")
            group.monitors[name] = set()
        elif directory or name in RESERVED:
            raise Refused(errno.EPERM)
        elif len(self.groups) >= MOST_CLASSES:
            raise Refused(errno.ENOSPC, "Out of CLOSIDs")
        else:
            self.groups[name] = Group()

    def rmdir(self, path):
        directory, _, name = path.rpartition("/")
        if path in self.groups and path:
            del self.groups[path]
        elif directory.endswith("mon_groups"):
            del self.groups[directory.removesuffix("mon_groups").rstrip("/")].monitors[name]
        else:
            raise Refused(errno.EPERM)

    def change(self, operation, path, text=""):
        """Carry out a change and note it; the errno."""
        number = 0
        try:
            self.status = "ok"
            getattr(self, operation)(*((path, text) if operation == "write" else (path,)))
        except Refused as refusal:
            number, self.status = refusal.number, refusal.words or "ok"
        self.log.write(json.dumps([operation, path, text, number]) + "\n")
        self.log.flush()
        return number


class Server:
    """The FUSE protocol (linux/fuse.h), as much of it as a tree of small files needs."""

    def __init__(self, fd, tree):
        self.fd, self.tree = fd, tree
        self.paths = {1: ""}
        self.numbers = {"": 1}

    def number(self, path):
        if path not in self.numbers:
            self.numbers[path] = len(self.paths) + 1
            self.paths[self.numbers[path]] = path
        return self.numbers[path]

    def attributes(self, path):
        """struct fuse_attr; Refused(ENOENT) when there is nothing."""
        names = self.tree.names(path)
        if names is None and self.tree.read(path) is None:
            raise Refused(errno.ENOENT)
        mode = stat.S_IFREG | 0o644 if names is None else stat.S_IFDIR | 0o755
        return struct.pack("=6Q10I", self.number(path), 0, 0, 0, 0, 0, 0, 0, 0, mode, 2, 0, 0, 0, 4096, 0)

    def entry(self, path):
        attributes = self.attributes(path)
        return struct.pack("=4Q2I", self.number(path), 0, 0, 0, 0, 0) + attributes

    def answer(self, code, path, body):
        if code == INIT:
            major, minor, ahead, _ = struct.unpack_from("=4I", body)
            return struct.pack("=4I2H2I2H8I", major, min(minor, 31), ahead, 0, 16, 12, 65536, 1, 16, 0, *[0] * 8)
        if code == LOOKUP:
            return self.entry((path + "/" + body[:-1].decode()).lstrip("/"))
        if code in (GETATTR, SETATTR):
            return struct.pack("=Q2I", 0, 0, 0) + self.attributes(path)
        if code in (OPEN, OPENDIR):
            self.attributes(path)
            return struct.pack("=Q2I", 0, DIRECT_IO, 0)
        if code in (READ, READDIR):
            _, offset, size = struct.unpack_from("=2QI", body)
            return self.text(path)[offset : offset + size] if code == READ else self.listing(path, offset)
        if code == WRITE:
            size = struct.unpack_from("=2QI", body)[2]
            self.change("write", path, body[40 : 40 + size].decode())
            return struct.pack("=2I", size, 0)
        if code == MKDIR:
            below = (path + "/" + body[8:-1].decode()).lstrip("/")
            self.change("mkdir", below)
            return self.entry(below)
        if code == RMDIR:
            self.change("rmdir", (path + "/" + body[:-1].decode()).lstrip("/"))
            return b""
        if code == STATFS:
            return struct.pack("=5Q10I", *[0] * 5, 4096, 255, 4096, 0, *[0] * 6)
        if code in (RELEASE, RELEASEDIR, FLUSH, ACCESS, DESTROY):
            return b""
        raise Refused(errno.ENOSYS)

    def change(self, operation, path, text=""):
        number = self.tree.change(operation, path, text)
        if number:
            raise Refused(number)

    def text(self, path):
        text = self.tree.read(path)
        if text is None:
            raise Refused(errno.ENOENT)
        return text.encode()

    def listing(self, path, offset):
        result = b""
        names = self.tree.names(path) or []
        for place, name in list(enumerate(names, 1))[offset:]:
            kind = stat.S_IFREG if self.tree.names((path + "/" + name).lstrip("/")) is None else stat.S_IFDIR
            part = struct.pack("=2Q2I", place, place, len(name), kind >> 12) + name.encode()
            result += part + b"\0" * (-len(part) % 8)
        return result

    def serve(self):
        while True:
            try:
                packet = os.read(self.fd, 1 << 20)
            except OSError as error:
                if error.errno == errno.EINTR:
                    continue
                return  # ENODEV: unmounted
            _, code, unique, node = struct.unpack_from("=2I2Q", packet)
            if code in (FORGET, BATCH_FORGET, INTERRUPT):
                continue
            number, data = 0, b""
            try:
                data = self.answer(code, self.paths.get(node, ""), packet[40:])
            except Refused as refusal:
                number = -refusal.number
            try:
                os.write(self.fd, struct.pack("=IiQ", 16 + len(data), number, unique) + data)
            except OSError:
                continue  # the caller was interrupted


def main():
    point, log = sys.argv[1:]
    fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    libc = ctypes.CDLL(None, use_errno=True)
    options = b"fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other,default_permissions" % fd
    if libc.mount(b"resctrl-tree", os.fsencode(point), b"fuse", 0, options):
        raise OSError(ctypes.get_errno(), "mount")
    with open(log, "w", encoding="utf-8") as file:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        Server(fd, Resctrl(file)).serve()


if __name__ == "__main__":
    main()
