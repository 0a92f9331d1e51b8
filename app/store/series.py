"""Metrics and events, written in batches of at most 250 ms so that a fast loop never waits for the disk.

A busy or full database loses nothing: what could not be written stays queued, in order, and is tried again.  Only where it
lasts so long that a hundred thousand figures wait are the oldest figures dropped, and an event says how many.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import orjson

from app.errors import StoreError
from app.store.connection import Store

BATCH_SECONDS = 0.25
MOST_WAITING = 100_000
CLOSING_SECONDS = 20.0
"""How long :meth:`SeriesWriter.close` goes on trying."""
_METRIC = "INSERT INTO metrics (run, step, name, at, x, value, unit) VALUES (?, ?, ?, ?, ?, ?, ?)"
_EVENT = "INSERT INTO events (at, run, step, level, kind, message, data) VALUES (?, ?, ?, ?, ?, ?, ?)"


class SeriesWriter:
    """Collects rows from any thread; one thread writes them.  ``close`` (or leaving ``with``) writes the rest."""

    def __init__(self, store: Store, run: str = "", step: str = "") -> None:
        self._store, self._run, self._step = store, run, step
        self._metrics: list[tuple[Any, ...]] = []
        self._events: list[tuple[Any, ...]] = []
        self._dropped = 0
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        """Held for a whole batch, so that two flushes cannot change the order of rows."""
        self._stop, self._due = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._loop, name="series-writer", daemon=True)
        self._thread.start()

    def metric(self, name: str, value: float, *, unit: str = "", x: float | None = None) -> None:
        """Queue one figure.  NaN and infinities are left out: SQLite has no such numbers."""
        number = float(value)
        if number != number or number in (float("inf"), float("-inf")):
            return
        with self._lock:
            self._metrics.append((self._run, self._step, name, time.time(), x, number, unit))
        self._due.set()

    def event(self, message: str, *, level: str = "info", kind: str = "note", data: Mapping[str, Any] | None = None) -> None:
        """Queue one thing a user should read."""
        line = (time.time(), self._run, self._step, level, kind, message, orjson.dumps(dict(data or {})).decode())
        with self._lock:
            self._events.append(line)
        self._due.set()

    def flush(self) -> None:
        """Write what is queued now; it is durable in the store when this returns.  Raises StoreError; all stays queued then."""
        with self._writing:
            metrics, events = self._take()
            if not metrics and not events:
                return
            try:
                with self._store.write() as db:
                    db.conn.executemany(_METRIC, metrics)
                    db.conn.executemany(_EVENT, events)
            except BaseException:
                self._put_back(metrics, events)
                raise

    def close(self) -> None:
        """Write the rest.  Raises StoreError if that stays impossible for 20 s."""
        self._stop.set()
        self._due.set()
        self._thread.join()
        deadline = time.monotonic() + CLOSING_SECONDS
        while True:
            try:
                return self.flush()
            except StoreError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(BATCH_SECONDS)

    def _take(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        with self._lock:
            if self._dropped:
                words = f"{self._dropped:,} figures were lost while the store could not be written."
                self._events.append((time.time(), self._run, self._step, "warning", "store.dropped", words, "{}"))
                self._dropped = 0
            metrics, self._metrics = self._metrics, []
            events, self._events = self._events, []
        return metrics, events

    def _put_back(self, metrics: list[tuple[Any, ...]], events: list[tuple[Any, ...]]) -> None:
        with self._lock:
            self._metrics, self._events = metrics + self._metrics, events + self._events
            excess = len(self._metrics) - MOST_WAITING
            if excess > 0:
                del self._metrics[:excess]
                self._dropped += excess

    def _loop(self) -> None:
        """Sleep until there is something, then let a batch come together."""
        while self._due.wait() and not self._stop.wait(BATCH_SECONDS):
            self._due.clear()
            try:
                self.flush()
            except StoreError:  # busy, full or failing: the rows wait, and the next round tries again
                self._due.set()

    def __enter__(self) -> SeriesWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
