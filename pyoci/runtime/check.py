"""`pyoci check`: everything that is wrong with a bundle, at once, with line and column; nothing is run.

Text form, one block for each fault:

    config.json:12:5: error: .process.cwd: Cwd must be an absolute path
      fix: write "/tmp"

The exit status is 1 when there is an error, 0 when there are only warnings or nothing at all.
"""

import os

from pyoci.config.json_text import dump_pretty, parse
from pyoci.config.read import read_document
from pyoci.config.report import report
from pyoci.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.cli.call import Call
    from pyoci.config.fault import Fault


def main(call: "Call") -> int:
    """Check the bundle `--bundle`."""
    bundle = os.path.abspath(call.options["bundle"])
    name = call.options.get("config") or "config.json"
    found = check_bundle(bundle, name, systemd=call.systemd_cgroup)
    if call.options["format"] == "json":
        call.write(dump_pretty([_record(fault, name) for fault in found]) + "\n")
    else:
        call.write("".join(_text(fault, name) for fault in found))
    return 1 if any(fault.level == "error" for fault in found) else 0


def check_bundle(bundle: str, name: str = "config.json", *, systemd: bool = False) -> "list[Fault]":
    """All faults of the bundle in the directory `bundle`, in the order of its configuration file `name`."""
    from pyoci.config.fault import Fault

    try:
        data = read_document(os.path.join(bundle, name), name=name)
    except ConfigError as error:
        return [Fault("", error.message, error.fix or "a bundle is a directory with a config.json")]
    found = report(data, name, systemd=systemd)
    if any(fault.level == "error" for fault in found) and not _keeps_schema(data, name):
        return found
    return sorted(
        found + _outside(data, name, bundle, systemd=systemd), key=lambda fault: (fault.line, fault.column)
    )


def _keeps_schema(data: bytes, name: str) -> bool:
    from pyoci.config.checker import conforms

    try:
        return conforms(parse(data, name), "config")
    except ConfigError:
        return False


def _outside(data: bytes, name: str, bundle: str, *, systemd: bool) -> "list[Fault]":
    """What the host and the root file system say to a configuration that keeps its schema."""
    from pyoci.config.host_check import host_faults
    from pyoci.config.positions import locate
    from pyoci.config.rootfs_check import rootfs_faults

    config: Any = parse(data, name)
    found = rootfs_faults(config, bundle) + host_faults(config, bundle, systemd=systemd)
    positions = locate(data.decode())
    for fault in found:
        fault.line, fault.column = positions.line_column(fault.path)
    return found


def _text(fault: "Fault", name: str) -> str:
    place = "%s:%d:%d" % (name, fault.line, fault.column) if fault.line else name
    subject = fault.path + ": " if fault.path else ""
    fix = "  fix: %s\n" % fault.fix if fault.fix else ""
    return "%s: %s: %s%s\n%s" % (place, fault.level, subject, fault.message, fix)


def _record(fault: "Fault", name: str) -> "dict[str, Any]":
    return {
        "file": name,
        "line": fault.line,
        "column": fault.column,
        "level": fault.level,
        "path": fault.path,
        "message": fault.message,
        "fix": fault.fix,
    }
