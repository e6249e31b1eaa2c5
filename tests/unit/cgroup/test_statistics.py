"""Statistics (R-122): files of real cgroups against what runc 1.1 printed of the same ones.

tests/data/stat-v1.txt and stat-v2.txt hold the files of two paused containers (Linux 6.18, version 1; Linux 6.1,
version 2), each after a line `=== NAME`; the JSON beside them is runc's, without `raw`, which changed meanwhile.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from pyoci.cgroup import stat_files, stats_v1, stats_v2
from pyoci.cgroup.directory import Directory
from pyoci.cgroup.driver import Cgroup
from pyoci.cgroup.statistics import statistics
from pyoci.errors import HostError

DATA = Path(__file__).parent.parent.parent / "data"
V1 = ("cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "hugetlb")


def unpack(version: str, folder: Path) -> dict[str, str]:
    """Write the sample's files below `folder`; returns them by name."""
    files = {}
    for part in (DATA / ("stat-%s.txt" % version)).read_text().split("=== ")[1:]:
        name, _, text = part.partition("\n")
        files[name] = text
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return files


def expected(version: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((DATA / ("stat-%s.json" % version)).read_text())
    return result


def hierarchies(folder: Path) -> list[Directory]:
    return [Directory((name,), str(folder), str(folder / name)) for name in V1]


def test_version_1_gives_what_runc_gives(tmp_path: Path) -> None:
    files = unpack("v1", tmp_path)
    found = statistics(Cgroup("legacy", hierarchies(tmp_path), created=True))
    raw = found["memory"].pop("raw")
    assert found == expected("v1")
    lines = [line.split() for line in files["memory/memory.stat"].splitlines()]
    assert raw == {key: int(value) for key, value in lines}


def test_version_2_gives_what_runc_gives_and_more(tmp_path: Path) -> None:
    """memory.peak and pressure, which runc reads since 1.2, and memory.events, which it never shows."""
    files = unpack("v2", tmp_path)
    found = statistics(Cgroup("unified", [Directory((), str(tmp_path), str(tmp_path))], created=True))
    raw = found["memory"].pop("raw")
    assert raw["file"] == 21303296
    assert len(raw) == len(files["memory.stat"].splitlines())
    assert found["memory"]["usage"].pop("max") == 23728128
    assert found["memory"].pop("events") == {
        "low": 0, "high": 0, "max": 0, "oom": 0, "oom_kill": 0, "oom_group_kill": 0,
    }  # fmt: skip
    some = {"avg10": 3.97, "avg60": 1.18, "avg300": 0.26, "total": 825341}
    assert found["cpu"].pop("psi")["some"] == some
    assert set(found["memory"].pop("psi")) == set(found["blkio"].pop("psi")) == {"some", "full"}
    assert found == expected("v2")


def test_pressure_on_a_hybrid_host_comes_from_the_version_2_directory(tmp_path: Path) -> None:
    unpack("v1", tmp_path)
    unpack("v2", tmp_path / "unified")
    unified = Directory((), str(tmp_path / "unified"), str(tmp_path / "unified"))
    found = statistics(Cgroup("hybrid", [*hierarchies(tmp_path), unified], created=True))
    for key in ("cpu", "memory", "blkio"):
        assert set(found[key].pop("psi")) == {"some", "full"}
    del found["memory"]["raw"]
    assert found == expected("v1")


def test_what_a_kernel_lacks_is_nought_and_not_an_error(tmp_path: Path) -> None:
    """No controller at all: the document keeps its shape."""
    empty = {"limit": 0, "failcnt": 0}
    memory = {"usage": empty, "swap": empty, "kernel": empty, "kernelTCP": empty}
    for found in (stats_v1.statistics([]), stats_v2.statistics(str(tmp_path / "gone"))):
        assert found["memory"] == memory
        assert found["cpu"] == {"usage": {"kernel": 0, "user": 0}, "throttling": {}}
        assert found["cpuset"]["cpu_exclusive"] == found["cpuset"]["sched_relax_domain_level"] == 0
        assert (found["pids"], found["blkio"], found["hugetlb"]) == ({}, {}, {})
        assert "psi" not in found["cpu"]


def test_without_cgroups_there_are_no_statistics() -> None:
    with pytest.raises(HostError, match="the container has no cgroup"):
        statistics(Cgroup("none", [], created=True))


def test_unlimited_is_the_largest_number_but_nought_for_processes(tmp_path: Path) -> None:
    unpack("v2", tmp_path)
    for name in ("memory.max", "memory.swap.max", "pids.max"):
        (tmp_path / name).write_text("max\n")
    found = stats_v2.statistics(str(tmp_path))
    assert found["memory"]["usage"]["limit"] == found["memory"]["swap"]["limit"] == 2**64 - 1
    assert found["pids"] == {"current": 2}


def test_without_accounting_of_swap_the_sum_is_the_memory(tmp_path: Path) -> None:
    unpack("v2", tmp_path)
    (tmp_path / "memory.swap.current").unlink()
    (tmp_path / "memory.swap.max").unlink()
    found = stats_v2.statistics(str(tmp_path))["memory"]
    assert found["swap"] == {"limit": 67108864, "usage": 22343680, "failcnt": 0}


def test_huge_pages_that_are_counted(tmp_path: Path) -> None:
    unpack("v1", tmp_path)
    for name, value in (
        ("rsvd.usage_in_bytes", 4194304),
        ("rsvd.max_usage_in_bytes", 6291456),
        ("rsvd.failcnt", 3),
    ):
        (tmp_path / ("hugetlb/hugetlb.2MB." + name)).write_text("%d\n" % value)
    found = stats_v1.statistics(hierarchies(tmp_path))["hugetlb"]
    assert found == {"2MB": {"usage": 4194304, "max": 6291456, "failcnt": 3}}
    for path in tmp_path.glob("hugetlb/*rsvd*"):
        path.unlink()
    assert stats_v1.statistics(hierarchies(tmp_path))["hugetlb"] == {"2MB": {"failcnt": 0}}
    unpack("v2", tmp_path / "two")
    (tmp_path / "two/hugetlb.2MB.rsvd.current").write_text("2097152\n")
    (tmp_path / "two/hugetlb.2MB.events").write_text("max 7\n")
    assert stats_v2.statistics(str(tmp_path / "two"))["hugetlb"] == {"2MB": {"usage": 2097152, "failcnt": 7}}


def test_the_scheduler_that_counts_is_the_one_that_is_read(tmp_path: Path) -> None:
    """bfq with and without its debugging files, and the names of the scheduler before it."""
    full = tmp_path / "blkio"
    full.mkdir()
    for name in ("sectors", "io_service_time", "io_wait_time", "io_merged", "io_queued", "time", "io_serviced"):
        (full / ("blkio.bfq.%s_recursive" % name)).write_text("8:16 Read 5\nTotal 5\n")
    (full / "blkio.bfq.sectors_recursive").write_text("8:16 99\n")
    (full / "blkio.throttle.io_serviced_recursive").write_text("8:16 Read 77\n")
    found = stats_v1.statistics(hierarchies(tmp_path))["blkio"]
    assert found["sectorsRecursive"] == [{"major": 8, "minor": 16, "value": 99}]
    assert found["ioQueueRecursive"] == [{"major": 8, "minor": 16, "op": "Read", "value": 5}]
    assert "ioServiceBytesRecursive" not in found
    (full / "blkio.bfq.sectors_recursive").unlink()
    assert set(stats_v1.statistics(hierarchies(tmp_path))["blkio"]) == {"ioServicedRecursive"}


def test_a_cpuset_without_prefix(tmp_path: Path) -> None:
    (tmp_path / "cpus").write_text("0-2,7\n")
    (tmp_path / "mems").write_text("0\n")
    (tmp_path / "sched_load_balance").write_text("1\n")
    directory = Directory(("cpuset",), str(tmp_path), str(tmp_path), noprefix=True)
    found = stats_v1.statistics([directory])["cpuset"]
    assert (found["cpus"], found["mems"], found["sched_load_balance"]) == ([0, 1, 2, 7], [0], 1)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("", []), ("\n", []), ("0\n", [0]), ("0-3", [0, 1, 2, 3]), ("1,3-4,9\n", [1, 3, 4, 9]), ("a-b,5", [5])],
)
def test_lists_of_processors(text: str, numbers: list[int]) -> None:
    assert stat_files.members(text) == numbers


@pytest.mark.parametrize("text", ["novalue\n", "key word\n", "a b c\n", "\n", "key -5\n"])
def test_lines_of_another_form_are_passed_over(text: str) -> None:
    assert stat_files.flat(text + "good 7\n") == {"good": 7}
    assert stat_files.transfers(text + "8:0 Read 7\n") == [{"major": 8, "op": "Read", "value": 7}]
    assert stat_files.nested("8:0 rbytes=7 wbytes=x odd\nnone rbytes=1\n") == [(8, 0, {"rbytes": 7})]


def test_pressure_of_processors_has_no_full_line_before_5_13() -> None:
    found = stat_files.pressure("some avg10=1.50 avg60=0.00 avg300=0.00 total=12\n")
    assert found is not None
    assert found["some"] == {"avg10": 1.5, "avg60": 0.0, "avg300": 0.0, "total": 12}
    assert found["full"]["total"] == 0
    assert stat_files.pressure("") is None
