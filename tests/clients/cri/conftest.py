"""containerd with its CRI plugin, as the kubelet calls it."""

import itertools
import os
import shutil

import pytest

from .. import images
from ..containerd_engine import Containerd
from ..images import NAME

PAUSE = "localhost/pyoci-pause:1"


@pytest.fixture(scope="module")
def engine(workshop, socket_folder, runtime, archive):
    pytest.importorskip("grpc", reason="grpcio is not installed")
    if not shutil.which("containerd") or not os.path.exists("/usr/lib/cni/loopback"):
        pytest.skip("containerd or containernetworking-plugins is not installed")
    one = Containerd(workshop + "/cri", socket_folder, runtime, cri=True)
    ctr = one.ctr(workshop, "k8s.io")
    pause = images.write_archive(workshop + "/pause.tar", PAUSE, Cmd=["/bin/sleep", "100000"])
    for path in (archive, pause):
        ctr("images", "import", "--snapshotter", "native", path).ok()
    yield one
    one.stop()


@pytest.fixture
def client(engine):
    from .client import Client

    one = Client(engine.socket)
    yield one
    one.close()


class Pod:
    """One pod sandbox; its containers go with it."""

    numbers = itertools.count()

    def __init__(self, client, logs, **linux):
        self.client, self.logs = client, logs
        number = next(self.numbers)
        context = linux.pop("security_context", {})
        context.setdefault("namespace_options", {"network": 2})  # the node's, unless a test brings its own
        hostname = {} if context["namespace_options"].get("network") == 2 else {"hostname": "pod.example"}
        self.config = {
            "metadata": {"name": "pod-%d" % number, "uid": "uid-%d" % number, "namespace": "tests"},
            "log_directory": logs,
            "linux": {"security_context": context, **linux},
            **hostname,
        }
        self.id = client.RunPodSandbox(config=self.config)["pod_sandbox_id"]

    def create(self, args, name="box", context=None, resources=None, **more):
        linux = {"security_context": context or {}, "resources": resources or {}}
        linux["security_context"].setdefault("namespace_options", self.namespaces())
        config = {
            "metadata": {"name": name}, "image": {"image": NAME}, "command": list(args), "linux": linux,
            "log_path": name + ".log", **more,
        }  # fmt: skip
        made = self.client.CreateContainer(pod_sandbox_id=self.id, config=config, sandbox_config=self.config)
        return made["container_id"]

    def namespaces(self):
        return {"pid": 1, **self.config["linux"]["security_context"]["namespace_options"]}

    def start(self, args, **more):
        container = self.create(args, **more)
        self.client.StartContainer(container_id=container)
        return container

    def log(self, name="box"):
        """What the container printed: the log's lines without time and stream."""
        try:
            with open("%s/%s.log" % (self.logs, name)) as file:
                return "".join(line.split(" ", 3)[3] for line in file)
        except FileNotFoundError:
            return ""

    def remove(self):
        self.client.StopPodSandbox(pod_sandbox_id=self.id)
        self.client.RemovePodSandbox(pod_sandbox_id=self.id)


@pytest.fixture
def pod(client, tmp_path):
    """pod(**linux) -> Pod."""
    made = []

    def make(**linux):
        logs = tmp_path / ("logs-%d" % len(made))
        logs.mkdir()
        made.append(Pod(client, str(logs), **linux))
        return made[-1]

    yield make
    for one in made:
        one.remove()
