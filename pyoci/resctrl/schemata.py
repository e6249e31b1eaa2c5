"""Lines of resctrl's `schemata`: `L3:0=7f0;1=1f`, `MB:0=20;1=70`."""

_DECIMAL = ("MB", "SMBA")  # all others are bit masks in hexadecimal


def values(line: str) -> "tuple[str, dict[str, int]] | None":
    """The resource and its value for each domain; None when the line is of another form."""
    resource, colon, rest = line.strip().partition(":")
    base = 10 if resource in _DECIMAL else 16
    result = {}
    try:
        for part in rest.split(";"):
            if part.strip():
                domain, equals, value = part.partition("=")
                result[domain.strip()] = int(value.strip(), base)
                if not equals:
                    return None
    except ValueError:
        return None
    return (resource, result) if colon else None


def differs(wanted: str, schemata: str, step: int = 0) -> str:
    """How the text `schemata` of a class of service differs from the line `wanted`; "" when it does not.

    Only what the line names counts: the kernel fills in the other domains, and it rounds a bandwidth up to a
    multiple of `step`.  A second container with the same configuration must find what the first one wrote.
    """
    ours = values(wanted)
    if ours is None:
        return "" if wanted.strip() in [line.strip() for line in schemata.splitlines()] else "it has no such line"
    resource, domains = ours
    for line in schemata.splitlines():
        theirs = values(line)
        if theirs is None or theirs[0] != resource:
            continue
        for domain, value in domains.items():
            rounded = -(-value // step) * step if step and resource == "MB" else value
            if theirs[1].get(domain) not in (value, rounded):
                return "it has %s" % line.strip()
        return ""
    return "it has no line %s:" % resource
