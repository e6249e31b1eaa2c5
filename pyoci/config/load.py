"""Read a document, parse it, check it: what comes out may be trusted by everything behind it.

The fast check costs under a millisecond.  Only when it says no, the machinery that explains is imported
(jsonschema, `re`) and the first fault is raised with its line and column.
"""

import os

from pyoci.config.checker import conforms
from pyoci.config.json_text import parse
from pyoci.config.read import read_document
from pyoci.config.rules import config_faults
from pyoci.config.rules_process import process_faults
from pyoci.config.rules_resources import resource_faults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyoci.config.fault import Fault
    from pyoci.config.types import Config, Process, Resources

CONFIG = "config.json"


def _no_warning(text: str) -> None:
    """What `warn` does when the caller gives none."""


def load_config(
    bundle: int | str,
    warn: "Callable[[str], None]" = _no_warning,
    *,
    systemd: bool = False,
    name: str = CONFIG,
) -> "tuple[Config, bytes]":
    """The checked configuration of the bundle (its directory as a descriptor or path), and its bytes.

    `warn` is called with one line for each thing that is doubtful but accepted.  `systemd`: the systemd cgroup
    driver is in use, so cgroupsPath has to be slice:prefix:name.  `name` is the file to read.  Raises
    ConfigError with the first fault: its jq path, line, column and fix.
    """
    dir_fd, path = (bundle, name) if isinstance(bundle, int) else (None, os.path.join(bundle, name))
    data = read_document(path, dir_fd=dir_fd, name=name)
    return load_config_text(data, warn, systemd=systemd, name=name), data


def load_config_text(
    data: bytes, warn: "Callable[[str], None]" = _no_warning, *, systemd: bool = False, name: str = CONFIG
) -> "Config":
    """As load_config, of bytes that were read before."""
    config: Config = _shaped(data, name, "config", systemd)
    found = config_faults(config, systemd=systemd)
    _judge(found, data, name, "config", warn, systemd)
    return meant(config)


def meant(config: "Config") -> "Config":
    """`config` with what an older version of the specification meant by the same words.

    Before 1.3.0 a `pids.limit` of 0 said nothing: podman 4 writes it for `--pids-limit -1`.  And crun's word for a
    mount's mappings becomes mappings.
    """
    for mount in config.get("mounts", ()):
        for word in mount.get("options", ()):
            if word.startswith(("idmap=", "ridmap=")):
                from pyoci.config.idmap_option import as_mappings

                as_mappings(mount, config.get("linux", {}))
    resources = config.get("linux", {}).get("resources", {})
    if resources.get("pids", {}).get("limit") == 0 and is_before_1_3(config):
        del resources["pids"]
    return config


def is_before_1_3(config: "Config") -> bool:
    """Whether `ociVersion` names a version before 1.3.0."""
    major, minor, _ = config["ociVersion"].split(".", 2)
    return (int(major), int(minor)) < (1, 3)


def load_process(data: bytes, warn: "Callable[[str], None]" = _no_warning, name: str = "process.json") -> "Process":
    """The checked process document of `exec --process`."""
    process: Process = _shaped(data, name, "process")
    found: list[Fault] = []
    process_faults(process, "", found)
    _judge(found, data, name, "process", warn)
    return process


def load_resources(
    data: bytes, warn: "Callable[[str], None]" = _no_warning, name: str = "resources"
) -> "Resources":
    """The checked resources document of `update --resources`."""
    resources: Resources = _shaped(data, name, "resources")
    found: list[Fault] = []
    resource_faults(resources, "", found, update=True)
    _judge(found, data, name, "resources", warn)
    return resources


def _shaped(data: bytes, name: str, schema: str, systemd: bool = False) -> "Any":
    document = parse(data, name)
    if conforms(document, schema):
        return document
    from pyoci.config.report import first_error

    raise first_error(data, name, schema, systemd=systemd)


def _judge(
    found: "list[Fault]", data: bytes, name: str, schema: str, warn: "Callable[[str], None]", systemd: bool = False
) -> None:
    """Raise the first error, tell of the warnings."""
    if any(fault.level == "error" for fault in found):
        from pyoci.config.report import first_error

        raise first_error(data, name, schema, systemd=systemd)
    for fault in found:
        warn("%s: %s: %s" % (name, fault.path, fault.message))
