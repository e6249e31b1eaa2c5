"""`pyoci list`: every container below the state root."""

import os
from pwd import getpwuid

from pyoci.config.json_text import dump
from pyoci.errors import PyociError, StateError, UsageError, errno_text
from pyoci.runtime.container import check_id, load_record, open_directory
from pyoci.runtime.status import state_document, status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call

_COLUMNS = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")
_LEAST_WIDTH = 12
_PADDING = 3


def main(call: "Call") -> int:
    """Print a table, JSON, or with --quiet the ids; a broken entry is noted on standard error and passed over."""
    form = call.options["format"]
    if form not in ("table", "json"):
        raise UsageError("invalid format option", where="--format", fix="use table or json")
    found = _containers(call)
    if call.options["quiet"]:
        text = "".join("%s\n" % entry["id"] for entry in found)
    elif form == "json":
        text = dump(found) + "\n" if found else "null\n"
    else:
        text = _table(found)
    call.write(text)
    return 0


def _containers(call: "Call") -> "list[dict[str, object]]":
    try:
        names = sorted(os.listdir(call.root))
    except FileNotFoundError:
        if call.root_is_default:
            return []
        raise StateError("open %s: no such file or directory" % call.root, where="--root") from None
    except OSError as error:
        raise StateError("open %s: %s" % (call.root, errno_text(error.errno or 0)), where="--root") from None
    found = []
    for name in names:
        if name.startswith("."):
            continue  # pyoci's own: no id starts with a dot
        try:
            found.append(_entry(call.root, check_id(name)))
        except PyociError as error:
            call.log.warning("load container %s: %s" % (ascii(name)[1:-1], error.message))
    return found


def _entry(root: str, container_id: str) -> "dict[str, object]":
    directory = open_directory(root, container_id)
    try:
        record = load_record(directory)
        document = state_document(record, status_of(directory, record))
        document["owner"] = _owner(os.fstat(directory.fd).st_uid)
        return document
    finally:
        directory.close()


def _owner(uid: int) -> str:
    try:
        return getpwuid(uid).pw_name
    except KeyError:
        return "#%d" % uid


def _table(found: "list[dict[str, object]]") -> str:
    rows = [_COLUMNS]
    for entry in found:
        rows.append(tuple(str(entry[column.lower()]) for column in _COLUMNS))  # type: ignore[arg-type]
    widths = [max(_LEAST_WIDTH, max(len(row[index]) for row in rows) + _PADDING) for index in range(len(_COLUMNS))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        lines.append("".join(cells) + row[-1] + "\n")
    return "".join(lines)
