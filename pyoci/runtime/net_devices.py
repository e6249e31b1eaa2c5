"""The host's network devices that move into the container (runtime-spec config-linux.md, Network Devices).

The runtime does it, not init: it keeps the host's rights, and pyroute2 may be imported there.  Init hands over a
descriptor of its network namespace, new or joined.  A device takes its settings along, but the kernel drops its
addresses; the permanent ones of global scope are read before and added again behind.

As long as the container is not made the descriptor keeps the namespace alive, even after the death of init: a
create that fails gives the devices back as they were.  After that they are the container's.  With its
namespace the kernel destroys virtual devices, and takes physical ones back under their new names; so it does
when pyoci itself is killed between the move and the end of create.
"""

import os
from errno import EACCES, EEXIST, EINVAL, EOPNOTSUPP, EPERM

from pyoci.errors import HostError, OperationError, errno_text
from pyoci.kernel.process import CLONE_NEWNET, setns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.plan.records import NetDevice

_IFF_UP = 1
_PERMANENT = 0x80  # IFA_F_PERMANENT
# What the kernel says of an address, and does not take from us: IFA_F_SECONDARY, DADFAILED, DEPRECATED, TENTATIVE,
# PERMANENT, STABLE_PRIVACY.
_STATUS = 0x01 | 0x08 | 0x20 | 0x40 | 0x80 | 0x800
_AF_INET, _AF_INET6 = 2, 10
_UNIVERSE = 0  # RT_SCOPE_UNIVERSE
_FOR_EVER = 0xFFFFFFFF
_LONGEST_NAME = 15


def check_power(devices: "list[NetDevice]") -> None:
    """HostError where no device of the host's can be moved; before anything is made."""
    if devices and os.geteuid() != 0:
        raise HostError(
            "network devices are not supported in rootless containers: operation not permitted",
            where=devices[0].where,
            cause="moving a device out of the host's network namespace needs CAP_NET_ADMIN there",
            fix="call pyoci as root, or remove .linux.netDevices",
        )


class Found:
    """A device as it was found: its number, whether it was up, its addresses as arguments for adding them."""

    __slots__ = ("addresses", "device", "index", "is_up")

    def __init__(self, device: "NetDevice", index: int, addresses: "list[dict[str, Any]]", *, is_up: bool) -> None:
        self.device = device
        self.index = index
        self.addresses = addresses
        self.is_up = is_up


