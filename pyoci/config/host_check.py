"""What this host cannot give of what a configuration asks for: `pyoci check` alone looks.

A fault of level "error" would make create fail here; a warning may.  Everything is only read, and what cannot
be read is taken to be right: the kernel has the last word at create.
"""

import fcntl
import os
from stat import S_ISSOCK

from pyoci.cgroup.layout import Layout, detect
from pyoci.config.fault import Fault, member, quoted
from pyoci.config.host_check_taken import intel_rdt_faults, network_device_faults
from pyoci.config.rules_mounts import is_bind
from pyoci.config.security_modules import NO_APPARMOR, loaded_profiles, module_faults
from pyoci.config.sysctl import below_proc_sys, namespace
from pyoci.config.unprivileged import unprivileged_faults
from pyoci.tables.capabilities import NUMBERS as CAPABILITIES
from pyoci.tables.id_helpers import HELPER_DIRECTORIES, HELPERS
from pyoci.tables.namespaces import CLONE_FLAGS, PROC_NAMES
from pyoci.tables.seccomp import listener_of, notified

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Config, IDMapping, Linux, Resources, Seccomp

_NS_GET_NSTYPE = 0xB703  # ioctl_ns(2)
_MIN_KERNEL = (5, 12)  # mount_setattr(2), the youngest call that create cannot do without
_CAP_SYS_RESOURCE = 24
# field of .linux.resources -> controller of version 1, controller of version 2 ("" where it has none)
_CONTROLLERS = {
    "memory": ("memory", "memory"), "pids": ("pids", "pids"), "blockIO": ("blkio", "io"),
    "hugepageLimits": ("hugetlb", "hugetlb"), "rdma": ("rdma", "rdma"), "devices": ("devices", "devices"),
}  # fmt: skip
_SECCOMP_ACTIONS = {
    "SCMP_ACT_KILL": "kill_thread", "SCMP_ACT_KILL_THREAD": "kill_thread", "SCMP_ACT_KILL_PROCESS": "kill_process",
    "SCMP_ACT_TRAP": "trap", "SCMP_ACT_ERRNO": "errno", "SCMP_ACT_TRACE": "trace", "SCMP_ACT_ALLOW": "allow",
    "SCMP_ACT_LOG": "log", "SCMP_ACT_NOTIFY": "user_notif",
}  # fmt: skip


def host_faults(
    config: "Config", bundle: str, layout: Layout | None = None, *, systemd: bool = False
) -> list[Fault]:
    """The faults of a checked configuration on this host; `bundle` is its directory.

    `systemd`: the systemd cgroup driver is in use.
    """
    found: list[Fault] = []
    linux = config.get("linux", {})
    _kernel(found)
    _namespaces(linux, found)
    _mount_sources(config, bundle, found)
    _process(config, found)
    _seccomp(linux, found)
    _seccomp_agent(config, bundle, found)
    _security_modules(config, found)
    _sysctl(linux, found)
    _identity(config, linux, found)
    _hooks(config, found)
    network_device_faults(linux, found)
    intel_rdt_faults(linux, found)
    _cgroups(linux.get("resources", {}), layout or detect(), found)
    _block_devices(linux.get("resources", {}), found)
    if systemd:
        _service_manager(found)
    return found


def _service_manager(found: list[Fault]) -> None:
    from pyoci.systemd.bus import may_be_reached, unreachable

    user = os.geteuid() != 0
    if not may_be_reached(user=user):
        error = unreachable(user=user)
        found.append(Fault("", error.message, error.fix))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _kernel(found: list[Fault]) -> None:
    release = os.uname().release
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if len(numbers) == 2 and numbers < _MIN_KERNEL:
        found.append(Fault("", "Linux %s is too old" % release, "Linux %d.%d or newer" % _MIN_KERNEL))


def _namespaces(linux: "Linux", found: list[Fault]) -> None:
    for number, space in enumerate(linux.get("namespaces", ())):
        at = ".linux.namespaces[%d]" % number
        kind, path = space["type"], space.get("path")
        if not os.path.exists("/proc/self/ns/" + PROC_NAMES[kind]):
            found.append(Fault(at, "this kernel has no %s namespaces" % kind, "remove it"))
        elif path:
            _namespace_file(kind, path, at + ".path", found)


