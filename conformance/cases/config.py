"""config.md: version, types, required properties, extensibility; features.md: what `features` prints."""

import json
import sys

from suite.case import Skipped, case
from suite.context import Context

for version in ("1.0.0", "1.0.2", "1.1.0", "1.2.0", "1.3.0", "1.0.0-rc1", "1.2.1+dev"):

    @case(f"config/version-{version}", "config.md#specification-version: in SemVer format", "R-184")
    def _version(t: Context, version: str = version) -> None:
        t.config["ociVersion"] = version
        t.go()


for name, value in {
    "empty": "",
    "words": "invalid",
    "two-parts": "1.0",
    "v-prefix": "v1.0.0",
    "number": 1.0,
    "leading-zero": "01.0.0",
}.items():

    @case(f"config/version-is-{name}", "config.md#specification-version: MUST be in SemVer v2.0.0 format", "R-184")
    def _version_bad(t: Context, value: object = value) -> None:
        t.config["ociVersion"] = value
        t.refused()


@case(
    "config/version-of-another-major",
    "config.md#specification-version: with which the bundle complies",
    "R-184",
    level="common",
)
def major(t: Context) -> None:
    t.config["ociVersion"] = "2.0.0"
    t.refused()


@case("config/version-absent", "config.md#specification-version: REQUIRED", "R-184")
def version_absent(t: Context) -> None:
    del t.config["ociVersion"]
    t.refused()


TEXTS = {
    "empty-file": "",
    "not-json": "{nope",
    "null": "null",
    "array": "[]",
    "string": '"x"',
    "cut-short": '{"ociVersion": "1.0.2"',
    "trailing-text": None,
}

for name, text in TEXTS.items():

    @case(f"config/text-{name}", "config.md: config.json is one JSON object", "R-181")
    def _text(t: Context, text: str | None = text) -> None:
        t.refused(text=text if text is not None else json.dumps(t.config) + " }")


# (where, a value of the wrong type)
WRONG = {
    "root": "rootfs",
    "root.path": 5,
    "root.readonly": "yes",
    "mounts": {},
    "mounts.0": "proc",
    "mounts.0.destination": 7,
    "mounts.0.options": "ro",
    "process": [],
    "process.args": "/probe",
    "process.args.0": 3,
    "process.cwd": 1,
    "process.env": {"A": "1"},
    "process.terminal": "false",
    "process.user": "root",
    "process.user.uid": "0",
    "process.user.additionalGids": 5,
    "process.capabilities": ["CAP_CHOWN"],
    "process.capabilities.bounding": "CAP_CHOWN",
    "process.rlimits": {},
    "process.noNewPrivileges": 1,
    "process.oomScoreAdj": "5",
    "hostname": 5,
    "annotations": [],
    "annotations.key": 5,
    "hooks": [],
    "hooks.prestart": {},
    "linux": [],
    "linux.namespaces": {},
    "linux.namespaces.0": "pid",
    "linux.namespaces.0.type": 1,
    "linux.devices": {},
    "linux.cgroupsPath": 1,
    "linux.resources": [],
    "linux.resources.memory": 5,
    "linux.resources.memory.limit": "64M",
    "linux.sysctl": [],
    "linux.seccomp": [],
    "linux.maskedPaths": "/proc/kcore",
    "linux.readonlyPaths": {},
    "linux.uidMappings": {},
    "linux.rootfsPropagation": 1,
    "linux.timeOffsets": [],
}


def put(config: dict, where: str, value: object) -> None:
    node: object = config
    *way, last = where.split(".")
    for step in way:
        node = node[int(step)] if isinstance(node, list) else node.setdefault(step, {})
    if isinstance(node, list):
        node[int(last)] = value
    else:
        node[last] = value


for where, value in WRONG.items():

    @case(f"config/wrong-type-{where}", "config.md#valid-values: invalid values MUST be an error", "R-181", "R-182")
    def _wrong(t: Context, where: str = where, value: object = value) -> None:
        put(t.config, where, value)
        t.refused(late=where.startswith("process"))