class NetDevices:
    """The devices of one container; `moved` are those that are inside, each with its number there."""

    __slots__ = ("_fds", "_host", "_inside", "_refusal", "moved")

    def __init__(self, container_fd: int) -> None:
        """`container_fd`: the container's network namespace; it belongs to this object from now on."""
        self.moved: list[tuple[Found, int]] = []
        self._fds = [container_fd, os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)]
        self._host: Any = None
        self._inside: Any = None
        self._refusal: Any = OSError

    def move(self, devices: "list[NetDevice]") -> None:
        """Move them all.  Raises OperationError at the first that cannot be; the caller then gives back."""
        self._refuse_own_namespace(devices[0].where)
        self._connect()
        found = [self._look(device) for device in devices]  # a name that is missing moves nothing
        used = {link.get_attr("IFLA_IFNAME") for link in self._inside.get_links()}
        for state in found:
            used.add(self._move(state, used))

    def give_back(self) -> "list[str]":
        """Move what was moved back, with name, addresses and state as before; what went wrong, in words."""
        wrong = []
        while self.moved:
            state, index = self.moved.pop()
            old = state.device.old
            try:
                self._inside.link("set", index=index, net_ns_fd=self._fds[1], ifname=old)
                back = self._number(self._host, old)
                self._add_addresses(self._host, state, back, old)
                if state.is_up:
                    self._host.link("set", index=back, state="up")
            except OperationError as error:
                wrong.append(error.message)
            except (self._refusal, OSError) as error:
                wrong.append("network device %s is not given back: %s" % (old, errno_text(_code(error))))
        return wrong

    def close(self) -> None:
        """Let go of both namespaces: the container's would live on with us."""
        for connection in (self._host, self._inside):
            if connection is not None:
                connection.close()
        self._host = self._inside = None
        for fd in self._fds:
            os.close(fd)
        self._fds = []
        self.moved = []

    # ---- the conversation with the kernel -------------------------------------------------------------------

    def _refuse_own_namespace(self, where: str) -> None:
        theirs, ours = (os.fstat(fd) for fd in self._fds)
        if (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino):
            raise HostError(
                "unable to move network devices without a network namespace of the container's: it joins our own",
                where=where,
                cause="the path of the network namespace in .linux.namespaces is that of pyoci's own",
                fix="name another namespace, or remove .linux.netDevices",
            )

    def _connect(self) -> None:
        """A netlink socket belongs for good to the namespace in which it was made."""
        try:
            from pyroute2 import IPRoute
            from pyroute2.netlink.exceptions import NetlinkError
        except ImportError as error:
            raise HostError(
                "unable to move network devices: the Python package pyroute2 cannot be imported",
                where=".linux.netDevices",
                cause=str(error),
                fix="pip install pyroute2",
            ) from None
        self._refusal = NetlinkError
        self._host = IPRoute()
        self._host.link_lookup(ifname="lo")  # the socket may be made at the first request only
        setns(self._fds[0], CLONE_NEWNET)
        try:
            self._inside = IPRoute()
            self._inside.link_lookup(ifname="lo")
        finally:
            setns(self._fds[1], CLONE_NEWNET)

    def _look(self, device: "NetDevice") -> Found:
        index = self._number(self._host, device.old)
        if not index:
            raise OperationError(
                "unable to move network device %s: no such device" % device.old,
                where=device.where,
                cause="pyoci's own network namespace has none of this name",
                fix="`ip link` lists those it has",
            )
        (link,) = self._host.get_links(index)
        addresses = [
            _arguments(address, device)
            for address in self._host.get_addr(index=index)
            if address["family"] in (_AF_INET, _AF_INET6)
            and address["scope"] == _UNIVERSE
            and _flags(address) & _PERMANENT
        ]
        # The kernel puts a new address of version 6 before the others, and those of version 4 behind them.
        newest_first = [each for each in addresses if each["family"] == _AF_INET6]
        addresses = [each for each in addresses if each["family"] == _AF_INET] + newest_first[::-1]
        return Found(device, index, addresses, is_up=bool(link["flags"] & _IFF_UP))

    def _number(self, connection: "Any", name: str) -> int:
        """The number of the device `name`; 0 when there is none."""
        return next(iter(connection.link_lookup(ifname=name)), 0)

    def _move(self, state: Found, used: "set[str]") -> str:
        """Move one device and set it up; its new name."""
        device = state.device
        name = _free_name(device.new, used) if "%d" in device.new else device.new
        if not name:
            raise OperationError(
                "unable to move network device %s: no free name %s" % (device.old, device.new),
                where=device.where_name,
                cause="a name has %d characters at most" % _LONGEST_NAME,
                fix="a shorter name",
            )
        if name in used:
            raise _clash(device, name)
        try:
            # Name and namespace in one request, so that nobody sees the one without the other.
            self._host.link("set", index=state.index, net_ns_fd=self._fds[0], ifname=name)
        except self._refusal as error:
            # The kernel moves first and renames then: what it refuses to rename is inside already.
            index = 0 if self._is_here(state) else self._number(self._inside, device.old)
            if index:
                self.moved.append((state, index))
            raise _refused(device, name, error) from None
        index = self._number(self._inside, name)
        self.moved.append((state, index))
        self._add_addresses(self._inside, state, index, name)
        try:
            self._inside.link("set", index=index, state="up")
        except self._refusal as error:
            words = errno_text(_code(error))
            raise OperationError(
                "unable to set up network device %s: %s" % (name, words), where=device.where
            ) from None
        return name

    def _is_here(self, state: Found) -> bool:
        return self._number(self._host, state.device.old) == state.index

    def _add_addresses(self, connection: "Any", state: Found, index: int, name: str) -> None:
        for known in state.addresses:
            arguments = dict(known, index=index)
            if "label" in known:  # eth0:1 becomes web0:1
                arguments["label"] = (name + known["label"])[:_LONGEST_NAME]
            try:
                connection.addr("add", **arguments)
            except self._refusal as error:
                number = _code(error)
                is_off = known["family"] == _AF_INET6 and number in (EACCES, EPERM, EOPNOTSUPP)
                raise _lost(
                    known,
                    state.device,
                    errno_text(number),
                    fix="enable IPv6 in the container's network namespace" if is_off else "",
                ) from None


