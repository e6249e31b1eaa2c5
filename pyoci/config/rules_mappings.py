"""Rules about lists of id ranges (`uidMappings`, `gidMappings`) that no schema can say."""

from pyoci.config.fault import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import IDMapping

MAX_MAPPINGS = 340  # user_namespaces(7)


def mapping_faults(lines: "list[IDMapping]", at: str, found: list[Fault]) -> None:
    """Append what is wrong with one list of id ranges: the kernel answers all of these with EINVAL."""
    if len(lines) > MAX_MAPPINGS:
        message = "%d ranges: the kernel holds %d" % (len(lines), MAX_MAPPINGS)
        found.append(Fault(at, message, "join neighbouring ranges"))
    for number, line in enumerate(lines):
        for side in ("containerID", "hostID"):
            if line[side] + line["size"] > 0xFFFFFFFF:
                message = "the range runs past the last id, 4294967294"
                found.append(Fault("%s[%d].size" % (at, number), message, "a smaller size"))
                break
    for side in ("containerID", "hostID") if len(lines) > 1 else ():
        ranges = sorted((line[side], line["size"], number) for number, line in enumerate(lines))  # type: ignore[literal-required]
        for (first, size, number), (second, _, other) in zip(ranges, ranges[1:], strict=False):  # noqa: RUF007
            if first + size > second:
                low, high = sorted((number, other))
                message = "overlaps %s[%d] in %s" % (at, low, side)
                found.append(Fault("%s[%d]" % (at, high), message, "ranges that share no id"))


def is_mapped(number: int, lines: "list[IDMapping]") -> bool:
    """Whether a container id is in one of the ranges."""
    return any(0 <= number - line["containerID"] < line["size"] for line in lines)
