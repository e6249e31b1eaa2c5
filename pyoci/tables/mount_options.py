"""The mount options of config.json (runtime-spec config.md, "Linux mount options"): one row per word.

Two vocabularies of numbers meet here, and they differ: the MS_ flags of mount(2) and the MOUNT_ATTR_ values of
fsmount(2) and mount_setattr(2).  Both stand in the same row, so that the parser, the printer and `features`
cannot disagree.  No system calls and no policy here.
"""

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_SYNCHRONOUS = 0x10
MS_REMOUNT = 0x20
MS_MANDLOCK = 0x40
MS_DIRSYNC = 0x80
MS_NOSYMFOLLOW = 0x100
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_SILENT = 0x8000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MS_RELATIME = 0x200000
MS_I_VERSION = 0x800000
MS_STRICTATIME = 0x1000000
MS_LAZYTIME = 0x2000000
MS_ATIMES = MS_NOATIME | MS_RELATIME | MS_STRICTATIME

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR__ATIME = 0x70
MOUNT_ATTR_RELATIME = 0x0
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_IDMAP = 0x100000
MOUNT_ATTR_NOSYMFOLLOW = 0x200000

# word -> (kind, sets?, MS_ value, MOUNT_ATTR_ value, least kernel beyond 5.12 or "", level in the specification)
#   none         nothing to do
#   flag         a property of the mount: MS_ value and MOUNT_ATTR_ value are both given
#   atime        one of a choice of three (noatime, relatime, strictatime); the last word wins
#   superblock   a property of the filesystem: an MS_ value; fsconfig(2) takes words instead
#   remount      change the mount that is there
#   bind         MS_BIND, with MS_REC when the whole tree is meant
#   propagation  a mount(2) call of its own, after the mount
#   recursive    mount_setattr(AT_RECURSIVE) with the MOUNT_ATTR_ value
#   rec-atime    the same for the choice of three
#   idmap        MOUNT_ATTR_IDMAP on a clone; ridmap with AT_RECURSIVE
#   tmpcopyup    tmpfs: copy what the mount would hide into it
#   link         bind mounts: take a symlink for what it is
OPTIONS: dict[str, tuple[str, bool, int, int, str, str]] = {
    "async": ("superblock", False, MS_SYNCHRONOUS, 0, "", "MUST"),
    "atime": ("atime", False, MS_NOATIME, MOUNT_ATTR_NOATIME, "", "MUST"),
    "bind": ("bind", True, MS_BIND, 0, "", "MUST"),
    "copy-symlink": ("link", True, 0, 0, "", "crun"),
    "defaults": ("none", True, 0, 0, "", "MUST"),
    "dest-nofollow": ("link", True, 0, 0, "", "crun"),
    "dev": ("flag", False, MS_NODEV, MOUNT_ATTR_NODEV, "", "MUST"),
    "diratime": ("flag", False, MS_NODIRATIME, MOUNT_ATTR_NODIRATIME, "", "MUST"),
    "dirsync": ("superblock", True, MS_DIRSYNC, 0, "", "MUST"),
    "exec": ("flag", False, MS_NOEXEC, MOUNT_ATTR_NOEXEC, "", "MUST"),
    "idmap": ("idmap", True, 0, MOUNT_ATTR_IDMAP, "", "SHOULD"),
    "iversion": ("superblock", True, MS_I_VERSION, 0, "", "MUST"),
    "lazytime": ("superblock", True, MS_LAZYTIME, 0, "", "MUST"),
    "loud": ("superblock", False, MS_SILENT, 0, "", "MUST"),
    "mand": ("superblock", True, MS_MANDLOCK, 0, "", "MAY"),
    "noatime": ("atime", True, MS_NOATIME, MOUNT_ATTR_NOATIME, "", "MUST"),
    "nodev": ("flag", True, MS_NODEV, MOUNT_ATTR_NODEV, "", "MUST"),
    "nodiratime": ("flag", True, MS_NODIRATIME, MOUNT_ATTR_NODIRATIME, "", "MUST"),
    "noexec": ("flag", True, MS_NOEXEC, MOUNT_ATTR_NOEXEC, "", "MUST"),
    "noiversion": ("superblock", False, MS_I_VERSION, 0, "", "MUST"),
    "nolazytime": ("superblock", False, MS_LAZYTIME, 0, "", "MUST"),
    "nomand": ("superblock", False, MS_MANDLOCK, 0, "", "MAY"),
    "norelatime": ("atime", False, MS_RELATIME, MOUNT_ATTR_RELATIME, "", "MUST"),
    "nostrictatime": ("atime", False, MS_STRICTATIME, MOUNT_ATTR_STRICTATIME, "", "MUST"),
    "nosuid": ("flag", True, MS_NOSUID, MOUNT_ATTR_NOSUID, "", "MUST"),
    "nosymfollow": ("flag", True, MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW, "5.14", "SHOULD"),
    "private": ("propagation", True, MS_PRIVATE, 0, "", "MUST"),
    "ratime": ("rec-atime", False, 0, MOUNT_ATTR_NOATIME, "", "SHOULD"),
    "rbind": ("bind", True, MS_BIND | MS_REC, 0, "", "MUST"),
    "rdev": ("recursive", False, 0, MOUNT_ATTR_NODEV, "", "SHOULD"),
    "rdiratime": ("recursive", False, 0, MOUNT_ATTR_NODIRATIME, "", "SHOULD"),
    "relatime": ("atime", True, MS_RELATIME, MOUNT_ATTR_RELATIME, "", "MUST"),
    "remount": ("remount", True, MS_REMOUNT, 0, "", "MUST"),
    "rexec": ("recursive", False, 0, MOUNT_ATTR_NOEXEC, "", "SHOULD"),
    "ridmap": ("idmap", True, MS_REC, MOUNT_ATTR_IDMAP, "", "SHOULD"),
    "rnoatime": ("rec-atime", True, 0, MOUNT_ATTR_NOATIME, "", "SHOULD"),
    "rnodev": ("recursive", True, 0, MOUNT_ATTR_NODEV, "", "SHOULD"),
    "rnodiratime": ("recursive", True, 0, MOUNT_ATTR_NODIRATIME, "", "SHOULD"),
    "rnoexec": ("recursive", True, 0, MOUNT_ATTR_NOEXEC, "", "SHOULD"),
    "rnorelatime": ("rec-atime", False, 0, MOUNT_ATTR_RELATIME, "", "SHOULD"),
    "rnostrictatime": ("rec-atime", False, 0, MOUNT_ATTR_STRICTATIME, "", "SHOULD"),
    "rnosuid": ("recursive", True, 0, MOUNT_ATTR_NOSUID, "", "SHOULD"),
    "rnosymfollow": ("recursive", True, 0, MOUNT_ATTR_NOSYMFOLLOW, "5.14", "SHOULD"),
    "ro": ("flag", True, MS_RDONLY, MOUNT_ATTR_RDONLY, "", "MUST"),
    "rprivate": ("propagation", True, MS_PRIVATE | MS_REC, 0, "", "MUST"),
    "rrelatime": ("rec-atime", True, 0, MOUNT_ATTR_RELATIME, "", "SHOULD"),
    "rro": ("recursive", True, 0, MOUNT_ATTR_RDONLY, "", "SHOULD"),
    "rrw": ("recursive", False, 0, MOUNT_ATTR_RDONLY, "", "SHOULD"),
    "rshared": ("propagation", True, MS_SHARED | MS_REC, 0, "", "MUST"),
    "rslave": ("propagation", True, MS_SLAVE | MS_REC, 0, "", "MUST"),
    "rstrictatime": ("rec-atime", True, 0, MOUNT_ATTR_STRICTATIME, "", "SHOULD"),
    "rsuid": ("recursive", False, 0, MOUNT_ATTR_NOSUID, "", "SHOULD"),
    "rsymfollow": ("recursive", False, 0, MOUNT_ATTR_NOSYMFOLLOW, "5.14", "SHOULD"),
    "runbindable": ("propagation", True, MS_UNBINDABLE | MS_REC, 0, "", "MUST"),
    "rw": ("flag", False, MS_RDONLY, MOUNT_ATTR_RDONLY, "", "MUST"),
    "shared": ("propagation", True, MS_SHARED, 0, "", "MUST"),
    "silent": ("superblock", True, MS_SILENT, 0, "", "MUST"),
    "slave": ("propagation", True, MS_SLAVE, 0, "", "MUST"),
    "src-nofollow": ("link", True, 0, 0, "", "crun"),
    "strictatime": ("atime", True, MS_STRICTATIME, MOUNT_ATTR_STRICTATIME, "", "MUST"),
    "suid": ("flag", False, MS_NOSUID, MOUNT_ATTR_NOSUID, "", "MUST"),
    "symfollow": ("flag", False, MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW, "5.14", "SHOULD"),
    "sync": ("superblock", True, MS_SYNCHRONOUS, 0, "", "MUST"),
    "tmpcopyup": ("tmpcopyup", True, 0, 0, "", "MAY"),
    "unbindable": ("propagation", True, MS_UNBINDABLE, 0, "", "MUST"),
}

