"""No imports from here on.

A module that is imported after the change of root comes from the image and runs as the runtime, with all its
rights: tried, and it did.  So the child empties every place that the import system looks in.
"""

import sys


def freeze_imports() -> None:
    """Make every further import of a module that is not loaded fail with ModuleNotFoundError."""
    sys.meta_path.clear()
    sys.path_hooks.clear()
    sys.path.clear()
    sys.path_importer_cache.clear()
