"""Print the result of a kit: every arm on the same held-out items, intervals, and the seconds of each step.

Usage: .venv/bin/python tests/bench/kit_result.py [KIT] [--keep FOLDER] [--by COLUMN] [--set A.B=C ...]
       .venv/bin/python tests/bench/kit_result.py [KIT] --home FOLDER [--by COLUMN]
The kit runs in a fresh profile that is deleted afterwards, or in --keep, which stays.  With --home nothing runs: the last
evaluation of that profile is printed.  --by shows base and tuned apart for each value of a column of the kit's rows, for
example the package that a row comes from.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def run_kit(kit: str, home: Path, settings: list[str]) -> dict[str, Any]:
    """The kit through the command line, as a user runs it; returns its JSON."""
    command = [sys.executable, str(ROOT / "main.py"), "run", kit, "--json", *(word for one in settings for word in ("--set", one))]
    environment = {**os.environ, "NEUROWEAVER_HOME": str(home), "NEUROWEAVER_KEYRING": "off"}
    before, started, taken = os.getloadavg()[0], time.monotonic(), taken_away()
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found | {"wall": time.monotonic() - started, "load": (before, os.getloadavg()[0]), "taken": taken_away() - taken}


def taken_away() -> float:
    """Seconds of processor time that the host of this virtual machine gave to others ("steal"); 0 where nobody counts them."""
    import psutil

    return float(getattr(psutil.cpu_times(), "steal", 0.0))


def last_report(home: Path) -> dict[str, Any] | None:
    """The last evaluation in a profile."""
    os.environ.update(NEUROWEAVER_KEYRING="off")
    from app.store import Profile, Store

    with Store.open(Profile(home)) as store:
        row = store.row("SELECT report FROM evaluations ORDER BY id DESC LIMIT 1")
    return json.loads(row["report"]) if row else None


def by_column(kit: str, home: Path, column: str) -> list[str]:
    """Base and tuned on the task's items, one line for each value of a column of the kit's rows."""
    files = (ROOT / "kits" / kit / "data").glob("*.jsonl")
    rows = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    values = {row["messages"][0]["content"]: str(row.get(column)) for row in rows}
    last = max((home / "runs").rglob("evaluation.json"), key=lambda file: file.stat().st_mtime)
    found: dict[str, list[dict[str, Any]]] = {}
    for sample in json.loads(last.read_bytes())["samples"]:
        if "refused" not in sample["checks"]:
            found.setdefault(values[sample["prompt"]], []).append(sample)
    lines = [f"{column:34}{'items':>8}{'base':>8}{'tuned':>8}"]
    for value, samples in sorted(found.items()):
        means = (100 * sum(one[name] for one in samples) / len(samples) for name in ("base_score", "tuned_score"))
        lines.append(f"{value:34}{len(samples):>8}" + "".join(f"{mean:>8.1f}" for mean in means))
    return lines


def table(report: dict[str, Any]) -> list[str]:
    """One line an arm, per cent or nats; a dash where the arm does not write the field."""
    from app.config.verdicts import NLL, score

    fields = list(report["table"][0]["fields"])
    unit = "nats a token" if report["metric"] == NLL else "per cent"
    lines = [f"{unit + ', ' + str(report['items']) + ' held-out items':34}" + "".join(f"{name:>16}" for name in [*fields, "score"])]
    for arm in report["table"]:
        values = [arm["fields"].get(name) for name in fields] + [arm["score"]]
        lines.append(f"{arm['label']:34}" + "".join(f"{'-' if one is None else score(report['metric'], one):>16}" for one in values))
    return lines


def difference(words: str, metric: str, found: dict[str, Any]) -> str:
    """A difference never stands without its interval and verdict."""
    from app.config.verdicts import margin

    return f"{words}: {margin(metric, found['difference'], *found['interval'])} {found['verdict']}"


def behaviour(found: dict[str, Any]) -> list[str]:
    """Refused of asked by kind, one line an arm, with the 95 % interval in per cent."""
    columns = {one["kind"]: one["arms"] for one in found["kinds"]} | {"task, wrongly": found["refused_wrongly"]}
    lines = [f"{'refused of asked [95 %]':34}" + "".join(f"{name:>26}" for name in columns)]
    for arm in found["refused_wrongly"]:
        shares = [arms[arm] for arms in columns.values()]
        cells = [f"{one['count']} of {one['items']} [{100 * one['interval'][0]:.1f}, {100 * one['interval'][1]:.1f}]" for one in shares]
        lines.append(f"{arm:34}" + "".join(f"{cell:>26}" for cell in cells))
    return lines


def show(report: dict[str, Any]) -> None:
    """Everything the report says."""
    print("\n".join(table(report)))
    print(difference("tuned - base", report["metric"], report))
    if report.get("versus_examples"):
        print(difference("tuned - base with examples", report["metric"], report["versus_examples"]))
    nll, (low, high) = report["nll"], report["nll"]["interval"]
    print(f"NLL nats/answer token: base {nll['base']:.3f}, tuned {nll['tuned']:.3f}; mean item difference {nll['difference']:+.3f} "
          f"[{low:.3f}, {high:.3f}] {nll['verdict']}")
    if "behaviour" in report:
        print("\n".join(behaviour(report["behaviour"])))
    for sentence in [report["meaning"], *report.get("behaviour", {}).get("sentences", ()), *report["notes"]]:
        print(sentence)


def show_run(run: dict[str, Any]) -> None:
    """State and seconds."""
    print(f"state {run['state']}; {run['wall']:.0f} s in all; {os.cpu_count()} cores, load average {run['load'][0]:.1f} before, "
          f"{run['load'][1]:.1f} after; the host took {run['taken']:.0f} s of processor time away")
    print("; ".join(f"{step['id']} {step['seconds']:.0f} s" for step in run["steps"]))
    if "error" in run:
        print(json.dumps(run["error"], indent=1))


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Print a kit's result")
    parser.add_argument("kit", nargs="?", default="legal")
    parser.add_argument("--home", type=Path, help="print the last evaluation of this profile instead of running")
    parser.add_argument("--keep", type=Path, help="run in this profile and leave it there")
    parser.add_argument("--by", metavar="COLUMN", help="also show base and tuned for each value of a column of the kit's rows")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override a value of the kit")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nw-kit-") as scratch:
        home = given.home or given.keep or Path(scratch)
        run = None if given.home else run_kit(given.kit, home, given.set)
        if run:
            show_run(run)
        report = last_report(home)
        if report:
            show(report)
        if report and given.by:
            print("\n".join(by_column(given.kit, home, given.by)))
        return int(report is None or (run is not None and run["state"] != "done"))


if __name__ == "__main__":
    sys.exit(main())
