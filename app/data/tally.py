"""Figures of a derivation that must outlive a stop: kept beside its rows, and written together with them."""

from __future__ import annotations

from collections import defaultdict

from app.data.derive import Derivation

_TABLE = (
    "CREATE TABLE IF NOT EXISTS tallies (version INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL, "
    "PRIMARY KEY (version, name)) WITHOUT ROWID"
)
_ADD = ("INSERT INTO tallies (version, name, value) VALUES (?, ?, ?) "
        "ON CONFLICT (version, name) DO UPDATE SET value = value + excluded.value")


class Tally:
    """Sums by name.  What is added while a row is worked on counts when that row does."""

    def __init__(self, derived: Derivation) -> None:
        self._derived = derived
        with derived.db.write() as conn:
            conn.execute(_TABLE)
            conn.execute("DELETE FROM tallies WHERE version NOT IN (SELECT version FROM derivations)")
        found = derived.db.conn.execute("SELECT name, value FROM tallies WHERE version = ?", (derived.version,)).fetchall()
        self._sums: defaultdict[str, float] = defaultdict(float, found)

    def add(self, name: str, value: float = 1) -> None:
        """Add to a sum."""
        self._sums[name] += value
        self._derived.write(_ADD, self._derived.version, name, value)

    def __getitem__(self, name: str) -> float:
        return self._sums.get(name, 0.0)

    def group(self, prefix: str) -> dict[str, int]:
        """Whole sums whose name begins with ``prefix``, without it, the largest first."""
        found = {name.removeprefix(prefix): int(value) for name, value in self._sums.items() if name.startswith(prefix)}
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
