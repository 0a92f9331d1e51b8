"""Learn which tables changed, cheaply: PRAGMA data_version says that something did, ``revisions`` says what."""

from __future__ import annotations

import time

from app.store.connection import Store

CALM_AFTER_SECONDS = 10.0


class Pace:
    """How often to look: often after a change, seldom once nothing happened for a while.  What rests must cost nothing.

    often, seldom: seconds between two looks.
    """

    def __init__(self, often: float, seldom: float) -> None:
        self._often, self._seldom = often, seldom
        self._moved = time.monotonic()

    def moved(self) -> None:
        """Something happened, or will at once."""
        self._moved = time.monotonic()

    @property
    def calm(self) -> bool:
        """Whether nothing happened for a while."""
        return time.monotonic() - self._moved > CALM_AFTER_SECONDS

    @property
    def seconds(self) -> float:
        """To wait before the next look."""
        return self._seldom if self.calm else self._often


def to_tick(every: float, now: float) -> float:
    """Seconds from ``now`` to the next whole multiple of ``every``: what waits for the same ticks wakes a processor once."""
    return every - now % every


class Watcher:
    """Polled by its owner (a Qt timer, the service's loop).  Own writes are seen too."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stamp: tuple[int, int] | None = None
        self._revisions: dict[str, int] = {}
        self.poll()

    def poll(self) -> set[str]:
        """Names of the tables that changed since the last call.  About 20 µs when nothing did."""
        stamp = (self._store.db.execute("PRAGMA data_version").fetchone()[0], self._store.db.conn.total_changes)
        if stamp == self._stamp:
            return set()
        self._stamp = stamp
        found: dict[str, int] = dict(self._store.db.execute("SELECT name, revision FROM revisions").fetchall())
        changed = {name for name, revision in found.items() if self._revisions.get(name) != revision}
        first, self._revisions = not self._revisions, found
        return set() if first else changed
