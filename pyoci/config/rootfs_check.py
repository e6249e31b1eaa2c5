"""What is missing in the root file system: the program, its interpreter, the working directory.

Looks at the files as they lie there now, which is what the container will see unless a mount covers them;
whatever may be covered is left alone.  Symlinks are followed inside the root file system only.
"""

import os
import stat

from pyoci.config.fault import Fault, quoted
from pyoci.config.rules_mounts import clean, is_bind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Config, Process

_MAX_LINKS = 40  # MAXSYMLINKS of Linux
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Rootfs:
    """The tree below `root`; `covered` are the clean container paths that mounts cover."""

    def __init__(self, root: str, covered: list[str]) -> None:
        self.root = root
        self.covered = covered

    def is_covered(self, path: str) -> bool:
        """Whether a mount may hide what lies at the container path."""
        return any(path == place or path.startswith(place + "/") for place in self.covered)

    def resolve(self, path: str) -> str | None:
        """The host path for a container path, symlinks followed; None when a mount covers it or it loops."""
        parts, here, links = path.split("/"), "", 0
        while parts:
            part = parts.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                here = here.rpartition("/")[0]
                continue
            step = here + "/" + part
            if self.is_covered(step):
                return None
            if os.path.islink(self.root + step):
                links += 1
                if links > _MAX_LINKS:
                    return None
                target = os.readlink(self.root + step)
                parts = target.split("/") + parts
                here = "" if target.startswith("/") else here
            else:
                here = step
        return self.root + here


def rootfs_faults(config: "Config", bundle: str) -> list[Fault]:
    """The faults of a checked configuration's root file system; `bundle` is its directory."""
    found: list[Fault] = []
    path = os.path.join(bundle, config["root"]["path"])
    try:
        if not stat.S_ISDIR(os.stat(path).st_mode):
            raise NotADirectoryError(20, "")
    except OSError as error:
        from pyoci.errors import errno_text

        message = "rootfs %s: %s" % (path, errno_text(error.errno or 0))
        return [Fault(".root.path", message, "make the directory, or correct the path")]
    rootfs = Rootfs(os.path.realpath(path), [clean(mount["destination"]) for mount in config.get("mounts", ())])
    _mount_kinds(config, bundle, rootfs, found)
    process = config.get("process")
    if process:
        directory = rootfs.resolve(process["cwd"])
        if directory and os.path.lexists(directory) and not os.path.isdir(directory):
            message = "chdir %s: not a directory" % process["cwd"]
            found.append(Fault(".process.cwd", message, "a directory of the container"))
        _program(process, rootfs, found)
    return found


def _mount_kinds(config: "Config", bundle: str, rootfs: Rootfs, found: list[Fault]) -> None:
    for number, mount in enumerate(config.get("mounts", ())):
        earlier = [clean(other["destination"]) for other in config.get("mounts", ())[:number]]
        source = os.path.join(bundle, mount.get("source", ""))
        if not is_bind(mount) or not os.path.exists(source):
            continue
        target = Rootfs(rootfs.root, earlier).resolve(mount["destination"])
        if not target or not os.path.exists(target) or os.path.isdir(source) == os.path.isdir(target):
            continue
        kinds = ("a directory", "a file") if os.path.isdir(source) else ("a file", "a directory")
        message = (
            "cannot bind %s on %s: not a directory" % kinds
            if os.path.isdir(source)
            else "cannot bind %s on %s" % kinds
        )
        found.append(Fault(".mounts[%d].destination" % number, message, "source and destination of the same kind"))


