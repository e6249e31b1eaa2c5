"""podman with storage, state and configuration of its own; there is no daemon."""

import os

from .engine import Cli

# Limits as the caller's own: podman would ask for more than CI machines may give.  No network but where asked for.
CONFIGURATION = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime_supports_json = ["tested"]
runtime_supports_nocgroup = ["tested"]
[engine.runtimes]
tested = ["%s"]
"""


def make(folder, runtime, output, environment=None):
    """A Cli for podman with everything below `folder`, which exists."""
    configuration = folder + "/containers.conf"
    if not os.path.exists(configuration):
        with open(configuration, "w") as file:
            file.write(CONFIGURATION % runtime)
        os.chmod(configuration, 0o644)
    flags = ["--root", folder + "/root", "--runroot", folder + "/run", "--tmpdir", folder + "/tmp"]
    prefix = ["podman", *flags, "--storage-driver", "vfs", "--runtime", runtime]
    return Cli(prefix, output, {"CONTAINERS_CONF": configuration, **(environment or {})})
