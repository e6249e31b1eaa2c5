"""Layouts and configs for the tests of the plan."""

from pyoci.cgroup.driver import Cgroup
from pyoci.cgroup.layout import Hierarchy, Layout
from pyoci.plan.facts import Facts
from pyoci.plan.make import make_plan

EVERY_CAPABILITY = (1 << 41) - 1
NONE = Layout("none", [], None)
UNIFIED = Layout(
    "unified", [], Hierarchy((), "/sys/fs/cgroup", "/a/pyoci.service", unified=True), ("memory", "pids")
)
LEGACY = Layout(
    "legacy",
    [
        Hierarchy(("devices",), "/sys/fs/cgroup/devices"),
        Hierarchy(("cpu", "cpuacct"), "/sys/fs/cgroup/cpu,cpuacct"),
        Hierarchy(("memory",), "/sys/fs/cgroup/memory"),
        Hierarchy(("name=systemd",), "/sys/fs/cgroup/systemd"),
    ],
    None,
)


def config_of(mounts=(), namespaces=("mount",), process=None, **linux):
    """A checked config; namespaces are types, or (type, path)."""
    entries = [{"type": x} if isinstance(x, str) else {"type": x[0], "path": x[1]} for x in namespaces]
    config = {
        "ociVersion": "1.3.0",
        "root": {"path": "rootfs"},
        "mounts": list(mounts),
        "linux": {"namespaces": entries, **linux},
    }
    if process is not None:
        config["process"] = {"args": ["/bin/true"], "cwd": "/", **process}
    return config


def plan_of(config, layout=NONE, **options):
    manager = "disabled" if layout is NONE else "cgroupfs"
    cgroup = Cgroup.for_container(layout, config["linux"].get("cgroupsPath"), "c1", None, manager=manager)
    return make_plan(
        config,
        Facts(layout, EVERY_CAPABILITY),
        cgroup,
        container_id="c1",
        bundle="/b",
        rootfs="/b/rootfs",
        **options,
    )


def mount_of(destination, kind="tmpfs", source="", options=()):
    return {"destination": destination, "type": kind, "source": source or kind, "options": list(options)}
