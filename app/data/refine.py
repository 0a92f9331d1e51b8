"""The first cut of refining: what is removed from a version and why.  Nothing is lost: a removed row keeps its place.

Held-out rows are looked at first, so that of a training row and the test row it repeats the test row stays.
Memory is bounded whatever the number of rows: decisions go into the new version as they are made.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.data.derive import Derived, copy_places, figures, inherited_origin, shape_of
from app.data.near import Repeats
from app.data.splitting import assign
from app.errors import UsageError
from app.store import Store
from app.store.datasets import DatasetDb, open_dataset
from app.store.records import SPLITS, Row, decode
from app.store.versions import VersionWriter

ORDER = ("test", "calibration", "train", "")
BROKEN = "\ufffd"
DOCUMENT = "document"
"""The column by which rows are grouped where none is named and there are groups enough."""
FEWEST_GROUPS = 10
STEP = 500
Tell = Callable[[float, str], None]
Reason = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as bad.  Lengths in characters of question and answer together; languages as ISO 639-1, empty: all."""

    near_threshold: float = 0.7
    near: bool = True
    shortest: int = 1
    longest: int = 1_000_000
    languages: tuple[str, ...] = ()
    split: dict[str, float] = field(default_factory=dict)
    group_field: str = ""
    seed: int = 0

    def check(self) -> None:
        """Raise UsageError for shares that are no shares."""
        unknown = [name for name in self.split if name not in SPLITS]
        total = sum(share for name, share in self.split.items() if name != "train")
        if unknown or any(share < 0 for share in self.split.values()) or total >= 1:
            raise UsageError(
                "refine.bad_split",
                "The shares of the splits do not fit.",
                why=f"They are {self.split}.",
                remedy="Name test and calibration with shares that leave something for train, for example "
                "{test: 0.1, calibration: 0.05}.",
            )


_INVISIBLE = re.compile("[\\s\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]*\\Z")
"""Nothing that can be seen: blanks, zero-width and direction marks."""


def text_of(row: Row) -> str:
    """All words of a row."""
    return "\n".join([*(message["content"] for message in row.messages), row.text, row.chosen, row.rejected]).strip()


def refine(store: Store, dataset: str, version: int, rules: Rules, tell: Tell) -> Derived:
    """Make a new version of a dataset without its bad rows.  Raises UsageError for rules that do not fit."""
    rules.check()
    with open_dataset(store, dataset) as db:
        return _Refining(store, db, version, rules, tell).run()


