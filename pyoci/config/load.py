"""Read a document, parse it, check it: what comes out may be trusted by everything behind it.

The fast check costs under a millisecond.  Only when it says no, the machinery that explains is imported
(jsonschema, `re`) and the first fault is raised with its line and column.
"""

from pyoci.config.json_text import parse
from pyoci.config.read import read_descriptor, read_document
from pyoci.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyoci.config.types import Config, Process, Resources

CONFIG = "config.json"


def _no_warning(text: str) -> None:
    """What `warn` does when the caller gives none."""


def load_config(
    bundle: int | str, warn: "Callable[[str], None]" = _no_warning, *, name: str = CONFIG
) -> "tuple[Config, bytes]":
    """The checked configuration of the bundle (its directory as a descriptor or path), and its bytes.

    `warn` is called with one line for each thing that is doubtful but accepted.  Raises ConfigError with the
    first fault.
    """
    dir_fd, path = (bundle, name) if isinstance(bundle, int) else (None, bundle + "/" + name)
    data = read_document(path, dir_fd=dir_fd, name=CONFIG)
    document = _checked(data, CONFIG, "config", warn)
    return document, data  # type: ignore[return-value]


def load_process(data: bytes, warn: "Callable[[str], None]" = _no_warning, name: str = "process.json") -> "Process":
    """The checked process document of `exec --process`."""
    return _checked(data, name, "process", warn)  # type: ignore[return-value]


def load_resources(
    data: bytes, warn: "Callable[[str], None]" = _no_warning, name: str = "resources"
) -> "Resources":
    """The checked resources document of `update --resources`."""
    return _checked(data, name, "resources", warn)  # type: ignore[return-value]


def _checked(data: bytes, name: str, schema: str, warn: "Callable[[str], None]") -> "dict[str, Any]":
    document = parse(data, name)
    if type(document) is not dict:
        raise ConfigError("%s: not a JSON object" % name, where=name, line=1, column=1)
    return document


__all__ = ["load_config", "load_process", "load_resources", "read_descriptor", "read_document"]
