"""Images made on the spot: a busybox root filesystem in docker's archive form, which every engine can load."""

import hashlib
import io
import json
import os
import subprocess
import tarfile

NAME = "localhost/pyoci-test:1"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FILES = {
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:100::/:/bin/sh\n",
    "etc/group": "root:x:0:\nusers:x:100:\nalice:x:1000:\nextra:x:2000:alice\n",
    "etc/nsswitch.conf": "passwd: files\n",
    "bin/script": "#!/bin/sh\necho script $*\n",
    "bin/lost": "#!/no/interpreter\n",
    "bin/odd": "\0\1\2\3",
    "etc/plain": "not executable\n",
    "data/file": "from the image\n",
}
_EXECUTABLE = ("bin/script", "bin/lost", "bin/odd")
_FOLDERS = (
    "bin", "dev", "etc", "proc", "sys", "tmp", "run", "root", "home", "home/alice", "data", "usr", "usr/bin",
    "usr/local", "usr/local/bin", "sbin", "usr/sbin", "var", "var/run", "mnt",
)  # fmt: skip
BUSYBOX = "/bin/busybox"


def _applets():
    listed = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split() if name != "busybox"]


def _layer():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:

        def add(name, kind, mode, data=b"", link="", owner=0):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(data), link
            entry.uid = entry.gid = owner
            tar.addfile(entry, io.BytesIO(data))

        for folder in _FOLDERS:
            mode = 0o1777 if folder == "tmp" else 0o755
            add(folder, tarfile.DIRTYPE, mode, owner=1000 if folder == "home/alice" else 0)
        with open(BUSYBOX, "rb") as file:
            add("bin/busybox", tarfile.REGTYPE, 0o755, file.read())
        for applet in _applets():
            add("bin/" + applet, tarfile.SYMTYPE, 0o777, link="busybox")
        for name, text in _FILES.items():
            add(name, tarfile.REGTYPE, 0o755 if name in _EXECUTABLE else 0o644, text.encode())
    return buffer.getvalue()


def write_archive(path, name=NAME, **config):
    """Write the image to `path`; `config` are keys of the image's own configuration (Cmd, User, Healthcheck...)."""
    layer = _layer()
    digest = hashlib.sha256(layer).hexdigest()
    document = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "amd64"),
            "os": "linux",
            "config": {"Env": [PATH], "Cmd": ["/bin/sh"], **config},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]},
            "history": [{"created_by": "tests"}],
        }
    ).encode()
    config_name = hashlib.sha256(document).hexdigest() + ".json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [digest + "/layer.tar"]}]
    with tarfile.open(path, "w") as tar:
        for member, data in (
            (config_name, document),
            (digest + "/layer.tar", layer),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            entry = tarfile.TarInfo(member)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path
