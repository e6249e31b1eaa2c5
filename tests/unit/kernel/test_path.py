"""Resolution and creation below a root that is not ours to trust (root is not needed).

`jail` is the root, `jail/../outside` stands for the host: nothing is ever made or reached there.
"""

import os
import stat
import threading
from collections.abc import Callable, Iterator
from errno import EEXIST, ELOOP, ENOENT, ENOTDIR
from pathlib import Path

import pytest

from pyoci.errors import SyscallError
from pyoci.kernel.path import (
    RESOLVE_BENEATH,
    RESOLVE_NO_SYMLINKS,
    _make_components,
    clean,
    ensure_directory,
    ensure_file,
    exists_in_root,
    is_symlink,
    open_in_root,
    open_parent,
    openat2,
    read_link,
)

RENAME_EXCHANGE = 2
SYS_RENAMEAT2 = {"x86_64": 316, "aarch64": 276}[os.uname().machine]


class Jail:
    """A root directory in a directory with a neighbour that must stay as it is."""

    def __init__(self, base: Path) -> None:
        self.root = base / "jail"
        self.outside = base / "outside"
        self.root.mkdir()
        self.outside.mkdir()
        (self.outside / "secret").write_text("secret")
        self.fd = os.open(self.root, os.O_PATH | os.O_DIRECTORY)

    def link(self, name: str, target: str) -> None:
        """A symlink inside."""
        (self.root / name).symlink_to(target)

    def where(self, fd: int) -> str:
        """The path of a descriptor as seen from the root; the descriptor is closed."""
        text = os.readlink("/proc/self/fd/%d" % fd)
        os.close(fd)
        assert text == str(self.root) or text.startswith(str(self.root) + "/"), text
        return text[len(str(self.root)) :] or "/"


@pytest.fixture
def jail(tmp_path: Path) -> Iterator[Jail]:
    descriptors = sorted(os.listdir("/proc/self/fd"))
    one = Jail(tmp_path)
    yield one
    os.close(one.fd)
    assert sorted(os.listdir(one.outside)) == ["secret"]
    assert (one.outside / "secret").read_text() == "secret"
    assert sorted(os.listdir("/proc/self/fd")) == descriptors, "a descriptor was left open"


CLIMB = "../" * 40


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("a/b", "/a/b"),
        ("/a/b", "/a/b"),
        ("//a/./b/", "/a/b"),
        ("..", "/"),
        (CLIMB + "a", "/a"),
        ("/a/b/../..", "/"),
        ("to_a/b", "/a/b"),
        ("absolute", "/a/b"),
        ("climbing/b", "/a/b"),
        ("root/a", "/a"),
    ],
)
def test_symlinks_and_dots_are_resolved_inside(jail: Jail, asked: str, found: str) -> None:
    (jail.root / "a/b").mkdir(parents=True)
    jail.link("to_a", "a")
    jail.link("absolute", "/a/b")
    jail.link("climbing", CLIMB + "a")
    jail.link("root", "/..")
    assert jail.where(open_in_root(jail.fd, asked)) == found
    assert exists_in_root(jail.fd, asked)
    assert jail.where(ensure_directory(jail.fd, asked)) == found


@pytest.mark.parametrize("target", ["OUTSIDE/secret", "../outside/secret", "/proc/self/cwd/secret"])
def test_the_host_is_not_reached_through_a_symlink(jail: Jail, target: str) -> None:
    jail.link("out", target.replace("OUTSIDE", str(jail.outside)))
    with pytest.raises(SyscallError) as caught:
        open_in_root(jail.fd, "out")
    assert caught.value.errno == ENOENT
    assert not exists_in_root(jail.fd, "out")


def test_without_symlinks_any_symlink_on_the_way_is_refused(jail: Jail) -> None:
    (jail.root / "a/b").mkdir(parents=True)
    jail.link("last", "a/b")
    jail.link("first", "a")
    for asked in ("last", "first/b", "a/../first"):
        with pytest.raises(SyscallError) as caught:
            open_in_root(jail.fd, asked, symlinks=False)
        assert caught.value.errno == ELOOP
    assert jail.where(open_in_root(jail.fd, "a/b", symlinks=False)) == "/a/b"


def test_magic_links_lead_nowhere() -> None:
    """The root is /proc itself, where they are real."""
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    here = os.open(".", os.O_PATH)
    try:
        for asked in ("self/cwd", "self/root/etc", "self/fd/%d" % here, "self/exe", "self/ns/mnt"):
            for way in (open_in_root, ensure_directory, ensure_file):
                with pytest.raises(SyscallError) as caught:
                    way(proc, asked)
                assert caught.value.errno == ELOOP, (asked, way)
    finally:
        os.close(here)
        os.close(proc)


