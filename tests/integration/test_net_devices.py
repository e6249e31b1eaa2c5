"""linux.netDevices (R-248, R-249): devices of a network namespace that stands for the host's.

veth pairs are used, which every kernel with containers has.  `ip` says what the kernel made of them.
"""

import json
import os
import signal
import subprocess

import pytest

from . import host
from .bundles import PATH, bind, namespaces
from .host import requires

CLONE_NEWNET = 0x40000000
SLEEP = ("/bin/sleep", "1000")
IP = {"process": {"args": ["/bin/sleep", "1000"]}}
NAME = "pynd0"
KEPT = ("local", "prefixlen", "address", "broadcast", "metric", "scope", "nodad", "deprecated", "noprefixroute")


def ip(*words, inside=None, check=True):
    """The output of `ip`, in the network namespace of a process (`inside`) or in our own."""
    enter = [] if inside is None else ["nsenter", "--net=/proc/%d/ns/net" % inside]
    return subprocess.run([*enter, "ip", *words], check=check, capture_output=True, text=True).stdout


def look(name, inside=None):
    """What the kernel says of a device and its addresses; None when there is none."""
    found = ip("-json", "-details", "address", "show", "dev", name, inside=inside, check=False)
    return json.loads(found)[0] if found.strip() else None


def addresses(device):
    """The addresses, in order, as far as they have to be kept; the label without the device's name."""
    result = []
    for each in device["addr_info"]:
        if each["scope"] != "global" or each.get("dynamic"):
            continue
        known = {key: each[key] for key in KEPT if key in each}
        known["label"] = each.get("label", "").removeprefix(device["ifname"])
        result.append(known)
    return result


def settings(device):
    """What a device takes along, its addresses aside."""
    keys = ("address", "mtu", "txqlen", "num_tx_queues", "link_type", "ifalias", "group")
    return {key: device.get(key) for key in keys} | {"up": "UP" in device["flags"]}


def keeps_all():
    """Whether this pyroute2 keeps metrics and lifetimes (0.9.4); with an older one pyoci refuses such addresses."""
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

    return any(entry[0] == "IFA_RT_PRIORITY" for entry in ifaddrmsg.nla_map)


@pytest.fixture
def network(work):
    """A network namespace for the test: pytest itself and all that it starts are in it until the end."""
    requires("ip")
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    host.unshare(CLONE_NEWNET)
    try:
        ip("link", "set", "lo", "up")
        yield
    finally:
        host.setns("/proc/self/fd/%d" % own)
        os.close(own)


@pytest.fixture
def device(network):
    """A device with settings of all sorts and addresses of both families, up."""
    ip("link", "add", NAME, "mtu", "1400", "txqueuelen", "77", "type", "veth", "peer", "name", "pynd1")
    ip("link", "set", "pynd1", "up")
    ip("link", "set", NAME, "up", "alias", "the one that moves")
    for words in (
        "192.0.2.5/24 broadcast + label %s:1" % NAME,
        "192.0.2.6/24",  # a secondary one
        "198.51.100.1/32 peer 198.51.100.2" + (" metric 77" if keeps_all() else ""),
        "203.0.113.1/24 noprefixroute",
        "192.0.7.7/24 scope link",
        "192.0.2.8/24 valid_lft 1000 preferred_lft 500",
        "2001:db8::5/64 nodad",
        "2001:db8::6/64 nodad" + (" preferred_lft 0" if keeps_all() else ""),
        "2001:db8:1::6/128 nodad noprefixroute",
        "2001:db8::7/64 nodad valid_lft 1000 preferred_lft 500",
    ):
        ip("address", "add", *words.split(), "dev", NAME)
    return look(NAME)


@pytest.fixture
def elsewhere(network):
    """A network namespace to join: the pid of a process in it."""
    holder = subprocess.Popen(["unshare", "--net", "sleep", "1000"])
    host.until(lambda: os.stat("/proc/%d/ns/net" % holder.pid).st_ino != os.stat("/proc/self/ns/net").st_ino)
    host.until(lambda: host.read("/proc/%d/comm" % holder.pid) == "sleep\n")
    yield holder.pid
    holder.kill()
    holder.wait()


