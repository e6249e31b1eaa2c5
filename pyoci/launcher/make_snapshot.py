"""Write pyoci/snapshot.bin for a wheel: `make_snapshot.py SOURCE_TREE TARGET`.  Run at build time only.

The orders are not worked out but observed: each command's module is imported from the source tree, and the
modules are noted as they finish.
"""

import marshal
import os
import sys
from hashlib import sha256
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

# Loaded after a mistake, once in a profile's life or for a person only: their own files will do.  Everything that
# needs files of the standard library to be imported is among them; of the others an image can be made.
LEFT_OUT = frozenset(
    "pyoci." + name
    for name in (
        "__main__",
        "boot",
        "cli.click_reader",
        "cli.human",
        "cli.version",
        "config.advice",
        "config.compile",
        "config.compile_schema",
        "config.host_check",
        "config.positions",
        "config.report",
        "config.schema_faults",
        "config.types",
        "criu",
        "criu.conversation",
        "criu.log_file",
        "criu.messages",
        "criu.mounts",
        "criu.options",
        "criu.process",
        "criu.streams",
        "criu.wire",
        "core",
        "default_spec",
        "demo",
        "protect",
        "runtime.check",
        "runtime.checkpoint",
        "runtime.images",
        "runtime.loopback",
        "runtime.restore",
        "runtime.restore_root",
        "runtime.restoring",
        "runtime.saved",
        "runtime.spec",
        "seccomp.binding",
        "seccomp.compile",
        "seccomp.enosys",
    )
)
HOT = ("create", "delete", "exec", "features", "kill", "list", "pause", "resume", "run", "start", "state")
FIRST = ("pyoci.startup", "pyoci.cli.main")
# Code objects are for one interpreter only; boot.py compares.  A digest of the code and the index's length follow,
# 16 hexadecimal digits each.
HEAD = ("pyoci snapshot 3 %s %x " % (sys.implementation.cache_tag, sys.hexversion)).encode()


class Recorder:
    """An import finder that compiles the package's sources and notes when each module has finished."""

    def __init__(self, code: dict[str, tuple[bool, CodeType]]) -> None:
        self.code = code
        self.finished: list[str] = []

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """A spec for every module of the package."""
        if name not in self.code:
            return None
        return ModuleSpec(name, self, is_package=self.code[name][0])  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """The default will do."""

    def exec_module(self, module: ModuleType) -> None:
        """Run it, then note it."""
        exec(self.code[module.__name__][1], module.__dict__)  # noqa: S102  (an importer's work)
        self.finished.append(module.__name__)


def compile_package(tree: str) -> dict[str, tuple[bool, CodeType]]:
    """Module name -> (is a package, code without docstrings)."""
    code = {}
    for directory, _, files in os.walk(os.path.join(tree, "pyoci")):
        for file in sorted(files):
            path = os.path.join(directory, file)
            name = os.path.relpath(path, tree).removesuffix(".py").replace(os.sep, ".")
            is_package = name.endswith(".__init__")
            name = name.removesuffix(".__init__")
            if (
                file.endswith(".py")
                and name not in LEFT_OUT
                and not name.startswith(("pyoci.launcher", "pyoci.demo"))
            ):
                with open(path, encoding="utf-8") as source:
                    text = source.read()
                shown = os.path.relpath(path, tree)
                code[name] = (is_package, compile(text, shown, "exec", dont_inherit=True, optimize=2))
    return code


def observe(recorder: Recorder, name: str) -> list[str]:
    """The modules that importing `name` into a fresh interpreter loads, each after those it needs."""
    for loaded in [module for module in sys.modules if module.partition(".")[0] == "pyoci"]:
        del sys.modules[loaded]
    recorder.finished.clear()
    __import__(name)
    return [module for module in recorder.finished if module != name]


def packages_first(order: list[str]) -> list[str]:
    """A package finishes before its modules when each import names it first; make that so for all."""
    result: list[str] = []
    for name in order:
        parts = name.split(".")
        for depth in range(1, len(parts)):
            parent = ".".join(parts[:depth])
            if parent not in result:
                result.append(parent)
        if name not in result:
            result.append(name)
    return result


def make(tree: str) -> bytes:
    """The whole file: head, index, the modules one by one, and what each command needs in one piece."""
    sys.path.append(tree)
    code = compile_package(tree)
    recorder = Recorder(code)
    sys.meta_path.insert(0, recorder)
    bodies = {name: marshal.dumps(value) for name, (_, value) in code.items()}
    pieces = {}
    for name in (*FIRST, *("pyoci.runtime." + command for command in HOT)):
        order = [*packages_first(observe(recorder, name)), name]
        pieces[name] = marshal.dumps([(needed, *code[needed]) for needed in order])

    def index(start: int) -> bytes:
        """The index of bodies and pieces that begin at `start`."""
        modules, orders = {}, {}
        for name, body in bodies.items():
            modules[name] = (code[name][0], start, len(body))
            start += len(body)
        for name, piece in pieces.items():
            orders[name] = (start, len(piece))
            start += len(piece)
        return marshal.dumps((code["pyoci.snapshot"][1], modules, orders))

    # The offsets stand in the index, and the index's length moves them; its numbers have a fixed width.
    length = len(index(0))
    packed = index(len(HEAD) + 32 + length)
    if len(packed) != length:
        raise ValueError("the index changed its length")
    rest = packed + b"".join(bodies.values()) + b"".join(pieces.values())
    return HEAD + sha256(rest).hexdigest()[:16].encode() + b"%016x" % length + rest


if __name__ == "__main__":
    with open(sys.argv[2], "wb") as target:
        target.write(make(sys.argv[1]))