def _namespace_file(kind: str, path: str, at: str, found: list[Fault]) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        found.append(_errno(at, "open %s" % path, error, "the path of a namespace that exists"))
        return
    try:
        is_kind = fcntl.ioctl(fd, _NS_GET_NSTYPE) == CLONE_FLAGS[kind]
    except OSError:
        is_kind = False
    finally:
        os.close(fd)
    if not is_kind:
        found.append(
            Fault(at, "%s is not a %s namespace" % (path, kind), "such as /proc/PID/ns/%s" % PROC_NAMES[kind])
        )


def _errno(at: str, what: str, error: OSError, fix: str = "") -> Fault:
    from pyoci.errors import errno_text

    return Fault(at, "%s: %s" % (what, errno_text(error.errno or 0)), fix)


def _mount_sources(config: "Config", bundle: str, found: list[Fault]) -> None:
    known = {line.split()[-1] for line in _read("/proc/filesystems").splitlines()}
    for number, mount in enumerate(config.get("mounts", ())):
        at = ".mounts[%d]" % number
        kind = mount.get("type", "")
        if is_bind(mount):
            try:
                os.stat(os.path.join(bundle, mount.get("source", "")))
            except OSError as error:
                found.append(
                    _errno(at + ".source", mount.get("source", ""), error, "a file or directory of the host")
                )
        elif kind and known and kind != "cgroup" and kind not in known and not _has_module(kind):
            message = "the kernel knows no file system %s" % quoted(kind)
            found.append(Fault(at + ".type", message, "/proc/filesystems lists those it has"))


def _has_module(kind: str) -> bool:
    """Whether the kernel could load the file system when it is asked for (modules.alias has `alias fs-NAME`)."""
    aliases = _read("/lib/modules/%s/modules.alias" % os.uname().release)
    return "alias fs-%s " % kind in aliases


def _process(config: "Config", found: list[Fault]) -> None:
    process = config.get("process")
    if not process:
        return
    _capabilities(process.get("capabilities", {}).get("bounding", []), found)
    if not _own_capabilities("CapEff") >> _CAP_SYS_RESOURCE & 1:
        import resource

        for number, limit in enumerate(process.get("rlimits", ())):
            ours = resource.getrlimit(getattr(resource, limit["type"], 0))[1]
            if hasattr(resource, limit["type"]) and ours != resource.RLIM_INFINITY and limit["hard"] > ours:
                path = ".process.rlimits[%d].hard" % number
                message = "%s above our own hard limit %d" % (limit["type"], ours)
                found.append(Fault(path, message + " needs CAP_SYS_RESOURCE", "at most %d" % ours))


def _own_capabilities(which: str) -> int:
    for line in _read("/proc/self/status").splitlines():
        if line.startswith(which + ":"):
            return int(line.split()[1], 16)
    return ~0


def _capabilities(names: list[str], found: list[Fault]) -> None:
    last = int(_read("/proc/sys/kernel/cap_last_cap") or 63)
    bounding = _own_capabilities("CapBnd")
    for number, name in enumerate(names):
        value = CAPABILITIES.get(name, -1)
        if value > last:
            message = "this kernel has no %s" % name
        elif value >= 0 and not bounding >> value & 1:
            message = "%s cannot be granted: it is not in our own bounding set" % name
        else:
            continue
        path = ".process.capabilities.bounding[%d]" % number
        found.append(Fault(path, message, "the container starts without it", "warning"))


def _seccomp(linux: "Linux", found: list[Fault]) -> None:
    seccomp = linux.get("seccomp")
    if not seccomp:
        return
    available = _read("/proc/sys/kernel/seccomp/actions_avail").split()
    if not available:
        found.append(Fault(".linux.seccomp", "this kernel has no seccomp filters", "remove .linux.seccomp"))
        return
    _seccomp_names(seccomp, found)
    used = [(".linux.seccomp.defaultAction", seccomp["defaultAction"])]
    for number, rule in enumerate(seccomp.get("syscalls", ())):
        used.append((".linux.seccomp.syscalls[%d].action" % number, rule["action"]))
    for path, action in used:
        if _SECCOMP_ACTIONS[action] not in available:
            found.append(Fault(path, "this kernel has no %s" % action, "one of " + ", ".join(available)))


def _seccomp_names(seccomp: "Seccomp", found: list[Fault]) -> None:
    """Warn of names that no architecture's system call has; newer kernels may know them."""
    from pyoci.errors import PyociError
    from pyoci.seccomp.binding import Library
    from pyoci.tables.seccomp import ACTIONS, ARCHITECTURES, RUNNABLE

    native = RUNNABLE.get(os.uname().machine, ())
    try:
        library = Library(ACTIONS["SCMP_ACT_ALLOW"])
    except PyociError as error:
        found.append(Fault(".linux.seccomp", error.message, error.fix))
        return
    if not native:
        return
    for number, rule in enumerate(seccomp.get("syscalls", ())):
        names = [name for name in rule["names"] if library.resolve(ARCHITECTURES[native[0]], name) is None]
        if names:
            path = ".linux.seccomp.syscalls[%d].names" % number
            message = "libseccomp knows no system call %s" % ", ".join(quoted(name) for name in names)
            found.append(Fault(path, message, "they are skipped: misspelt, or newer than libseccomp", "warning"))