def moves(**names):
    """{pynd0="web0"} as an edit."""
    return {"linux": {"netDevices": {old: {"name": new} if new else {} for old, new in names.items()}}}


def joining(pid):
    return {
        "linux": {
            "namespaces": [
                *namespaces("pid", "ipc", "uts", "mount"),
                {"type": "network", "path": "/proc/%d/ns/net" % pid},
            ]
        }
    }


USER = {
    "linux": {
        "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
        "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
        "namespaces+": [{"type": "user"}],
    }
}
TIME = {"linux": {"namespaces+": [{"type": "time"}], "timeOffsets": {"boottime": {"secs": 9}}}}


@pytest.mark.parametrize("name", ["", "web0"])
def test_a_device_moves_in_with_settings_and_addresses_and_is_up(container, device, name):
    """R-248."""
    one = container(moves(**{NAME: name}), args=SLEEP).create()
    found = look(name or NAME, inside=one.pid)
    assert settings(found) == settings(device)
    assert addresses(found) == addresses(device)
    assert len(addresses(found)) == 7
    inside = {each["local"] for each in found["addr_info"] if not each["local"].startswith("fe80:")}
    assert inside == {each["local"] for each in addresses(device)}  # none that expires, none of the link's scope
    assert look(NAME) is None
    if name:
        assert look(NAME, inside=one.pid) is None


def test_a_device_that_was_down_comes_up(container, device):
    ip("link", "set", NAME, "down")
    one = container(moves(**{NAME: ""}), args=SLEEP).create()
    assert "UP" in look(NAME, inside=one.pid)["flags"]


@pytest.mark.parametrize("kind", [USER, TIME], ids=["user", "time"])
def test_a_device_moves_into_other_kinds_of_containers(container, device, kind):
    """The network namespace belongs to the user namespace; with a time namespace init is another's child."""
    requires("userns" if kind is USER else "timens")
    one = container(kind, moves(**{NAME: "web0"}), args=SLEEP).create()
    assert addresses(look("web0", inside=one.pid)) == addresses(device)


@pytest.mark.parametrize("kind", [{}, USER], ids=["plain", "user"])
def test_a_device_moves_into_a_namespace_that_is_joined_and_stays_there(container, device, elsewhere, kind):
    """R-248. runtime-spec: the runtime MUST NOT move the interface out before the namespace is deleted."""
    one = container(joining(elsewhere), kind, moves(**{NAME: "web0"}), args=SLEEP).create()
    one.start()
    assert addresses(look("web0", inside=elsewhere)) == addresses(device)
    one.end()
    one.delete().ok()
    assert addresses(look("web0", inside=elsewhere)) == addresses(device)
    assert look(NAME) is None
    assert look("web0") is None


def test_a_virtual_device_ends_with_its_namespace(container, device):
    one = container(moves(**{NAME: "web0"}), args=SLEEP).create()
    one.start()
    one.end()
    host.until(lambda: look("pynd1") is None, what="the end of the pair")
    one.delete().ok()


def test_two_devices_may_trade_their_names(container, device):
    ip("link", "add", "pynd2", "type", "veth", "peer", "name", "pynd3")
    ip("address", "add", "192.0.2.77/24", "dev", "pynd2")
    one = container(moves(**{NAME: "pynd2", "pynd2": NAME}), args=SLEEP).create()
    assert settings(look("pynd2", inside=one.pid)) == settings(device)
    assert [each["local"] for each in addresses(look(NAME, inside=one.pid))] == ["192.0.2.77"]


def test_a_template_gets_the_least_free_number(container, device, elsewhere):
    """R-248."""
    ip("link", "add", "pynd2", "type", "veth", "peer", "name", "pynd3")
    for name in ("eth0", "eth2"):
        ip("link", "add", name, "type", "veth", "peer", "name", "x" + name, inside=elsewhere)
    one = container(joining(elsewhere), moves(**{NAME: "eth%d", "pynd2": "eth%d"}), args=SLEEP).create()
    assert settings(look("eth1", inside=one.pid)) == settings(device)
    assert look("eth3", inside=one.pid) is not None


