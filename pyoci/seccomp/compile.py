"""A profile of config.json -> instructions, through libseccomp (runtime-spec config-linux.md, "Seccomp").

Where the specification is silent this follows what runc and crun both do, since profiles are written against
them: calls unknown to libseccomp are skipped, rules that repeat the default action are skipped, conditions that
name one argument twice are alternatives instead of a conjunction.
"""

from pyoci.errors import ConfigError, HostError
from pyoci.kernel.syscall import MACHINE
from pyoci.seccomp.binding import Library, LibraryError
from pyoci.seccomp.enosys import LENIENT_ACTIONS, stub
from pyoci.tables.seccomp import ACTIONS, ACTIONS_WITH_ERRNO, ARCHITECTURES, OPERATORS, RUNNABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.config.types import Seccomp, SeccompArg

_EPERM = 1
_ENOSYS = 38
_MAX_ERRNO = 4095  # the kernel cuts larger ones down to this
_MAX_INSTRUCTIONS = 4096
_INSTRUCTION_SIZE = 8
# Below this many calls, a plain list is as fast to run and shorter.
_BINARY_TREE_FROM = 33

_AT = ".linux.seccomp"


def compile_profile(profile: "Seccomp", *, strict: bool = False) -> bytes:
    """The whole filter, ENOSYS stub included; `strict`: unknown names are an error.

    Raises ConfigError and HostError.
    """
    default = _action(profile["defaultAction"], profile.get("defaultErrnoRet"), _AT, "default")
    architectures = _architectures(profile.get("architectures", []))
    try:
        library = Library(default)
    except LibraryError as error:
        raise ConfigError(
            "%s as default action: libseccomp refuses it" % profile["defaultAction"],
            where=_AT + ".defaultAction",
            cause=str(error),
        )
    native, *others = [ARCHITECTURES[name] for name in architectures]
    for token in others:
        library.add_architecture(token)
    if strict:
        _refuse_unknown(library, profile, native)
    names = _add_rules(library, profile, default, native)
    if len(names) >= _BINARY_TREE_FROM:
        library.use_binary_tree()
    bpf = library.export()
    if profile["defaultAction"] not in LENIENT_ACTIONS and default != ACTIONS["SCMP_ACT_ERRNO"] | _ENOSYS:
        bpf = stub({name: _newest(library, ARCHITECTURES[name], names) for name in architectures}) + bpf
    if len(bpf) > _MAX_INSTRUCTIONS * _INSTRUCTION_SIZE:
        raise HostError(
            "seccomp filter of %d instructions: the kernel takes %d"
            % (len(bpf) // _INSTRUCTION_SIZE, _MAX_INSTRUCTIONS),
            where=_AT,
        )
    return bpf


def _architectures(asked: "list[str]") -> "list[str]":
    """The machine's own architecture first, then those asked for whose programs the machine can run at all.

    Any other one is left out: the kernel never reports it here, so no rule for it could ever match.
    """
    for index, name in enumerate(asked):
        if name not in ARCHITECTURES:
            raise _unknown("architecture", name, "%s.architectures[%d]" % (_AT, index), ARCHITECTURES)
    runnable = RUNNABLE.get(MACHINE)
    if runnable is None:
        raise HostError("linux.seccomp is not supported on %s" % MACHINE, where=_AT)
    return [name for name in runnable if name == runnable[0] or name in asked]


def _refuse_unknown(library: Library, profile: "Seccomp", native: int) -> None:
    for index, rule in enumerate(profile.get("syscalls", [])):
        for place, name in enumerate(rule["names"]):
            if library.resolve(native, name) is None:
                raise ConfigError(
                    'unknown system call "%s"' % name,
                    where="%s.syscalls[%d].names[%d]" % (_AT, index, place),
                    cause="libseccomp does not know it, and an annotation makes that an error",
                    fix="correct or remove the name, or install a newer libseccomp",
                )


def _add_rules(library: Library, profile: "Seccomp", default: int, native: int) -> "dict[str, None]":
    """Add every rule; returns the names libseccomp knows, each once, in the profile's order."""
    names: dict[str, None] = {}
    for index, rule in enumerate(profile.get("syscalls", [])):
        where = "%s.syscalls[%d]" % (_AT, index)
        action = _action(rule["action"], rule.get("errnoRet"), where, "")
        alternatives = _alternatives(rule.get("args", []), where)
        for name in rule["names"]:
            number = library.resolve(native, name)
            if number is None:
                continue
            names[name] = None
            if action == default:  # libseccomp refuses it, and it would change nothing
                continue
            for conditions in alternatives:
                try:
                    library.add_rule(action, number, conditions)
                except LibraryError as error:
                    raise ConfigError(
                        "seccomp rule for %s: libseccomp refuses it" % name, where=where, cause=str(error)
                    )
    return names


def _action(name: str, errno_ret: int | None, where: str, prefix: str) -> int:
    """The action's number with its data; `prefix` is "default" for the profile's own action."""
    action_key, errno_key = ("defaultAction", "defaultErrnoRet") if prefix else ("action", "errnoRet")
    if name not in ACTIONS:
        raise _unknown("action", name, "%s.%s" % (where, action_key), ACTIONS)
    if name not in ACTIONS_WITH_ERRNO:
        if errno_ret is not None:
            raise ConfigError(
                "%s is not allowed with %s" % (errno_key, name),
                where="%s.%s" % (where, errno_key),
                fix="remove it, or use SCMP_ACT_ERRNO",
            )
        return ACTIONS[name]
    data = _EPERM if errno_ret is None else errno_ret
    if not 0 <= data <= _MAX_ERRNO:
        raise ConfigError(
            "%s %d: numerical result out of range" % (errno_key, data),
            where="%s.%s" % (where, errno_key),
            fix="use an errno from 0 to %d" % _MAX_ERRNO,
        )
    return ACTIONS[name] | data


def _alternatives(args: "list[SeccompArg]", where: str) -> "list[list[tuple[int, int, int, int]]]":
    """Lists of conditions (index, operator, a, b): the rule holds if all of one list hold.

    libseccomp takes each argument once per rule; where a profile names one twice, each condition becomes a
    rule of its own, as in runc and crun.
    """
    conditions = []
    for index, arg in enumerate(args):
        here = "%s.args[%d]" % (where, index)
        if arg["op"] not in OPERATORS:
            raise _unknown("operator", arg["op"], here + ".op", OPERATORS)
        if not 0 <= arg["index"] <= 5:
            raise ConfigError(
                "argument index %d: numerical result out of range" % arg["index"],
                where=here + ".index",
                fix="a system call has the arguments 0 to 5",
            )
        values = (arg["value"], arg.get("valueTwo", 0))
        for key, value in zip(("value", "valueTwo"), values, strict=True):
            if not 0 <= value < 1 << 64:  # a binding would cut it down without a word
                raise ConfigError(
                    "%s %d: numerical result out of range" % (key, value),
                    where="%s.%s" % (here, key),
                    fix="system call arguments are unsigned and have 64 bits",
                )
        conditions.append((arg["index"], OPERATORS[arg["op"]], *values))
    if len({condition[0] for condition in conditions}) < len(conditions):
        return [[condition] for condition in conditions]
    return [conditions]


def _newest(library: Library, token: int, names: "dict[str, None]") -> int | None:
    """The highest number the profile names on one architecture; None if it names no call of it."""
    numbers = [library.resolve(token, name) for name in names]
    return max((number for number in numbers if number is not None and number >= 0), default=None)


def _unknown(what: str, name: str, where: str, known: "dict[str, int]") -> ConfigError:
    return ConfigError('unknown seccomp %s "%s"' % (what, name), where=where, fix="use one of " + ", ".join(known))
