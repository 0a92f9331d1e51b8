"""Every step of the refinery on a million rows: rows a second, highest memory and what it grows by, how soon a stop is obeyed.

    .venv/bin/python tests/bench/million_rows.py [--rows 20000 100000 1000000] [--home FOLDER] [STEP ...]

Each step runs in a process of its own over the same seeded rows, as the step worker runs it, twice: once to its end, once stopped after
a few seconds ("stopped in": from the request to the end of the process's work, its rows kept).  Beside rows a second stand those a
second of processor time, which other work on the machine hardly changes.  Memory is what the process holds for itself: pages of its
scratch file, which the system takes back when it needs room, are left out; with several counts of rows, a last line says how many bytes
each further row took.  "silence": the longest time without a sign of life.  While a library or a child works a step looks for a stop and
gives none, so that one that hangs is told: "unstoppable" is the longest time in which no stop was looked for.

What takes hours for a million rows is left out or done beforehand: ``redact`` asks no names model (``names`` does), ``semantic``,
``diverse``, ``clusters`` and ``similar`` find vectors made up around 200 centres in place of an encoder's (``meaning`` reads the first
5,000 rows with the packaged one), ``difficulty`` finds made-up scores, and a server that answers at once is asked by ``synthesise``.
``--home`` keeps the datasets for another run; STEP names those to run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ |= {"NEUROWEAVER_KEYRING": "off", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
               "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.context import FakeContext

ROOT = Path(__file__).resolve().parents[2]
ROWS, BLOCK = 1_000_000, 5_000
STOP_AFTER = 8.0
BASE = "smollm2-135m-instruct"
STEPS: dict[str, tuple[str, dict[str, Any]]] = {
    "clean": ("data.clean", {}),
    "refine": ("data.refine", {}),
    "semantic": ("data.refine", {"semantic_duplicates": {"enabled": True}}),
    "split": ("data.split", {"again": True}),
    "assess": ("data.assess", {"relevance": {"rows": 0}}),
    "random": ("data.select", {"method": "random", "budget": {"share": 0.3}}),
    "stratified": ("data.select", {"method": "stratified", "by": "topic", "budget": {"share": 0.3}}),
    "diverse": ("data.select", {"method": "diverse", "budget": {"share": 0.01}}),
    "clusters": ("data.select", {"method": "clusters", "budget": {"share": 0.3}}),
    "similar": ("data.select", {"method": "similar", "budget": {"share": 0.3}}),
    "difficulty": ("data.select", {"method": "difficulty", "order": "easy_first", "at_least": {"ifd": 0.05}}),
    "augment": ("data.augment", {"share": 0.2}),
    "synthesise": ("data.synthesise", {"rows": 5000, "model": "teacher", "checks": {"test_meaning": 0}}),
    "redact": ("data.redact", {"names_model": False}),
    "remap": ("data.remap", {"mapping": {"shape": "chat", "prompt": "answer", "answer": "prompt"}}),
    "names": ("data.redact", {}),
    "meaning": ("data.select", {"method": "diverse", "budget": {"rows": 500}}),
}
MOST = {"names": 20_000, "meaning": 5_000}
"""Rows that a step takes at most."""
PREPARED = {"semantic": "vectors", "diverse": "vectors", "clusters": "vectors", "similar": "vectors", "difficulty": "scores"}
TOPICS = ("billing", "delivery", "returns", "accounts", "repairs", "contracts", "insurance", "travel", "payroll", "leases")
SUBJECTS = ("customer", "tenant", "courier", "clerk", "landlord", "driver", "nurse", "agent", "buyer", "supplier", "auditor", "witness")
VERBS = ("asked about", "disputed", "confirmed", "cancelled", "returned", "mislaid", "signed", "renewed", "queried", "forwarded")
OBJECTS = ("invoice", "parcel", "refund", "contract", "deposit", "licence", "warranty", "receipt", "statement", "ticket", "policy", "claim")
ROT = ("<p>{}</p>", "{}   \u00a0 ", "caf\u00c3\u00a9 {}", "{}\n\nUnsubscribe here", "{}\x07")


def rows(count: int) -> Iterator[Any]:
    """Questions and answers of 40 to 90 words in ten topics: 8 % nearly repeat an earlier one, 2 % repeat it, 5 % are soiled, 1 % break off."""
    from app.store.records import Row

    chance = random.Random(11)
    recent: list[tuple[str, str]] = []
    words = [f"{chance.choice('bcdfghklmnprstvw')}{chance.choice('aeiou')}{chance.choice('lmnrst')}{chance.choice('aeiou')}{number:x}"
             for number in range(30_000)]
    for number in range(1, count + 1):
        draw = chance.random()
        if recent and draw < 0.10:
            question, answer = chance.choice(recent)
            if draw < 0.08:
                answer = f"{answer.rsplit(' ', 2)[0]} {chance.choice(words)}."
        else:
            said = " ".join(f"The {chance.choice(SUBJECTS)} {chance.choice(VERBS)} the {chance.choice(OBJECTS)} {' '.join(chance.choices(words, k=5))}."
                            for _ in range(chance.randint(2, 4)))
            question = f"{said} What happens to case {number}?"
            answer = f"Case {number} goes to {chance.choice(TOPICS)}: {' '.join(chance.choices(words, k=chance.randint(8, 25)))}."
        if draw > 0.95:
            question = chance.choice(ROT).format(question)
        elif draw > 0.94:
            answer = answer[: len(answer) // 2]
        if draw > 0.9:
            question += f" Write to {chance.choice(words)}@example.com or call +44 20 7946 0{chance.randrange(100, 999)}."
        recent.append((question, answer))
        if len(recent) > 2000:
            recent.pop(chance.randrange(2000))
        yield Row("chat", [{"role": "user", "content": question}, {"role": "assistant", "content": answer}],
                  meta={"topic": chance.choice(TOPICS), "source": f"mailbox-{number % 977}"})


def make(home: Path, name: str, count: int) -> str:
    """A dataset of so many rows; returns its id."""
    from app.store import Profile, Store
    from app.store.blocks import pack
    from app.store.datasets import create_dataset, open_dataset
    from app.store.records import encode
    from app.store.versions import VersionWriter

    with Store.open(Profile(home)) as store:
        if there := store.row("SELECT id FROM datasets WHERE name = ?", (name,)):
            return str(there["id"])
        dataset, source = create_dataset(store, name), rows(count)
        with open_dataset(store, dataset) as db, VersionWriter(store, db, origin={
                "file": "million.jsonl", "mapping": {"shape": "chat", "prompt": "prompt", "answer": "answer"}}) as writer:
            for start in range(1, count + 1, BLOCK):
                positions = list(range(start, min(start + BLOCK, count + 1)))
                splits = ["test" if place % 20 == 0 else "calibration" if place % 50 == 1 else "train" for place in positions]
                encoded = [encode(next(source)) for _ in positions]
                writer.write(pack(positions, *zip(*encoded, strict=True), splits))  # type: ignore[arg-type]
            held, checked = count // 20, len(range(1, count + 1, 50))
            writer.finish(rows=count, content_hash=dataset, splits={"train": count - held - checked, "calibration": checked, "test": held},
                          shape="chat")
    return dataset


def prepare(home: Path, dataset: str, what: str) -> None:
    """Scores of difficulty, or vectors of both kinds, for all rows; as steps before this one would have left them."""
    import numpy as np

    from app.config.models import resolve_base
    from app.data.embedding import DIMENSIONS, TEXTS, RowVectors, text_key
    from app.data.select import _model_mark, whole_text
    from app.store import Profile, Store
    from app.store.datasets import open_dataset

    chance = np.random.default_rng(5)
    with Store.open(Profile(home)) as store, open_dataset(store, dataset) as db:
        hashes = db.conn.execute("SELECT id, hash FROM rows ORDER BY hash").fetchall()
        kinds = {TEXTS: DIMENSIONS, f"rds:{_model_mark(resolve_base(store, BASE))}": 576}
        for kind, length in kinds.items() if what == "vectors" else ():
            RowVectors(db, kind, lambda _rows: np.zeros(0, np.float32))
            if db.conn.execute("SELECT 1 FROM vectors WHERE kind = ? LIMIT 1", (kind,)).fetchone():
                continue
            centres, keys = chance.normal(size=(200, length)), [digest for _, digest in hashes]
            if kind == TEXTS:
                keys = sorted(text_key(whole_text(row)) for row in db.iter_rows(1))
            for start in range(0, len(keys), BLOCK):
                some = keys[start : start + BLOCK]
                made = centres[chance.integers(200, size=len(some))] + 0.7 * chance.normal(size=(len(some), length))
                made = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16)
                with db.write() as conn:
                    conn.executemany("INSERT OR IGNORE INTO vectors (hash, kind, vector) VALUES (?, ?, ?)",
                                     ((key, kind, vector.tobytes()) for key, vector in zip(some, made, strict=True)))
        if what == "scores":
            with db.write() as conn:
                conn.executemany("INSERT OR REPLACE INTO scores (row, name, value) VALUES (?, 'ifd', ?)",
                                 ((number, value) for (number, _), value in zip(hashes, chance.random(len(hashes)).tolist(), strict=True)))


class Watched:
    """Highest memory that a process and its children hold for themselves (pages of files, which the system takes back, left out)."""

    def __init__(self, pid: int) -> None:
        import psutil

        self.megabytes = 0.0
        self._process = psutil.Process(pid)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        import psutil

        while not self._end.wait(0.2):
            total = 0
            try:
                for process in (self._process, *self._process.children(recursive=True)):
                    held = process.memory_info()
                    total += held.rss - getattr(held, "shared", 0)
            except psutil.Error:
                continue
            self.megabytes = max(self.megabytes, total / 1e6)

    def stop(self) -> float:
        """The figure."""
        self._end.set()
        self._thread.join()
        return self.megabytes


class Gap:
    """The longest time between two events, and between which messages it lay."""

    def __init__(self, began: float) -> None:
        self.longest, self.where, self._last, self._said = 0.0, "", began, "the beginning"

    def ends(self, now: float, said: str) -> None:
        """One more event."""
        if now - self._last > self.longest:
            self.longest, self.where = now - self._last, f"{self._said} -> {said}"
        self._last, self._said = now, said


class Listening(FakeContext):
    """Tells a look for a stop while others work from a sign of life, as the step worker's context does."""

    waiting = False

    def check_waiting(self) -> None:
        self.waiting = True
        try:
            self.check_cancelled()
        finally:
            self.waiting = False


