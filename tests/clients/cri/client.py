"""As much of Kubernetes' container runtime interface (CRI v1) as the tests need: the messages' fields by number.

A message is a dict; numbers are those of the interface's definition.  Written as protocol buffers by hand, since
no package of Debian brings the generated code.
"""

import grpc

_SERVICE = "/runtime.v1.RuntimeService/"

# message -> {field: (number, type)}; type: "int", "str", another message, or [type] for repeated, {} for a map.
MESSAGES = {
    "Metadata": {"name": (1, "str"), "uid": (2, "str"), "namespace": (3, "str"), "attempt": (4, "int")},
    "Namespaces": {"network": (1, "int"), "pid": (2, "int"), "ipc": (3, "int"), "target_id": (4, "str")},
    "Int64": {"value": (1, "int")},
    "Profile": {"profile_type": (1, "int"), "localhost_ref": (2, "str")},
    "SandboxSecurity": {
        "namespace_options": (1, "Namespaces"), "run_as_user": (3, "Int64"), "readonly_rootfs": (4, "int"),
        "supplemental_groups": (5, ["int"]), "privileged": (6, "int"), "run_as_group": (8, "Int64"),
        "seccomp": (9, "Profile"),
    },
    "Resources": {
        "cpu_period": (1, "int"), "cpu_quota": (2, "int"), "cpu_shares": (3, "int"), "memory_limit": (4, "int"),
        "oom_score_adj": (5, "int"), "cpuset_cpus": (6, "str"), "cpuset_mems": (7, "str"),
    },
    "LinuxSandbox": {"cgroup_parent": (1, "str"), "security_context": (2, "SandboxSecurity"), "sysctls": (3, {})},
    "SandboxConfig": {
        "metadata": (1, "Metadata"), "hostname": (2, "str"), "log_directory": (3, "str"), "labels": (6, {}),
        "annotations": (7, {}), "linux": (8, "LinuxSandbox"),
    },
    "RunPodSandboxRequest": {"config": (1, "SandboxConfig"), "runtime_handler": (2, "str")},
    "SandboxRequest": {"pod_sandbox_id": (1, "str"), "verbose": (2, "int")},
    "SandboxResponse": {"pod_sandbox_id": (1, "str")},
    "SandboxStatus": {"id": (1, "str"), "metadata": (2, "Metadata"), "state": (3, "int")},
    "SandboxStatusResponse": {"status": (1, "SandboxStatus")},
    "Image": {"image": (1, "str")},
    "KeyValue": {"key": (1, "str"), "value": (2, "str")},
    "Mount": {
        "container_path": (1, "str"), "host_path": (2, "str"), "readonly": (3, "int"), "propagation": (5, "int"),
    },
    "Device": {"container_path": (1, "str"), "host_path": (2, "str"), "permissions": (3, "str")},
    "Capability": {"add_capabilities": (1, ["str"]), "drop_capabilities": (2, ["str"])},
    "Security": {
        "capabilities": (1, "Capability"), "privileged": (2, "int"), "namespace_options": (3, "Namespaces"),
        "run_as_user": (5, "Int64"), "run_as_username": (6, "str"), "readonly_rootfs": (7, "int"),
        "supplemental_groups": (8, ["int"]), "no_new_privs": (11, "int"), "run_as_group": (12, "Int64"),
        "masked_paths": (13, ["str"]), "readonly_paths": (14, ["str"]), "seccomp": (15, "Profile"),
    },
    "LinuxContainer": {"resources": (1, "Resources"), "security_context": (2, "Security")},
    "ContainerMetadata": {"name": (1, "str"), "attempt": (2, "int")},
    "ContainerConfig": {
        "metadata": (1, "ContainerMetadata"), "image": (2, "Image"), "command": (3, ["str"]), "args": (4, ["str"]),
        "working_dir": (5, "str"), "envs": (6, ["KeyValue"]), "mounts": (7, ["Mount"]), "devices": (8, ["Device"]),
        "labels": (9, {}), "annotations": (10, {}), "log_path": (11, "str"), "stdin": (12, "int"),
        "tty": (14, "int"), "linux": (15, "LinuxContainer"),
    },
    "CreateContainerRequest": {
        "pod_sandbox_id": (1, "str"), "config": (2, "ContainerConfig"), "sandbox_config": (3, "SandboxConfig"),
    },
    "ContainerRequest": {"container_id": (1, "str"), "timeout": (2, "int")},
    "ContainerResponse": {"container_id": (1, "str")},
    "ContainerStatus": {
        "id": (1, "str"), "state": (3, "int"), "exit_code": (7, "int"), "reason": (10, "str"),
        "message": (11, "str"),
    },
    "ContainerStatusResponse": {"status": (1, "ContainerStatus")},
    "UpdateContainerResourcesRequest": {"container_id": (1, "str"), "linux": (2, "Resources")},
    "ExecSyncRequest": {"container_id": (1, "str"), "cmd": (2, ["str"]), "timeout": (3, "int")},
    "ExecSyncResponse": {"stdout": (1, "str"), "stderr": (2, "str"), "exit_code": (3, "int")},
    "UInt64": {"value": (1, "int")},
    "Memory": {"timestamp": (1, "int"), "working_set_bytes": (2, "UInt64")},
    "Stats": {"memory": (3, "Memory")},
    "ContainerStatsResponse": {"stats": (1, "Stats")},
    "Condition": {"type": (1, "str"), "status": (2, "int")},
    "RuntimeStatus": {"conditions": (1, ["Condition"])},
    "StatusResponse": {"status": (1, "RuntimeStatus")},
    "VersionResponse": {"runtime_name": (2, "str")},
    "Empty": {},
}  # fmt: skip

