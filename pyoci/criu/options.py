"""From the options of checkpoint and restore to criu's, checked against what the criu at hand can do."""

import os

from pyoci.criu.messages import CGROUP_MODES, NETWORK_LOCKS
from pyoci.errors import HostError, UsageError
from pyoci.tables.namespaces import CLONE_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.config.types import Config

    Version = tuple[int, int, int]

ANNOTATION = "org.criu.config"
CONFIG_FILES = ("/etc/criu/pyoci.conf", "/etc/criu/runc.conf")
LOG_LEVEL = 4

# What both commands hand to criu as it is.
_SWITCHES = ("tcp_established", "ext_unix_sk", "shell_job", "lazy_pages", "file_locks", "auto_dedup")
_DUMP_SWITCHES = ("leave_running", "tcp_skip_in_flight", "link_remap")
# Option or value -> the first criu that has it; all others are older than the oldest one accepted.
_SINCE = {
    "lsm_profile": (3, 16, 0),  # older ones take it and restore the old profile
    "lsm_mount_context": (3, 16, 0),
    "network_lock": (3, 17, 0),
    "network_lock skip": (3, 18, 0),
}


def common_options(options: "dict[str, Any]", config: "Config") -> "dict[str, Any]":
    """What checkpoint and restore have in common.  UsageError for a value that makes no sense."""
    wanted: dict[str, Any] = {name: options[name] for name in _SWITCHES}
    wanted["manage_cgroups"] = True
    wanted["manage_cgroups_mode"] = cgroup_mode(options["manage_cgroups_mode"])
    wanted["empty_ns"] = empty_namespaces(options["empty_ns"] or [])
    wanted["notify_scripts"] = True
    wanted["orphan_pts_master"] = True
    wanted["log_level"] = LOG_LEVEL
    path = config_file(config)
    if path:
        wanted["config_file"] = path
    return wanted


def dump_options(options: "dict[str, Any]", config: "Config", version: "Version") -> "dict[str, Any]":
    """The options of a checkpoint, up to what depends on the container.  UsageError, HostError."""
    wanted = common_options(options, config)
    for name in _DUMP_SWITCHES:
        wanted[name] = options[name]
    wanted["log_file"] = "dump.log"
    if options["page_server"]:
        wanted["ps"] = page_server(options["page_server"])
    if options["parent_path"]:
        wanted["parent_img"] = options["parent_path"]
        wanted["track_mem"] = True
    if options["network_lock"]:
        wanted["network_lock"] = network_lock(options["network_lock"], version)
    return wanted


def restore_options(options: "dict[str, Any]", config: "Config", version: "Version") -> "dict[str, Any]":
    """The options of a restore, up to what depends on the container.  UsageError, HostError."""
    wanted = common_options(options, config)
    wanted["log_file"] = "restore.log"
    wanted["evasive_devices"] = True
    wanted["rst_sibling"] = True  # init becomes our child, as if we had made it
    if options["tcp_close"]:
        wanted["tcp_close"] = True
    for name in ("lsm_profile", "lsm_mount_context"):
        if options[name]:
            _require(name, "--" + name.replace("_", "-"), version)
            wanted[name] = options[name]
    if options["lsm_profile"] and not options["lsm_profile"].partition(":")[2]:
        raise UsageError(
            'invalid --lsm-profile "%s"' % options["lsm_profile"], fix="write TYPE:NAME, as in apparmor:my-profile"
        )
    return wanted


def cgroup_mode(word: str) -> int:
    """The number of a --manage-cgroups-mode."""
    if not word:
        return CGROUP_MODES["soft"]
    if word not in CGROUP_MODES:
        raise UsageError('invalid manage-cgroups-mode value "%s"' % word, fix="name soft, full, strict or ignore")
    return CGROUP_MODES[word]


def empty_namespaces(names: list[str]) -> int:
    """The clone flags of --empty-ns.

    The network is always among them: its devices belong to whoever made them, not to the runtime.
    """
    for name in names:
        if name != "network":
            raise UsageError('namespace "%s" is not supported' % name, where="--empty-ns", fix="name network")
    return CLONE_FLAGS["network"]


def page_server(text: str) -> "dict[str, Any]":
    """Address and port of --page-server; an IPv6 address stands in brackets."""
    address, _, port = text.rpartition(":")
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    elif ":" in address:
        address = ""
    if not address or not port:
        raise UsageError("Use --page-server ADDRESS:PORT to specify page server")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError("Invalid port number", where="--page-server")
    return {"address": address, "port": int(port)}


def network_lock(word: str, version: "Version") -> int:
    """The number of a --network-lock."""
    if word not in NETWORK_LOCKS:
        raise UsageError('invalid --network-lock "%s"' % word, fix="name iptables, nftables or skip")
    _require("network_lock", "--network-lock", version)
    if word == "skip":
        _require("network_lock skip", "--network-lock skip", version)
    return NETWORK_LOCKS[word]


def config_file(config: "Config") -> str:
    """The file of further options for criu: the annotation names one, or none by being empty; else a default."""
    named = config.get("annotations", {}).get(ANNOTATION)
    if named is not None:
        return named
    return next((path for path in CONFIG_FILES if os.path.exists(path)), "")


def _require(what: str, option: str, version: "Version") -> None:
    since = _SINCE[what]
    if version < since:
        raise HostError(
            "%s needs criu %d.%d or later" % (option, since[0], since[1]), cause="this is criu %d.%d.%d" % version
        )