def _program(process: "Process", rootfs: Rootfs, found: list[Fault]) -> None:
    at, name = ".process.args[0]", process["args"][0]
    if "/" in name:
        path = os.path.join(process["cwd"], name)
        candidates = [path]
    else:
        search = [entry[5:] for entry in process.get("env", ()) if entry.startswith("PATH=")]
        candidates = [
            os.path.join("/", part, name) for part in (search[-1] if search else _DEFAULT_PATH).split(":")
        ]
        path = name
    hosts = [(candidate, rootfs.resolve(candidate)) for candidate in candidates]
    if any(host is None for _, host in hosts):
        return  # a mount may bring it
    there = [(candidate, host) for candidate, host in hosts if host and os.path.isfile(host)]
    if not there:
        if path == name and "/" not in name:
            message = "exec: %s: executable file not found in $PATH" % quoted(name)
            fix = "an absolute path, or a program in one of " + ", ".join(map(os.path.dirname, candidates))
        elif hosts[0][1] and os.path.isdir(hosts[0][1]):
            message, fix = "exec: %s: is a directory: permission denied" % quoted(name), "a program"
        else:
            message, fix = (
                "exec: %s: stat %s: no such file or directory" % (quoted(name), path),
                "a program in the rootfs",
            )
        found.append(Fault(at, message, fix))
        return
    runnable = [(candidate, host) for candidate, host in there if host and os.stat(host).st_mode & 0o111]
    if not runnable:
        message = "exec: %s: permission denied" % quoted(name)
        found.append(Fault(at, message, "make it executable: chmod +x %s" % there[0][0]))
        return
    _loadable(at, name, runnable[0][1] or "", rootfs, found)


def _loadable(at: str, name: str, host: str, rootfs: Rootfs, found: list[Fault]) -> None:
    """Whether the kernel could start the file: its `#!` line or its ELF interpreter leads somewhere."""
    try:
        with open(host, "rb") as file:
            head = file.read(4096)
            interpreter = _elf_interpreter(head, file) if head[:4] == b"\x7fELF" else b""
    except OSError:
        return
    if head[:4] != b"\x7fELF":
        if head[:2] != b"#!":
            message = "exec: %s: exec format error" % quoted(name)
            found.append(Fault(at, message, "neither an ELF file nor a script with #! in its first line"))
            return
        line = head[2:].split(b"\n")[0]
        words = line.split(b" " if b" " in line.strip(b" ") else None)
        interpreter = next((word for word in line.strip(b" \t").replace(b"\t", b" ").split(b" ") if word), b"")
        if line.endswith(b"\r") and len(words) <= 1 + (not words[0]):
            message = "exec: %s: no such file or directory: its #! line ends with a carriage return" % quoted(name)
            found.append(Fault(at, message, "save the script with Unix line ends"))
            return
    target = rootfs.resolve(os.fsdecode(interpreter)) if interpreter else None
    if target and not os.path.exists(target):
        what = "loader" if head[:4] == b"\x7fELF" else "interpreter"
        shown = quoted(interpreter.decode(errors="replace"))
        message = "exec: %s: no such file or directory: its %s %s is missing" % (quoted(name), what, shown)
        found.append(Fault(at, message, "put the %s into the rootfs, or use a static program" % what))


def _elf_interpreter(head: bytes, file: object) -> bytes:
    """The path in the PT_INTERP segment, b"" for a static program (elf(5))."""
    order = "little" if head[5] == 1 else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(head[at : at + size], order)  # type: ignore[arg-type]

    wide = head[4] == 2
    table, size, count = (
        (number(32, 8), number(54, 2), number(56, 2)) if wide else (number(28, 4), number(42, 2), number(44, 2))
    )
    for entry in range(table, table + size * count, size or 1):
        if entry + size <= len(head) and number(entry, 4) == 3:
            offset, length = (
                (number(entry + 8, 8), number(entry + 32, 8))
                if wide
                else (number(entry + 4, 4), number(entry + 16, 4))
            )
            if offset + length > len(head):
                file.seek(offset)  # type: ignore[attr-defined]
                return file.read(min(length, 4096)).rstrip(b"\0")  # type: ignore[attr-defined, no-any-return]
            return head[offset : offset + length].rstrip(b"\0")
    return b""
