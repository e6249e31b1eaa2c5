"""Whose map may be written by whom, and the map of a namespace that is joined."""

import os

import pytest

from pyoci.errors import ConfigError
from pyoci.runtime.idmap import check_joined_maps, is_one


@pytest.mark.parametrize(
    ("text", "one"),
    [
        ("0 1000 1\n", True),
        ("5 1000 1\n", True),
        ("0 1000 2\n", False),
        ("0 1001 1\n", False),
        ("0 1000 1\n1 1001 1\n", False),
        ("", False),
    ],
)
def test_only_ones_own_id_can_be_mapped_without_help(text: str, one: bool) -> None:
    assert is_one(text, 1000) is one


def own_map(word: str) -> str:
    with open("/proc/self/%s_map" % word) as file:
        return "".join(" ".join(line.split()) + "\n" for line in file)


def test_equal_maps_and_none_pass() -> None:
    check_joined_maps(os.getpid(), own_map("uid"), own_map("gid"))
    check_joined_maps(os.getpid(), "", "")


@pytest.mark.parametrize("word", ["uid", "gid"])
def test_other_maps_are_refused_with_those_that_there_are(word: str) -> None:
    maps = {"uid": own_map("uid"), "gid": own_map("gid"), word: "0 4711 42\n"}
    with pytest.raises(ConfigError) as caught:
        check_joined_maps(os.getpid(), maps["uid"], maps["gid"])
    assert caught.value.where == ".linux.%sMappings" % word
    assert own_map(word).splitlines()[0] in caught.value.cause