def test_hooks_and_sysctls_find_the_device_inside(run, device, work):
    """The runtime namespace's hooks may configure it further; net.*.conf.NAME exists only with the device."""
    out = os.path.join(work, "hook")
    script = (
        "P=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/'); nsenter --net=/proc/$P/ns/net ip -j link show web0 >%s" % out
    )
    edit = {
        "hooks": {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": [PATH]}]},
        "linux": {"sysctl": {"net.ipv4.conf.web0.proxy_arp": "1"}},
    }  # fmt: skip
    result = run(edit, moves(**{NAME: "web0"}), args=["/bin/cat", "/proc/sys/net/ipv4/conf/web0/proxy_arp"]).ok()
    assert result.out == "1\n"
    assert "UP" in json.loads(host.read(out))[0]["flags"]


FAILING = {
    "program": {"process": {"args": ["/bin/nope"]}},
    "hook": {"hooks": {"createRuntime": [{"path": "/bin/false"}]}},
    "sysctl": {"linux": {"sysctl": {"net.ipv4.nope": "1"}}},
    "second device": {"linux": {"netDevices": {"pynd9": {}}}},
}


@pytest.mark.parametrize("verb", ["create", "run"])
@pytest.mark.parametrize("why", FAILING)
def test_a_container_that_is_not_made_gives_the_device_back(run, container, device, why, verb):
    """R-248."""
    edits = (moves(**{NAME: "web0"}), FAILING[why])
    result = run(*edits) if verb == "run" else container(*edits).try_create()
    result.failed("o such" if why != "hook" else "createRuntime hook")
    assert "given back" not in result.text
    back = look(NAME)
    assert settings(back) == settings(device)
    assert addresses(back) == addresses(device)
    assert look("web0") is None


def test_a_device_that_was_down_comes_back_down(run, device):
    ip("link", "set", NAME, "down")
    before = look(NAME)
    run(moves(**{NAME: "web0"}), FAILING["program"]).failed("/bin/nope")
    assert settings(look(NAME)) == settings(before)
    assert addresses(look(NAME)) == addresses(before)


def test_a_missing_device_is_an_error_with_its_place(run, device):
    run(moves(pynd9="web0")).failed(
        "unable to move network device pynd9: no such device", ".linux.netDevices.pynd9"
    )


@pytest.mark.parametrize("how", ["name", "other name"])
def test_a_name_that_is_taken_is_an_error_with_its_place(container, device, elsewhere, how):
    """R-248. By another name of a device (IFLA_ALT_IFNAME) the kernel sees it only when ours is inside already."""
    ip("link", "add", "web0" if how == "name" else "old0", "type", "veth", "peer", "name", "x", inside=elsewhere)
    if how == "other name":
        ip("link", "property", "add", "dev", "old0", "altname", "web0", inside=elsewhere)
    one = container(joining(elsewhere), moves(**{NAME: "web0"}), args=SLEEP)
    one.try_create().failed("file exists", ".linux.netDevices.%s.name" % NAME, "has a device web0 already")
    back = look(NAME)
    assert settings(back) == settings(device)
    assert addresses(back) == addresses(device)
    assert look(NAME, inside=elsewhere) is None


def test_an_address_that_cannot_be_kept_is_an_error(container, device, elsewhere):
    subprocess.run(
        ["nsenter", "--net=/proc/%d/ns/net" % elsewhere, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"],
        check=True,
    )
    one = container(joining(elsewhere), moves(**{NAME: "web0"}), args=SLEEP)
    one.try_create().failed("unable to keep address 2001:db8", ".linux.netDevices." + NAME, "enable IPv6")
    assert addresses(look(NAME)) == addresses(device)


def test_the_namespace_that_pyoci_is_in_is_an_error(container, device, elsewhere):
    """R-249."""
    one = container(joining(os.getpid()), moves(**{NAME: "web0"}), args=SLEEP)
    one.try_create().failed("network namespace", "our own", ".linux.netDevices")
    assert settings(look(NAME)) == settings(device)
    assert addresses(look(NAME)) == addresses(device)


def test_a_device_that_the_kernel_keeps_in_its_namespace_is_an_error(container, network):
    """A bridge may not move."""
    if subprocess.run(
        ["ip", "link", "add", "pynd5", "type", "bridge"], check=False, capture_output=True
    ).returncode:
        pytest.skip("this kernel has no bridges")
    found = json.loads(ip("-json", "-details", "link", "show", "pynd5"))[0]
    if not found.get("netns-immutable", True):
        pytest.skip("bridges may move on this kernel")
    one = container(moves(pynd5=""), args=SLEEP)
    one.try_create().failed("unable to move network device pynd5: invalid argument", ".linux.netDevices.pynd5")
    assert look("pynd5") is not None


def test_rootless_is_an_error(pyoci, bundle, network):
    """R-249."""
    maps = [{"containerID": 0, "hostID": 65534, "size": 1}]
    spaces = namespaces("pid", "ipc", "uts", "mount", "network", "user")
    edits = {
        "linux": {
            "namespaces": spaces,
            "uidMappings": maps,
            "gidMappings": maps,
            **moves(**{NAME: "web0"})["linux"],
        }
    }
    where = bundle({**edits, "mounts": []})
    wrap = ["unshare", "--user"]  # no uid is mapped: to itself pyoci is nobody, whatever may read its interpreter
    pyoci("run", "--bundle", where.path, "nd-rootless", wrap=wrap).failed(
        "network devices cannot be moved by a rootless container", ".linux.netDevices"
    )


def test_the_runtime_of_a_running_container_holds_no_network_namespace(pyoci, bundle, device, fresh_id):
    """Else the namespace, and a physical device in it, would not be free before `run` has ended."""
    name = fresh_id()
    process = pyoci.spawn("run", "--bundle", bundle(moves(**{NAME: "web0"}), args=SLEEP).path, name)
    folder = "/proc/%d/fd" % process.pid
    host.until(lambda: pyoci("state", name).code == 0 and pyoci.state(name)["status"] == "running")
    host.until(lambda: not [fd for fd in os.listdir(folder) if "net:" in _target(folder, fd)])
    assert [fd for fd in os.listdir(folder) if "socket:" in _target(folder, fd)] in ([], [_channel(folder)])
    pyoci("kill", name, "KILL").ok()
    process.wait()


def _target(folder, fd):
    try:
        return os.readlink("%s/%s" % (folder, fd))
    except OSError:
        return ""


def _channel(folder):
    return next(fd for fd in os.listdir(folder) if "socket:" in _target(folder, fd))


def test_a_runtime_killed_in_the_middle_leaves_nothing_but_what_delete_finds(container, device, pyoci):
    """The device ends with the namespace, as when the container had run: nobody is left who knew where it was."""
    kill = {"path": "/bin/sh", "args": ["sh", "-c", "kill -9 $PPID"]}
    one = container(moves(**{NAME: "web0"}), {"hooks": {"createRuntime": [kill]}}, args=SLEEP)
    assert one.try_create().code == 128 + signal.SIGKILL
    one.delete("--force").ok()
    assert pyoci.left() == []
    host.until(lambda: look("pynd1") is None, what="the end of the pair")


def test_check_names_what_is_not_there(pyoci, bundle, device, elsewhere):
    def faults(*edits):
        out = pyoci("check", "--format", "json", "--bundle", bundle(*edits).path).out
        return {fault["path"]: fault["message"] for fault in json.loads(out)}

    assert faults(moves(**{NAME: "web0"}), {"mounts": [bind("/proc", "/proc")]}) == {}
    assert "no network device" in faults(moves(pynd9="web0"))[".linux.netDevices.pynd9"]
    own = faults(joining(os.getpid()), moves(**{NAME: "web0"}))
    assert "pyoci itself" in own[".linux.namespaces[4].path"]
