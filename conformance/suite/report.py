"""TAP lines, the table, and the results as data."""

import argparse
import json
import os
import re

from .case import Case

_lines: list[str] = []


def say(text: str, options: argparse.Namespace, always: bool = False) -> None:
    _lines.append(text)
    if always or not options.quiet:
        print(text, flush=True)


def expected_reasons(options: argparse.Namespace) -> dict[str, dict[str, str]]:
    try:
        with open(options.expected, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def tap_line(runtime: str, case: Case, outcome: dict, number: int, total: int, options: argparse.Namespace) -> None:
    if number == 1:
        say("TAP version 13" if not _lines else f"# next runtime: {runtime}", options)
        if len(options.runtime) == 1:
            say(f"1..{total}", options)
    known = expected_reasons(options).get(runtime, {}).get(case.name)
    word = "not ok" if outcome["result"] == "fail" else "ok"
    text = (
        f"{word} {len([x for x in _lines if not x.startswith(('#', 'TAP', '1..'))]) + 1} - {runtime}: {case.name}"
    )
    if outcome["result"] == "skip":
        text += f" # SKIP {outcome['reason']}"
    elif outcome["result"] == "fail" and known:
        text += f" # TODO {known}"
    failed = outcome["result"] == "fail"
    say(text, options, always=failed)
    if failed:
        say(f"#   {case.level}: {case.cite}", options, always=True)
        for line in outcome["reason"].splitlines():
            say(f"#   {line}", options, always=True)


def finish(results: dict[str, dict], chosen: list[Case], options: argparse.Namespace) -> int:
    if len(options.runtime) > 1:
        say(f"1..{len(chosen) * len(results)}", options)
    for line in table(results, chosen):
        say(f"# {line}", options, always=True)
    known = expected_reasons(options)
    first = next(iter(results))
    surprises = 0
    for name, case in results[first]["cases"].items():
        reason = known.get(first, {}).get(name)
        if case["result"] == "fail" and not reason:
            surprises += 1
        if case["result"] == "pass" and reason:
            say(f"# {first}: {name} passes, though expected.json says: {reason}", options, always=True)
    if options.tap:
        write(options.tap, "\n".join(_lines) + "\n")
    if options.json:
        write(options.json, dump(results))
    if options.results:
        os.makedirs(options.results, exist_ok=True)
        for name, data in results.items():
            path, kept = f"{options.results}/{name}.json", stable(data)
            if options.only and os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    kept["cases"] = {**json.load(file)["cases"], **kept["cases"]}
            write(path, dump(kept))
    return 1 if surprises else 0


def stable(data: dict) -> dict:
    """The results without what differs from run to run."""
    kept = {
        name: {"result": c["result"], "reason": steady(c["reason"])} for name, c in sorted(data["cases"].items())
    }
    return {"version": data["version"], "cases": kept}


def steady(reason: str) -> str:
    for pattern, text in ((r'time="[^"]*" ', ""), (r"/proc/\d+/", "/proc/PID/"), (r"process \d+ ", "process PID "),
                          (r"/proc/self/fd/\d+", "/proc/self/fd/N"), (r"/conformance-\w+/", "/BASE/")):  # fmt: skip
        reason = re.sub(pattern, text, reason)
    return reason


def table(results: dict[str, dict], chosen: list[Case]) -> list[str]:
    """Passed/all per section and runtime, then each case on which runtimes fail or differ."""
    names = list(results)
    sections: dict[str, list[str]] = {}
    for case in chosen:
        sections.setdefault(case.name.split("/")[0], []).append(case.name)
    width = max((len(s) for s in sections), default=8) + 2
    lines = ["", f"{'section':{width}}" + "".join(f"{name:>24}" for name in names)]
    for section, cases in [*sections.items(), ("all", [c.name for c in chosen])]:
        cells = []
        for name in names:
            got = [results[name]["cases"][c]["result"] for c in cases]
            skipped = f", {got.count('skip')} skipped" if "skip" in got else ""
            cells.append(f"{got.count('pass')}/{len(got)}{skipped}")
        lines.append(f"{section:{width}}" + "".join(f"{cell:>24}" for cell in cells))
    differing = [c.name for c in chosen if any(results[n]["cases"][c.name]["result"] == "fail" for n in names)]
    if differing and len(names) > 1:
        lines += ["", f"{'failing somewhere':58}" + "".join(f"{name:>9}" for name in names)]
        lines += [
            f"{case:58}" + "".join(f"{results[n]['cases'][case]['result']:>9}" for n in names) for case in differing
        ]
    return lines


def dump(data: object) -> str:
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