def run_step(step: str, home: Path, dataset: str, stop: bool) -> int:
    """In the child: run one step; print what came of it as JSON."""
    from app.config.artifacts import Rows
    from app.errors import Cancelled
    from app.store import Profile, Store
    from app.store.datasets import open_dataset
    from app.store.versions import discard_paused
    from app.workflow import registry

    name, params = STEPS[step]
    node = registry.find(name)
    with Store.open(Profile(home)) as store, tempfile.TemporaryDirectory() as folder:
        found = store.row("SELECT rows, splits, content_hash FROM dataset_versions WHERE dataset = ? AND version = 1", (dataset,)) or {}
        with open_dataset(store, dataset) as db:  # what a stopped step of an earlier run left would be gone on with
            for left in store.rows("SELECT version FROM dataset_versions WHERE dataset = ? AND state = 'paused'", (dataset,)):
                discard_paused(store, db, left["version"])
        given = Rows(content_hash=found["content_hash"], dataset=dataset, version=1, rows=found["rows"], splits=json.loads(found["splits"]))
        ctx = Listening(store, Path(folder), inputs={"rows": given}, base_model=BASE)
        began, spent = time.monotonic(), time.process_time()
        silence, unstoppable, asked = Gap(began), Gap(began), list[float]()

        def cancel() -> str | None:
            now = time.monotonic()
            unstoppable.ends(now, ctx.message)
            if not ctx.waiting:
                silence.ends(now, ctx.message)
            if stop and now - began > STOP_AFTER:
                asked.append(now)
                return "save"
            return None

        ctx.cancel = cancel
        summary: dict[str, Any] = {}
        try:
            made: dict[str, Any] = node(node.params_model.model_validate(params)).run(ctx)
            summary = next((one.summary for one in made.values() if hasattr(one, "summary")), {})
        except Cancelled:
            pass
        ended = time.monotonic()
        silence.ends(ended, "the end")
        unstoppable.ends(ended, "the end")
        due, children = began + STOP_AFTER, os.times()
        cpu = time.process_time() - spent + children.children_user + children.children_system
        print(json.dumps({"seconds": ended - began, "cpu": cpu, "silence": silence.longest, "where": silence.where,
                          "unstoppable": unstoppable.longest, "stopped": ended - due if asked else None,
                          **{kind: sum(summary.get(kind, {}).values()) for kind in ("removed", "changed", "added")
                             if isinstance(summary.get(kind), dict)}}))
    return 0