def _seccomp_agent(config: "Config", bundle: str, found: list[Fault]) -> None:
    """A connection would be a message short of what the agent expects, so the socket is only looked for."""
    profile = config.get("linux", {}).get("seccomp")
    if profile is None or not notified(profile):
        return
    path, where = listener_of(config)
    try:
        there = S_ISSOCK(os.stat(os.path.join(bundle, path)).st_mode)
    except OSError:
        there = False
    if not there:
        message = "there is no socket at %s" % quoted(path)
        found.append(Fault(where, message, "start the seccomp agent before the container", "warning"))


def _security_modules(config: "Config", found: list[Fault]) -> None:
    process = config.get("process", {})
    faults = module_faults(process, ".process", config.get("linux", {}).get("mountLabel", ""))  # type: ignore[arg-type]
    found.extend(faults)
    profile = process.get("apparmorProfile")
    if profile and not any(fault.message == NO_APPARMOR for fault in faults):
        loaded = loaded_profiles()
        if loaded and profile not in loaded and profile != "unconfined":
            message = "AppArmor profile %s is not loaded" % quoted(profile)
            found.append(Fault(".process.apparmorProfile", message, "load it with apparmor_parser"))


def _sysctl(linux: "Linux", found: list[Fault]) -> None:
    for name in linux.get("sysctl", ()):
        if namespace(name) and not os.path.exists("/proc/sys/" + below_proc_sys(name)):
            message = "this kernel has no parameter %s here" % quoted(name)
            # A module may bring it, or it may exist in the new namespace only.
            found.append(Fault(member(".linux.sysctl", name), message, "see /proc/sys", "warning"))


def _identity(config: "Config", linux: "Linux", found: list[Fault]) -> None:
    for key in ("uidMappings", "gidMappings"):
        _joined_map(linux, key, found)
    found.extend(unprivileged_faults(config))
    if os.geteuid() == 0:
        return
    for key, own in (("uidMappings", os.geteuid()), ("gidMappings", os.getegid())):
        program, file = HELPERS[key]
        ranges = _subordinate(file)
        lines: list[IDMapping] = linux.get(key, [])  # type: ignore[assignment]
        if [(line["hostID"], line["size"]) for line in lines] not in ([], [(own, 1)]) and not any(
            os.access("%s/%s" % (directory, program), os.X_OK) for directory in HELPER_DIRECTORIES
        ):
            message = "%s is needed to map more than one's own id, and it is not installed" % program
            found.append(Fault(".linux." + key, message, "the package uidmap or shadow-utils has it"))
        for number, line in enumerate(lines):
            first, last = line["hostID"], line["hostID"] + line["size"] - 1
            if (first, last) != (own, own) and not any(low <= first and last <= high for low, high in ranges):
                message = "host ids %d to %d are not ours to map" % (first, last)
                found.append(
                    Fault(".linux.%s[%d]" % (key, number), message, "a range that %s gives this user" % file)
                )


def _joined_map(linux: "Linux", key: str, found: list[Fault]) -> None:
    """A user namespace that is joined has its map already: the configuration's must be the same."""
    path = next((space.get("path", "") for space in linux.get("namespaces", ()) if space["type"] == "user"), "")
    lines: list[IDMapping] = linux.get(key, [])  # type: ignore[assignment]
    if not lines or not path.startswith("/proc/") or not path.endswith("/ns/user"):
        return
    text = _read(path.removesuffix("ns/user") + ("uid_map" if key == "uidMappings" else "gid_map"))
    wanted = [[line["containerID"], line["hostID"], line["size"]] for line in lines]
    if text and sorted([int(word) for word in line.split()] for line in text.splitlines()) != sorted(wanted):
        message = "not the map of the user namespace that is joined"
        found.append(Fault(".linux." + key, message, "remove %s: a joined namespace has its own" % key))


