"""Reports of the probe made comparable: what differs between any two runs goes, the rest becomes flat fields."""

import fnmatch
import re
import tomllib

from ..integration.host import Mount

# Differs between any two runs, or is a number that the kernel hands out.
VOLATILE = [
    "pid", "ppid", "pgid", "sid", "stat", "clock.*", "status.Pid", "status.Tgid", "status.NS*", "status.Vm*",
    "status.Rss*", "status.*ctxt_switches", "status.FDSize", "status.SigQ", "status.PPid", "status.Hugetlb*",
    "fds.*.ino", "fds.*.dev", "fds.*.size", "fds.*.atime", "fds.*.nlink", "actions_*.ino", "actions_*.dev",
    "actions_*.atime", "actions_*.nlink", "actions_*.size", "keyring", "net.*.index", "actions_*.pid",
]  # fmt: skip


def flatten(report, names):
    """{field: value}.  `names` replaces texts of this run (id, paths) by fixed words."""
    fields = {}

    def walk(path, value):
        if isinstance(value, dict):
            for key, inner in value.items():
                walk("%s.%s" % (path, key) if path else key, inner)
        elif isinstance(value, str):
            for old, new in names:
                value = value.replace(old, new)
            fields[path] = value
        else:
            fields[path] = value

    report = dict(report)
    namespaces = report.pop("ns", {})
    walk("", {k: v for k, v in report.items() if k not in ("mountinfo", "actions", "stderr", "cgroup")})
    for kind, link in namespaces.items():
        fields["ns." + kind] = "the host's" if link == names_of_host(names, kind) else "own or joined"
    for line in report.get("mountinfo") or []:
        mount(fields, line, names)
    points = [line.split(" ")[4] for line in report.get("mountinfo") or []]
    fields["order"] = [p for p in points if not p.startswith("/sys/fs/cgroup/")]
    for number, action in enumerate(report.get("actions", [])):
        key = "actions.%d %s %s" % (number, action["do"], action.get("arg", ""))
        for name, value in action.items():
            if name not in ("do", "arg"):
                walk("%s.%s" % (key.replace(".", "_"), name), sorted(value) if name == "names" else value)
    for line in report.get("cgroup") or []:
        _, controllers, path = line.split(":", 2)
        walk("cgroup.%s" % (controllers or "unified"), path)
    return {k: v for k, v in fields.items() if not any(fnmatch.fnmatchcase(k, p) for p in VOLATILE)}


def names_of_host(names, kind):
    return dict(names).get("host:" + kind)


def mount(fields, line, names):
    """One mount, keyed by place and by its turn there: type, source, options of mount and file system."""
    one = Mount(line)
    turn = 0
    while "mounts.%s#%d.fstype" % (one.point, turn) in fields:
        turn += 1
    base = "mounts.%s#%d." % (one.point, turn)
    root = one.root
    for old, new in names:
        root = root.replace(old, new)
    fields[base + "fstype"] = one.fstype
    fields[base + "source"] = one.source
    fields[base + "root"] = root
    fields[base + "options"] = ",".join(sorted(one.options))
    kept = [o for o in one.super_options if not re.match(r"(nr_inodes|inode64|lowerdir)", o)]
    fields[base + "super"] = ",".join(sorted(kept))
    fields[base + "propagation"] = ",".join(sorted(one.propagation - {"propagate_from"}))


def differences(mine, theirs):
    """{field: (mine, theirs)} where they differ; an absent field is None."""
    return {
        k: (mine.get(k), theirs.get(k)) for k in sorted(set(mine) | set(theirs)) if mine.get(k) != theirs.get(k)
    }


class Known:
    """The list of known differences; remembers which of them occurred."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.entries = tomllib.load(file).get("difference", [])
        for one in self.entries:
            one["seen"] = set()

    def find(self, case, runtime, field):
        for one in self.entries:
            if runtime not in one["runtimes"]:
                continue
            if not any(fnmatch.fnmatchcase(case, p) for p in one.get("cases", ["*"])):
                continue
            if any(fnmatch.fnmatchcase(field, p) for p in one["fields"]):
                one["seen"].add(runtime)
                return one
        return None

    def stale(self, runtimes):
        """Entries that name a runtime which was compared and did not show the difference."""
        return [
            (one["reason"], runtime)
            for one in self.entries
            for runtime in one["runtimes"]
            if runtime in runtimes and runtime not in one["seen"]
        ]