def test_the_text_of_a_magic_link_is_not_walked_when_it_appears_late(jail: Jail) -> None:
    """The first look finds nothing at self/fd/N; when the parts are made one by one N is in use."""
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    taken = os.open(jail.outside, os.O_PATH)
    try:
        with pytest.raises(SyscallError) as caught:
            _make_components(proc, ["self", "fd", str(taken), "made"], 0o755)
        assert caught.value.errno == ELOOP
    finally:
        os.close(taken)
        os.close(proc)


def test_missing_directories_are_made_with_the_mode(jail: Jail) -> None:
    old = os.umask(0)
    try:
        assert jail.where(ensure_directory(jail.fd, "/x/y/z", mode=0o751)) == "/x/y/z"
    finally:
        os.umask(old)
    assert [stat.S_IMODE((jail.root / name).stat().st_mode) for name in ("x", "x/y", "x/y/z")] == [0o751] * 3


@pytest.mark.parametrize(
    ("links", "asked", "made"),
    [
        ({"a": "b"}, "a", "/b"),
        ({"a": "/b/c"}, "a/d", "/b/c/d"),
        ({"a": "OUTSIDE/made"}, "a", "OUTSIDE/made"),
        ({"a": CLIMB + "b"}, "a/c", "/b/c"),
        ({"a": "b", "b": "/c", "c": "../../d/e"}, "a/f", "/d/e/f"),
        ({}, "new/../../../x", "/x"),
        ({"a": "b/.."}, "a/c", "/c"),
        ({"a": "b/../../.."}, "a/c/..", "/"),
    ],
)
def test_dangling_symlinks_are_made_real_inside(jail: Jail, links: dict[str, str], asked: str, made: str) -> None:
    for name, target in links.items():
        jail.link(name, target.replace("OUTSIDE", str(jail.outside)))
    assert jail.where(ensure_directory(jail.fd, asked)) == made.replace("OUTSIDE", str(jail.outside))


@pytest.mark.parametrize(
    ("links", "asked", "made"),
    [
        ({}, "d/f", "/d/f"),
        ({"a": "b"}, "a", "/b"),
        ({"a": "OUTSIDE/made"}, "a", "OUTSIDE/made"),
        ({"a": CLIMB + "x/y"}, "a", "/x/y"),
        ({"a": "/b", "b": "c/d", "c": "/e"}, "a", "/e/d"),
    ],
)
def test_missing_files_are_made_at_the_end_of_dangling_symlinks(
    jail: Jail, links: dict[str, str], asked: str, made: str
) -> None:
    for name, target in links.items():
        jail.link(name, target.replace("OUTSIDE", str(jail.outside)))
    assert jail.where(ensure_file(jail.fd, asked)) == made.replace("OUTSIDE", str(jail.outside))


@pytest.mark.parametrize("target", ["a", "/a", "./../a", "b"])
def test_loops_end(jail: Jail, target: str) -> None:
    jail.link("a", target)
    jail.link("b", "a")
    for way, asked in ((ensure_directory, "a"), (ensure_directory, "a/x"), (ensure_file, "a"), (open_in_root, "a")):
        with pytest.raises(SyscallError) as caught:
            way(jail.fd, asked)
        assert caught.value.errno == ELOOP


def test_a_dangling_chain_longer_than_the_kernel_allows_ends(jail: Jail) -> None:
    for number in range(60):
        jail.link("l%d" % number, "l%d" % (number + 1))
    for way in (ensure_directory, ensure_file):
        with pytest.raises(SyscallError) as caught:
            way(jail.fd, "l0")
        assert caught.value.errno == ELOOP


def test_a_file_in_the_way_of_a_directory_is_an_error(jail: Jail) -> None:
    (jail.root / "file").write_text("kept")
    for way, asked in ((ensure_directory, "file"), (ensure_directory, "file/x"), (ensure_file, "file/x")):
        with pytest.raises(SyscallError) as caught:
            way(jail.fd, asked)
        assert caught.value.errno == ENOTDIR
    assert (jail.root / "file").read_text() == "kept"


def test_an_existing_file_keeps_its_content_and_type(jail: Jail) -> None:
    (jail.root / "file").write_text("kept")
    os.mkfifo(jail.root / "fifo")
    jail.link("link", "file")
    assert jail.where(ensure_file(jail.fd, "file")) == "/file"
    assert jail.where(ensure_file(jail.fd, "link")) == "/file"
    assert jail.where(ensure_file(jail.fd, "fifo")) == "/fifo"  # and it did not wait for a writer
    assert (jail.root / "file").read_text() == "kept"


