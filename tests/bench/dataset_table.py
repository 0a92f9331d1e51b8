"""How fast the Datasets page is on 1,048,576 rows, each figure beside the plain way in the same run:

    python tests/bench/dataset_table.py [--rows N] [--home FOLDER]

Measured in the window, from the user's deed until the rows are painted: opening the dataset from the list, going to a row, showing the
first page of a search (without the 0.22 s that the field waits for the next letter).  Beside it: the same page by LIMIT and OFFSET, the
same words by LIKE, on the same database.  Then the longest pause of the window's thread while the search index is made and the
scroll bar is dragged.  ``--home`` keeps the dataset for another run.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ["NEUROWEAVER_KEYRING"] = "off"
ROWS = 1_048_576
OPEN_MS, JUMP_MS, SEARCH_MS, STALL_MS = 100.0, 16.0, 100.0, 100.0
BLOCK = 5_000
SYLLABLES = re.findall("..?", "badefigahoinjakalimoneorpuquresitatuunvewaxeyozilamesovied")
PHRASES = (
    ("a word in every row", "clause", "clause"), ("a frequent word", "{0}", "{0}"), ("a rare word", "{3000}", "{3000}"),
    ("two words", "{5} {40}", "{5}%{40}"), ("a phrase", '"{0} {1}"', "{0} {1}"), ("the beginning of a word", "{40:3}", "{40:3}"),
    ("a row's own number", '"clause 524288"', "Clause 524288:"), ("a word that is nowhere", "qqzyzx", "qqzyzx"),
)
"""What it is called, what is typed, and the same for LIKE.  {n}: the n-th most frequent word; {n:k}: its first k letters."""


def words() -> list[str]:
    """20,000 words, the most frequent first (Zipf, as in language)."""
    chance = random.Random(7)
    found = dict.fromkeys("".join(chance.choices(SYLLABLES, k=chance.randint(1, 4))) for _ in range(40_000))
    return list(found)[:20_000]


def make(home: Path, rows: int) -> str:
    """A dataset of so many rows of 36 words, through the writer that imports use; returns its id."""
    from app.store import Profile, Store
    from app.store.blocks import pack
    from app.store.datasets import create_dataset, open_dataset
    from app.store.records import Row, encode
    from app.store.versions import VersionWriter

    chance, known = random.Random(1), words()
    weights = list(itertools.accumulate(1 / (place + 10) for place in range(len(known))))
    with Store.open(Profile(home)) as store:
        if there := store.row("SELECT id FROM datasets WHERE name = 'million'"):
            return str(there["id"])
        dataset, small = create_dataset(store, "million"), create_dataset(store, "small")
        for name, count in ((small, 100), (dataset, rows)):
            with open_dataset(store, name) as db, VersionWriter(store, db, origin={"file": "million.jsonl"}) as writer:
                for start in range(1, count + 1, BLOCK):
                    positions = list(range(start, min(start + BLOCK, count + 1)))
                    texts = [chance.choices(known, cum_weights=weights, k=36) for _ in positions]
                    encoded = [encode(Row("chat", [{"role": "user", "content": f"Clause {position}: {' '.join(text[:26])}?"},
                                                   {"role": "assistant", "content": " ".join(text[26:])}],
                                          meta={"document": f"contract-{position % 999}"}))
                               for position, text in zip(positions, texts, strict=True)]
                    splits = ["test" if position % 10 == 0 else "train" for position in positions]
                    writer.write(pack(positions, *zip(*encoded, strict=True), splits))  # type: ignore[arg-type]
                writer.finish(rows=count, content_hash=name, splits={"train": count - count // 10, "test": count // 10}, shape="chat")
    return dataset


def painted_after(table: Any) -> Callable[[], bool]:
    """Whether the table has been painted since its rows last changed."""
    from PySide6.QtCore import QEvent, QObject

    class Paints(QObject):
        stale = True

        def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
            if event.type() == QEvent.Type.Paint:
                self.stale = False
            return False

    paints = Paints(table)
    table.viewport().installEventFilter(paints)
    for signal in (table.model().dataChanged, table.model().modelReset):
        signal.connect(lambda *_: setattr(paints, "stale", True))
    return lambda: not paints.stale


class Watch:
    """The window on the dataset, and a clock."""

    def __init__(self, dataset: str) -> None:
        from app.store import Profile
        from ui import main as start

        sys.setswitchinterval(start.SWITCH_SECONDS)
        self.app = start.make_application(["bench"])
        self.window = start.open_window(Profile.default(), start_service=False)
        self.until(lambda: self.window.background.store is not None)
        self.window.resize(1440, 900)
        self.window.go("datasets", dataset)
        self.page: Any = self.window.page()
        self.table = self.page.rows.table
        self.painted = painted_after(self.table)
        self.until(self.ready)
        self.spin(2)

    def ready(self) -> bool:
        """Whether all rows that can be seen have been read."""
        first, last = self.table.in_view()
        return last >= first and not self.table._under_way and not self.table._pages.missing(first, last)

    def until(self, reached: Callable[[], bool], patience: float = 600.0) -> None:
        """Run the event loop as the program does: asleep while nothing comes."""
        from PySide6.QtCore import QEventLoop, QTimer

        end, loop = time.monotonic() + patience, QEventLoop()
        waker = QTimer()
        waker.start(5)  # a lane's answer wakes the loop by itself; this is for what sends no event
        while not reached():
            if time.monotonic() > end:
                sys.exit("the window did not get that far")
            loop.processEvents(QEventLoop.ProcessEventsFlag.AllEvents | QEventLoop.ProcessEventsFlag.WaitForMoreEvents)

    def spin(self, seconds: float) -> None:
        """Let it do what it has begun."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def measure(self, deed: Callable[[], object], reached: Callable[[], bool]) -> float:
        """Milliseconds from a deed until its rows are painted."""
        began = time.perf_counter()
        deed()
        self.until(lambda: reached() and self.painted())
        return 1000 * (time.perf_counter() - began)

    def close(self) -> None:
        """End the window."""
        self.window.status.end()
        self.window.background.close()