RANGES = {
    "process.user.uid": -1,
    "process.user.gid": 2**32,
    "process.user.umask": -1,
    "linux.resources.pids.limit": 1.5,
    "linux.resources.cpu.shares": -1,
    "process.rlimits": [{"type": "RLIMIT_NOFILE", "soft": 2**64, "hard": 2**64}],
    "process.rlimits ": [{"type": "RLIMIT_NOFILE", "soft": -1, "hard": 5}],
}

for where, value in RANGES.items():

    @case(
        f"config/out-of-range-{where.strip().replace(' ', '')}{'-negative' if where.endswith(' ') else ''}",
        "config.md#valid-values: invalid values MUST be an error",
        "R-182",
    )
    def _range(t: Context, where: str = where.strip(), value: object = value) -> None:
        put(t.config, where, value)
        t.refused(late=True)


UNKNOWN = ("", "root", "process", "process.user", "mounts.0", "linux", "linux.resources", "linux.namespaces.0")

for where in UNKNOWN:

    @case(
        f"config/unknown-property-in-{where or 'the-top'}",
        "config.md#extensibility: unknown properties MUST be ignored",
        "R-181",
        "R-185",
    )
    def _unknown(t: Context, where: str = where) -> None:
        put(
            t.config,
            f"{where}.org.example.unknown".lstrip(".").replace("org.example.unknown", "conformanceUnknown"),
            {"some": ["thing"]},
        )
        t.go()


@case(
    "config/keys-match-exactly",
    "config.md#extensibility: Hostname, with a capital, is an unknown property",
    "R-183",
    level="common",
)
def key_case(t: Context) -> None:
    t.config["Hostname"] = "capital"
    t.check(t.go("--only", "uname")["uname"]["nodename"] != "capital", "Hostname was taken for hostname")


@case(
    "config/unknown-annotation",
    "config.md#annotations: unknown keys MUST be handled like unknown properties",
    "R-275",
)
def unknown_annotation(t: Context) -> None:
    t.config["annotations"] = {"org.example.conformance": "x"}
    t.go()


@case("config/empty-annotation-key", "config.md#annotations: keys MUST NOT be an empty string", "R-275")
def empty_key(t: Context) -> None:
    t.config["annotations"] = {"": "x"}
    t.refused()


BLOCKS = {
    "windows": {"layerFolders": ["C:\\x"]},
    "solaris": {},
    "vm": {"kernel": {"path": "/kernel"}},
    "zos": {},
    "freebsd": {},
}

for platform_name, block in BLOCKS.items():

    @case(
        f"config/block-of-{platform_name}",
        "config.md#platform-specific-configuration: other platforms' blocks are not this one's",
        "R-185",
        level="common",
    )
    def _block(t: Context, platform_name: str = platform_name, block: dict = block) -> None:
        t.config[platform_name] = block
        t.go()


@case("config/windows-keys-of-process", "config.md#process: commandLine is for Windows", "R-185", level="common")
def windows_keys(t: Context) -> None:
    t.config["process"]["commandLine"] = "cmd.exe"
    t.config["process"]["user"]["username"] = "someone"
    t.go()


NULLS = (
    "mounts",
    "hooks",
    "annotations",
    "hostname",
    "process.env",
    "process.rlimits",
    "process.capabilities",
    "linux.devices",
    "linux.seccomp",
    "linux.maskedPaths",
    "linux.sysctl",
    "linux.resources.memory",
    "linux.uidMappings",
)

for where in NULLS:

    @case(
        f"config/null-{where}", "what the libraries of callers write for an absent value", "R-182", level="common"
    )
    def _null(t: Context, where: str = where) -> None:
        if where == "mounts":
            t.host_mount("proc", t.path("/proc"), "proc")
        put(t.config, where, None)
        t.go("--only", "none")


REQUIRED = ("root.path", "mounts.0.destination", "process.user.uid", "linux.namespaces.0.type")