# The superblock words that fsconfig(2) takes as flags (fs/fs_context.c); silent, loud, iversion and noiversion
# exist in mount(2) only.
FSCONFIG_WORDS = frozenset({"sync", "async", "dirsync", "lazytime", "nolazytime", "mand", "nomand"})

PROPAGATIONS = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC,
    "shared": MS_SHARED,
    "rshared": MS_SHARED | MS_REC,
    "slave": MS_SLAVE,
    "rslave": MS_SLAVE | MS_REC,
    "unbindable": MS_UNBINDABLE,
    "runbindable": MS_UNBINDABLE | MS_REC,
}

FLAG_NAMES = {
    MS_RDONLY: "MS_RDONLY", MS_NOSUID: "MS_NOSUID", MS_NODEV: "MS_NODEV", MS_NOEXEC: "MS_NOEXEC",
    MS_SYNCHRONOUS: "MS_SYNCHRONOUS", MS_REMOUNT: "MS_REMOUNT", MS_MANDLOCK: "MS_MANDLOCK",
    MS_DIRSYNC: "MS_DIRSYNC", MS_NOSYMFOLLOW: "MS_NOSYMFOLLOW", MS_NOATIME: "MS_NOATIME",
    MS_NODIRATIME: "MS_NODIRATIME", MS_BIND: "MS_BIND", MS_MOVE: "MS_MOVE", MS_REC: "MS_REC",
    MS_SILENT: "MS_SILENT", MS_UNBINDABLE: "MS_UNBINDABLE", MS_PRIVATE: "MS_PRIVATE", MS_SLAVE: "MS_SLAVE",
    MS_SHARED: "MS_SHARED", MS_RELATIME: "MS_RELATIME", MS_I_VERSION: "MS_I_VERSION",
    MS_STRICTATIME: "MS_STRICTATIME", MS_LAZYTIME: "MS_LAZYTIME",
}  # fmt: skip