class _Refining:
    """One refinement on its way."""

    def __init__(self, store: Store, db: DatasetDb, version: int, rules: Rules, tell: Tell) -> None:
        self._store, self._db, self._parent, self._rules, self._tell = store, db, version, rules, tell
        self._removed: Counter[str] = Counter()
        self._waiting: list[tuple[str, str, int, int]] = []
        self._warnings: list[str] = []
        self._codes = bytearray()
        total, last = db.conn.execute(
            "SELECT count(*), coalesce(max(position), 0) FROM version_rows WHERE version = ? AND state = 'kept'", (version,)
        ).fetchone()
        self._total, self._last = int(total), int(last)

    def run(self) -> Derived:
        shape = shape_of(self._store, self._db.dataset, self._parent)
        origin = {**inherited_origin(self._store, self._db.dataset, self._parent), "refined": self._parent}
        with VersionWriter(
            self._store,
            self._db,
            origin=origin,
            parent=self._parent,
            note="Derived",
            wait=lambda: self._tell(0.0, "Waiting for another writer of this dataset"),
        ) as writer:
            with self._db.write() as conn:
                copy_places(conn, self._parent, writer.version)
            splits = self._look_at_all(writer.version)
            if self._total and self._removed.total() == self._total:
                raise UsageError(
                    "refine.nothing_left",
                    "Refining would remove every row; no version was made.",
                    why=f"Removed: {dict(self._removed)}.",
                    remedy="Relax the rules, or look at the rows first.",
                )
            if splits == {""} and self._rules.split:
                self._divide(writer.version)
            self._tell(0.95, "Writing the new version")
            made = figures(self._db, writer.version)
            removed = dict(self._removed)
            report = {
                "checked": self._total,
                "kept": made.rows,
                "removed": removed,
                "splits": made.splits,
                "warnings": self._warnings,
                "rules": {
                    "near_duplicates": self._rules.near_threshold if self._rules.near else None,
                    "languages": list(self._rules.languages),
                    "shortest": self._rules.shortest,
                    "longest": self._rules.longest,
                },
            }
            writer.finish(
                rows=made.rows,
                removed=_removed_rows(self._db, writer.version),
                splits=made.splits,
                shape=shape,
                content_hash=made.content_hash,
                report=report,
            )
        return Derived(self._db.dataset, writer.version, made.rows, made.splits, made.content_hash, report)

    def _look_at_all(self, version: int) -> set[str]:
        conn = self._db.conn
        splits = {row[0] for row in conn.execute("SELECT DISTINCT split FROM version_rows WHERE version = ?", (self._parent,))}
        self._codes = bytearray(self._last + 1)
        repeats = Repeats(
            near=self._rules.near,
            threshold=self._rules.near_threshold,
            seed=self._rules.seed,
            text_of=self._text,
            rows=self._total,
            folder=Path(self._store.profile.cache),
        )
        try:
            for seen, row in enumerate(_held_out_first(self._db, self._parent, splits), start=1):
                self._codes[row.position] = ORDER.index(row.split)
                if reason := bad(row, self._rules) or self._repeated(row, repeats):
                    self._remove(version, row.position, reason)
                if seen % STEP == 0:
                    self._tell(
                        0.9 * seen / self._total, f"{seen:,} of {self._total:,} rows looked at, {self._removed.total():,} removed"
                    )
        finally:
            repeats.close()
        self._flush()
        return splits

    def _repeated(self, row: Row, repeats: Repeats) -> Reason | None:
        found = repeats.find_or_add(row.position, text_of(row))
        if found is None:
            return None
        earlier, alike = found
        kind = "exact_duplicate" if alike == 1.0 else "near_duplicate"
        if self._codes[earlier] != self._codes[row.position]:
            kind = "leak"
        return kind, f"row {earlier}" if alike == 1.0 else f"row {earlier}, {100 * alike:.0f} % alike"

    def _text(self, position: int) -> str:
        payload = self._db.conn.execute(
            "SELECT r.payload FROM version_rows v JOIN rows r ON r.id = v.row WHERE v.version = ? AND v.position = ?",
            (self._parent, position),
        ).fetchone()[0]
        return text_of(decode(payload))

    def _remove(self, version: int, position: int, reason: Reason) -> None:
        self._removed[reason[0]] += 1
        self._waiting.append((*reason, version, position))
        if len(self._waiting) >= 2000:
            self._flush()

    def _flush(self) -> None:
        with self._db.write() as conn:
            conn.executemany(
                "UPDATE version_rows SET state = 'removed', reason = ?, detail = ? WHERE version = ? AND position = ?",
                self._waiting,
            )
        self._waiting.clear()

    def _divide(self, version: int) -> None:
        """Give each row a split; rows of one group together."""
        column = self._rules.group_field or self._own_group()
        groups: Counter[str] = Counter(self._group(row, column) for row in self._db.iter_rows(version))
        if len(groups) == 1:
            self._warnings.append(f"All rows belong to one {column or 'group'}; nothing was held back.")
        chosen = assign(groups, self._rules.split, self._rules.seed)
        waiting: list[tuple[str, int, int]] = []
        for row in self._db.iter_rows(version):
            waiting.append((chosen[self._group(row, column)], version, row.position))
            if len(waiting) >= 5000:
                self._set_splits(waiting)
        self._set_splits(waiting)

    def _set_splits(self, waiting: list[tuple[str, int, int]]) -> None:
        with self._db.write() as conn:
            conn.executemany("UPDATE version_rows SET split = ? WHERE version = ? AND position = ?", waiting)
        waiting.clear()

    def _own_group(self) -> str:
        """ "document" if every row has it and there are groups enough, else "" (each row for itself)."""
        seen: set[str] = set()
        for row in self._db.iter_rows(self._parent):
            if DOCUMENT not in row.meta:
                return ""
            seen.add(str(row.meta[DOCUMENT]))
        return DOCUMENT if len(seen) >= FEWEST_GROUPS else ""

    def _group(self, row: Row, column: str) -> str:
        if column and column not in row.meta:
            raise UsageError(
                "refine.no_group",
                f"Row {row.position} has no {column!r} to group by.",
                remedy="Name a column that every row has, or leave group_field out.",
            )
        return str(row.meta[column]) if column else row.hash


def _held_out_first(db: DatasetDb, version: int, splits: Iterable[str]) -> Iterator[Row]:
    for split in [name for name in ORDER if name in splits]:
        yield from db.iter_rows(version, split)


def bad(row: Row, rules: Rules) -> Reason | None:
    """(reason, detail) for a row that is bad by itself, or None."""
    text = text_of(row)
    if _INVISIBLE.match(text) or _INVISIBLE.match(row.answer):
        return "empty", ""
    if BROKEN in text:
        return "broken_encoding", f"{text.count(BROKEN)} unreadable characters"
    if len(text) < rules.shortest:
        return "too_short", f"{len(text)} characters"
    if len(text) > rules.longest:
        return "too_long", f"{len(text)} characters"
    if rules.languages:
        found = language(text)
        if found not in rules.languages:
            return "language", found
    return None


def language(text: str) -> str:
    """ISO 639-1 code of the most likely language."""
    import py3langid

    return str(py3langid.classify(text[:2000])[0])


def _removed_rows(db: DatasetDb, version: int) -> int:
    """Rows that a version removed, those that its parents removed before with them."""
    sql = "SELECT count(*) FROM version_rows WHERE version = ? AND state = 'removed'"
    return int(db.conn.execute(sql, (version,)).fetchone()[0])
