"""What exec runs: the document of --process, or the container's own process changed by the options."""

from pyoci.config.load import load_process
from pyoci.config.read import read_document
from pyoci.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.cli.call import Call
    from pyoci.config.types import Config, Process

_LARGEST_ID = 2**32 - 2  # the one above means "leave as it is" to the kernel
_SETS = ("bounding", "effective", "permitted")

# What a --process document leaves out is taken from the container: a program that is let in later should not
# have the limits and the OOM score of whoever calls pyoci, nor be less confined.
_KEPT = ("rlimits", "oomScoreAdj", "apparmorProfile", "selinuxLabel")


def process_document(call: "Call", config: "Config") -> "Process":
    """The checked process to run.  `config` is the container's.  Raises ConfigError, UsageError."""
    own = config.get("process") or {"cwd": "/"}
    path = call.options["process"]
    if not path:
        return _from_options(call, own)
    process = load_process(read_document(path, regular=False), call.log.warning, path)
    if not process.get("args"):
        raise UsageError("args must not be empty", where=".args", fix="name a program in %s" % path)
    for key in _KEPT:
        if key in own and not process.get(key) and process.get(key) != 0:
            process[key] = own[key]  # type: ignore[literal-required]
    return process


def _from_options(call: "Call", own: "Process") -> "Process":
    """As runc: arguments and terminal from the command line, all else as the container's, with additions."""
    options = call.options
    process: dict[str, Any] = dict(own)
    process["args"] = call.arguments[1:]
    if not process["args"]:
        raise UsageError(
            "process args cannot be empty", fix="name a program after the container's id, or use --process FILE"
        )
    process["terminal"] = options["tty"]
    process["cwd"] = _directory(options["cwd"] or own.get("cwd", "/"))
    process["env"] = [*own.get("env", ()), *(_variable(entry) for entry in options["env"] or ())]
    process["user"] = _user(options, own)
    if options["cap"]:
        process["capabilities"] = _capabilities(options["cap"], own.get("capabilities", {}))  # type: ignore[arg-type]
    if options["no_new_privs"]:
        process["noNewPrivileges"] = True
    if options["apparmor"]:
        process["apparmorProfile"] = options["apparmor"]
    if options["process_label"]:
        process["selinuxLabel"] = options["process_label"]
    return process  # type: ignore[return-value]


def _directory(path: str) -> str:
    if not path.startswith("/"):
        raise UsageError("Cwd must be an absolute path: %s" % path, where="--cwd", fix="begin it with /")
    return path


def _variable(entry: str) -> str:
    name, equals, _ = entry.partition("=")
    if not equals or not name:
        # The entry may be a secret, so a value without a name is not shown.
        shown = ": %s" % entry if name else ""
        raise UsageError("environment entry is no NAME=VALUE" + shown, where="--env", fix="write NAME=VALUE")
    return entry


def _user(options: "dict[str, Any]", own: "Process") -> "dict[str, Any]":
    """As with runc a --user without :GID keeps the container's group, and its supplementary ones."""
    user: dict[str, Any] = dict(own.get("user", {}))
    if options["user"]:
        uid, colon, gid = options["user"].partition(":")
        user["uid"] = _id(uid, "--user")
        if colon:
            user["gid"] = _id(gid, "--user")
    if options["additional_gids"]:
        user["additionalGids"] = [_id(text, "--additional-gids") for text in options["additional_gids"]]
    return user


def _id(text: str, where: str) -> int:
    """All of `text` is digits or it is refused: an id read in part would run as somebody else (CVE-2026-30892)."""
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > _LARGEST_ID:
        raise UsageError(
            "invalid id %s" % ascii(text), where=where, fix="use numbers from 0 to %d; no names" % _LARGEST_ID
        )
    return int(text)


def _capabilities(added: list[str], own: "dict[str, list[str]]") -> "dict[str, list[str]]":
    """Added to what makes them effective; to the ambient set only where they are inheritable already (S-17)."""
    from pyoci.tables.capabilities import NUMBERS

    sets = {kind: list(names) for kind, names in own.items()}
    for text in added:
        name = text.upper() if text.upper().startswith("CAP_") else "CAP_" + text.upper()
        if name not in NUMBERS:
            raise UsageError("unknown capability %s" % ascii(text), where="--cap", fix="see capabilities(7)")
        kinds = (*_SETS, "ambient") if name in sets.get("inheritable", ()) else _SETS
        for kind in kinds:
            names = sets.setdefault(kind, [])
            if name not in names:
                names.append(name)
    return sets
