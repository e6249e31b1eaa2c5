"""The file that spares an installed package a hundred imports: the same code, completely and in order."""

import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAKER = os.path.join(ROOT, "pyoci", "launcher", "make_snapshot.py")

SHOW = """
import sys
sys.path.append(sys.argv[1])
import runpy
boot = runpy.run_path(sys.argv[1] + "/pyoci/boot.py", run_name="boot")
boot["use_snapshot"](sys.argv[2])
import pyoci.startup, pyoci.cli.main
__import__("pyoci.runtime." + sys.argv[3])
ours = [m for n, m in sys.modules.items() if n.partition(".")[0] == "pyoci"]
print(len(ours), sum(type(m.__loader__).__name__ == "Snapshot" for m in ours))
print(all(m.__spec__ is not None and m.__file__ for m in ours))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A directory that looks like site-packages with nothing but the snapshot in it."""
    place = tmp_path_factory.mktemp("snapshot")
    (place / "pyoci").mkdir()
    subprocess.run(
        [sys.executable, "-I", "-S", "-X", "no_debug_ranges", MAKER, ROOT, place / "pyoci" / "snapshot.bin"],
        check=True,
    )
    return str(place)


def show(tree: str, verb: str) -> list[str]:
    command = [sys.executable, "-I", "-S", "-B", "-c", SHOW, ROOT, tree, verb]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return result.stdout.split()


@pytest.mark.parametrize("verb", ["create", "start", "state", "kill", "delete", "run", "list", "features"])
def test_every_module_of_a_hot_command_comes_from_the_snapshot(tree: str, verb: str) -> None:
    total, packed, complete = show(tree, verb)
    assert int(total) > 10
    assert total == packed
    assert complete == "True"


def test_a_source_tree_is_imported_as_usual(tmp_path_factory: pytest.TempPathFactory) -> None:
    total, packed, _ = show(str(tmp_path_factory.mktemp("empty")), "state")
    assert int(total) > 10
    assert packed == "0"


def test_another_interpreters_snapshot_is_left_alone(tree: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("other")
    (place / "pyoci").mkdir()
    with open(tree + "/pyoci/snapshot.bin", "rb") as file:
        data = file.read()
    tag = sys.implementation.cache_tag.encode()
    (place / "pyoci" / "snapshot.bin").write_bytes(data.replace(tag, b"x" * len(tag), 1))
    assert show(str(place), "state")[1] == "0"