for where in REQUIRED:

    @case(f"config/without-{where}", "config.md: the property is REQUIRED", "R-181")
    def _required(t: Context, where: str = where) -> None:
        *way, last = where.split(".")
        node: object = t.config
        for step in way:
            node = node[int(step)] if isinstance(node, list) else node[step]  # type: ignore[index,call-overload]
        del node[last]  # type: ignore[attr-defined]
        t.refused(late=True)


@case("config/duplicate-key-is-not-two-values", "RFC 8259: names SHOULD be unique", "R-182", level="common")
def duplicate_key(t: Context) -> None:
    text = json.dumps(t.args("--tag", "second").config)
    container = t.container(text=text[:-1] + ', "hostname": "one", "hostname": "two"}')
    if container.try_create().status:
        return
    container.start().wait()
    t.equal(t.output(container)["uname"]["nodename"], "two", "hostname")


@case("config/utf-8", "RFC 8259: JSON is UTF-8", "R-012", "R-013")
def utf8(t: Context) -> None:
    t.write("/d\u00edr/\u2603", "snow")
    t.config["process"]["cwd"] = "/d\u00edr"
    t.args("--only", "cwd", "--read", "/d\u00edr/\u2603")
    container = t.container(text=json.dumps(t.config, ensure_ascii=False)).create().start()
    container.wait()
    out = t.output(container)
    t.equal((out["cwd"], out.text("/d\u00edr/\u2603")), ("/d\u00edr", "snow"), "cwd and text")


# ---- features ----


def features(t: Context) -> dict:
    result = t.runtime.bare("features", env={"PATH": "/usr/bin:/bin"})
    if result.status:
        raise Skipped(f"no features operation: {result.why}")
    return json.loads(result.stdout)


@case(
    "features/versions", "features.md#specification-version: ociVersionMin and ociVersionMax are REQUIRED", "R-133"
)
def feature_versions(t: Context) -> None:
    data = features(t)
    low, high = (
        [int(x) for x in data[key].split("-")[0].split("+")[0].split(".")]
        for key in ("ociVersionMin", "ociVersionMax")
    )
    t.check(low <= high, f"{low} > {high}")


for key in ("ociVersionMin", "ociVersionMax"):

    @case(
        f"features/{key}-is-accepted",
        f"features.md#specification-version: MUST accept {key} as ociVersion",
        "R-133",
    )
    def _accepted(t: Context, key: str = key) -> None:
        t.config["ociVersion"] = features(t)[key]
        t.go()


TYPES = {
    "hooks": list,
    "mountOptions": list,
    "annotations": dict,
    "potentiallyUnsafeConfigAnnotations": list,
    "linux.namespaces": list,
    "linux.capabilities": list,
    "linux.cgroup": dict,
    "linux.seccomp": dict,
    "linux.apparmor": dict,
    "linux.selinux": dict,
}

for where, kind in TYPES.items():

    @case(f"features/type-of-{where}", "features.md: the type of the property", "R-133")
    def _feature_type(t: Context, where: str = where, kind: type = kind) -> None:
        node: object = features(t)
        for step in where.split("."):
            node = (node or {}).get(step)  # type: ignore[attr-defined]
        t.need(node is not None, f"{where} is not given, which means unknown")
        t.check(isinstance(node, kind), f"{where} is a {type(node).__name__}")
        if kind is list:
            t.check(all(isinstance(x, str) for x in node), f"{where} has other things than strings")  # type: ignore[attr-defined]


@case(
    "features/hooks-are-accepted", "features.md#hooks: MUST support the elements as hooks of config.json", "R-133"
)
def feature_hooks(t: Context) -> None:
    kinds = features(t).get("hooks") or []
    t.config["hooks"] = {
        k: [
            {
                "path": "/probe" if k == "startContainer" else t.probe,
                "args": ["x", "--only", "none", "--out", "/dev/null"],
            }
        ]
        for k in kinds
    }
    t.go()


