"""The mounts of config.json as operations, in exactly its order (runtime-spec config.md demands it)."""

from pyoci.ops.mounts import AttachCgroupTree, AttachFilesystem, AttachTree, MountAttributes, Remount, SealMount
from pyoci.ops.nodes import MakeSymlink
from pyoci.ops.security_context import OPTIONS
from pyoci.plan.namespaces import map_text
from pyoci.tables.annotations import CONTEXT_TYPE
from pyoci.tables.mount_options import (
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY,
    parse_options,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup.layout import Hierarchy
    from pyoci.config.types import Config, Mount
    from pyoci.ops.context import Operation
    from pyoci.ops.idmap import IdMap
    from pyoci.plan.facts import Facts
    from pyoci.plan.records import Namespaces
    from pyoci.tables.mount_options import ParsedOptions

_ALL_ATTRIBUTES = (
    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW
)

# Filesystems without a device below them: their superblocks are shared or have no read-only state worth
# setting, so `ro` is a property of the mount alone.
_VIRTUAL = frozenset(
    ("bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "mqueue", "overlay", "proc",
     "pstore", "ramfs", "securityfs", "sysfs", "tmpfs", "tracefs")
)  # fmt: skip


# The kernel labels these from the policy and takes no other context.
_UNLABELLED = frozenset(("cgroup", "cgroup2", "proc", "sysfs"))


def make_mounts(
    config: "Config", facts: "Facts", namespaces: "Namespaces", bundle: str, cgroups: "list[tuple[Hierarchy, str]]"
) -> "tuple[list[Operation], list[Operation]]":
    """(the mounts, the steps that make some of them read-only once everything is in place).

    cgroups: each hierarchy with the directory in it that the container is to see.
    """
    attach: list[Operation] = []
    seal: list[Operation] = []
    label = label_word(config)
    for index, mount in enumerate(config.get("mounts", [])):
        where = ".mounts[%d]" % index
        options = parse_options(mount.get("options", []))
        destination = "/" + mount["destination"].lstrip("/")
        if options.remount and not options.bind:
            attach.append(Remount(where, destination, options.set_flags, _data(options)))
        elif options.bind:
            attach.append(_bind(where, destination, mount, options, bundle, namespaces))
        elif mount.get("type") == "cgroup":
            attach.extend(_cgroup(where, destination, options, facts, namespaces, cgroups, label))
            if facts.layout.mode in ("legacy", "hybrid") and options.attr_set & MOUNT_ATTR_RDONLY:
                seal.append(SealMount(where, destination))
        elif mount.get("type") == "cgroup2":
            bound = cgroups[-1][1] if cgroups and cgroups[-1][0].unified else "/sys/fs/cgroup"
            attach.append(AttachCgroupTree(where, destination, bound, _attributes(options, options.attr_set, 0)))
        else:
            attach.append(_filesystem(where, destination, mount, options, label))
            if _is_sealed_late(mount, options):
                seal.append(SealMount(where, destination))
    return attach, seal


def _is_sealed_late(mount: "Mount", options: "ParsedOptions") -> bool:
    """/dev and tmpfs are filled by later steps, so they become read-only at the end."""
    late = mount.get("type") == "tmpfs" or mount["destination"].rstrip("/") == "/dev"
    return late and bool(options.attr_set & MOUNT_ATTR_RDONLY)


def _data(options: "ParsedOptions") -> tuple[str, ...]:
    """The filesystem's own words; one entry may hold several, parted by commas as in mount(8).

    A comma behind a backslash (overlay's paths) or inside quotes (an SELinux context) parts nothing.
    """
    words: list[str] = []
    for entry in options.data:
        if "," not in entry or "\\," in entry or '"' in entry:
            words.append(entry)
        else:
            words.extend(word for word in entry.split(",") if word)
    return tuple(word for word in words if word)


def label_word(config: "Config") -> str:
    """`context=LABEL` for linux.mountLabel, the key being that of the annotation; empty without a label."""
    label = config.get("linux", {}).get("mountLabel")
    return "%s=%s" % (config.get("annotations", {}).get(CONTEXT_TYPE, "context"), label) if label else ""


def _labelled(kind: str, data: tuple[str, ...], label: str) -> tuple[tuple[str, ...], str]:
    """(the data with the label in it, the context that the root is given instead).

    A context that the mount's own options name is the more particular one.
    """
    if not label or kind in _UNLABELLED or any(word.startswith(OPTIONS) for word in data):
        return data, ""
    if kind == "mqueue":  # SELinux labels it by attributes, and takes no context for it
        return data, label.partition("=")[2]
    return (*data, label), ""


def _filesystem(
    where: str, destination: str, mount: "Mount", options: "ParsedOptions", label: str
) -> AttachFilesystem:
    kind = mount.get("type", "")
    attributes = options.attr_set
    superblock = list(options.superblock)
    if attributes & MOUNT_ATTR_RDONLY:
        if _is_sealed_late(mount, options):
            attributes &= ~MOUNT_ATTR_RDONLY
        elif kind not in _VIRTUAL:
            superblock.append("ro")
    data, context = _labelled(kind, _data(options), label)
    return AttachFilesystem(
        where,
        destination,
        kind,
        mount.get("source", kind),
        data=data,
        superblock=tuple(superblock),
        attributes=_attributes(options, attributes, 0),
        copies_up=options.tmpcopyup,
        context=context,
    )


def _bind(
    where: str,
    destination: str,
    mount: "Mount",
    options: "ParsedOptions",
    bundle: str,
    namespaces: "Namespaces",
) -> AttachTree:
    """A bind keeps its source's attributes when none is named; one named word sets them all, as mount(8) does."""
    source = mount.get("source", "")
    if not source.startswith("/"):
        source = bundle + "/" + source
    clear = 0
    if options.attr_set or options.attr_clr:
        clear = _ALL_ATTRIBUTES & ~options.attr_set | options.attr_clr & MOUNT_ATTR__ATIME
    attributes = _attributes(options, options.attr_set, clear)
    idmap = _idmap(mount, options, namespaces)
    if not options.links:
        return AttachTree(where, destination, source, recursive=options.rbind, attributes=attributes, idmap=idmap)
    from pyoci.ops.links import AttachLink, CopyLink

    kind = CopyLink if "copy-symlink" in options.links else AttachLink
    return kind(
        where,
        destination,
        source,
        recursive=options.rbind,
        attributes=attributes,
        idmap=idmap,
        at_source="src-nofollow" in options.links,
        at_destination="dest-nofollow" in options.links,
    )


def _idmap(mount: "Mount", options: "ParsedOptions", namespaces: "Namespaces") -> "IdMap | None":
    """The mount's own maps, whether `idmap` is said or not; with the word alone those of the container."""
    uid_map, gid_map = map_text(mount.get("uidMappings", [])), map_text(mount.get("gidMappings", []))
    if not uid_map and not options.idmap:
        return None
    from pyoci.ops.idmap import OWN, IdMap

    if (uid_map, gid_map) == (namespaces.uid_map, namespaces.gid_map):
        uid_map = gid_map = OWN  # the same maps: no further user namespace is needed
    return IdMap(uid_map, gid_map, recursive=options.ridmap)


def _attributes(options: "ParsedOptions", attributes: int, clear: int) -> MountAttributes:
    return MountAttributes(
        attributes,
        clear,
        explicit_clear=options.attr_clr,
        propagation=tuple(options.propagation),
        recursive_set=options.rec_attr_set,
        recursive_clear=options.rec_attr_clr,
    )


def _cgroup(
    where: str,
    destination: str,
    options: "ParsedOptions",
    facts: "Facts",
    namespaces: "Namespaces",
    cgroups: "list[tuple[Hierarchy, str]]",
    label: str,
) -> "list[Operation]":
    """The cgroup filesystem as the container sees it.

    Version 2: one mount.  Version 1: a tmpfs with one directory per hierarchy, which is a mount of the
    hierarchy where the container has a cgroup namespace, else a bind of the container's own directory.
    """
    layout = facts.layout
    own_namespace = namespaces.has("cgroup")
    attributes = _attributes(options, options.attr_set, 0)
    if layout.mode == "unified":
        bound = cgroups[-1][1] if own_namespace else "/sys/fs/cgroup"
        return [AttachCgroupTree(where, destination, bound, attributes)]
    steps: list[Operation] = [
        AttachFilesystem(
            where,
            destination,
            "tmpfs",
            "tmpfs",
            data=_labelled("tmpfs", ("mode=755",), label)[0],
            attributes=MountAttributes(options.attr_set & ~MOUNT_ATTR_RDONLY),
        )
    ]
    for hierarchy, directory in cgroups:
        if hierarchy.unified:
            continue
        below = destination + "/" + hierarchy.name
        if own_namespace:
            steps.append(
                AttachFilesystem(
                    where,
                    below,
                    "cgroup",
                    "cgroup",
                    data=_hierarchy_words(hierarchy.options),
                    attributes=attributes,
                )
            )
        else:
            bind_attributes = _attributes(options, options.attr_set, 0)
            steps.append(
                AttachTree(where, below, directory, recursive=True, attributes=bind_attributes, early=False)
            )
        for link in hierarchy.links:
            steps.append(MakeSymlink(where, destination + "/" + link, hierarchy.name))
    return steps


def _hierarchy_words(options: str) -> tuple[str, ...]:
    """`name=systemd` needs `none` beside it, since no controller is meant."""
    return ("none", options) if options.startswith("name=") else tuple(options.split(","))
