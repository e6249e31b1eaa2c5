"""Load the package's modules from one file instead of a hundred.

Finding, opening and checking a hundred compiled files costs an interpreter more time than making a container
does.  So an installed package carries `snapshot.bin`, written when it was built: the code of its modules, and
for each command the order in which they finish loading.  A source tree has none and is imported as usual; the
same holds for an interpreter of another version.  Nothing else differs (docs/adr/0004-snapshot.md).

boot.py reads the file, takes this very module out of it and calls `install`.
"""

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType

Index = dict[str, tuple[bool, int, int]]


class Snapshot:
    """An import finder and loader over the file's bytes.

    modules: name -> (is a package, offset, length) of its marshalled code.  orders: the name of a module that
    is asked for -> the modules to load for it, each after those it needs.
    """

    def __init__(self, directory: str, data: bytes, modules: Index, orders: dict[str, list[str]]) -> None:
        self.directory = directory
        self.data = data
        self.modules = modules
        self.orders = orders

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """A spec for a module of ours, after everything it needs has been loaded."""
        entry = self.modules.get(name)
        if entry is None:
            return None
        for needed in self.orders.pop(name, ()):
            if needed not in sys.modules:
                self._load(needed)
        spec = ModuleSpec(name, self, origin=self._file(name), is_package=entry[0])  # type: ignore[arg-type]
        spec.has_location = True
        if entry[0]:
            spec.submodule_search_locations = [os.path.dirname(self._file(name))]
        return spec

    def create_module(self, spec: "ModuleSpec") -> None:
        """The default will do."""

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module's code."""
        exec(self._code(module.__name__), module.__dict__)  # noqa: S102  (an importer's work)

    def _load(self, name: str) -> None:
        """What the import system does for a module, without its locks and look-ups."""
        is_package = self.modules[name][0]
        module = type(sys)(name)
        parent, _, last = name.rpartition(".")
        file = self._file(name)
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
            exec(self._code(name), module.__dict__)  # noqa: S102  (an importer's work)
        except BaseException:
            del sys.modules[name]
            raise
        if parent:
            setattr(sys.modules[parent], last, module)

    def _code(self, name: str) -> "CodeType":
        _, offset, length = self.modules[name]
        code: CodeType = marshal.loads(self.data[offset : offset + length])  # noqa: S302  (our own file)
        return code

    def _file(self, name: str) -> str:
        path = self.directory + "/" + name.replace(".", "/")
        return path + "/__init__.py" if self.modules[name][0] else path + ".py"


def install(directory: str, data: bytes, modules: Index, orders: dict[str, list[str]]) -> None:
    """Import from the snapshot from now on; `directory` is the one that holds the package."""
    sys.meta_path.insert(0, Snapshot(directory, data, modules, orders))
