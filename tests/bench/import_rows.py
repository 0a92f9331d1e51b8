"""Rows a second of a JSON-lines import (read, checked, hashed, encrypted, indexed), beside the plain way in the same run.

Baseline: json.loads and one INSERT a row into an encrypted database of the same settings, in one transaction: no
checks, no hash, no index.  Usage: python tests/bench/import_rows.py [--rows 300000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AIM = 150_000
WORDS = ["lien", "notice", "party", "clause", "term", "breach", "remedy", "court", "title", "deed", "lease", "waiver", "consent", "fee"]


def write_sample(path: Path, rows: int) -> None:
    """Question and answer of some 300 bytes a row, with two further columns."""
    with path.open("w", encoding="utf-8") as stream:
        for number in range(rows):
            words = [WORDS[(number * 7 + step * step) % len(WORDS)] for step in range(36)]
            stream.write(
                json.dumps(
                    {
                        "prompt": f"Question {number}: {' '.join(words[:21])}?",
                        "completion": " ".join(words[21:]) + ".",
                        "source": f"doc-{number % 999}",
                        "id": number,
                    }
                )
                + "\n"
            )


def baseline(path: Path, folder: Path) -> float:
    """Seconds of json.loads and INSERT, row by row."""
    from app.store.connection import connect
    from app.store.datasets import CIPHER

    conn = connect(folder / f"{secrets.token_hex(4)}.db", secrets.token_hex(32), CIPHER)
    conn.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, payload BLOB NOT NULL)")
    began = time.perf_counter()
    conn.execute("BEGIN")
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            conn.execute("INSERT INTO rows (payload) VALUES (?)", (json.dumps(json.loads(line)).encode(),))
    conn.execute("COMMIT")
    seconds = time.perf_counter() - began
    conn.close()
    return seconds


def ours(path: Path, rows: int) -> float:
    """Seconds of an import; checks that every row came in."""
    from app.data.api import import_file
    from app.store import Store

    with Store.open() as store:
        began = time.perf_counter()
        done = import_file(store, path, name=secrets.token_hex(4))
        seconds = time.perf_counter() - began
    if (done.rows, done.rejected) != (rows, 0):
        sys.exit(f"{done.rows} rows came in and {done.rejected} were set aside; {rows} were written.")
    return seconds


def peak_memory(work: Callable[[], float]) -> tuple[float, float]:
    """(seconds, most MB of this process and its children together) of some work."""
    import psutil

    ended, peak = threading.Event(), [0.0]

    def watch() -> None:
        process = psutil.Process()
        while not ended.wait(0.02):
            total = 0.0
            for one in (process, *process.children(recursive=True)):
                try:
                    total += one.memory_info().rss
                except psutil.Error:
                    continue
            peak[0] = max(peak[0], total / 1e6)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        return work(), peak[0]
    finally:
        ended.set()
        thread.join()


def main() -> int:
    """Measure, print; always 0: the aim is printed beside, and the machine decides."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory(prefix="neuroweaver-bench-") as home:
        os.environ |= {"NEUROWEAVER_HOME": home, "NEUROWEAVER_KEYRING": "off"}
        path = Path(home) / "sample.jsonl"
        write_sample(path, given.rows)
        plain, full, memory = [], [], 0.0
        for _ in range(given.rounds):  # in turns, so that a busy moment meets both
            plain.append(baseline(path, Path(home)))
            seconds, peak = peak_memory(lambda: ours(path, given.rows))
            full.append(seconds)
            memory = max(memory, peak)
        size = path.stat().st_size / given.rows
    rates = [given.rows / statistics.median(times) for times in (full, plain)]
    print(
        f"import of {given.rows:,} JSON lines of {size:.0f} bytes, median of {given.rounds}: {rates[0]:,.0f} rows/s "
        f"(best {given.rows / min(full):,.0f}); json.loads and INSERT one by one: {rates[1]:,.0f} rows/s "
        f"({rates[0] / rates[1]:.1f}x); aim {AIM:,} rows/s; most memory {memory:.0f} MB; {os.cpu_count()} processors, "
        f"load {os.getloadavg()[0]:.1f}"
        if hasattr(os, "getloadavg")
        else ""
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
