"""Where a pyoci process begins in an interpreter of which only the core is initialised.

Compiled into pyoci/launcher/interpreter.c together with pyoci/boot.py, and run as __main__.  Until somebody needs
more there are built-in and frozen modules only: no search path, no `open`, no streams, no codecs but UTF-8, ASCII
and Latin-1, which are part of str and bytes.  What is missing comes with `Rest`.

Where the interpreter's image is made (docs/adr/0015-image.md), all this ends before the first step that depends on
the call: `_pyoci.resume`, in each process that is started from the image, takes it from there.
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
    from collections.abc import Callable, Sequence
    from types import ModuleType
    from typing import Any

    from pyoci.snapshot import Snapshot

# Extension modules that the hot path needs and that some builds of Python keep in files of their own; and those of
# them that a child may need after its clone.
EXTENSIONS = ("_json", "_sha256", "_socket", "_struct", "fcntl", "grp", "math", "pwd", "select", "termios")
FOR_CHILDREN = ("_json", "_socket", "_struct", "fcntl", "select")


class Extensions:
    """An import finder and loader for those of EXTENSIONS that are files.

    The image holds none of them, but a PutOff for each; `known` has the constants in them, and None for the rest.
    """

    def __init__(self, known: "dict[str, dict[str, Any]] | None" = None) -> None:
        self.known = known
        self.put_off: set[str] = set()
        self.is_closed = False

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
        if self.known is not None:
            self.put_off.add(spec.name)
            return PutOff(self, spec.name)
        return _imp.create_dynamic(spec)

    def exec_module(self, module: "ModuleType") -> None:
        """Initialise it."""
        if self.known is None:
            _imp.exec_dynamic(module)

    def load(self, name: str) -> "ModuleType":
        """The module, of which all is there now; where nothing may be imported any more, ModuleNotFoundError."""
        module = sys.modules[name]
        if name in self.put_off:
            if self.is_closed or self not in sys.meta_path:  # init/freeze.py
                raise ModuleNotFoundError("No module named %r" % name, name=name)
            spec = ModuleSpec(name, self, origin=_pyoci.DYNLOAD + "/" + name + _pyoci.SUFFIX)  # type: ignore[arg-type]
            real = _imp.create_dynamic(spec)
            _imp.exec_dynamic(real)
            sys.modules[name] = module  # some initialise themselves by the old rules, and stand there now
            self.put_off.remove(name)
            module.__dict__.update(real.__dict__)
        return module

    def load_all(self) -> None:
        """Put nothing off any longer; a child that may load nothing leaves it at that for its own children."""
        if not self.is_closed and self in sys.meta_path:
            for name in [*self.put_off]:
                self.load(name)

    def load_for_child(self) -> None:
        """Load what a child may need that cannot load anything."""
        for name in FOR_CHILDREN:
            if name in self.put_off:
                self.load(name)

    def close(self) -> None:
        """In the child: load nothing any more."""
        self.is_closed = True


class PutOff(type(sys)):  # type: ignore[misc]
    """An extension module that is loaded when something of it is asked for, or called."""

    def __init__(self, extensions: Extensions, name: str) -> None:
        super().__init__(name)
        self.__dict__["_extensions"] = extensions

    def __getattr__(self, name: str) -> object:
        extensions, own = self.__dict__["_extensions"], self.__dict__["__name__"]
        if extensions.known is None:
            if own in extensions.put_off:
                return getattr(extensions.load(own), name)
        elif name in extensions.known[own]:
            constant = extensions.known[own][name]
            return _pyoci.late(own, name) if constant is None else constant
        raise AttributeError("module %r has no attribute %r" % (own, name))


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
        self.is_for_image = bool(_pyoci.IMAGE)  # which ends here: paths and streams are those of a process

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
        if self.is_for_image:
            raise SystemError("a module in the snapshot needs files of the standard library")
        if self in sys.meta_path:
            if "time" in sys.modules:
                sys.modules["time"].tzset()  # an image has the zone of the machine where it was made
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


def prepare(extensions: Extensions) -> Rest:
    """All that every process needs."""
    import_os()
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_IGN)  # as every Python does: a lost reader is an error, not an end
    sys._xoptions = {"pyoci": True}
    sys.executable = _pyoci.PYTHON
    rest = Rest()
    sys.meta_path += [extensions, rest]
    _pyoci.load_for_child, _pyoci.close = extensions.load_for_child, extensions.close
    Codecs(rest)

    def open_later(*arguments: object, **more: object) -> object:
        rest.finish()
        if builtins.open is open_later:
            raise OSError("open() is not to be had after init/freeze.py")
        return builtins.open(*arguments, **more)  # type: ignore[call-overload]

    builtins.open = open_later  # type: ignore[assignment]
    return rest


def load_boot() -> "ModuleType":
    """pyoci/boot.py, which is not yet told where it lies."""
    boot = type(sys)("pyoci_boot")
    exec(_pyoci.BOOT, boot.__dict__)  # noqa: S102  (our own code)
    return boot


def begin(boot: "ModuleType", rest: Rest, snapshot: "Snapshot | None" = None) -> None:
    """Run boot.py's steps, and the command, which ends the process."""
    boot.__file__ = sys.argv[0]
    rest.directory = boot.package_directory()
    if snapshot:
        snapshot.directory = rest.directory
    boot.begin(rest.directory)


