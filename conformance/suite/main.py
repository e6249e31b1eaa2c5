"""The command: choose cases, run each in a process and a mount namespace of its own, report."""

import argparse
import fnmatch
import importlib
import json
import os
import pkgutil
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback

from . import cgroups, context, report, sandbox, system
from .case import CASES, Case, Failed, Skipped, be_patient, patience
from .container import ENVIRONMENT, Runtime

HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def main(argv: list[str]) -> int:
    options = parse(argv)
    be_patient(options.slowness)
    load_cases()
    chosen = [c for c in CASES.values() if any(fnmatch.fnmatch(c.name, glob) for glob in options.only or ["*"])]
    if options.list:
        for case in chosen:
            print(f"{case.name:56} {case.level:6} {' '.join(case.requirements):12} {case.cite}")
        print(f"{len(chosen)} cases")
        return 0
    if not options.runtime:
        raise SystemExit("conformance: name a runtime with --runtime PATH[=NAME]")
    if os.geteuid():
        raise SystemExit("conformance: needs root (namespaces, mounts, cgroups)")
    pairs = [resolve(text) for text in options.runtime]
    box = sandbox.Sandbox(options.probe)
    results: dict[str, dict] = {}
    try:
        for path, name in pairs:
            results[name] = {"path": path, "version": version(path), "cases": {}}
            for number, case in enumerate(chosen, 1):
                began = time.monotonic()
                outcome = run_case(box, path, name, case, number, patience(options.timeout))
                outcome["seconds"] = round(time.monotonic() - began, 2)
                results[name]["cases"][case.name] = outcome
                report.tap_line(name, case, outcome, number, len(chosen), options)
    finally:
        box.close()
    return report.finish(results, chosen, options)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="conformance/run", description="Check OCI runtimes against runtime-spec 1.3.0."
    )
    parser.add_argument(
        "--runtime", action="append", metavar="PATH[=NAME]", help="a runtime; give several to compare"
    )
    parser.add_argument(
        "--only", action="append", metavar="GLOB", help="run the cases whose names match (repeatable)"
    )
    parser.add_argument("--tap", metavar="FILE", help="write the TAP lines to FILE too")
    parser.add_argument("--json", metavar="FILE", help="write all results to FILE")
    parser.add_argument("--results", metavar="DIR", help="write DIR/NAME.json (with --only: update it)")
    parser.add_argument(
        "--expected", metavar="FILE", default=f"{HERE}/expected.json", help="reasons of known failures"
    )
    parser.add_argument("--probe", metavar="FILE", help="a built probe, for hosts without a C compiler")
    parser.add_argument("--timeout", type=float, default=40.0, metavar="SECONDS", help="for one case (default 40)")
    parser.add_argument(
        "--slowness",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="multiply every time limit (emulated machines)",
    )
    parser.add_argument("--list", action="store_true", help="print the cases with the sentences they check")
    parser.add_argument("--quiet", action="store_true", help="print failures and the table only")
    return parser.parse_args(argv)


def load_cases() -> None:
    import cases

    for module in sorted(name for _, name, _ in pkgutil.iter_modules(cases.__path__)):
        importlib.import_module(f"cases.{module}")


def resolve(text: str) -> tuple[str, str]:
    path, _, name = text.partition("=")
    found = shutil.which(path)
    if not found:
        raise SystemExit(f"conformance: no program {path}")
    return os.path.abspath(found), name or os.path.basename(found)


def version(path: str) -> str:
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, check=False, env=ENVIRONMENT, timeout=patience(20)
        )
        return done.stdout.splitlines()[0] if done.stdout else ""
    except (OSError, subprocess.TimeoutExpired):
        return ""


def run_case(box: sandbox.Sandbox, path: str, name: str, case: Case, number: int, timeout: float) -> dict:
    """Run one case in a child; returns {"result": pass|fail|skip, "reason": text}."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        code = 0
        try:
            os.setsid()
            outcome = in_child(box, path, name, case, number)
            os.write(writer, json.dumps(outcome).encode("utf-8", "backslashreplace")[:60000])
        except BaseException:
            traceback.print_exc()
            code = 1
        finally:
            os._exit(code)
    os.close(writer)
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    try:
        if poll.poll(timeout * 1000):
            data = os.read(reader, 1 << 16)
            outcome = (
                json.loads(data) if data else {"result": "fail", "reason": "the case itself broke, see stderr"}
            )
        else:
            outcome = {"result": "fail", "reason": f"the case did not end within {timeout:g} s"}
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    finally:
        os.close(reader)
        clean(box, number)
    return outcome


def in_child(box: sandbox.Sandbox, path: str, name: str, case: Case, number: int) -> dict:
    system.prctl(system.PR_SET_CHILD_SUBREAPER, 1)
    system.unshare(system.CLONE_NEWNS)
    system.mount("", "/", flags=system.MS_REC | system.MS_PRIVATE)
    mounts = {str(line["point"]) for line in system.mountinfo()}
    given = context.Context(box, Runtime(path, name, f"{box.base}/state-{name}"), number)
    null = os.stat("/dev/null")
    outcome = {"result": "pass", "reason": ""}
    try:
        case.function(given)
    except Failed as failure:
        outcome = {"result": "fail", "reason": str(failure)}
    except Skipped as skip:
        outcome = {"result": "skip", "reason": str(skip)}
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        outcome = {
            "result": "fail",
            "reason": f"unexpected {type(error).__name__}: {error} "
            f"({place.filename.rpartition('/')[2]}:{place.lineno})",
        }
    given.close()
    left = context.leftovers(given, mounts)
    given_away = os.stat("/dev/null").st_uid
    if given_away != null.st_uid:
        os.chown("/dev/null", null.st_uid, null.st_gid)
        left.append(f"the host's /dev/null, given to uid {given_away}")
    if left:
        text = "left behind: " + ", ".join(left[:6]).replace(given.token, "ID")
        if outcome["result"] == "fail":
            text = outcome["reason"] + "; " + text
        outcome = {"result": "fail", "reason": text}
    outcome["reason"] = outcome["reason"].replace(given.work, "WORK").replace(given.token, "ID")
    return outcome


def clean(box: sandbox.Sandbox, number: int) -> None:
    """Take away whatever a case or a runtime left: processes first, then cgroups, state and files."""
    sandbox.kill_descendants()
    token = f"{box.token}-{number}-"
    for path in cgroups.named(token):
        cgroups.remove(path)
    for entry in os.listdir(box.base):
        if entry.startswith(token):
            sandbox.remove_tree(f"{box.base}/{entry}")
        elif entry.startswith("state-"):
            for state in os.listdir(f"{box.base}/{entry}"):
                if state.startswith(token):
                    sandbox.remove_tree(f"{box.base}/{entry}/{state}")
    sys.stdout.flush()
