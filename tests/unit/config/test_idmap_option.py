"""crun's `idmap=uids=...;gids=...` as mappings of the specification."""

import json

from pyoci.config.idmap_option import option_mappings
from pyoci.config.load import load_config_text

from .samples import ordinary

OWN = {
    "uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}, {"containerID": 1, "hostID": 2, "size": 1000}],
    "gidMappings": [{"containerID": 0, "hostID": 500, "size": 10}],
}


def rows(lines):
    return [(line["containerID"], line["hostID"], line["size"]) for line in lines]


def test_ranges_are_read_in_order():
    uids, gids = option_mappings("idmap=uids=0-1-10#10-11-10;gids=0-100-10", {})
    assert (rows(uids), rows(gids)) == ([(0, 1, 10), (10, 11, 10)], [(0, 100, 10)])


def test_relative_ids_are_those_of_the_container():
    uids, gids = option_mappings("ridmap=gids=@0-3-2;uids=@1-3-10#50-0-1", OWN)
    assert (rows(uids), rows(gids)) == ([(1, 4, 10), (50, 0, 1)], [(0, 503, 2)])


def test_a_configuration_that_is_loaded_has_mappings():
    config = ordinary()
    mount = {"destination": "/a", "source": "/b", "options": ["bind", "ridmap=uids=0-1-1;gids=0-2-1", "ro"]}
    config["mounts"].append(mount)
    loaded = load_config_text(json.dumps(config).encode())["mounts"][-1]
    assert loaded["options"] == ["bind", "ridmap", "ro"]
    assert (rows(loaded["uidMappings"]), rows(loaded["gidMappings"])) == ([(0, 1, 1)], [(0, 2, 1)])