# call -> (request, response)
CALLS = {
    "Version": ("Empty", "VersionResponse"),
    "Status": ("Empty", "StatusResponse"),
    "RunPodSandbox": ("RunPodSandboxRequest", "SandboxResponse"),
    "StopPodSandbox": ("SandboxRequest", "Empty"),
    "RemovePodSandbox": ("SandboxRequest", "Empty"),
    "PodSandboxStatus": ("SandboxRequest", "SandboxStatusResponse"),
    "CreateContainer": ("CreateContainerRequest", "ContainerResponse"),
    "StartContainer": ("ContainerRequest", "Empty"),
    "StopContainer": ("ContainerRequest", "Empty"),
    "RemoveContainer": ("ContainerRequest", "Empty"),
    "ContainerStatus": ("ContainerRequest", "ContainerStatusResponse"),
    "ContainerStats": ("ContainerRequest", "ContainerStatsResponse"),
    "UpdateContainerResources": ("UpdateContainerResourcesRequest", "Empty"),
    "ExecSync": ("ExecSyncRequest", "ExecSyncResponse"),
}


class Refused(Exception):
    """The runtime service answered with an error; the text is the service's."""


class Client:
    """client.RunPodSandbox(config={...}) -> the response as a dict."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel("unix://" + address)

    def __getattr__(self, call):
        request, response = CALLS[call]

        def go(**fields):
            method = self.channel.unary_unary(_SERVICE + call, request_serializer=None, response_deserializer=None)
            try:
                return decode(response, method(encode(request, fields), timeout=60))
            except grpc.RpcError as error:
                raise Refused(error.details()) from None

        return go

    def close(self):
        self.channel.close()


def _number(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number, kind, value):
    if kind == "int":
        return _number(number << 3) + _number(int(value))
    data = value.encode() if kind == "str" else encode(kind, value)
    return _number(number << 3 | 2) + _number(len(data)) + data


def encode(message, fields):
    """A dict as the bytes of `message`."""
    out = b""
    for name, value in fields.items():
        number, kind = MESSAGES[message][name]
        if isinstance(kind, list):
            out += b"".join(_field(number, kind[0], one) for one in value)
        elif isinstance(kind, dict):
            out += b"".join(_field(number, "KeyValue", {"key": k, "value": v}) for k, v in value.items())
        else:
            out += _field(number, kind, value)
    return out


def _read_number(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        shift += 7
        at += 1
        if byte < 128:
            return value, at


def decode(message, data):
    """Bytes as a dict of the fields that we know."""
    names = {number: (name, kind) for name, (number, kind) in MESSAGES[message].items()}
    found, at = {}, 0
    while at < len(data):
        tag, at = _read_number(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _read_number(data, at)
        else:
            length, at = (8, at) if wire == 1 else (4, at) if wire == 5 else _read_number(data, at)
            value, at = data[at : at + length], at + length
        if number not in names:
            continue
        name, kind = names[number]
        base = kind[0] if isinstance(kind, list) else kind
        if base == "str":
            value = value.decode(errors="replace")
        elif base == "int":
            value = value - (1 << 64) if isinstance(value, int) and value >> 63 else value
        else:
            value = decode(base, value)
        if isinstance(kind, list):
            found.setdefault(name, []).append(value)
        else:
            found[name] = value
    return found