def opening(watch: Watch, dataset: str, rows: int) -> list[float]:
    """From a click in the list."""
    found = []
    small = next(view.id for view in watch.page._views if view.name == "small")
    for _ in range(15):
        watch.page._choose(small)
        watch.until(lambda: len(watch.table.places) == 100 and watch.ready())
        watch.spin(0.2)
        found.append(watch.measure(lambda: watch.page._choose(dataset), lambda: len(watch.table.places) == rows and watch.ready()))
    return found


def jumping(watch: Watch, places: list[int]) -> list[float]:
    """To rows far apart."""
    found = []
    for place in places:
        found.append(watch.measure(lambda place=place: watch.page.rows.go_to_position(place), watch.ready))  # type: ignore[misc]
        watch.spin(0.15)
    return found


def index(watch: Watch) -> tuple[float, float]:
    """(seconds to make the search index, longest pause of the window's thread meanwhile, ms), the scroll bar being dragged."""
    from PySide6.QtCore import QTimer

    bar, chance = watch.table.verticalScrollBar(), random.Random(3)
    longest, last = [0.0], [time.perf_counter()]

    def tick() -> None:
        now = time.perf_counter()
        longest[0], last[0] = max(longest[0], now - last[0]), now

    timer, dragger = QTimer(), QTimer()
    timer.timeout.connect(tick)
    dragger.timeout.connect(lambda: bar.setValue(chance.randrange(max(bar.maximum(), 1))))
    watch.page.rows.filters.search.setText("clause")
    began = last[0] = time.perf_counter()
    timer.start(5)
    dragger.start(40)
    watch.page.rows.look_for()
    watch.until(lambda: watch.page.rows._progress.isHidden() and watch.page.rows.found.complete)
    return time.perf_counter() - began, 1000 * longest[0]


def searching(watch: Watch, typed: str) -> list[float]:
    """From the words' arrival at the filter until the first page."""
    rows = watch.page.rows
    found = []
    for _ in range(5):
        rows.filters.search.setText("")
        rows.look_for()
        watch.until(lambda: watch.ready() and rows.found.complete)
        watch.spin(0.1)
        rows.filters.search.setText(typed)
        shown: list[object] = []
        link = watch.table._pages.modelReset.connect(lambda shown=shown: shown.append(1))
        found.append(watch.measure(rows.look_for, lambda shown=shown: bool(shown) and (watch.ready() or not len(watch.table.places))))
        watch.table._pages.modelReset.disconnect(link)
        watch.until(lambda: rows.found.complete)
        watch.spin(0.1)
    return found


