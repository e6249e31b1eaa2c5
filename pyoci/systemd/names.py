"""From `slice:prefix:name` to a unit and its place in the tree of cgroups.  Pure."""

from pyoci.errors import ConfigError

_WHERE = ".linux.cgroupsPath"
_FORM = "slice:prefix:name"
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")
_LONGEST = 255
_OUR_PREFIX = "pyoci"


def split_path(cgroups_path: "str | None", container_id: str, *, user: bool) -> "tuple[str, str]":
    """(slice, unit) of a container; "-.slice" is the root.  Raises ConfigError.

    >>> split_path("a-b.slice:crio:web", "id", user=False), split_path(None, "id", user=True)
    (('a-b.slice', 'crio-web.scope'), ('user.slice', 'pyoci-id.scope'))
    """
    parts = (cgroups_path or ":%s:%s" % (_OUR_PREFIX, container_id)).split(":")
    if len(parts) != 3:
        raise ConfigError(
            'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "%s" instead'
            % cgroups_path,
            where=_WHERE,
            fix="write %s, such as system.slice:pyoci:web1" % _FORM,
        )
    parent, prefix, name = parts
    if parent == "-":
        parent = "-.slice"
    parent = parent or ("user.slice" if user else "system.slice")
    expand_slice(parent)  # for its errors
    unit = name if name.endswith(".slice") else "%s-%s.scope" % (prefix, name)
    bad = "".join(sorted(set(unit) - _LETTERS))
    if not name or bad or len(unit) > _LONGEST:
        reason = "it contains %r" % bad if bad else "it is longer than %d" % _LONGEST
        reason = reason if name else "it has no name"
        raise ConfigError(
            "%s is no name of a systemd unit: %s" % (unit, reason),
            where=_WHERE,
            fix="letters, digits and : - _ . \\ @ can be in it",
        )
    return parent, unit


def expand_slice(name: str) -> str:
    """The directories of a slice below the root: each dash is one level down.  Raises ConfigError.

    >>> expand_slice("a-b.slice"), expand_slice("-.slice")
    ('/a.slice/a-b.slice', '')
    """
    if name == "-.slice":
        return ""
    words = name.removesuffix(".slice").split("-")
    if not name.endswith(".slice") or "/" in name or not all(words) or set(name) - _LETTERS:
        raise ConfigError(
            "invalid slice name: %s" % name,
            where=_WHERE,
            fix="words between single dashes, then .slice: machine-web.slice lies in machine.slice",
        )
    return "".join("/%s.slice" % "-".join(words[: count + 1]) for count in range(len(words)))
