"""The names of kernel parameters, and which of them belong to a namespace."""

_IPC = frozenset(
    {
        "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
        "kernel.shmmni", "kernel.shm_rmid_forced",
    }
)  # fmt: skip
_SWAP = {ord("."): "/", ord("/"): "."}


def dotted(name: str) -> str:
    """The name with dots between its parts, whichever of the two forms of sysctl(8) it has.

    The first separator decides: in `net/ipv4/conf/eno2.100/forwarding` the slashes separate and the dot is
    part of a name, so the result is `net.ipv4.conf.eno2/100.forwarding`.
    """
    dot, slash = name.find("."), name.find("/")
    return name.translate(_SWAP) if slash >= 0 and (dot < 0 or slash < dot) else name


def below_proc_sys(name: str) -> str:
    """The path of the parameter below /proc/sys: `net/ipv4/ip_forward`.  `name` must have passed `namespace`."""
    return dotted(name).translate(_SWAP)


def namespace(name: str) -> str:
    """The namespace type whose own copy the parameter is, "" when it is the whole host's or no parameter."""
    name = dotted(name)
    parts = name.translate(_SWAP).split("/")
    if "" in parts or "." in parts or ".." in parts:
        return ""
    if name in _IPC or name.startswith("fs.mqueue."):
        return "ipc"
    if name.startswith("net."):
        return "network"
    if name == "kernel.domainname":
        return "uts"
    return "user" if name.startswith("user.") else ""
