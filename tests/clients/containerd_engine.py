"""A containerd of its own, with the runtime as its runc."""

import os
import shutil

from .engine import Cli, answers, daemon, in_namespaces_of_its_own, stop

CONFIGURATION = """
version = 2
root = "{root}"
state = "{state}"
disabled_plugins = [{disabled}]
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/pyoci-pause:1"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
default_runtime_name = "tested"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.tested]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.tested.options]
BinaryName = "{runtime}"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{cni_bin}"
conf_dir = "{cni_conf}"
"""
# A bridge in the daemon's own network namespace, gone with it.
NETWORK = """
{{"cniVersion": "0.4.0", "name": "tested", "plugins": [{{"type": "bridge", "bridge": "tested0", "isGateway": true,
  "ipam": {{"type": "host-local", "subnet": "10.88.7.0/24", "dataDir": "{folder}/ipam"}}}}]}}
"""


class Containerd:
    """The daemon and its address."""

    def __init__(self, folder, sockets, runtime, *, cri):
        self.folder = folder
        self.socket = sockets + "/containerd.sock"
        os.makedirs(folder + "/cni", exist_ok=True)
        with open(folder + "/cni/10-tested.conflist", "w") as file:
            file.write(NETWORK.format(folder=folder))
        with open(folder + "/config.toml", "w") as file:
            file.write(
                CONFIGURATION.format(
                    root=folder + "/root", state=sockets + "/state", socket=self.socket, runtime=runtime,
                    cni_bin="/usr/lib/cni", cni_conf=folder + "/cni",
                    disabled="" if cri else '"io.containerd.grpc.v1.cri"',
                )
            )  # fmt: skip
        ready = lambda: answers("ctr", "--address", self.socket, "version")  # noqa: E731
        argv = in_namespaces_of_its_own("containerd", "--config", folder + "/config.toml")
        self.process = daemon(argv, folder + "/log", ready)

    def ctr(self, output, namespace="default"):
        """The command line of `ctr`."""
        return Cli(["ctr", "--address", self.socket, "--namespace", namespace], output)

    def stop(self):
        stop(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)