def _code(error: BaseException) -> int:
    """The errno of an OSError or of pyroute2's NetlinkError."""
    return getattr(error, "code", None) or getattr(error, "errno", None) or 0


def _flags(address: "Any") -> int:
    flags = address.get_attr("IFA_FLAGS")
    return address["flags"] if flags is None else flags  # type: ignore[no-any-return]


def _arguments(address: "Any", device: "NetDevice") -> "dict[str, Any]":
    """What adds this address of `device` again, the index aside; the label without the device's name."""
    result = {"family": address["family"], "prefixlen": address["prefixlen"], "scope": _UNIVERSE}
    for key in ("address", "local", "broadcast", "rt_priority", "proto"):
        value = address.get_attr("IFA_" + key.upper())
        if value is not None:
            result[key] = value
    flags = _flags(address) & ~_STATUS
    if flags:
        result["flags"] = flags
    label = address.get_attr("IFA_LABEL") or ""
    if label.startswith(device.old + ":"):
        result["label"] = label[len(device.old) :]
    times = address.get_attr("IFA_CACHEINFO")
    ends = times is not None and times["ifa_preferred"] != _FOR_EVER
    if ends:
        result.update(preferred_lft=times["ifa_preferred"], valid_lft=times["ifa_valid"])
    old = not any(key == "IFA_RT_PRIORITY" for key, *_ in address.nla_map)
    if address.get_attr("UNKNOWN") is not None or (old and ends):
        raise _lost(
            result,
            device,
            "not supported",
            cause="this pyroute2 does not keep its metric or the end of its preference",
            fix="install pyroute2 0.9.4 or later",
        )
    return result


def _lost(
    known: "dict[str, Any]", device: "NetDevice", words: str, *, cause: str = "", fix: str = ""
) -> OperationError:
    text = "%s/%d" % (known.get("local", known["address"]), known["prefixlen"])
    message = "unable to keep address %s of network device %s: %s" % (text, device.old, words)
    return OperationError(message, where=device.where, cause=cause, fix=fix)


def _free_name(template: str, used: "set[str]") -> str:
    """As the kernel fills in `%d`: the least number that is free; "" when the name gets too long."""
    number = 0
    while True:
        name = template.replace("%d", str(number))
        if len(name) > _LONGEST_NAME:
            return ""
        if name not in used:
            return name
        number += 1


def _clash(device: "NetDevice", name: str) -> OperationError:
    return OperationError(
        "unable to move network device %s: file exists" % device.old,
        where=device.where_name,
        cause="the container's network namespace has a device %s already" % name,
        fix="another name, or one with %d, for which a free number is put",
    )


def _refused(device: "NetDevice", name: str, error: BaseException) -> OperationError:
    number = _code(error)
    if number == EEXIST:
        return _clash(device, name)
    cause = fix = ""
    if number == EINVAL:
        cause = "the kernel keeps this device in its network namespace, or does not take the name %s" % name
        fix = "see `ethtool -k %s` (netns-local) and correct .linux.netDevices" % device.old
    elif number == EPERM:
        cause = "moving a device needs CAP_NET_ADMIN in both network namespaces"
        fix = "call pyoci as the host's root"
    return OperationError(
        "unable to move network device %s: %s" % (device.old, errno_text(number)),
        where=device.where,
        cause=cause,
        fix=fix,
    )
