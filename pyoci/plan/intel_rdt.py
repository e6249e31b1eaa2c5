"""linux.intelRdt: which class of service, what it gets, and whether it is monitored."""

from pyoci.plan.records import IntelRdt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Linux

_AT = ".linux.intelRdt"


def make_intel_rdt(linux: "Linux", container_id: str) -> IntelRdt | None:
    """The record of a checked config; None without intelRdt.  An empty object asks for a class of one's own."""
    given = linux.get("intelRdt")
    if given is None:
        return None
    lines = []
    for key in ("l3CacheSchema", "memBwSchema"):  # the order is the specification's
        text: str = given.get(key, "")  # type: ignore[assignment]
        if text:
            lines.append(("%s.%s" % (_AT, key), text))
    for number, text in enumerate(given.get("schemata") or ()):
        if text:
            lines.append(("%s.schemata[%d]" % (_AT, number), text))
    named = given.get("closID", "")
    monitor = container_id if given.get("enableMonitoring", False) else ""
    return IntelRdt(named.strip("/") if named else container_id, lines, monitor, is_named=bool(named))
