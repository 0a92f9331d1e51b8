"""Connections that wait for their next use: opening an encrypted database costs more than reading a page of a table."""

from __future__ import annotations

import threading
from typing import Any

MOST = 3
"""Connections that wait at once, each with its page cache."""


class Idle:
    """Open connections by name, the one that was used last at the end.  Any thread may take one; nobody else has it then."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, Any]] = []
        self._ended: set[str] = set()
        self._lock = threading.Lock()

    def take(self, name: str) -> Any:
        """A connection of this name, or None."""
        with self._lock:
            place = next((place for place, one in reversed(list(enumerate(self._waiting))) if one[0] == name), None)
            return None if place is None else self._waiting.pop(place)[1]

    def give(self, name: str, connection: Any) -> bool:
        """Keep a connection for the next use; the one that waited longest is closed where there are too many.

        False, and this one is closed, where its name has ended meanwhile.
        """
        with self._lock:
            ended = name in self._ended
            gone = [(name, connection)] if ended else []
            if not ended:
                self._waiting.append((name, connection))
                gone, self._waiting = self._waiting[:-MOST], self._waiting[-MOST:]
        _close(gone)
        return not ended

    def end(self, name: str = "") -> None:
        """Close those of a name for good (those in use when they come back), or all that wait."""
        with self._lock:
            gone = [one for one in self._waiting if not name or one[0] == name]
            self._waiting = [one for one in self._waiting if one not in gone]
            if name:
                self._ended.add(name)
        _close(gone)


def _close(gone: list[tuple[str, Any]]) -> None:
    for _, connection in gone:
        connection.close()
