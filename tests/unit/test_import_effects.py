"""What a module does while it is imported is done once, when pyoci is built (docs/adr/0015-image.md).

So none may look at the machine, the caller or the clock there: every later process would see those of the build.
"""

import ast
from pathlib import Path

import pytest

import pyoci

PACKAGE = Path(pyoci.__file__).parent
# They end where they begin: scripts, and what runs at build time only.
SCRIPTS = {"__main__.py", "core.py", "boot.py", "config/compile_schema.py", "demo/inside.py", "demo/__main__.py"}
# The same wherever one build can be installed, or no question to the machine at all.
ALLOWED = {"os.uname", "os.sysconf", "os.makedev"}
MACHINE = {"os", "posix", "time", "sys", "_socket", "select", "fcntl", "_signal", "gc", "pwd", "open", "input"}
STATE = {
    "os.environ",
    "os.environb",
    "sys.argv",
    "sys.stdin",
    "sys.stdout",
    "sys.stderr",
    "sys.path",
    "sys.executable",
}


def done_while_imported(node: ast.AST) -> list[ast.AST]:
    """The calls and attributes outside of functions; decorators and default values are inside of none."""
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            rest = [
                *getattr(child, "decorator_list", []),
                *child.args.defaults,
                *filter(None, child.args.kw_defaults),
            ]
            found += [one for part in rest for one in [part, *done_while_imported(part)]]
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        else:
            found += [child, *done_while_imported(child)]
    return found


def questions(source: str) -> list[str]:
    """What of it asks the machine or the caller."""
    asked = []
    for node in done_while_imported(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name.partition(".")[0] in MACHINE and name not in ALLOWED:
                asked.append("line %d: %s" % (node.lineno, name))
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in STATE:
            asked.append("line %d: %s" % (node.lineno, ast.unparse(node)))
    return asked


@pytest.mark.parametrize(
    ("source", "asks"),
    [
        ("import os\nPID = os.getpid()", True),
        ("import os\ndef f(pid=os.getpid()): return os.getppid()", True),
        ("import os\nclass A:\n    home = os.environ.get('HOME')", True),
        ("import time\nX = [time.time() for _ in 'ab']", True),
        ("import os\nM = os.uname().machine\ndef f(): return os.environ", False),
    ],
)
def test_such_a_question_is_seen(source: str, asks: bool) -> None:
    assert bool(questions(source)) == asks


def test_no_module_looks_at_the_machine_while_it_is_imported() -> None:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = str(path.relative_to(PACKAGE))
        if name not in SCRIPTS and not name.startswith("launcher/"):
            asked = questions(path.read_text(encoding="utf-8"))
            if asked:
                found[name] = asked
    assert found == {}
