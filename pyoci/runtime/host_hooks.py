"""The hooks that run after create: poststart and poststop, on the host, from the record alone.

Loaded only for a container that has any.
"""

import os

from pyoci.config.json_text import dump
from pyoci.errors import ConfigError, HookError
from pyoci.hooks import run_hook
from pyoci.runtime.status import hook_state
from pyoci.tables.annotations import HOOKS_STDERR, HOOKS_STDOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.runtime.container import Record


def run_host_hooks(record: "Record", kind: str, status: str, warn: "Callable[[str], None] | None" = None) -> None:
    """Run the hooks of one kind in order, in the bundle (or in `/` when it is gone).

    With `warn` a hook that fails is told of and the others still run (runtime.md, lifecycle 13); without it the
    HookError of the first is raised.
    """
    state = dump(hook_state(record, status)).encode()
    bundle: str = record.values["bundle"]
    cwd = bundle if os.path.isdir(bundle) else "/"
    outputs = _outputs(record, warn)
    for index, hook in enumerate(record.values["hooks"][kind]):
        try:
            run_hook(hook, kind, index, state, cwd=cwd, outputs=outputs)
        except HookError as error:
            if warn is None:
                raise
            warn(error.message)
    for fd in outputs:
        if fd >= 0:
            os.close(fd)


def _outputs(record: "Record", warn: "Callable[[str], None] | None") -> tuple[int, int]:
    annotations = record.values["annotations"]
    if HOOKS_STDOUT not in annotations and HOOKS_STDERR not in annotations:
        return -1, -1
    from pyoci.runtime.hook_outputs import open_outputs

    try:
        return open_outputs(annotations)
    except ConfigError as error:
        if warn is None:
            raise
        warn(error.message)  # the hooks after a container's end run in any case
        return -1, -1
