"""Rows made by the starter model through real runs: share of candidates that pass, tokens per second, money for each row that passed.

    python tests/bench/synthesis.py [--sources 20] [--rows 20] [--only documents rows serial]

documents: questions from the paragraphs of resources/help.  rows: vary, evolve and invert from the legal kit's training rows.
serial: documents again, one question at a time: the baseline for the speed of several at once.  Each is a run of its own in one
service, so money is what the product charges.  The starter model has 135M parameters: expect few of its candidates to pass.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
LEAST_WORDS = 30


def documents(count: int) -> list[dict[str, Any]]:
    """Paragraphs of the program's own help, without marks."""
    text = "\n\n".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "resources" / "help").glob("*.md")))
    paragraphs = [" ".join(re.sub(r"[*`#]", "", part).split()) for part in re.split(r"\n\s*\n", text)]
    return [{"text": part, "split": "train"} for part in paragraphs if len(part.split()) >= LEAST_WORDS][:count]


def kit_rows(count: int) -> list[dict[str, Any]]:
    """Training rows of the legal kit, and its test rows, which nothing may come close to."""
    lines = (ROOT / "kits" / "legal" / "data" / "notices.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [row for row in rows if row["split"] == "train"][:count] + [row for row in rows if row["split"] == "test"]


def document(file: Path, name: str, given: argparse.Namespace) -> str:
    """The workflow: import, make rows."""
    make = {"node": "data.synthesise", "needs": "source", "rows": given.rows, "per_source": 2, "max_tokens": 160,
            "at_once": 1 if name == "serial" else 0, "checks": {"test_meaning": 0.0 if name != "rows" else 0.95}}
    steps = {"source": {"node": "dataset.import", "path": str(file), "name": name}, "make": make}
    return json.dumps({"name": name, "base_model": "smollm2-135m-instruct", "steps": steps})


def measure(store: Any, name: str, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Run it and give the step's own report."""
    import orjson

    from app.workflow import runs

    rows = kit_rows(given.sources) if name == "rows" else documents(given.sources)
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run = runs.submit_text(store, document(file, name, given), name)
    while runs.find_run(store, run)["state"] in ("queued", "running"):
        time.sleep(0.5)
    step = store.row("SELECT outputs, why FROM steps WHERE run = ? AND id = 'make'", (run,))
    if step["outputs"] is None:
        raise SystemExit(step["why"])
    report = orjson.loads(step["outputs"])["report"]["summary"]
    kept = ("candidates", "made", "passed", "methods", "dropped", "cost", "cost_per_row")
    return {name: report[name] for name in kept} | {name: report["asked"][name] for name in ("tokens_per_second", "tokens_out", "seconds")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=20)
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=["documents", "rows", "serial"])
    given = parser.parse_args()
    before = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(NEUROWEAVER_HOME=f"{home}/profile", NEUROWEAVER_KEYRING="off")
        from app.store import Profile, Store

        with Store.open(Profile(Path(home) / "profile")) as store:
            service = subprocess.Popen([sys.executable, "main.py", "service", "--json", "--port", "0"], cwd=ROOT,
                                       stdout=subprocess.PIPE, text=True)
            try:
                assert service.stdout
                service.stdout.readline()
                found = {name: measure(store, name, Path(home), given) for name in given.only}
            finally:
                service.terminate()
                service.wait(30)
    if {"documents", "serial"} <= set(found):
        found["ratio"] = found["documents"]["tokens_per_second"] / found["serial"]["tokens_per_second"]
    print(json.dumps({**found, "load_average_before": before}, indent=1))


if __name__ == "__main__":
    main()
