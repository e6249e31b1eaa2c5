"""Where a pyoci process begins in an interpreter of which only the core is initialised.

Compiled into pyoci/launcher/interpreter.c together with pyoci/boot.py, and run as __main__.  Until somebody needs
more there are built-in and frozen modules only: no search path, no `open`, no streams, no codecs but UTF-8, ASCII
and Latin-1, which are part of str and bytes.  What is missing comes with `Rest`.
"""

import _codecs
import _imp
import _signal
import builtins
import posix
import sys
from _frozen_importlib import ModuleSpec

import _pyoci  # built into the interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from codecs import CodecInfo
    from collections.abc import Sequence
    from types import ModuleType

# Extension modules that the hot path needs and that some builds of Python keep in files of their own.
EXTENSIONS = ("_json", "_socket", "_struct", "fcntl", "grp", "math", "pwd", "select")


class Extensions:
    """An import finder and loader for those of EXTENSIONS that are files."""

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """A spec for the extension module, when there is such a file."""
        if name not in EXTENSIONS:
            return None
        file = _pyoci.DYNLOAD + "/" + name + _pyoci.SUFFIX
        try:
            posix.stat(file)
        except OSError:
            return None
        return ModuleSpec(name, self, origin=file)  # type: ignore[arg-type]

    def create_module(self, spec: "ModuleSpec") -> "ModuleType":
        """Load the file."""
        return _imp.create_dynamic(spec)

    def exec_module(self, module: "ModuleType") -> None:
        """Initialise it."""
        _imp.exec_dynamic(module)


class Codecs:
    """A search function for codecs, and a stand-in for the package `encodings` until it may be imported.

    The first error handler that is looked up makes the registry import the package, for good or ill.
    """

    def __init__(self, rest: "Rest") -> None:
        self.rest = rest
        self.placeholder = sys.modules["encodings"] = type(sys)("encodings")
        _codecs.register(self.search)

    def search(self, name: str) -> "CodecInfo | None":
        """The codec, from the package, which is imported for the first; None where that is impossible."""
        self.rest.finish()
        if sys.modules.get("encodings") is self.placeholder:
            del sys.modules["encodings"]
        try:
            import encodings
        except ImportError:  # in the child, after init/freeze.py
            return None
        return encodings.search_function(name)


class Rest:
    """An import finder of last resort: it finishes the interpreter's initialisation, once, and looks again."""

    def __init__(self) -> None:
        self.directory = ""

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """A spec from the standard library's files, or our own."""
        self.finish()
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
        return None

    def finish(self) -> None:
        """Have paths, codecs and streams from now on."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
            del builtins.open
            argv = sys.argv
            _pyoci.finish()
            sys.argv = argv
            sys.path.append(self.directory)


class Mapping:
    """What of the abstract Mapping the environment's class inherits; the rest it has itself."""

    def get(self, key: str, default: object = None) -> object:
        """self[key], or `default`."""
        try:
            return self[key]  # type: ignore[index]
        except KeyError:
            return default

    def pop(self, key: str, *default: object) -> object:
        """self[key], which is removed, or `default`."""
        try:
            value = self[key]  # type: ignore[index]
        except KeyError:
            if default:
                return default[0]
            raise
        del self[key]  # type: ignore[attr-defined]
        return value

    def __contains__(self, key: str) -> bool:
        try:
            self[key]  # type: ignore[index]
        except KeyError:
            return False
        return True

    def keys(self) -> "list[str]":
        """The names."""
        return [*self]  # type: ignore[misc]

    def items(self) -> "list[tuple[str, str]]":
        """The names and values."""
        return [(key, self[key]) for key in self]  # type: ignore[attr-defined, index]

    def values(self) -> "list[str]":
        """The values."""
        return [self[key] for key in self]  # type: ignore[attr-defined, index]

    def update(self, other: "dict[str, str]") -> None:
        """Set all of `other`."""
        for key in other:
            self[key] = other[key]  # type: ignore[index]


def check_methods(kind: type, *names: str) -> object:
    """True when the class or one above it has all the methods, else NotImplemented: what os.PathLike asks."""
    for name in names:
        for one in kind.__mro__:
            if name in one.__dict__:
                if one.__dict__[name] is None:
                    return NotImplemented
                break
        else:
            return NotImplemented
    return True


def import_os() -> None:
    """Import os without the 25 abstract base classes it asks for: they take as long as all the rest of it."""
    light = type(sys)("_collections_abc")
    light._check_methods = check_methods  # type: ignore[attr-defined]
    light.Mapping = light.MutableMapping = Mapping  # type: ignore[attr-defined]
    sys.modules["_collections_abc"] = light
    import os  # noqa: F401

    del sys.modules["_collections_abc"]


def run() -> None:
    """Run pyoci.boot's steps, and the command, which ends the process."""
    import_os()
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_IGN)  # as every Python does: a lost reader is an error, not an end
    sys._xoptions = {"pyoci": True}
    sys.executable = _pyoci.PYTHON
    rest = Rest()
    sys.meta_path += [Extensions(), rest]
    Codecs(rest)

    def open_later(*arguments: object, **more: object) -> object:
        rest.finish()
        if builtins.open is open_later:
            raise OSError("open() is not to be had after init/freeze.py")
        return builtins.open(*arguments, **more)  # type: ignore[call-overload]

    builtins.open = open_later  # type: ignore[assignment]
    boot = type(sys)("pyoci_boot")
    boot.__file__ = sys.argv[0]
    exec(_pyoci.BOOT, boot.__dict__)  # noqa: S102  (our own code)
    rest.directory = boot.package_directory()
    boot.begin(rest.directory)


run()
