"""Metrics and events, written in batches of at most 250 ms so that a fast loop never waits for the disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import orjson

from app.store.connection import Store

BATCH_SECONDS = 0.25


class SeriesWriter:
    """Collects rows from any thread; one thread writes them.  ``close`` (or leaving ``with``) writes the rest."""

    def __init__(self, store: Store, run: str = "", step: str = "") -> None:
        self._store, self._run, self._step = store, run, step
        self._metrics: list[tuple[Any, ...]] = []
        self._events: list[tuple[Any, ...]] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="series-writer", daemon=True)
        self._thread.start()

    def metric(self, name: str, value: float, *, unit: str = "", x: float | None = None) -> None:
        """Queue one figure.  NaN and infinities are left out: SQLite has no such numbers."""
        number = float(value)
        if number != number or number in (float("inf"), float("-inf")):
            return
        with self._lock:
            self._metrics.append((self._run, self._step, name, time.time(), x, number, unit))

    def event(self, message: str, *, level: str = "info", kind: str = "note", data: Mapping[str, Any] | None = None) -> None:
        """Queue one thing a user should read."""
        line = (time.time(), self._run, self._step, level, kind, message, orjson.dumps(dict(data or {})).decode())
        with self._lock:
            self._events.append(line)

    def flush(self) -> None:
        """Write what is queued now; it is durable in the store when this returns."""
        with self._lock:
            metrics, self._metrics = self._metrics, []
            events, self._events = self._events, []
        if not metrics and not events:
            return
        with self._store.write() as db:
            db.conn.executemany("INSERT INTO metrics (run, step, name, at, x, value, unit) VALUES (?,?,?,?,?,?,?)", metrics)
            db.conn.executemany("INSERT INTO events (at, run, step, level, kind, message, data) VALUES (?,?,?,?,?,?,?)", events)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        self.flush()

    def _loop(self) -> None:
        while not self._stop.wait(BATCH_SECONDS):
            self.flush()

    def __enter__(self) -> SeriesWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
