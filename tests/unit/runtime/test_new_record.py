"""What is kept beside the record, for a delete that finds it damaged."""

import os

import pytest

from pyoci.cgroup.directory import lengthened
from pyoci.config.json_text import parse
from pyoci.runtime.container import CGROUP, make_directory
from pyoci.runtime.new_record import link_cgroup


class Cgroup:
    def __init__(self, *places):
        self.places = places

    def to_record(self):
        directories = [
            {
                "controllers": ["c%d" % i],
                "root": "/sys/fs/cgroup/c%d" % i,
                "path": "/sys/fs/cgroup/c%d%s" % (i, place),
            }
            for i, place in enumerate(self.places)
        ]
        return {"mode": "hybrid", "created": False, "directories": directories}


@pytest.fixture
def directory(tmp_path):
    one = make_directory(str(tmp_path / "root"), "c1")
    yield one
    one.close()


def test_the_cgroups_of_fourteen_hierarchies_fit_into_a_link(directory):
    cgroup = Cgroup(*["/" + "x" * 250 + "/" + "y" * 250] * 14)
    link_cgroup(directory, cgroup)
    kept = lengthened(parse(os.fsencode(directory.read_link(CGROUP)), "", ours=True))
    assert kept["directories"] == cgroup.to_record()["directories"]


def test_what_does_not_fit_is_left_out(directory):
    link_cgroup(directory, Cgroup(*["/%d" % i + "x" * 300 for i in range(14)]))
    assert directory.read_link(CGROUP) == ""
