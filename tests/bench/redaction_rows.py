"""Rows a second and memory of data.redact as a step: reading, finding, stand-ins, findings and the new version written.

    .venv/bin/python tests/bench/redaction_rows.py [--rows 20000] [--characters 300]

Each line is one run over the same rows: without and with the names model, in this process and with one child a core.  The rows
are made of the labelled sentences, every one different, so that nothing is remembered from row to row.  Memory is the step's
and its children's together, at its highest; it must not grow with the rows.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "NEUROWEAVER_KEYRING": "off"}
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import psutil

from app.config.artifacts import Rows
from app.data.redact_node import Redact, RedactParams
from app.data.redaction.labelled import labelled
from app.store import Profile, Store
from app.store.datasets import create_dataset, open_dataset
from app.store.records import Row
from tests.context import FakeContext


def main() -> int:
    """Print one line a way of running."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--rows", type=int, default=20_000)
    ask.add_argument("--characters", type=int, default=300)
    wish = ask.parse_args()
    with tempfile.TemporaryDirectory() as folder, Store.open(Profile(Path(folder) / "profile")) as store:
        given = _dataset(store, wish.rows, wish.characters)
        print(f"{wish.rows:,} rows of about {wish.characters} characters, {os.cpu_count()} cores")
        for model in (False, True):
            for processes in (1, 2):
                ctx = FakeContext(store, Path(folder), inputs={"rows": given})
                params = RedactParams(names_model=model, processes=processes)
                with _Peak() as peak:
                    begun = time.perf_counter()
                    made = Redact(params).run(ctx)
                    seconds = time.perf_counter() - begun
                found = sum(line["found"] for line in made["report"].summary["findings"].values())
                print(f"  {'with' if model else 'without'} the names model, {processes} process{'es' if processes > 1 else '  '}: "
                      f"{wish.rows / seconds:7,.0f} rows/s, {found:,} findings, at most {peak.megabytes:,.0f} MB")
    return 0


def _texts(characters: int) -> Iterator[str]:
    parts: list[str] = []
    for number, sentence in enumerate(labelled(10**9, 3)):
        parts.append(f"{sentence.text} ({number})")
        if sum(map(len, parts)) >= characters:
            yield " ".join(parts)
            parts.clear()


def _dataset(store: Store, rows: int, characters: int) -> Rows:
    dataset, texts = create_dataset(store, "letters"), _texts(characters)
    with open_dataset(store, dataset) as db:
        for start in range(1, rows + 1, 5000):
            db.add_rows(1, [Row("text", text=next(texts), split="train") for _ in range(min(5000, rows + 1 - start))], start=start)
    store.db["dataset_versions"].insert({"dataset": dataset, "version": 1, "state": "ready", "rows": rows, "shape": "text", "origin": "{}", "created": 0.0})
    return Rows(content_hash="given", dataset=dataset, version=1, rows=rows)


class _Peak:
    """Highest memory of this process and its children meanwhile."""

    megabytes = 0.0

    def __enter__(self) -> _Peak:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._end.wait(0.5):
            total = 0
            for process in (own, *own.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
            self.megabytes = max(self.megabytes, total / 1e6)

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


if __name__ == "__main__":
    sys.exit(main())
