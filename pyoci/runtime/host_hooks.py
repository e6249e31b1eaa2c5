"""The hooks that run after create: poststart and poststop, on the host, from the record alone.

Loaded only for a container that has any.
"""

import os

from pyoci.config.json_text import dump
from pyoci.errors import HookError
from pyoci.hooks import run_hook
from pyoci.runtime.status import hook_state

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
    for index, hook in enumerate(record.values["hooks"][kind]):
        try:
            run_hook(hook, kind, index, state, cwd=cwd)
        except HookError as error:
            if warn is None:
                raise
            warn(error.message)
