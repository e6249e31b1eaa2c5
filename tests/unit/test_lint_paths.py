"""What the code of the child may not even contain: paths below the rootfs as text, late imports, text files.

Everything below the rootfs belongs to an attacker who moves it about meanwhile, so each look-up there starts at a
descriptor (`dir_fd=`, or a function of pyoci.kernel.path).  The few places that hand a path to the kernel as text
stand in ALLOWED, each with the reason why that is right.  After the join nothing may be imported: a module, a codec
or a source line would come from the image.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pyoci

PACKAGE = Path(pyoci.__file__).parent
CHILD = sorted([*(PACKAGE / "init").glob("*.py"), *(PACKAGE / "ops").glob("*.py"), PACKAGE / "hooks.py"])
FILES = [*CHILD, *sorted((PACKAGE / "kernel").glob("*.py"))]
NAMES = [str(path.relative_to(PACKAGE)) for path in FILES]

# Functions of os that look up a path.
LOOKUPS = {
    "access", "chdir", "chflags", "chmod", "chown", "chroot", "execv", "execve", "getxattr", "lchown", "link",
    "listdir", "listxattr", "lstat", "makedirs", "mkdir", "mkfifo", "mknod", "open", "pathconf", "readlink",
    "remove", "removedirs", "removexattr", "rename", "renames", "replace", "rmdir", "scandir", "setxattr", "stat",
    "statvfs", "symlink", "truncate", "unlink", "utime", "walk",
}  # fmt: skip
BY_DESCRIPTOR = {"dir_fd", "src_dir_fd", "dst_dir_fd"}
# (file, function that calls, function called): why a path as text is right there.
ALLOWED = {
    ("init/identity.py", "_change_directory", "chdir"): "after the change of root; checked by getcwd behind it",
    ("init/lookup.py", "_why_not", "stat"): "after the change of root and of ids, as execve will look it up",
    ("init/lookup.py", "_why_not", "access"): "as above",
    ("init/lookup.py", "_refused", "path.isdir"): "as above, for the words of an error",
    ("init/diagnose.py", "missing_part", "open"): "after the change of root and of ids, for the words of an error",
    ("init/stdio.py", "_container_null", "open"): "/proc/self/fd/N of a descriptor that was checked, checked again",
    ("init/exec.py", "_join", "chroot"): "the working directory, which is the descriptor of init's root",
    ("init/exec.py", "_become", "open"): "/, the root of the container's namespace",
    ("init/exec.py", "_open_labels", "open"): "the container's /proc, checked after it to be a procfs",
    ("hooks.py", "_become", "chdir"): "the bundle, or the working directory that was checked before",
    ("hooks.py", "_become", "execve"): "a hook's path is the caller's",
    ("init/init.py", "_ask_for_sources", "open"): "/ before the change of root, and the host's procfs",
    ("ops/idmap.py", "filesystem_name", "open"): "mountinfo, before the change of root",
    ("ops/root.py", "_read", "open"): "two files of the host's procfs, before the change of root",
    ("ops/root.py", "apply", "open"): "/, before the change of root, to leave it by",
    ("ops/root.py", "apply", "chdir"): "/, after the change of root",
    ("ops/root.py", "apply", "chroot"): "the working directory, which is the descriptor of the root",
}  # fmt: skip
# Functions whose first argument is a descriptor here.
ON_DESCRIPTORS = {
    ("ops/copy_up.py", "_copy_directory", "listdir"),
    ("ops/copy_up.py", "_copy_attributes", "listxattr"),
    ("ops/copy_up.py", "_copy_attributes", "getxattr"),
    ("ops/copy_up.py", "_copy_attributes", "setxattr"),
    ("ops/copy_up.py", "_copy_attributes", "utime"),
    ("ops/security_context.py", "set_context", "setxattr"),
}
# Mount calls that take a path as text: (file, calling function, called function).
MOUNTS_BY_NAME = {
    ("ops/mounts.py", "_mount_the_old_way", "mount"): "/proc/self/fd/N of the checked mount point",
    ("ops/mounts.py", "apply", "mount"): "/proc/self/fd/N of what was opened in the root (remount)",
    ("ops/root.py", "apply", "mount"): "/ and . of the new mount namespace",
    ("ops/root.py", "apply", "umount2"): ". after pivot_root",
    ("ops/root.py", "make_parent_unshared", "mount"): "a mount point of the host, from mountinfo",
    ("ops/root.py", "_detach", "mount"): "a mount point of the host, from mountinfo",
    ("ops/root.py", "_detach", "umount2"): "a mount point of the host, from mountinfo",
}


AFTER_THE_FREEZE = """
import os, sys
sys.path.append(%r)
from pyoci.init.freeze import freeze_imports
freeze_imports()
for name in ("json", "pyoci.cli.main", "zlib", "encodings.cp1252", "linecache", "nowhere"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    os._exit(1)
try:
    b"x".decode("cp1252")
except LookupError:
    os._exit(0)
os._exit(2)
"""


def tree_of(name: str) -> ast.Module:
    return ast.parse((PACKAGE / name).read_text())


def calls(tree: ast.AST) -> "list[tuple[str, ast.Call]]":
    """(name of the enclosing function, call) for every call in a file."""
    found: list[tuple[str, ast.Call]] = []

    def walk(node: ast.AST, function: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = child.name if isinstance(child, ast.FunctionDef) else function
            if isinstance(child, ast.Call):
                found.append((inner, child))
            walk(child, inner)

    walk(tree, "")
    return found


def os_function(call: ast.Call) -> str:
    """`open` for os.open(...), `path.join` for os.path.join(...), else empty."""
    text = ast.unparse(call.func)
    return text.removeprefix("os.") if text.startswith("os.") else ""


def looked_up_by_name(tree: ast.AST) -> set[tuple[str, str]]:
    """(calling function, function of os) of every call that gives the kernel a path without a directory."""
    found = set()
    for function, call in calls(tree):
        name = os_function(call)
        if name.startswith("path.") or (
            name in LOOKUPS and not BY_DESCRIPTOR & {keyword.arg for keyword in call.keywords}
        ):
            found.add((function, name))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_path_that_is_looked_up_by_name_has_a_reason(name: str) -> None:
    found = {(name, *pair) for pair in looked_up_by_name(tree_of(name))}
    assert found - ALLOWED.keys() - ON_DESCRIPTORS == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_mount_by_name_has_a_reason(name: str) -> None:
    found = {
        (name, function, call.func.id)
        for function, call in calls(tree_of(name))
        if isinstance(call.func, ast.Name) and call.func.id in {"mount", "umount2"}
    }
    assert found - MOUNTS_BY_NAME.keys() == set()


def test_the_reasons_are_for_code_that_is_there() -> None:
    found = set()
    for name in NAMES:
        tree = tree_of(name)
        found |= {(name, *pair) for pair in looked_up_by_name(tree)}
        found |= {(name, function, ast.unparse(call.func)) for function, call in calls(tree)}
    assert {*ALLOWED, *ON_DESCRIPTORS, *MOUNTS_BY_NAME} - found == set()


@pytest.mark.parametrize("name", NAMES)
def test_no_file_is_opened_as_text(name: str) -> None:
    """open() looks for a codec by the locale's name, and its buffers are flushed by whoever exits."""
    wanted = {"open", "io.open", "codecs.open", "os.fdopen", "print", "input", "exec", "eval", "__import__"}
    assert [call.lineno for _, call in calls(tree_of(name)) if ast.unparse(call.func) in wanted] == []


@pytest.mark.parametrize("name", NAMES)
def test_no_codec_is_looked_up_late(name: str) -> None:
    """Those that the interpreter knows by heart do not need the package `encodings`."""
    known = {"utf-8", "ascii", "latin-1"}
    handlers = {"strict", "surrogateescape", "backslashreplace", "replace", "ignore"}
    for _, call in calls(tree_of(name)):
        if isinstance(call.func, ast.Attribute) and call.func.attr in {"encode", "decode"}:
            words = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
            assert len(words) == len(call.args), ast.unparse(call)
            assert set(words[:1]) <= known, ast.unparse(call)
            assert set(words[1:]) <= handlers, ast.unparse(call)


def late_imports(tree: ast.AST) -> set[str]:
    """The modules that are imported inside functions."""
    found: set[str] = set()
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    found |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    found.add(node.module or "")
    return found


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """The modules that are there when a container is made: those of the command `create` before it forks."""
    code = (
        "import sys; sys.path.append(%r); import pyoci.runtime.create, pyoci.init.enter; print(*sys.modules)"
        % str(PACKAGE.parent)
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", NAMES)
def test_what_functions_import_is_loaded_before_the_child_starts(name: str, loaded: set[str]) -> None:
    fall_back = {"ctypes", "_pyoci"} if name == "kernel/syscall.py" else set()  # at import time, never later
    assert late_imports(tree_of(name)) - loaded - fall_back == set()


def test_a_module_that_is_not_loaded_cannot_be_imported_after_the_freeze() -> None:
    code = AFTER_THE_FREEZE % str(PACKAGE.parent)
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("os.path.join(rootfs, x)", {("f", "path.join")}),
        ("os.stat(rootfs + x)", {("f", "stat")}),
        ("os.stat(x, dir_fd=root)", set()),
        ("os.fstat(x)", set()),
        ("os.rename(a, b, src_dir_fd=c)", set()),
        ("os.path.realpath(a)", {("f", "path.realpath")}),
    ],
)
def test_the_lint_sees_what_it_should(line: str, found: set[tuple[str, str]]) -> None:
    assert looked_up_by_name(ast.parse("def f():\n    " + line)) == found
