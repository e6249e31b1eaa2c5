"""Load the package's modules from one file instead of a hundred.

Finding, opening and checking a hundred compiled files costs an interpreter more time than making a container
does.  So an installed package carries `snapshot.bin`, written when it was built: the code of its modules, and
for each command the order in which they finish loading.  A source tree has none and is imported as usual; the
same holds for an interpreter of another version.  Nothing else differs (docs/adr/0004-snapshot.md).

boot.py opens the file, takes this very module out of it and calls `install`.
"""

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType
    from typing import Any

FILE = "/pyoci/snapshot.bin"

# module -> (is a package, offset, length) of its marshalled code
Modules = dict[str, tuple[bool, int, int]]
# module that is asked for -> (offset, length) of [(name, is a package, code)]: all it needs, in order, itself last
Orders = dict[str, tuple[int, int]]


class Snapshot:
    """An import finder and loader over the file.

    What a command needs lies in one piece, and only that is read: unmarshalled together, a hundred modules share
    their names, which takes a third less time than one by one.
    """

    def __init__(self, directory: str, file: int, head: bytes, modules: Modules, orders: Orders) -> None:
        self.directory = directory
        self.modules = modules
        self.orders = orders
        self._file = file
        self._head = head  # has a digest of all that follows
        self._codes: dict[str, CodeType] = {}

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """A spec for a module of ours, after everything it needs has been loaded."""
        entry = self.modules.get(name)
        if entry is None:
            self._leave_to_others(name, path)
            return None
        if name in self.orders:
            for needed, is_package, code in self._read(*self.orders.pop(name)):
                if needed == name:
                    self._codes[name] = code
                elif needed not in sys.modules:
                    self._load(needed, is_package, code)
            if name.startswith("pyoci.runtime."):
                self.close()  # what comes now is seldom, and init must not hold it
        if name not in self._codes:
            code = self._read(*entry[1:])
            if code is None:
                self._leave_to_others(name, path)
                return None
            self._codes[name] = code
        spec = ModuleSpec(name, self, origin=self._path(name, entry[0]), is_package=entry[0])  # type: ignore[arg-type]
        if entry[0]:
            spec.submodule_search_locations = [os.path.dirname(self._path(name, True))]
        return spec

    def _leave_to_others(self, name: str, path: "Sequence[str] | None") -> None:
        """It is in a file of its own: say where, which was not known when an image was made."""
        if path and name.startswith("pyoci."):
            path[:] = [self.directory + "/" + name.rpartition(".")[0].replace(".", "/")]  # type: ignore[index]

    def create_module(self, spec: "ModuleSpec") -> None:
        """The default will do."""

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module's code."""
        name = module.__name__
        module.__file__ = self._path(name, self.modules[name][0])
        exec(self._codes.pop(name), module.__dict__)  # noqa: S102  (an importer's work)

    def preload(self) -> None:
        """Load all modules; where they will lie is not known yet."""
        pieces = [self._read(*order) for order in self.orders.values()]
        pieces.append([(name, entry[0], self._read(*entry[1:])) for name, entry in self.modules.items()])
        self.orders.clear()
        for piece in pieces:
            for name, is_package, code in piece:
                if name not in sys.modules:
                    self._load(name, is_package, code)
        self.close()

    def close(self) -> None:
        """Let go of the file; it is opened again when something is missing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self, offset: int, length: int) -> "Any":
        """The object that lies there; None when the file has been replaced meanwhile."""
        if self._file >= 0:
            return marshal.loads(os.pread(self._file, length, offset))  # noqa: S302  (our own file)
        try:
            file = os.open(self.directory + FILE, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            if os.read(file, len(self._head)) != self._head:
                return None
            return marshal.loads(os.pread(file, length, offset))  # noqa: S302  (our own file)
        finally:
            os.close(file)

    def _load(self, name: str, is_package: bool, code: "CodeType") -> None:
        """What the import system does for a module, without its locks and look-ups."""
        module = type(sys)(name)
        parent, _, last = name.rpartition(".")
        file = self._path(name, is_package)
        module.__dict__.update(
            __file__=file,
            __loader__=self,
            __package__=name if is_package else parent,
            __spec__=ModuleSpec(name, self, origin=file, is_package=is_package),  # type: ignore[arg-type]
        )
        if is_package:
            module.__path__ = [os.path.dirname(file)]
        sys.modules[name] = module
        try:
            exec(code, module.__dict__)  # noqa: S102  (an importer's work)
        except BaseException:
            del sys.modules[name]
            raise
        if parent:
            setattr(sys.modules[parent], last, module)

    def _path(self, name: str, is_package: bool) -> str:
        return self.directory + "/" + name.replace(".", "/") + ("/__init__.py" if is_package else ".py")


def install(directory: str, file: int, head: bytes, modules: Modules, orders: Orders) -> Snapshot:
    """Import from the snapshot, open as `file`, from now on; `directory` is the one that holds the package."""
    snapshot = Snapshot(directory, file, head, modules, orders)
    sys.meta_path.insert(0, snapshot)
    return snapshot