ATTR_NAMES = {
    MOUNT_ATTR_RDONLY: "MOUNT_ATTR_RDONLY", MOUNT_ATTR_NOSUID: "MOUNT_ATTR_NOSUID",
    MOUNT_ATTR_NODEV: "MOUNT_ATTR_NODEV", MOUNT_ATTR_NOEXEC: "MOUNT_ATTR_NOEXEC",
    MOUNT_ATTR__ATIME: "MOUNT_ATTR__ATIME", MOUNT_ATTR_NOATIME: "MOUNT_ATTR_NOATIME",
    MOUNT_ATTR_STRICTATIME: "MOUNT_ATTR_STRICTATIME", MOUNT_ATTR_NODIRATIME: "MOUNT_ATTR_NODIRATIME",
    MOUNT_ATTR_IDMAP: "MOUNT_ATTR_IDMAP", MOUNT_ATTR_NOSYMFOLLOW: "MOUNT_ATTR_NOSYMFOLLOW",
}  # fmt: skip


class ParsedOptions:
    """What a list of mount options asks for, later words having overridden earlier ones.

    set_flags, clear_flags          MS_ flags said to be on or off, without BIND, REC, REMOUNT and propagation
    attr_set, attr_clr              the same per-mount properties as MOUNT_ATTR_ values.  Where an atime word was
                                    said, attr_clr holds the whole MOUNT_ATTR__ATIME, as mount_setattr demands
    superblock                      fsconfig(2) flag words in the order given (`sync`, `nolazytime`, ...)
    propagation                     MS_ values, each for one mount(2) call, in the order given
    rec_attr_set, rec_attr_clr      for mount_setattr with AT_RECURSIVE
    bind, rbind                     a bind mount; rbind: of the whole tree (bind is then True as well)
    remount, idmap, ridmap, tmpcopyup    said or not (ridmap implies idmap)
    links                           which of copy-symlink, dest-nofollow, src-nofollow were said
    data                            words that are the filesystem's own, in the order given
    """

    __slots__ = (
        "attr_clr", "attr_set", "bind", "clear_flags", "data", "idmap", "links", "propagation", "rbind",
        "rec_attr_clr",
        "rec_attr_set", "remount", "ridmap", "set_flags", "superblock", "tmpcopyup",
    )  # fmt: skip

    def __init__(self) -> None:
        self.set_flags = 0
        self.clear_flags = 0
        self.attr_set = 0
        self.attr_clr = 0
        self.superblock: list[str] = []
        self.propagation: list[int] = []
        self.rec_attr_set = 0
        self.rec_attr_clr = 0
        self.bind = False
        self.rbind = False
        self.remount = False
        self.idmap = False
        self.ridmap = False
        self.tmpcopyup = False
        self.links: list[str] = []
        self.data: list[str] = []


