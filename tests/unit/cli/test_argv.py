"""What callers send is read, and both readers read it alike."""

import random

import click
import pytest

from pyoci.cli import click_reader, parse
from pyoci.cli.table import (
    ANY_NUMBER,
    CHOICE,
    COMMANDS,
    COUNT,
    DURATION,
    FLAG,
    GLOBAL_OPTIONS,
    INT,
    LIST,
    SIZE,
    TRISTATE,
    VALUE,
    options_of,
    wrong_count,
)

SHIM = "--root /run/containerd/runc/default --log /b/log.json --log-format json"
CALLERS = [
    # containerd's shim, for itself, docker and the CRI
    SHIM + " create --bundle /b --pid-file /b/init.pid c1",
    SHIM + " create --bundle /b --pid-file /b/init.pid --console-socket /t/pty.sock c1",
    SHIM + " create --bundle /b --pid-file /b/init.pid --no-pivot --no-new-keyring c1",
    SHIM + " --systemd-cgroup create --bundle /b --pid-file /b/init.pid c1",
    SHIM + " --rootless=true create --bundle /b --pid-file /b/init.pid c1",
    SHIM + " start c1",
    SHIM + " state c1",
    SHIM + " kill c1 9",
    SHIM + " kill c1 15",
    SHIM + " kill --all c1 9",
    SHIM + " delete c1",
    SHIM + " delete --force c1",
    SHIM + " exec --process /t/p.json --detach --pid-file /b/e.pid c1",
    SHIM + " exec --process /t/p.json --console-socket /t/pty.sock --detach --pid-file /b/e.pid c1",
    SHIM + " ps --format json c1",
    SHIM + " pause c1",
    SHIM + " resume c1",
    SHIM + " update --resources - c1",
    SHIM + " update --resources=- c1",
    SHIM + " checkpoint --image-path /i --work-path /w c1",
    SHIM
    + " checkpoint --image-path /i --leave-running --tcp-established --ext-unix-sk --shell-job --file-locks c1",
    SHIM + " checkpoint --image-path /i --status-fd 3 --empty-ns network --manage-cgroups-mode soft c1",
    SHIM + " restore --image-path /i --work-path /w --detach --pid-file /p -no-subreaper --bundle /b c1",
    SHIM + " restore --image-path /i --detach --pid-file /p --no-pivot -no-subreaper --bundle /b c1",
    SHIM + " events --interval 5s c1",
    SHIM + " events --stats c1",
    SHIM + " list --format=json",
    "features",
    "--version",
    "-v",
    # podman, by conmon and directly
    "--log-format=json --log /l create --bundle /b --pid-file /p c1",
    "--log-format=json --log /l create --bundle /b --pid-file /p --console-socket /s c1",
    "--log-format=json --log /l --cgroup-manager disabled create --bundle /b --pid-file /p c1",
    "--systemd-cgroup --root=/r create --bundle /b --pid-file /p --no-pivot --preserve-fds 2 c1",
    "--log-format=json --log /l exec --pid-file /p --process /j --detach c1",
    "--log-format=json --log /l exec --pid-file /p --process /j --detach --tty --console-socket /s c1",
    "--log-format=json --log /l exec --pid-file /p --process /j --preserve-fds 3 --detach c1",
    "--log-format=json --log /l restore --bundle /b --pid-file /p --detach --image-path /i --work-path /w c1",
    "--log-format=json --log /l restore --bundle /b --pid-file /p --tcp-established --detach --image-path /i c1",
    "--debug create --bundle /b --pid-file /p c1",
    "--debug start c1",
    "start c1",
    "state c1",
    "kill c1 9",
    "kill --all c1 10",
    "delete --force c1",
    "pause c1",
    "resume c1",
    "update --resources=/f c1",
    "checkpoint --image-path /i --work-path /w c1",
    # cri-o
    "--root /run/r --systemd-cgroup start c1",
    "--root /run/r kill c1 TERM",
    "--root /run/r kill -a c1 9",
    "--root /run/r update --resources - c1",
    "--root /run/r exec --process /j c1",
    "--root /run/r checkpoint --image-path /i --file-locks --leave-running c1",
    # conmon-rs
    "--root=/r --systemd-cgroup create --bundle /b --pid-file /p --console-socket=/s c1",
    "--root=/r exec -d --console-socket=/s --tty --pid-file=/p c1 ls -l --color=auto",
    "--log=journald:c1 --log-level debug create --bundle /b --pid-file /p c1",
    # buildah
    "create --bundle /b --pid-file /b/pid --no-pivot c1",
    "create --bundle /b --pid-file /b/pid --console-socket /s c1",
    "kill c1 KILL",
    "kill c1",
    "delete c1",
    # buildkit
    "--log /x/runc-log.json --log-format json run --bundle /b --no-pivot --keep c1",
    "--log /x/runc-log.json --log-format json exec --process /j --pid-file /p c1",
    # runtime-tools
    "create --pid-file /p --bundle /b c1",
    "kill --signal KILL c1",
    # people
    "run -d -b /b c1",
    "run -b=/b --detach=false c1",
    "run c1 --bundle /b",
    "-root /r -debug=true list -q -f json",
    "exec -t=false -e A=1,2 -e B= -u 0:0 c1 sh -c true",
    "exec -dt c1 -- ls --help",
    "exec -e --tty=false c1 ls",
    "exec -- c1 ls -l",
    "exec c1 ls -h",
    "ps c1 -ef",
    "ps --format json c1 -- -ef",
    "list --quiet=0",
    "events --interval 1m30.5s c1",
    "update --memory 64m --memory-swap -1 --cpu-quota=-1 c1",
    "--rootless AUTO spec --rootless -b /b",
    "check -b /b",
    "plan --bundle=/b --format json",
]
RIGHT = {
    VALUE: ["", "x", "-", "--tty=false", "a=b", "a,b", "\udcff", "ü", "-b"],
    LIST: ["", "A=1,2", "-x", "--", "--env"],
    COUNT: ["0", "3"],
    INT: ["0", "-1", "+7", "4096"],
    SIZE: ["0", "-1", "10k", "64M", "1gb", "123"],
    DURATION: ["5s", "100ms", "1m30s", "0", "1.5h"],
    TRISTATE: ["true", "FALSE", "auto", "Auto", "1"],
}
WRONG = {
    COUNT: ["-1", "x", "", "1_0"],
    INT: ["x", "", "1 ", "٣"],
    SIZE: ["k", "1q", "-2k", ""],
    DURATION: ["5", "", "s", "1.2.3s", "5 s"],
    TRISTATE: ["maybe", ""],
    FLAG: ["maybe", "", "yes"],
    CHOICE: ["xml", ""],
}