def _subordinate(file: str) -> list[tuple[int, int]]:
    """The id ranges (first, last) that /etc/subuid or /etc/subgid gives this user."""
    import pwd

    uid = str(os.geteuid())
    try:
        names = (uid, pwd.getpwuid(os.geteuid()).pw_name)
    except KeyError:
        names = (uid, uid)
    fields = [line.split(":") for line in _read(file).splitlines()]
    return [
        (int(first), int(first) + int(size) - 1)
        for name, first, size in (field for field in fields if len(field) == 3)
        if name in names
    ]


def _hooks(config: "Config", found: list[Fault]) -> None:
    for kind, hooks in config.get("hooks", {}).items():
        if kind == "startContainer" or type(hooks) is not list:
            continue  # found in the container's file system
        for number, hook in enumerate(hooks):
            path = ".hooks.%s[%d].path" % (kind, number)
            try:
                os.stat(hook["path"])
            except OSError as error:
                found.append(_errno(path, hook["path"], error, "a program of the host"))
            else:
                if os.path.isdir(hook["path"]) or not os.access(hook["path"], os.X_OK):
                    found.append(Fault(path, "%s: permission denied" % hook["path"], "an executable file"))


def _cgroups(resources: "Resources", layout: Layout, found: list[Fault]) -> None:
    at = ".linux.resources"
    version1 = {name for hierarchy in layout.hierarchies for name in hierarchy.controllers}
    unified = layout.mode == "unified"
    wanted = {at + "." + key: names for key, names in _CONTROLLERS.items() if resources.get(key)}
    cpu = resources.get("cpu", {})
    if any(key not in ("cpus", "mems") for key in cpu):
        wanted[at + ".cpu"] = ("cpu", "cpu")
    if "cpus" in cpu or "mems" in cpu:
        wanted[at + ".cpu.cpus" if "cpus" in cpu else at + ".cpu.mems"] = ("cpuset", "cpuset")
    network = resources.get("network", {})
    if network.get("classID"):
        wanted[at + ".network.classID"] = ("net_cls", "")
    if network.get("priorities"):
        wanted[at + ".network.priorities"] = ("net_prio", "")
    for path, (old, new) in wanted.items():
        name = new if unified else old
        if name == "devices" and unified:
            continue  # a BPF program does it
        if not name or name not in (layout.controllers if unified else version1):
            message = "no %s cgroup controller on this host" % (name or old)
            found.append(Fault(path, message, "remove it, or mount the controller"))
    if resources.get("unified") and not unified:
        message = "cannot use unified on cgroup v1"
        found.append(Fault(at + ".unified", message, "use the other properties of .linux.resources"))
    _cpu_lists(resources, found)


def _cpu_lists(resources: "Resources", found: list[Fault]) -> None:
    cpu = resources.get("cpu", {})
    for key, text, what in (
        ("cpus", _read("/sys/devices/system/cpu/online"), "CPU"),
        ("mems", _read("/sys/devices/system/node/online") or "0", "memory node"),
    ):
        online = numbers(text.strip())
        missing = sorted(numbers(str(cpu.get(key, ""))) - online) if online else []
        if missing:
            message = "this host has no %s %d; it has %s" % (what, missing[0], text.strip())
            found.append(Fault(".linux.resources.cpu." + key, message, "a list within %s" % text.strip()))


def numbers(text: str) -> set[int]:
    """The members of a list such as `0-3,7`; a range that is absurdly long is cut."""
    members: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.strip():
            low = int(first)
            members.update(range(low, min(int(last) if last.strip() else low, low + 65536) + 1))
    return members


def _block_devices(resources: "Resources", found: list[Fault]) -> None:
    io = resources.get("blockIO", {})
    for key, entries in io.items():
        if type(entries) is not list or not (key.startswith("throttle") or key == "weightDevice"):
            continue
        for number, entry in enumerate(entries):
            name = "%d:%d" % (entry["major"], entry["minor"])
            if not os.path.exists("/sys/dev/block/" + name):
                path = ".linux.resources.blockIO.%s[%d]" % (key, number)
                found.append(Fault(path, "this host has no block device %s" % name, "see /sys/dev/block"))
    sizes = os.listdir("/sys/kernel/mm/hugepages") if os.path.isdir("/sys/kernel/mm/hugepages") else []
    for number, limit in enumerate(resources.get("hugepageLimits", ())):
        size = limit["pageSize"]
        kilobytes = int(size[:-2]) * {"K": 1, "M": 1024, "G": 1024 * 1024}[size[-2]]
        if "hugepages-%dkB" % kilobytes not in sizes:
            path = ".linux.resources.hugepageLimits[%d].pageSize" % number
            found.append(Fault(path, "this host has no huge pages of %s" % size, "see /sys/kernel/mm/hugepages"))