def parse_options(options: "list[str]") -> ParsedOptions:
    """Sort the words of one mount's `options`; no word is an error here, unknown ones are data."""
    parsed = ParsedOptions()
    for word in options:
        row = OPTIONS.get(word)
        if row is None:
            parsed.data.append(word)
            continue
        kind, sets, flag, attr = row[:4]
        if kind == "flag":
            _switch(parsed, sets, flag)
            parsed.attr_set, parsed.attr_clr = _switched(parsed.attr_set, parsed.attr_clr, sets, attr)
        elif kind == "atime":
            if sets:
                _switch(parsed, False, MS_ATIMES)
                parsed.clear_flags &= ~MS_ATIMES
            _switch(parsed, sets, flag)
            parsed.attr_set = _chosen(parsed.attr_set, parsed.attr_clr, sets, attr)
            parsed.attr_clr |= MOUNT_ATTR__ATIME
        elif kind == "superblock":
            _switch(parsed, sets, flag)
            if word in FSCONFIG_WORDS:
                parsed.superblock.append(word)
        elif kind == "recursive":
            parsed.rec_attr_set, parsed.rec_attr_clr = _switched(
                parsed.rec_attr_set, parsed.rec_attr_clr, sets, attr
            )
        elif kind == "rec-atime":
            parsed.rec_attr_set = _chosen(parsed.rec_attr_set, parsed.rec_attr_clr, sets, attr)
            parsed.rec_attr_clr |= MOUNT_ATTR__ATIME
        elif kind == "propagation":
            parsed.propagation.append(flag)
        elif kind == "bind":
            parsed.bind = True
            parsed.rbind |= bool(flag & MS_REC)
        elif kind == "idmap":
            parsed.idmap = True
            parsed.ridmap |= bool(flag & MS_REC)
        elif kind == "remount":
            parsed.remount = True
        elif kind == "tmpcopyup":
            parsed.tmpcopyup = True
        elif kind == "link":
            parsed.links.append(word)
    return parsed


def _switch(parsed: ParsedOptions, sets: bool, flag: int) -> None:
    """Turn an MS_ flag on or off and forget what was said about it before."""
    parsed.set_flags, parsed.clear_flags = _switched(parsed.set_flags, parsed.clear_flags, sets, flag)


def _switched(on: int, off: int, sets: bool, value: int) -> "tuple[int, int]":
    return (on | value, off & ~value) if sets else (on & ~value, off | value)


def _chosen(attr_set: int, attr_clr: int, sets: bool, attr: int) -> int:
    """The new attr_set after one atime word.

    A word that turns a choice off (`atime` turns off noatime) brings back relatime, the kernel's default, unless
    another choice was made before: `strictatime,atime` stays strict.
    """
    rest = attr_set & ~MOUNT_ATTR__ATIME
    if sets:
        return rest | attr
    said = attr_clr & MOUNT_ATTR__ATIME
    return attr_set if said and attr_set & MOUNT_ATTR__ATIME != attr else rest


def flag_text(flags: int) -> str:
    """`MS_BIND|MS_REC` for 0x5000, bits without a name in hex, `0` for none."""
    return _text(flags, FLAG_NAMES)


def attr_text(attrs: int) -> str:
    """`MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOSUID` for 3; the whole atime mask prints as one word."""
    return _text(attrs, ATTR_NAMES)


def _text(value: int, names: "dict[int, str]") -> str:
    words = []
    rest = value
    for number in sorted(names, key=lambda number: (-number.bit_count(), number)):
        if rest & number == number:
            words.append((number, names[number]))
            rest &= ~number
    words.sort()
    if rest:
        words.append((rest, "0x%x" % rest))
    return "|".join(text for _, text in words) or "0"