def test_the_parent_of_a_path_is_made_and_the_last_part_is_not_followed(jail: Jail) -> None:
    jail.link("d", str(jail.outside))
    fd, name = open_parent(jail.fd, "/d/node/")
    assert (jail.where(fd), name) == (str(jail.outside), "node")
    fd, name = open_parent(jail.fd, "node")
    assert (jail.where(fd), name) == ("/", "node")
    for asked in ("/", "", "x/..", "x/.", ".."):
        with pytest.raises(SyscallError):
            open_parent(jail.fd, asked)


def test_a_symlink_itself_can_be_held_and_read(jail: Jail) -> None:
    jail.link("a", "nowhere/at/all")
    fd = openat2(jail.fd, "a", os.O_PATH | os.O_NOFOLLOW, resolve=RESOLVE_BENEATH)
    assert is_symlink(fd)
    assert read_link(fd) == "nowhere/at/all"
    os.close(fd)
    with pytest.raises(SyscallError) as caught:
        openat2(jail.fd, "a", os.O_PATH | os.O_NOFOLLOW, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, mode=1)
    assert caught.value.errno  # a mode without O_CREAT is EINVAL: the structure arrives as packed


def test_descriptors_are_close_on_exec(jail: Jail) -> None:
    for fd in (open_in_root(jail.fd, "/"), ensure_directory(jail.fd, "x"), ensure_file(jail.fd, "y")):
        assert not os.get_inheritable(fd)
        os.close(fd)


@pytest.mark.parametrize(
    ("text", "result"),
    [("/a/../b", "/b"), ("a//b/.", "/a/b"), ("../..", "/"), ("/a/../../b/", "/b"), ("", "/"), ("/...", "/...")],
)
def test_paths_are_cleaned_as_text(text: str, result: str) -> None:
    assert clean(text) == result


def test_undecodable_names_are_kept(jail: Jail) -> None:
    fd = ensure_directory(jail.fd, os.fsdecode(b"\xff\xfe/x"))
    os.close(fd)
    assert os.listdir(os.fsencode(jail.root)) == [b"\xff\xfe"]


# ---- races: a thread exchanges a directory and a symlink to the neighbour as fast as it can ----


class Swapper(threading.Thread):
    """renameat2(RENAME_EXCHANGE) of two names, over and over."""

    def __init__(self, folder: Path, one: str, other: str) -> None:
        super().__init__()
        self.folder = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        self.names = one.encode(), other.encode()
        self.ended = False
        self.count = 0

    def run(self) -> None:
        import ctypes

        libc = ctypes.CDLL(None)  # lets go of the interpreter's lock while it works
        one, other = self.names
        while not self.ended:
            libc.syscall(SYS_RENAMEAT2, self.folder, one, self.folder, other, RENAME_EXCHANGE)
            self.count += 1

    def __enter__(self) -> "Swapper":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended = True
        self.join()
        os.close(self.folder)
        assert self.count > 100


@pytest.mark.parametrize("target", ["OUTSIDE", CLIMB + "tmp", "../outside", "/elsewhere"])
@pytest.mark.parametrize("way", [ensure_directory, ensure_file, open_parent])
def test_a_swapped_directory_never_leads_outside(jail: Jail, target: str, way: Callable[..., object]) -> None:
    """CVE-2021-30465, CVE-2024-45310: `jail` looks for things made outside when the test is over."""
    (jail.root / "d").mkdir()
    jail.link("swap", target.replace("OUTSIDE", str(jail.outside)))
    names = set(os.listdir("/tmp"))
    with Swapper(jail.root, "d", "swap") as swapper:
        for number in range(1500):
            try:
                result = way(jail.fd, "/d/new%d/deep" % number)
            except SyscallError as error:
                assert error.errno in (ENOENT, ENOTDIR, ELOOP, EEXIST), error
                continue
            fd = result[0] if isinstance(result, tuple) else result
            text = os.readlink("/proc/self/fd/%d" % fd)  # type: ignore[str-bytes-safe]
            os.close(fd)  # type: ignore[arg-type]
            assert text.startswith(str(jail.root) + "/"), text
        while swapper.count <= 100:
            pass
    assert not {name for name in set(os.listdir("/tmp")) - names if name.startswith("new")}


def test_two_makers_of_one_directory_both_succeed(jail: Jail) -> None:
    """EEXIST of a parallel maker is no error (a regression of runc 1.2.3)."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for number in range(200):
                os.close(ensure_directory(jail.fd, "p%d/q/r" % number))
                os.close(ensure_file(jail.fd, "p%d/f" % number))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
