"""The rules of the house that a program can check: who may import whom, names, sizes."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyoci
from pyoci.cli.table import COMMANDS

PACKAGE = Path(pyoci.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in FILES]

# What each room may import of pyoci, itself and `errors` aside: whole rooms, or single modules of one.  A room
# without a row may import all but ABOVE.  Down: cli -> runtime -> plan -> ops -> kernel; init -> ops, kernel.
ABOVE = {"cli", "runtime", "init", "boot", "startup", "protect"}
MAY_IMPORT = {
    "errors": set(),
    "tables": set(),
    "log": set(),
    "kernel": {"tables"},
    "ops": {"kernel", "tables"},
    "systemd": {"cgroup", "kernel", "tables"},
    "plan": {"ops", "tables", "cgroup.paths", "config.fault", "config.sysctl"},
    "init": {"ops", "kernel", "tables", "hooks", "config.json_text"},
    "cli": {"runtime", "log"},
    "__main__": {"cli"},
    "boot": {"startup"},
    "startup": {"cli", "protect", "protection", "snapshot"},
    "protect": {"startup", "protection", "kernel"},
    "protection": set(),
    "snapshot": set(),
}
# What each room may not import of Python: the plan is made without looking at the machine.
MAY_NOT_IMPORT = {
    "plan": {"os", "ctypes", "_ctypes", "subprocess", "fcntl", "socket", "_socket", "select", "time"},
    "cli": {"ctypes", "_ctypes", "fcntl", "socket", "_socket", "subprocess"},
}
TOO_VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "tools"}
MOST_LINES = 500


def room_of(name: str) -> str:
    """`plan` for plan/mounts.py, `log` for log.py."""
    return name.partition("/")[0].removesuffix(".py")


def run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that stand under `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for other in node.orelse:
                yield other
                yield from run_time_nodes(other)
            continue
        yield node
        yield from run_time_nodes(node)


def imported(tree: ast.AST) -> set[str]:
    """The dotted names of what a file imports at run time."""
    names: set[str] = set()
    for node in run_time_nodes(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {"%s.%s" % (node.module, alias.name) for alias in node.names}
    return names


def modules_of_ours(names: set[str]) -> set[str]:
    """`ops.mounts` for `from pyoci.ops.mounts import x` and for `from pyoci.ops import mounts`."""
    modules = set()
    for name in names:
        parts = name.split(".")[1:3] if name.startswith("pyoci.") else []
        while parts and not module_exists(parts):
            parts.pop()
        modules.add(".".join(parts))
    return modules - {""}


def module_exists(parts: list[str]) -> bool:
    return PACKAGE.joinpath(*parts).is_dir() or PACKAGE.joinpath(*parts).with_suffix(".py").exists()


def may_import(room: str, module: str) -> bool:
    other = room_of(module.replace(".", "/"))
    if other in {room, "errors"}:
        return True
    if room in MAY_IMPORT:
        return other in MAY_IMPORT[room] or module in MAY_IMPORT[room]
    return other not in (ABOVE - {"init"} if room == "runtime" else ABOVE)


@pytest.mark.parametrize("name", NAMES)
def test_imports_go_down_the_house_only(name: str) -> None:
    room = room_of(name)
    names = imported(ast.parse((PACKAGE / name).read_text()))
    assert sorted(module for module in modules_of_ours(names) if not may_import(room, module)) == []
    assert sorted({dotted.partition(".")[0] for dotted in names} & MAY_NOT_IMPORT.get(room, set())) == []


@pytest.mark.parametrize(
    ("room", "module", "allowed"),
    [
        ("plan", "kernel.mount", False),
        ("plan", "ops.mounts", True),
        ("plan", "cgroup.driver", False),
        ("ops", "plan.make", False),
        ("init", "runtime.create", False),
        ("init", "config.load", False),
        ("runtime", "init.enter", True),
        ("runtime", "cli.call", False),
        ("config", "runtime.state", False),
        ("config", "tables.signals", True),
    ],
)
def test_the_rules_say_no_where_they_should(room: str, module: str, allowed: bool) -> None:
    assert may_import(room, module) is allowed


@pytest.mark.parametrize("name", NAMES)
def test_no_file_is_named_after_nothing(name: str) -> None:
    assert not TOO_VAGUE & set(name.removesuffix(".py").split("/"))


@pytest.mark.parametrize("name", NAMES)
def test_files_stay_short(name: str) -> None:
    """Lines inside one long literal, a table, do not count."""
    text = (PACKAGE / name).read_text()
    tables: set[int] = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            tables.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    assert len(text.splitlines()) - len(tables) <= MOST_LINES


@pytest.mark.parametrize("name", NAMES)
def test_no_check_is_an_assert_statement(name: str) -> None:
    """`python -O` would drop it."""
    tree = ast.parse((PACKAGE / name).read_text())
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_file_says_why_it_is_there(name: str) -> None:
    assert ast.get_docstring(ast.parse((PACKAGE / name).read_text()))


def test_the_walker_leaves_out_what_only_type_checkers_see() -> None:
    text = "import os\nif TYPE_CHECKING:\n    import typing\nelse:\n    import sys\ndef f():\n    from a import b\n"
    assert imported(ast.parse(text)) == {"os", "sys", "a.b"}


@pytest.mark.parametrize(
    ("command", "key"),
    [(row.name, option.key) for row in COMMANDS.values() for option in row.options],
)
def test_no_option_of_a_working_command_is_silently_ignored(command: str, key: str) -> None:
    """Some file of runtime/ or criu/ names it: weak, but it finds the option that nobody thought of."""
    texts = [path.read_text() for room in ("runtime", "criu") for path in (PACKAGE / room).rglob("*.py")]
    assert any('"%s"' % key in text for text in texts)