@case(
    "features/mount-options-are-accepted",
    "features.md#mount-options: MUST recognize the elements as options",
    "R-133",
    "R-307",
)
def feature_options(t: Context) -> None:
    options = features(t).get("mountOptions")
    t.need(options, "mountOptions is not given")
    source = t.host_dir("data")
    special = {
        "remount",
        "idmap",
        "ridmap",
        "tmpcopyup",
        "acl",
        "noacl",
        "copy-symlink",
        "src-nofollow",
        "dest-nofollow",
    }
    for number, option in enumerate(sorted(set(options) - special)):
        t.mount(f"/m{number}", type="bind", source=source, options=["rbind", option])
    t.go()


@case(
    "features/namespaces-are-accepted",
    "features-linux.md#namespaces: MUST recognize the elements as types",
    "R-133",
)
def feature_namespaces(t: Context) -> None:
    for kind in features(t).get("linux", {}).get("namespaces") or []:
        if kind == "user":
            t.user_namespace()
        else:
            t.namespace(kind)
    t.go()


@case("features/capabilities-are-accepted", "features-linux.md#capabilities: MUST recognize the elements", "R-133")
def feature_capabilities(t: Context) -> None:
    names = features(t).get("linux", {}).get("capabilities")
    t.need(names, "linux.capabilities is not given")
    t.config["process"]["capabilities"] = {"bounding": names}
    t.go()


@case(
    "features/seccomp-is-accepted",
    "features-linux.md#seccomp: MUST recognize operators, actions, architectures, supported flags",
    "R-133",
)
def feature_seccomp(t: Context) -> None:
    data = features(t).get("linux", {}).get("seccomp") or {}
    t.need(data.get("enabled"), "seccomp is not given as enabled")
    rules = [
        {
            "names": ["getpriority"],
            "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 1, "value": 90 + n, "valueTwo": 90, "op": op}],
        }
        for n, op in enumerate(data.get("operators") or [])
        if op not in ("SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_GE")
    ]
    names = [
        "sync",
        "syslog",
        "acct",
        "swapon",
        "swapoff",
        "reboot",
        "settimeofday",
        "quotactl",
        "kexec_load",
        "lookup_dcookie",
        "vhangup",
    ]
    actions = [a for a in data.get("actions") or [] if a not in ("SCMP_ACT_NOTIFY", "SCMP_ACT_ALLOW")]
    rules += [{"names": [name], "action": action} for name, action in zip(names, actions, strict=False)]
    # one filter cannot hold architectures of both byte orders: those of this machine's are tried
    little = [
        "X86_64",
        "X86",
        "X32",
        "ARM",
        "AARCH64",
        "MIPSEL",
        "MIPSEL64",
        "MIPSEL64N32",
        "PPC64LE",
        "RISCV64",
        "LOONGARCH64",
        "SH",
    ]
    archs = [
        a
        for a in data.get("archs") or []
        if (a.removeprefix("SCMP_ARCH_") in little) == (sys.byteorder == "little")
    ]
    flags = [f for f in data.get("supportedFlags") or [] if "WAIT_KILLABLE" not in f]
    t.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules, "architectures": archs, "flags": flags,
    }  # fmt: skip
    t.go()


@case(
    "features/annotations-are-strings",
    "features.md#annotations: the convention of config.json's annotations",
    "R-133",
    "R-281",
)
def feature_annotations(t: Context) -> None:
    data = features(t).get("annotations") or {}
    t.check(all(isinstance(v, str) and k for k, v in data.items()), f"annotations are {data}")


@case("features/prints-only-json", "features.md: one JSON object", "R-038", "R-133")
def feature_json(t: Context) -> None:
    features(t)
    t.equal(t.runtime.bare("features").stderr, "", "stderr")


@case(
    "features/does-not-depend-on-the-caller",
    "features.md: SHOULD be determined on compilation, not on execution",
    "R-133",
    level="SHOULD",
)
def feature_stable(t: Context) -> None:
    first = features(t)
    second = json.loads(t.runtime.bare("features", env={}, cwd=t.work).stdout)
    t.equal(second, first, "features with an empty environment")
