"""The one table of the command line: every command, every option, in the order in which help shows them.

Two readers use it.  `parse.py` reads the argv of engines straight from it; `click_reader.py` builds a click
application from it, which makes the help pages and the shell completion.  A new option is one row here.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# What an option holds after reading, by kind:
#   flag      bool             list      list[str], one entry for each time it is given; a comma is no separator
#   value     str              choice    str, one of `choices`, or the default
#   count     int, from 0      int       int, or None when not given
#   size      int in bytes (suffixes k m g t, powers of 1024; -1 is "unlimited"), or None when not given
#   duration  float, seconds; written as in Go (`5s`, `1m30s`, `100ms`)
#   tristate  bool, or None for `auto`
FLAG: "Final" = "flag"
VALUE: "Final" = "value"
LIST: "Final" = "list"
CHOICE: "Final" = "choice"
COUNT: "Final" = "count"
INT: "Final" = "int"
SIZE: "Final" = "size"
DURATION: "Final" = "duration"
TRISTATE: "Final" = "tristate"

ANY_NUMBER: "Final" = -1
"""`most` of a command that takes as many positionals as it is given."""


class Option:
    """One option.

    `short` is one letter or empty; `metavar` names the value in help; `key` is the name in Call.options.
    """

    __slots__ = ("choices", "default", "help", "key", "kind", "metavar", "name", "short")

    def __init__(
        self,
        name: str,
        short: str,
        kind: str,
        default: object,
        metavar: str,
        text: str,
        choices: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.short = short
        self.kind = kind
        self.default = default
        self.metavar = metavar
        self.help = text
        self.choices = choices
        self.key = name.replace("-", "_")


class Command:
    """One command.  It takes `least` to `most` positionals, described by `arguments`.

    `stops`: options end at the first positional, so that what follows the id reaches another program untouched.
    `needs_criu`: whether it can work is up to the host, and its help says so by the exit status.
    """

    __slots__ = ("arguments", "help", "least", "most", "name", "needs_criu", "options", "stops")

    def __init__(
        self,
        name: str,
        arguments: str,
        least: int,
        most: int,
        text: str,
        options: tuple[Option, ...] = (),
        *,
        stops: bool = False,
        needs_criu: bool = False,
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.least = least
        self.most = most
        self.help = text
        self.options = options
        self.stops = stops
        self.needs_criu = needs_criu


GLOBAL_OPTIONS = (
    Option("root", "", VALUE, None, "DIR", "directory of the containers' state (default: /run/pyoci)"),
    Option("log", "", VALUE, "", "FILE", "append log records to FILE instead of standard error"),
    Option("log-format", "", CHOICE, "text", "FORMAT", "form of log records", ("text", "json")),
    Option("log-level", "", CHOICE, None, "LEVEL", "least level to record", ("debug", "info", "warning", "error")),
    Option("debug", "", FLAG, False, "", "record what is being done, as --log-level debug"),
    Option("systemd-cgroup", "", FLAG, False, "", "let systemd make the cgroups; cgroupsPath is slice:prefix:name"),
    Option(
        "cgroup-manager", "", CHOICE, None, "MANAGER", "who makes the cgroups", ("cgroupfs", "systemd", "disabled")
    ),
    Option("rootless", "", TRISTATE, None, "true|false|auto", "ignore that cgroups may not be changed"),
    Option("criu", "", VALUE, "", "PATH", "obsolete, has no effect"),
    Option("version", "v", FLAG, False, "", "print the version and exit"),
    Option("help", "h", FLAG, False, "", "show this message and exit"),
)

_HELP = Option("help", "h", FLAG, False, "", "show this message and exit")
_BUNDLE = Option("bundle", "b", VALUE, ".", "DIR", "the bundle: the directory with config.json")
_CONFIG = Option("config", "f", VALUE, "", "FILE", "read FILE instead of the bundle's config.json")
_CONSOLE_SOCKET = Option("console-socket", "", VALUE, "", "PATH", "unix socket that receives the terminal")
_PIDFD_SOCKET = Option("pidfd-socket", "", VALUE, "", "PATH", "unix socket that receives a pidfd of the process")
_PID_FILE = Option("pid-file", "", VALUE, "", "FILE", "write the process id to FILE")
_NO_PIVOT = Option("no-pivot", "", FLAG, False, "", "move the root filesystem instead of pivot_root (ramdisk)")
_NO_KEYRING = Option("no-new-keyring", "", FLAG, False, "", "keep the caller's session keyring")
_NO_SUBREAPER = Option("no-subreaper", "", FLAG, False, "", "do not adopt orphaned processes")
_PRESERVE_FDS = Option("preserve-fds", "", COUNT, 0, "N", "pass N more descriptors, from 3 on, to the process")
_DETACH = Option("detach", "d", FLAG, False, "", "return once the process has started")
_TABLE_FORMAT = Option("format", "f", CHOICE, "table", "FORMAT", "form of the output", ("table", "json"))
_TEXT_FORMAT = Option("format", "", CHOICE, "text", "FORMAT", "form of the output", ("text", "json"))

_CREATE = (
    _BUNDLE,
    _CONFIG,
    _CONSOLE_SOCKET,
    _PIDFD_SOCKET,
    _PID_FILE,
    _NO_PIVOT,
    _NO_KEYRING,
    _NO_SUBREAPER,
    _PRESERVE_FDS,
)

_EXEC = (
    _CONSOLE_SOCKET,
    _PIDFD_SOCKET,
    Option("cwd", "", VALUE, "", "DIR", "working directory in the container"),
    Option("env", "e", LIST, None, "NAME=VALUE", "set an environment variable"),
    Option("tty", "t", FLAG, False, "", "give the process a terminal"),
    Option("user", "u", VALUE, "", "UID[:GID]", "run as this user and group"),
    Option("additional-gids", "g", LIST, None, "GID", "add a supplementary group"),
    Option("process", "p", VALUE, "", "FILE", "read the whole process from FILE, as JSON"),
    _DETACH,
    _PID_FILE,
    Option("process-label", "", VALUE, "", "LABEL", "SELinux label of the process"),
    Option("apparmor", "", VALUE, "", "PROFILE", "AppArmor profile of the process"),
    Option("no-new-privs", "", FLAG, False, "", "the process can gain no privileges"),
    Option("cap", "c", LIST, None, "CAP", "add a capability"),
    _PRESERVE_FDS,
    Option("cgroup", "", LIST, None, "[CONTROLLER:]PATH", "run in this cgroup below the container's"),
    Option("ignore-paused", "", FLAG, False, "", "also in a paused container"),
)

_UPDATE = (
    Option("resources", "r", VALUE, "", "FILE", "read the resources from FILE, as JSON ('-': standard input)"),
    Option("blkio-weight", "", INT, None, "N", "block IO weight, 10 to 1000"),
    Option("cpu-period", "", INT, None, "USEC", "CFS period"),
    Option("cpu-quota", "", INT, None, "USEC", "CFS quota in a period"),
    Option("cpu-burst", "", INT, None, "USEC", "CFS burst"),
    Option("cpu-share", "", INT, None, "N", "CPU shares"),
    Option("cpu-rt-period", "", INT, None, "USEC", "realtime period"),
    Option("cpu-rt-runtime", "", INT, None, "USEC", "realtime runtime in a period"),
    Option("cpuset-cpus", "", VALUE, "", "LIST", "CPUs to use"),
    Option("cpuset-mems", "", VALUE, "", "LIST", "memory nodes to use"),
    Option("cpu-idle", "", INT, None, "0|1", "run only when a CPU is idle"),
    Option("memory", "", SIZE, None, "BYTES", "memory limit"),
    Option("memory-reservation", "", SIZE, None, "BYTES", "soft memory limit"),
    Option("memory-swap", "", SIZE, None, "BYTES", "limit of memory and swap together; -1 for none"),
    Option("kernel-memory", "", SIZE, None, "BYTES", "obsolete, has no effect"),
    Option("kernel-memory-tcp", "", SIZE, None, "BYTES", "obsolete, has no effect"),
    Option("pids-limit", "", INT, None, "N", "most processes in the container"),
    Option("l3-cache-schema", "", VALUE, "", "TEXT", "Intel RDT schema of the L3 cache"),
    Option("mem-bw-schema", "", VALUE, "", "TEXT", "Intel RDT schema of the memory bandwidth"),
)

# What checkpoint and restore have in common, in the words of criu.
_CRIU = (
    Option("image-path", "", VALUE, "", "DIR", "directory of the images (default: ./checkpoint)"),
    Option("work-path", "", VALUE, "", "DIR", "directory of work files and logs (default: that of the images)"),
    Option("tcp-established", "", FLAG, False, "", "allow open TCP connections"),
    Option("ext-unix-sk", "", FLAG, False, "", "allow external unix sockets"),
    Option("shell-job", "", FLAG, False, "", "allow shell jobs"),
    Option("lazy-pages", "", FLAG, False, "", "fetch memory pages when they are needed"),
    Option("file-locks", "", FLAG, False, "", "allow file locks"),
    Option("manage-cgroups-mode", "", VALUE, "", "MODE", "soft, full, strict or ignore"),
    Option("empty-ns", "", LIST, None, "NAMESPACE", "make the namespace without its properties"),
    Option("auto-dedup", "", FLAG, False, "", "deduplicate the images"),
)
_CHECKPOINT = (
    *_CRIU,
    Option("parent-path", "", VALUE, "", "DIR", "directory of the images of an earlier pre-dump"),
    Option("leave-running", "", FLAG, False, "", "let the container run on"),
    Option("tcp-skip-in-flight", "", FLAG, False, "", "skip TCP connections that are being made"),
    Option("link-remap", "", FLAG, False, "", "remap links of removed files"),
    Option("status-fd", "", INT, None, "FD", "write a zero byte to FD when pages can be fetched"),
    Option("page-server", "", VALUE, "", "ADDRESS:PORT", "send the pages to a server"),
    Option("pre-dump", "", FLAG, False, "", "dump memory only, let the container run on"),
    Option("network-lock", "", VALUE, "", "METHOD", "how criu locks the network"),
)
_RESTORE = (
    *_CRIU,
    _BUNDLE,
    _CONSOLE_SOCKET,
    _PID_FILE,
    _DETACH,
    _NO_SUBREAPER,
    _NO_PIVOT,
    _PRESERVE_FDS,
    Option("tcp-close", "", FLAG, False, "", "close TCP connections"),
    Option("lsm-profile", "", VALUE, "", "TYPE:NAME", "security profile to restore with"),
    Option("lsm-mount-context", "", VALUE, "", "CONTEXT", "SELinux mount context to restore with"),
)

_ROWS = (
    Command("create", "ID", 1, 1, "Create a container; its program waits for start.", _CREATE),
    Command("start", "ID", 1, 1, "Start the program of a created container."),
    Command("state", "ID", 1, 1, "Print the state of a container as JSON."),
    Command(
        "kill",
        "ID [SIGNAL]",
        1,
        2,
        "Send a signal (default: TERM) to a container's first process.",
        (
            Option("all", "a", FLAG, False, "", "to every process of the container"),
            Option("signal", "", VALUE, "", "SIGNAL", "the signal, where it is not given as argument"),
        ),
        stops=True,
    ),
    Command(
        "delete",
        "ID",
        1,
        1,
        "Delete a stopped container and what was made for it.",
        (Option("force", "f", FLAG, False, "", "kill it first, if need be"),),
    ),
    Command(
        "run",
        "ID",
        1,
        1,
        "Create a container, start it, wait for its end and delete it.",
        (*_CREATE, _DETACH, Option("keep", "", FLAG, False, "", "do not delete the container at its end")),
    ),
    Command(
        "list",
        "",
        0,
        0,
        "List the containers.",
        (_TABLE_FORMAT, Option("quiet", "q", FLAG, False, "", "print only the ids")),
    ),
    Command(
        "spec",
        "",
        0,
        0,
        "Write a config.json to start from.",
        (
            Option("bundle", "b", VALUE, ".", "DIR", "write it into this directory"),
            Option("file", "f", VALUE, "", "FILE", "write it to FILE instead"),
            Option("rootless", "", FLAG, False, "", "for a user without privileges"),
        ),
    ),
    Command("features", "", 0, 0, "Print what this runtime can do as JSON."),
    Command("check", "", 0, 0, "Check a bundle without running it.", (_BUNDLE, _CONFIG, _TEXT_FORMAT)),
    Command("plan", "", 0, 0, "Print what create would do, and do nothing.", (_BUNDLE, _CONFIG, _TEXT_FORMAT)),
    Command(
        "exec",
        "ID [COMMAND [ARG...]]",
        1,
        ANY_NUMBER,
        "Run one more process in a container.",
        _EXEC,
        stops=True,
    ),
    Command(
        "ps",
        "ID [PS-ARG...]",
        1,
        ANY_NUMBER,
        "List the processes of a container.",
        (_TABLE_FORMAT,),
        stops=True,
    ),
    Command(
        "events",
        "ID",
        1,
        1,
        "Print statistics and out-of-memory events of a container.",
        (
            Option("interval", "", DURATION, 5.0, "DURATION", "time between two statistics (default: 5s)"),
            Option("stats", "", FLAG, False, "", "print the statistics once and exit"),
        ),
    ),
    Command("pause", "ID", 1, 1, "Suspend all processes of a container."),
    Command("resume", "ID", 1, 1, "Resume a paused container."),
    Command("update", "ID", 1, 1, "Change the limits of a container.", _UPDATE),
    Command("checkpoint", "ID", 1, 1, "Save a running container to disk.", _CHECKPOINT, needs_criu=True),
    Command("restore", "ID", 1, 1, "Bring a saved container back.", _RESTORE, needs_criu=True),
)

COMMANDS: dict[str, Command] = {row.name: row for row in _ROWS}


def options_of(command: Command) -> tuple[Option, ...]:
    """The options that a command understands: its own, and --help."""
    return (*command.options, _HELP)


def wrong_count(command: Command, given: int) -> str:
    """What is wrong with so many positionals; empty when nothing is."""
    if given < command.least:
        need = "exactly" if command.least == command.most else "a minimum of"
        number = command.least
    elif given > command.most != ANY_NUMBER:
        need = "exactly" if command.least == command.most else "a maximum of"
        number = command.most
    else:
        return ""
    return 'pyoci: "%s" requires %s %d argument(s)' % (command.name, need, number)