def fork_after(extensions: Extensions) -> "Callable[[], int]":
    """fork(2) with nothing put off.  A hook of os.register_at_fork would swallow a signal that interrupts it."""

    def fork() -> int:
        extensions.load_all()
        return posix.fork()

    return fork


def sources_of(boot: "ModuleType") -> "list[str]":
    """The files that the image was made of, where they may be edited; none but in an editable installation."""
    if not boot.SOURCE:
        return []
    ours = [module for name, module in sys.modules.items() if name.partition(".")[0] == "pyoci"]
    names = [module.__file__ for module in ours] + ["/pyoci/core.py", "/pyoci/boot.py", "/pyoci/snapshot.py"]
    return [boot.SOURCE + name for name in names]


def identity(path: str) -> "tuple[int, int, int]":
    """What changes when somebody edits the file, or puts another into its place."""
    status = posix.stat(path)
    return status.st_mtime_ns, status.st_size, status.st_ino


def make_image() -> None:
    """Do all that can be done before the call is known; sys.argv: the image, the snapshot, what extensions have."""
    import gc
    import marshal
    import os

    def read(path: str) -> bytes:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(file, os.fstat(file).st_size)
        finally:
            os.close(file)

    gc.disable()
    extensions = Extensions(marshal.loads(read(sys.argv[2])))  # noqa: S302  (written by build_interpreter.py)
    rest = prepare(extensions)
    boot = load_boot()
    snapshot = boot.use_snapshot("", sys.argv[1])
    snapshot.preload()

    def resume() -> None:
        """In each process that is started from the image."""
        begin(boot, rest, snapshot)

    sources = {path: identity(path) for path in sources_of(boot)}

    def is_current() -> bool:
        """False when a source file of an editable installation is not what it was."""
        try:
            return all(identity(path) == known for path, known in sources.items())
        except OSError:
            return False

    rest.is_for_image = False
    _pyoci.resume = resume
    _pyoci.is_current = is_current
    _pyoci.load = extensions.load
    os.fork = fork_after(extensions)
    extensions.known = None
    sys.argv.clear()  # paths of the build
    sys.executable = _pyoci.PYTHON = ""
    gc.collect()
    gc.freeze()


def run() -> None:
    """Begin, here or when the image is executed."""
    if _pyoci.IMAGE:
        make_image()
    else:
        begin(load_boot(), prepare(Extensions()))


run()