def plain(reading: parse.Reading) -> tuple[object, ...]:
    return reading.command, reading.settings, reading.options, reading.arguments


@pytest.mark.parametrize("line", CALLERS)
def test_both_readers_read_what_callers_send_alike(line: str) -> None:
    argv = line.split()
    fast = parse.parse(argv)
    assert fast is not None
    assert plain(fast) == plain(click_reader.read(argv))


def random_option(rng: random.Random, option: object, *, right: bool) -> list[str]:
    kind = option.kind
    names = ["--" + option.name, "-" + option.name]
    if kind == FLAG:
        if not right:
            return [rng.choice(names) + "=" + rng.choice(WRONG[FLAG])]
        plain_flag = [rng.choice(names + (["-" + option.short] if option.short else []))]
        return rng.choice([plain_flag, [rng.choice(names) + "=" + rng.choice([*parse._TRUE, *parse._FALSE])]])
    values = {**RIGHT, CHOICE: list(option.choices)} if right else WRONG
    value = rng.choice(values[kind])
    ways = [[rng.choice(names), value], [rng.choice(names) + "=" + value]]
    if option.short:
        ways += [["-" + option.short, value], ["-" + option.short + "=" + value]]
    return rng.choice(ways)


def random_words(rng: random.Random, options: tuple[object, ...]) -> list[list[str]]:
    return [random_option(rng, rng.choice(options), right=True) for _ in range(rng.randrange(4))] if options else []


def random_argv(seed: int) -> list[str]:
    rng = random.Random(seed)
    settings = [option for option in GLOBAL_OPTIONS if option.name not in {"help", "version"}]
    command = rng.choice(list(COMMANDS.values()))
    most = command.least + 3 if command.most == ANY_NUMBER else command.most
    arguments = ["c1"] * bool(command.least)
    arguments += [
        rng.choice(["x", "9", "-", "ü"]) for _ in range(rng.randint(command.least, most) - len(arguments))
    ]
    groups = random_words(rng, command.options)
    if command.stops:
        tail = [rng.choice(["-x", "--all", "--", "y"]) for _ in range(rng.randrange(3))] if most > 2 else []
        rest = [word for group in groups for word in group] + arguments + tail
    else:
        groups += [[argument] for argument in arguments]
        rng.shuffle(groups)
        rest = [word for group in groups for word in group]
    before = [word for group in random_words(rng, tuple(settings)) for word in group]
    return [*before, command.name, *rest]


@pytest.mark.parametrize("block", range(10))
def test_both_readers_read_generated_command_lines_alike(block: int) -> None:
    for seed in range(block * 200, block * 200 + 200):
        argv = random_argv(seed)
        fast = parse.parse(argv)
        assert fast is not None, argv
        assert plain(fast) == plain(click_reader.read(argv)), argv


def assert_both_refuse(argv: list[str]) -> None:
    assert parse.parse(argv) is None, argv
    with pytest.raises((click.UsageError, parse.Mistake)):
        click_reader.read(argv)


