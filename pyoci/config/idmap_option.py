"""crun's mount option `idmap=uids=1000-5000-10#...;gids=@0-1-10`, which podman hands on: an extension.

Each triple is: first id in the source, first id that it is seen as, how many.  With `@` the second is an id of the
container's user namespace.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import IDMapping, Linux, Mount

WORDS = ("idmap=", "ridmap=")


def option_mappings(word: str, linux: "Linux") -> "tuple[list[IDMapping], list[IDMapping]]":
    """The uidMappings and gidMappings that one such option stands for; ValueError says what is wrong with it."""
    found: dict[str, list[IDMapping]] = {}
    for part in word.partition("=")[2].split(";"):
        key, _, text = part.partition("=")
        if key not in ("uids", "gids") or key in found:
            raise ValueError("it is not of the form %suids=FIRST-FIRST-COUNT;gids=FIRST-FIRST-COUNT" % WORDS[0])
        own: list[IDMapping] = linux.get(key[:3] + "Mappings", [])  # type: ignore[assignment]
        found[key] = [_mapping(triple, own) for triple in text.split("#")]
    if len(found) != 2:
        raise ValueError("uids and gids must come together")
    return found["uids"], found["gids"]


def _mapping(triple: str, own: "list[IDMapping]") -> "IDMapping":
    fields = triple.removeprefix("@").split("-")
    if len(fields) != 3 or not all(field.isascii() and field.isdigit() and len(field) <= 10 for field in fields):
        raise ValueError("%r is not FIRST-FIRST-COUNT" % triple)
    inside, outside, size = (int(field) for field in fields)
    if not size or max(inside, outside, size) > 0xFFFFFFFF:
        raise ValueError("%r is not a range of ids" % triple)
    if triple.startswith("@"):
        outside = _on_the_host(outside, size, own)
    return {"containerID": inside, "hostID": outside, "size": size}


def _on_the_host(first: int, size: int, own: "list[IDMapping]") -> int:
    for line in own:
        offset = first - line["containerID"]
        if offset >= 0 and offset + size <= line["size"]:
            return line["hostID"] + offset
    raise ValueError(
        "no one range of .linux's mappings holds the container's ids %d to %d" % (first, first + size - 1)
    )


def as_mappings(mount: "Mount", linux: "Linux") -> None:
    """Put the option's mappings where the specification has them, in a mount that was checked."""
    options = mount.get("options", [])
    for number, word in enumerate(options):
        if word.startswith(WORDS):
            mount["uidMappings"], mount["gidMappings"] = option_mappings(word, linux)
            options[number] = word.partition("=")[0]
