"""`pyoci ps ID`: the processes of a container, as numbers or through the host's ps(1)."""

import os

from pyoci.config.json_text import dump
from pyoci.errors import HostError, OperationError, errno_text
from pyoci.runtime.container import load_record, open_directory
from pyoci.runtime.kill import cgroup_of, has_private_pids
from pyoci.runtime.status import is_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call
    from pyoci.runtime.container import Record

_DEFAULT = ["-ef"]


def main(call: "Call") -> int:
    """Print the pids as JSON, or the lines of ps that belong to them; a stopped container has none."""
    record = load_record(open_directory(call.root, call.arguments[0]))
    pids = _processes(record)
    if call.options["format"] == "json":
        call.write((dump(pids) if pids else "null") + "\n")
    else:
        text = table(_ps(call.arguments[1:] or _DEFAULT), set(pids))
        call.write(text.decode("utf-8", "surrogateescape"))
    return 0


def _processes(record: "Record") -> "list[int]":
    """What is in the container's cgroup; without one (no privileges), what is in its pid namespace."""
    cgroup = cgroup_of(record)
    if cgroup.directories:
        return cgroup.processes()
    if not has_private_pids(record):
        raise HostError(
            "cannot list processes: the container has no cgroup",
            cause="it shares a pid namespace with others",
            fix="give it a pid namespace, or have a cgroup delegated to you",
        )
    return _in_pid_namespace(record.values["pid"]) if is_alive(record) else []


def _in_pid_namespace(init: int) -> "list[int]":
    """Those whose pid namespace is that of `init`, sorted; processes in namespaces below it are not found."""
    namespace = _pid_namespace(str(init))
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _pid_namespace(name) == namespace != ""]


def _pid_namespace(name: str) -> str:
    try:
        return os.readlink("/proc/%s/ns/pid" % name)
    except OSError:
        return ""


def _ps(arguments: "list[str]") -> bytes:
    """What the host's ps prints.  Raises HostError, OperationError."""
    import subprocess

    try:
        result = subprocess.run(["ps", *arguments], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise HostError(
            "ps: %s" % errno_text(error.errno or 0), fix="install procps, or use --format json"
        ) from None
    if result.returncode:
        words = result.stderr.decode(errors="replace").strip().splitlines()
        raise OperationError("ps: exit status %d" % result.returncode, cause=words[0] if words else "")
    return result.stdout


def table(output: bytes, pids: "set[int]") -> bytes:
    """The header that ps printed, and its lines whose PID column is one of `pids`.

    Bytes, because the text of a process may hold characters that str takes for the end of a line or a field.
    Raises OperationError.
    """
    header, *lines = output.split(b"\n")
    titles = header.split()
    if b"PID" not in titles:
        raise OperationError(
            "couldn't find PID field in ps output",
            cause="its columns are: %s" % header.decode(errors="replace"),
            fix="add -o pid",
        )
    column = titles.index(b"PID")
    kept = [line for line in lines if line.strip() and _pid(line, column) in pids]
    return b"\n".join([header, *kept]) + b"\n"


def _pid(line: bytes, column: int) -> int:
    fields = line.split()
    try:
        return int(fields[column])
    except (IndexError, ValueError):
        raise OperationError(
            "unable to parse pid in the output of ps",
            cause="column %d of %r" % (column + 1, line[:80]),
            fix="let pid be the first column: -o pid,...",
        ) from None
