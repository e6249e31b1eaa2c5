"""The record of a container before there is anything of it: from its plan."""

import os

from pyoci.cgroup.directory import shortened
from pyoci.config.json_text import dump
from pyoci.runtime.container import CGROUP, Record, boot_id, timestamp
from pyoci.runtime.inherited import describe_streams
from pyoci.runtime.status import CREATING, start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup.driver import Cgroup
    from pyoci.plan.records import Plan
    from pyoci.runtime.bundle import Bundle
    from pyoci.runtime.container import Directory

_LONGEST_LINK = 4095


def new_record(plan: "Plan", bundle: "Bundle", last_fd: int) -> Record:
    """The record of a container that this process is about to make, given our descriptors to `last_fd`."""
    config = bundle.config
    hooks = config.get("hooks", {})
    return Record(
        {
            "id": plan.container_id,
            "bundle": bundle.path,
            "rootfs": bundle.rootfs,
            "created": timestamp(),
            "bootId": boot_id(),
            "stage": CREATING,
            "maker": [os.getpid(), start_time(os.getpid())],
            "pid": 0,
            "startTime": 0,
            "annotations": config.get("annotations", {}),
            "cgroup": plan.cgroup.to_record(),
            "hooks": {kind: hooks[kind] for kind in ("poststart", "poststop") if kind in hooks},
            "hasProcess": "process" in config,
            "privatePidNamespace": "pid" in plan.namespaces.new,
            "streams": [] if plan.has_terminal else describe_streams(last_fd),
        }
    )


def link_cgroup(directory: "Directory", cgroup: "Cgroup") -> None:
    """For a delete that finds the record damaged."""
    text = dump(shortened(cgroup.to_record()))
    if len(os.fsencode(text)) <= _LONGEST_LINK:
        directory.link(CGROUP, text)
