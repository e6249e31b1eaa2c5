"""`pyoci ps ID`: the processes of a container, as numbers or through the host's ps(1)."""

from pyoci.config.json_text import dump
from pyoci.errors import HostError, OperationError, errno_text
from pyoci.runtime.container import load_record, open_directory
from pyoci.runtime.kill import cgroup_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.call import Call

_DEFAULT = ["-ef"]


def main(call: "Call") -> int:
    """Print the pids as JSON, or the lines of ps that belong to them; a stopped container has none."""
    record = load_record(open_directory(call.root, call.arguments[0]))
    cgroup = cgroup_of(record)
    if cgroup.mode == "none":
        raise HostError("cannot list processes: the container has no cgroup", cause="cgroups are disabled")
    pids = cgroup.processes()
    if call.options["format"] == "json":
        call.write((dump(pids) if pids else "null") + "\n")
    else:
        call.write(_table(set(pids), call.arguments[1:] or _DEFAULT))
    return 0


def _table(pids: set[int], arguments: list[str]) -> str:
    """The header that ps prints, and its lines whose PID column is one of `pids`."""
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
    lines = result.stdout.decode(errors="surrogateescape").splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise OperationError(
            "couldn't find PID field in ps output", cause="its columns are: %s" % " ".join(titles), fix="add -o pid"
        )
    column = titles.index("PID")
    kept = [line for line in lines[1:] if _pid(line, column) in pids]
    return "\n".join([lines[0], *kept]) + "\n"


def _pid(line: str, column: int) -> int:
    fields = line.split()
    return int(fields[column]) if len(fields) > column and fields[column].isdigit() else -1