@pytest.mark.parametrize("command", COMMANDS)
def test_both_readers_refuse_unknown_options(command: str) -> None:
    arguments = ["x"] * COMMANDS[command].least
    for word in ("--no-such-option", "--no-such-option=1", "-no-such-option", "-Z"):
        assert_both_refuse([command, word, *arguments])


@pytest.mark.parametrize("command", COMMANDS)
def test_both_readers_refuse_wrong_and_missing_values(command: str) -> None:
    rng = random.Random(command)
    arguments = ["x"] * COMMANDS[command].least
    assert_both_refuse([command, *arguments, "x", "x", "x"] if COMMANDS[command].most >= 0 else [command])
    for option in COMMANDS[command].options:
        for _ in range(6 if option.kind in WRONG else 0):
            assert_both_refuse([command, *random_option(rng, option, right=False), *arguments])
        if option.kind != FLAG:
            assert_both_refuse([command, "--" + option.name])


@pytest.mark.parametrize("command", COMMANDS)
def test_both_readers_count_positionals_alike(command: str) -> None:
    row = COMMANDS[command]
    for count in range(6):
        argv = [command, *["x"] * count]
        right = not wrong_count(row, count)
        assert (parse.parse(argv) is not None) is right
        if right:
            assert click_reader.read(argv).arguments == ["x"] * count
        else:
            with pytest.raises(parse.Mistake):
                click_reader.read(argv)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("state", 'pyoci: "state" requires exactly 1 argument(s)'),
        ("state a b", 'pyoci: "state" requires exactly 1 argument(s)'),
        ("list a", 'pyoci: "list" requires exactly 0 argument(s)'),
        ("exec", 'pyoci: "exec" requires a minimum of 1 argument(s)'),
        ("kill", 'pyoci: "kill" requires a minimum of 1 argument(s)'),
        ("kill a b c", 'pyoci: "kill" requires a maximum of 2 argument(s)'),
        ("restore --lsm-mount-context", "flag needs an argument: --lsm-mount-context"),
        ("frobnicate", 'no such command: "frobnicate"'),
        ("--log-format=xml state c1", "invalid log-format: xml"),
        ("list -f xml", "invalid format option: xml"),
        ("--rootless=maybe state c1", 'invalid value "maybe" for flag --rootless'),
        ("create --preserve-fds x c1", 'invalid value "x" for flag --preserve-fds'),
        ("state --nope c1", "flag provided but not defined: --nope"),
        ("state -x c1", "flag provided but not defined: -x"),
    ],
)
def test_a_mistake_is_named_in_the_words_that_callers_know(line: str, message: str) -> None:
    with pytest.raises(parse.Mistake) as caught:
        parse.read(line.split())
    assert caught.value.message == message


@pytest.mark.parametrize("command", [name for name, row in COMMANDS.items() if row.least])
def test_an_empty_container_id_is_a_mistake(command: str) -> None:
    with pytest.raises(parse.Mistake) as caught:
        parse.read([command, "", *["x"] * (COMMANDS[command].least - 1)])
    assert caught.value.message == "container id cannot be empty"


def test_the_log_settings_survive_a_mistake() -> None:
    with pytest.raises(parse.Mistake) as caught:
        parse.read(["--log", "/l", "--log-format", "json", "state"])
    assert (caught.value.settings["log"], caught.value.settings["log_format"]) == ("/l", "json")


def test_options_after_the_id_belong_to_the_program_of_exec() -> None:
    reading = parse.read(["exec", "-t", "c1", "ls", "-l", "--tty=false", "--", "x"])
    assert reading.options["tty"] is True
    assert reading.arguments == ["c1", "ls", "-l", "--tty=false", "--", "x"]


def test_two_readings_share_no_list() -> None:
    parse.read(["exec", "-e", "A=1", "c1"])
    assert parse.read(["exec", "c1"]).options["env"] == []


def test_bytes_that_are_no_utf8_survive() -> None:
    assert parse.read(["create", "--bundle", "/\udcff", "c1"]).options["bundle"] == "/\udcff"


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("10k", 10240), ("1M", 1 << 20), ("2g", 2 << 30), ("1kb", 1024), ("-1", -1)]
)
def test_sizes_have_suffixes_of_1024(text: str, size: int) -> None:
    assert parse.read(["update", "--memory", text, "c1"]).options["memory"] == size


@pytest.mark.parametrize(
    ("text", "seconds"), [("5s", 5.0), ("100ms", 0.1), ("1m30s", 90.0), ("0", 0.0), ("-1.5s", -1.5), ("2h", 7200.0)]
)
def test_durations_are_read_as_go_writes_them(text: str, seconds: float) -> None:
    assert parse.read(["events", "--interval", text, "c1"]).options["interval"] == pytest.approx(seconds)


def test_no_two_options_of_a_command_share_a_name() -> None:
    for options in (GLOBAL_OPTIONS, *map(options_of, COMMANDS.values())):
        names = [option.name for option in options] + [option.short for option in options if option.short]
        assert len(names) == len(set(names))