def plain(dataset: str, sql: str, given: list[Any]) -> list[float]:
    """Milliseconds of a query with its rows decoded, on a connection that stays open."""
    from app.store import Store
    from app.store.datasets import decode, open_dataset

    found = []
    with Store.open() as store, open_dataset(store, dataset) as db:
        for value in given:
            began = time.perf_counter()
            for _, payload in db.conn.execute(sql, (value,)):
                decode(payload)
            found.append(1000 * (time.perf_counter() - began))
    return found


OFFSET = ("SELECT v.position, r.payload FROM version_rows v JOIN rows r ON r.id = v.row WHERE v.version = 1 ORDER BY v.position "
          "LIMIT 64 OFFSET ?")
LIKE = ("SELECT v.position, r.payload FROM version_rows v JOIN rows r ON r.id = v.row WHERE v.version = 1 "
        "AND CAST(r.payload AS TEXT) LIKE ? ORDER BY v.position LIMIT 64")


def busyness() -> float:
    """Milliseconds that counting to 100,000 takes: how much of a processor this process really gets."""
    found = []
    for _ in range(20):
        began, total = time.perf_counter(), 0
        for number in range(100_000):
            total += number
        found.append(1000 * (time.perf_counter() - began))
    return spread(found)[0]


def spread(values: list[float]) -> tuple[float, float]:
    """(median, 95th percentile)."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[min(int(0.95 * len(ordered)), len(ordered) - 1)]


def filled(pattern: str, known: list[str]) -> str:
    """A pattern of PHRASES with its words."""
    return re.sub(r"\{(\d+)(?::(\d+))?\}", lambda m: known[int(m[1])][: int(m[2]) if m[2] else None], pattern)


def main() -> int:
    """Measure and print; 1 if a budget is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--home", type=Path)
    wish = parser.parse_args()
    if not os.environ.get("DISPLAY"):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory(prefix="neuroweaver-bench-") as scratch:
        home = wish.home or Path(scratch)
        os.environ["NEUROWEAVER_HOME"] = str(home.resolve())
        began = time.perf_counter()
        dataset = make(home, wish.rows)
        print(f"{wish.rows:,} rows written in {time.perf_counter() - began:.0f} s", flush=True)
        return run(dataset, wish.rows)


def run(dataset: str, rows: int) -> int:
    """All figures of one window."""
    watch = Watch(dataset)
    print(f"counting to 100,000 takes {busyness():.1f} ms (3.6 ms here when nothing else ran)")
    chance = random.Random(5)
    places = [chance.randrange(1, rows) for _ in range(200)]
    opened = spread(opening(watch, dataset, rows))
    jumped = spread(jumping(watch, places))
    offset = spread(plain(dataset, OFFSET, places[:20]))
    print(f"open from the list: p50 {opened[0]:.1f} ms, p95 {opened[1]:.1f} ms (budget {OPEN_MS:.0f} ms)")
    print(f"go to a row: p50 {jumped[0]:.1f} ms, p95 {jumped[1]:.1f} ms (budget p95 {JUMP_MS:.0f} ms); "
          f"by LIMIT and OFFSET, the query alone: p50 {offset[0]:.0f} ms, p95 {offset[1]:.0f} ms", flush=True)
    seconds, stall = index(watch)
    print(f"search index made in {seconds:.0f} s ({rows / seconds:,.0f} rows/s); longest pause of the window meanwhile, the scroll bar "
          f"dragged: {stall:.0f} ms (budget {STALL_MS:.0f} ms)", flush=True)
    known, worst = words(), 0.0
    for name, typed, like in PHRASES:
        first = spread(searching(watch, filled(typed, known)))
        beside = spread(plain(dataset, LIKE, [f"%{filled(like, known)}%"] * 3))
        worst = max(worst, first[1])
        print(f"search, first page, {name}: p50 {first[0]:.1f} ms, p95 {first[1]:.1f} ms (budget {SEARCH_MS:.0f} ms); "
              f"by LIKE, the query alone: p50 {beside[0]:.0f} ms", flush=True)
    watch.close()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    print(f"{os.cpu_count()} processors, load {load:.1f}; counting to 100,000 takes {busyness():.1f} ms")
    return 0 if opened[1] <= OPEN_MS and jumped[1] <= JUMP_MS and worst <= SEARCH_MS and stall <= STALL_MS else 1


if __name__ == "__main__":
    sys.exit(main())
