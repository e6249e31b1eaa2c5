"""Which mount of a running container a checkpoint takes for which of config.json; that needs no criu."""

import os

import pytest

from pyoci.config.json_text import parse
from pyoci.criu.mounts import read_table
from pyoci.errors import OperationError
from pyoci.runtime import checkpoint
from pyoci.runtime.container import CONFIG, load_record, open_directory

from . import host
from .bundles import bind, entry


def names(container):
    """Mount points and their names, as a checkpoint of now would save them."""
    directory = open_directory(container.runtime.root, container.id)
    record = load_record(directory)
    config = parse(directory.read(CONFIG), CONFIG, ours=True)
    with open("/proc/%d/mountinfo" % container.pid, "rb") as file:
        table = read_table(file.read())
    pairs = checkpoint._mounts(directory, config, table, record.values)
    return {pair["key"]: pair["val"] for pair in pairs}


@pytest.fixture
def volumes(container, work):
    """A container with two volumes that differ in nothing but their content."""
    mounts = [entry("/tmp", "tmpfs", "tmpfs")]
    for name in "ab":
        os.makedirs("%s/%s" % (work, name))
        mounts.append(bind("/tmp/%s/volume" % name, "%s/%s" % (work, name), "rbind", "ro"))
    return container({"mounts+": mounts}, args=("/bin/sleep", "1000")).create().start()


def test_mounts_in_their_places_have_their_names(volumes):
    found = names(volumes)
    assert found["/tmp/a/volume"] == "/tmp/a/volume"
    assert found["/tmp/b/volume"] == "/tmp/b/volume"
    volumes.end()


def test_a_source_that_the_host_has_replaced_is_nobodys_fault(volumes, work):
    os.rename(work + "/a", work + "/old")
    os.mkdir(work + "/a")
    assert names(volumes)["/tmp/a/volume"] == "/tmp/a/volume"
    volumes.end()


def test_mounts_that_have_changed_places_are_refused(volumes):
    """Nothing but their content tells the two apart: both are read-only."""
    inside = "/proc/%d/root/tmp" % volumes.pid
    os.rename(inside + "/a", inside + "/c")
    os.rename(inside + "/b", inside + "/a")
    os.rename(inside + "/c", inside + "/b")
    assert "/tmp/a/volume" in host.read("/proc/%d/mountinfo" % volumes.pid)
    with pytest.raises(OperationError, match=r"at /tmp/a/volume is the one that config[.]json has at /tmp/b"):
        names(volumes)
    volumes.end()