def child(step: str, home: Path, dataset: str, *, stop: bool) -> tuple[dict[str, Any], float]:
    """(what a step in a process of its own said, MB)."""
    command = [sys.executable, __file__, "--home", str(home), "--child", step, "--dataset", dataset, *(["--stop"] if stop else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    watched = Watched(process.pid)
    out, _ = process.communicate()
    megabytes = watched.stop()
    if process.returncode:
        return {}, megabytes
    return json.loads(out.strip().splitlines()[-1]), megabytes


def measure(step: str, home: Path, count: int) -> float | None:
    """Run one step on so many rows, print its line; its memory in MB, None if it failed."""
    dataset = make(home, f"rows {count}", count)
    if step in PREPARED:
        prepare(home, dataset, PREPARED[step])
    with served(home) if step == "synthesise" else contextlib.nullcontext():
        said, megabytes = child(step, home, dataset, stop=False)
        if not said:
            print(f"{step:11} {count:>9,} rows: FAILED", flush=True)
            return None
        stopped, _ = child(step, home, dataset, stop=True) if said["seconds"] > STOP_AFTER + 2 else ({}, 0.0)
    after = f"stopped in {stopped['stopped']:.1f} s" if stopped.get("stopped") is not None else "too short to stop"
    did = ", ".join(f"{said[kind]:,} {kind}" for kind in ("removed", "changed", "added") if said.get(kind))
    print(f"{step:11} {count:>9,} rows: {count / said['seconds']:7,.0f} rows/s, {count / said['cpu']:7,.0f} a second of processor, at most "
          f"{megabytes:6,.0f} MB, longest silence {said['silence']:4.1f} s ({said['where']}), unstoppable {said['unstoppable']:.1f} s, {after}" + (f"; {did}" if did else ""), flush=True)
    return megabytes


@contextlib.contextmanager
def served(home: Path) -> Iterator[None]:
    """A model that answers at once, in this process."""
    from app.store import Profile, Store
    from tests.data.served import serving

    def answer(body: dict[str, Any]) -> dict[str, str]:
        chance = random.Random(body["seed"])
        words = " ".join(f"{chance.choice(SUBJECTS)} {chance.choice(VERBS)} {chance.choice(OBJECTS)} {chance.randrange(10**6)}" for _ in range(5))
        return {"question": f"Where does case {body['seed']} go, which says {words}?", "answer": f"It goes to {chance.choice(TOPICS)}."}

    with Store.open(Profile(home)) as store, serving(store, answer):
        yield


def main() -> int:
    """Make the rows, run the steps, print a line each; 1 if one failed."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("steps", nargs="*", choices=[[], *STEPS], help="steps to run; none: all")
    ask.add_argument("--rows", type=int, nargs="+", default=[ROWS])
    ask.add_argument("--home", type=Path)
    ask.add_argument("--child", choices=STEPS)
    ask.add_argument("--dataset", default="")
    ask.add_argument("--stop", action="store_true")
    wish = ask.parse_args()
    if wish.child:
        return run_step(wish.child, wish.home, wish.dataset, wish.stop)
    failed = False
    with tempfile.TemporaryDirectory(prefix="neuroweaver-bench-") as scratch:
        for step in wish.steps or STEPS:
            counts = sorted({min(count, MOST.get(step, count)) for count in wish.rows})
            found = [measure(step, wish.home or Path(scratch), count) for count in counts]
            failed |= None in found
            if len(found) > 1 and found[0] and found[-1]:
                print(f"{step:11} {1e6 * (found[-1] - found[0]) / (counts[-1] - counts[0]):9,.0f} bytes of memory for each row more", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
