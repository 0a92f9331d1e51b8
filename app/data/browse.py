"""The rows of a version as a table shows them: filtered, in order, any place reached at once.

What a filter finds is a list of places (4 bytes a row; a range where nothing is filtered out).  It is found by walking a key
in slices of some milliseconds, so that the first rows stand before the last are counted.  A page is then read by its places,
so that row 900,000 costs what row 1 costs.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import orjson

from app.data.search import match_of, prepare
from app.store import Store
from app.store.datasets import DatasetDb, reading
from app.store.records import Row, decode

State = Literal["", "kept", "removed", "changed", "added", "back", "set_aside"]
FIRST_SECONDS, SLICE_SECONDS = 0.02, 0.1
SPAN, FIRST_BATCH, BATCH = 16_384, 500, 32_768
"""Positions looked at, and rows found by content, in one go.  A query by words begins anew each time: so few and large ones."""
PREVIEW_CHARACTERS = 400
MANY = 50_000


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Which rows, and in which order.

    state: against the version ``against`` (0: the parent).  split, reason, rating: None or "" for all.  score: name of the score
    by which rows are ordered and between whose bounds ``low`` and ``high`` they lie; ``descending``: the highest first.
    words: as app.data.search takes them.
    """

    state: State = ""
    split: str | None = None
    reason: str = ""
    rating: int | None = None
    score: str = ""
    low: float | None = None
    high: float | None = None
    descending: bool = False
    words: str = ""
    against: int = 0

    @property
    def by_content(self) -> bool:
        """Whether rows are found by their content, for which :func:`app.data.search.prepare` makes indexes first."""
        return bool(match_of(self.words) or self.score or self.rating is not None) and self.state != "set_aside"


@dataclass(frozen=True, slots=True)
class Part:
    """Some more of what a filter finds.  places: positions, in order.  after: where to go on; None at the end.  share: looked through.

    rows: those at the first places, where they were asked for.
    """

    places: Sequence[int]
    after: tuple[float, ...] | None = None
    share: float = 1.0
    rows: Sequence[RowView] = ()


@dataclass(frozen=True, slots=True)
class RowView:
    """One row for the table.  Texts are cut; :func:`whole_row` has them all."""

    position: int
    split: str
    state: State
    reason: str
    detail: str
    prompt: str
    answer: str
    score: float | None = None
    rating: int | None = None


@dataclass(frozen=True, slots=True)
class WholeRow:
    """One row with everything known of it.  before: its content in the version it is compared with, where that differs."""

    position: int
    split: str
    state: State
    reason: str
    detail: str
    row: Row | None
    before: Row | None = None
    raw: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    rating: int | None = None
    note: str = ""


# ---- finding ---------------------------------------------------------------------------------------------------------------


def find(store: Store, dataset: str, version: int, wanted: RowFilter, after: tuple[float, ...] | None = None) -> Part:
    """The next slice of what a filter finds; begins without ``after``.  Raises UsageError for words that cannot be looked for."""
    with reading(store, dataset) as db:
        if after is None and (whole := _all_of(store, db, version, wanted)) is not None:
            return Part(whole)
        walk = _Walk(db, version, wanted, base_of(store, dataset, version, wanted))
        return walk.slice(after)


def find_first(store: Store, dataset: str, version: int, wanted: RowFilter, rows: int) -> Part:
    """The first slice, and some of its rows read with it: one question where the window would ask two."""
    part = find(store, dataset, version, wanted)
    return replace(part, rows=read_rows(store, dataset, version, part.places[:rows], wanted))


def in_order(store: Store, dataset: str, version: int, wanted: RowFilter, places: Sequence[int]) -> Sequence[int]:
    """All places that were found by content, in the order a filter asks for: by a score, or by position."""
    if not wanted.score:
        return _sorted(places)
    order = "DESC" if wanted.descending else "ASC"
    with reading(store, dataset) as db:
        found = db.conn.execute(
            "SELECT json_group_array(position) FROM (SELECT v.position FROM json_each(:places) j CROSS JOIN version_rows v ON v.version = "
            ":version AND v.position = j.value JOIN scores s ON s.row = v.row AND s.name = :score "
            f"ORDER BY s.value {order}, v.position)",
            {"places": orjson.dumps(list(places)), "version": version, "score": wanted.score}).fetchone()[0]
    return array("I", orjson.loads(found))


def _sorted(places: Sequence[int]) -> Sequence[int]:
    """The places in rising order.  Many of them by numpy, which lets the window go on meanwhile."""
    if len(places) < MANY or not isinstance(places, array):
        return array("I", sorted(places))
    import numpy as np

    return array("I", np.sort(np.frombuffer(places, np.uint32)).tobytes())


def base_of(store: Store, dataset: str, version: int, wanted: RowFilter) -> int:
    """The version against which rows count as changed; 0 where there is none."""
    if wanted.against:
        return wanted.against
    found = store.row("SELECT parent FROM dataset_versions WHERE dataset = ? AND version = ?", (dataset, version))
    return int((found or {}).get("parent") or 0)


def _all_of(store: Store, db: DatasetDb, version: int, wanted: RowFilter) -> range | None:
    """All places as a range, where nothing is filtered out and no position is left out."""
    found = store.row("SELECT rows, removed FROM dataset_versions WHERE dataset = ? AND version = ?", (db.dataset, version))
    if found is None or wanted not in (RowFilter(), RowFilter("kept")) or (wanted.state and found["removed"]):
        return None
    first, last = (db.conn.execute(f"SELECT position FROM version_rows WHERE version = ? ORDER BY position {way} LIMIT 1",
                                   (version,)).fetchone() for way in ("", "DESC"))
    if first is None or last[0] - first[0] + 1 != found["rows"] + found["removed"]:
        return None
    return range(first[0], last[0] + 1)


class _Walk:
    """One filter on its way through a version, by the key that finds its rows."""

    def __init__(self, db: DatasetDb, version: int, wanted: RowFilter, base: int) -> None:
        self._conn, self._wanted, self._batch = db.conn, wanted, BATCH
        self._values: dict[str, Any] = {
            "version": version, "base": base, "split": wanted.split, "reason": wanted.reason, "rating": wanted.rating,
            "score": wanted.score, "low": wanted.low if wanted.low is not None else -1e300,
            "high": wanted.high if wanted.high is not None else 1e300, "match": match_of(wanted.words)}
        self._where = " AND ".join(["1", *_conditions(wanted)])

    def slice(self, after: tuple[float, ...] | None) -> Part:
        places = array("I")
        ends = time.monotonic() + (SLICE_SECONDS if after else FIRST_SECONDS)
        self._batch, most = (BATCH, 2**32) if after else (FIRST_BATCH, FIRST_BATCH)
        step = self._step()
        share = 0.0
        while True:
            found, after, share = step(after)
            places.extend(found)
            if after is None or len(places) >= most or time.monotonic() > ends:
                return Part(places, after, share)

    def _step(self) -> Any:
        wanted = self._wanted
        if wanted.state == "set_aside":
            return self._rejects
        if match_of(wanted.words):
            return self._by_words
        if wanted.score:
            return self._by_score
        return self._by_rating if wanted.rating is not None else self._by_position

    def _one(self, sql: str, **values: Any) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self._conn.execute(sql, self._values | values).fetchone()
        return found

    def _by_position(self, after: tuple[float, ...] | None) -> tuple[list[int], tuple[float, ...] | None, float]:
        last = self._one("SELECT max(position) FROM version_rows WHERE version = :version")[0] or 0
        begin = int(after[0]) if after else 0
        found = self._one(
            f"SELECT json_group_array(position) FROM (SELECT v.position FROM version_rows v WHERE v.version = :version "
            f"AND v.position > :begin AND v.position <= :end AND {self._where} ORDER BY v.position)", begin=begin, end=begin + SPAN)
        done = begin + SPAN >= last
        return orjson.loads(found[0]), None if done else (begin + SPAN,), min((begin + SPAN) / max(last, 1), 1.0)

    def _rejects(self, after: tuple[float, ...] | None) -> tuple[list[int], tuple[float, ...] | None, float]:
        words = [f"%{word}%" for word in self._wanted.words.split()]
        found = [row[0] for row in self._conn.execute(
            "SELECT rowid FROM rejects WHERE version = ? AND (number, rowid) > (?, ?) "
            f"{'AND raw LIKE ? ' * len(words)}ORDER BY number, rowid LIMIT ?",
            (self._values["version"], *(after or (-1, -1)), *words, self._batch))]
        if len(found) < self._batch:
            return found, None, 1.0
        number = self._conn.execute("SELECT number FROM rejects WHERE rowid = ?", (found[-1],)).fetchone()[0]
        return found, (number, found[-1]), 0.5

    def _by_words(self, after: tuple[float, ...] | None) -> tuple[list[int], tuple[float, ...] | None, float]:
        return self._by_rows("SELECT json_group_array(row), max(row), count(*) FROM (SELECT rowid AS row FROM row_words "
                             "WHERE row_words MATCH :match AND rowid > :after ORDER BY rowid LIMIT :batch)", after)

    def _by_rating(self, after: tuple[float, ...] | None) -> tuple[list[int], tuple[float, ...] | None, float]:
        return self._by_rows("SELECT json_group_array(row), max(row), count(*) FROM (SELECT row FROM ratings WHERE rating = :rating "
                             "AND row > :after ORDER BY row LIMIT :batch)", after)

    def _by_rows(self, sql: str, after: tuple[float, ...] | None) -> tuple[list[int], tuple[float, ...] | None, float]:
        rows, last, count = self._one(sql, after=int(after[0]) if after else 0, batch=self._batch)
        newest = self._one("SELECT max(id) FROM rows")[0] or 1
        ended = count < self._batch
        return self._places(rows), None if ended else (last,), 1.0 if ended else last / newest

    def _by_score(self, after: tuple[float, ...] | None) -> tuple[list[int], tuple[float, ...] | None, float]:
        sign, order, first = ("<", "DESC", 1e301) if self._wanted.descending else (">", "ASC", -1e301)
        value, row = after or (first, 0)
        found = self._conn.execute(
            f"SELECT value, row FROM scores WHERE name = :score AND value >= :low AND value <= :high "
            f"AND (value, row) {sign} (:value, :row) ORDER BY value {order}, row {order} LIMIT :batch",
            self._values | {"value": value, "row": row, "batch": self._batch}).fetchall()
        rows = orjson.dumps([row for _, row in found])
        return self._places(rows), None if len(found) < self._batch else tuple(found[-1]), 0.5 if len(found) == self._batch else 1.0

    def _places(self, rows: bytes | str) -> list[int]:
        """The places in this version of rows (JSON list of row numbers), in the order of the list."""
        found = self._one(
            "SELECT json_group_array(position) FROM (SELECT v.position FROM json_each(:rows) j CROSS JOIN version_rows v "
            "INDEXED BY version_rows_row ON v.version = :version AND v.row = j.value "
            f"WHERE {self._where} ORDER BY j.key, v.position)", rows=rows)
        return list(orjson.loads(found[0]))


_AGAINST = "SELECT 1 FROM version_rows p WHERE p.version = :base AND p.position = v.position"
_STATES = {
    "kept": ["v.state = 'kept'"], "removed": ["v.state = 'removed'"],
    "changed": ["v.state = 'kept'", f"EXISTS ({_AGAINST} AND p.state = 'kept' AND p.row != v.row)"],
    "back": ["v.state = 'kept'", f"EXISTS ({_AGAINST} AND p.state = 'removed')"],
    "added": ["v.state = 'kept'", ":base > 0", f"NOT EXISTS ({_AGAINST})"],
}


def _conditions(wanted: RowFilter) -> Iterator[str]:
    """What a row ``v`` of the version has to be."""
    yield from _STATES.get(wanted.state, [])
    if wanted.against and wanted.state == "removed":  # a comparison: not what both have removed
        yield f"NOT EXISTS ({_AGAINST} AND p.state = 'removed')"
    if wanted.split is not None:
        yield "v.split = :split"
    if wanted.reason:
        yield "v.reason = :reason"
    if wanted.rating is not None:
        yield "EXISTS (SELECT 1 FROM ratings g WHERE g.row = v.row AND g.rating = :rating)"
    if wanted.score and match_of(wanted.words):  # else the score itself leads the way
        yield "EXISTS (SELECT 1 FROM scores s WHERE s.row = v.row AND s.name = :score AND s.value >= :low AND s.value <= :high)"


# ---- reading ---------------------------------------------------------------------------------------------------------------

_READ = """SELECT v.position, v.split, v.state, v.reason, v.detail, p.state, p.row, v.row, r.payload, g.rating,
    (SELECT value FROM scores s WHERE s.row = v.row AND s.name = :score)
    FROM json_each(:places) j CROSS JOIN version_rows v ON v.version = :version AND v.position = j.value JOIN rows r ON r.id = v.row
    LEFT JOIN version_rows p ON p.version = :base AND p.position = v.position LEFT JOIN ratings g ON g.row = v.row ORDER BY j.key"""


def read_rows(store: Store, dataset: str, version: int, places: Sequence[int], wanted: RowFilter) -> list[RowView]:
    """The rows at some places, in their order; wanted: the filter that found them."""
    with reading(store, dataset) as db:
        if wanted.state == "set_aside":
            return _read_rejects(db, places)
        base = base_of(store, dataset, version, wanted)
        found = db.conn.execute(_READ, {"places": orjson.dumps(list(places)), "version": version, "base": base,
                                        "score": wanted.score or "quality"})
        return [_row(base, *values) for values in found]


def _row(base: int, position: int, split: str, state: str, reason: str | None, detail: str | None, base_state: str | None,
         base_row: int | None, row: int, payload: bytes, rating: int | None, score: float | None) -> RowView:
    content = decode(payload)
    prompt = "" if content.shape == "text" or not content.prompt else content.prompt[-1]["content"]
    return RowView(position, split, _state(base, state, row, base_state, base_row), reason or "", detail or "", cut(prompt),
                   cut(content.answer), score, rating)


def _state(base: int, state: str, row: int, base_state: str | None, base_row: int | None) -> State:
    if state == "removed":
        return "removed"
    if not base:
        return "kept"
    if base_state is None:
        return "added"
    return "back" if base_state == "removed" else "changed" if base_row != row else "kept"


def _read_rejects(db: DatasetDb, places: Sequence[int]) -> list[RowView]:
    found = db.conn.execute("SELECT x.number, x.reason, x.raw FROM json_each(?) j CROSS JOIN rejects x ON x.rowid = j.value "
                            "ORDER BY j.key", (orjson.dumps(list(places)),))
    return [RowView(number, "", "set_aside", reason, "", cut(raw), "") for number, reason, raw in found]


def cut(text: str) -> str:
    """One line of at most PREVIEW_CHARACTERS characters."""
    line = " ".join(text[: 2 * PREVIEW_CHARACTERS].split())
    return line[:PREVIEW_CHARACTERS]


def whole_row(store: Store, dataset: str, version: int, place: int, wanted: RowFilter) -> WholeRow | None:
    """One row with everything known of it; None if there is none at this place."""
    with reading(store, dataset) as db:
        if wanted.state == "set_aside":
            found = db.conn.execute("SELECT number, reason, raw FROM rejects WHERE rowid = ?", (place,)).fetchone()
            return None if found is None else WholeRow(found[0], "", "set_aside", found[1], "", None, raw=found[2])
        base = base_of(store, dataset, version, wanted)
        found = db.conn.execute(
            "SELECT v.split, v.state, v.reason, v.detail, v.row, r.payload, r.hash, p.state, p.row, q.payload, g.rating, g.note "
            "FROM version_rows v JOIN rows r ON r.id = v.row LEFT JOIN version_rows p ON p.version = ? AND p.position = v.position "
            "LEFT JOIN rows q ON q.id = p.row LEFT JOIN ratings g ON g.row = v.row WHERE v.version = ? AND v.position = ?",
            (base, version, place)).fetchone()
        if found is None:
            return None
        split, state, reason, detail, row, payload, digest, base_state, base_row, before, rating, note = found
        scores = dict(db.conn.execute("SELECT name, value FROM scores WHERE row = ? ORDER BY name", (row,)).fetchall())
    return WholeRow(place, split, _state(base, state, row, base_state, base_row), reason or "", detail or "",
                    decode(payload, split=split, digest=digest, position=place),
                    decode(before) if before is not None and base_row != row else None, "", scores, rating, note or "")


def number_of(places: Sequence[int], position: int) -> int:
    """Which of the places (in rising order) holds a position, or comes next; counts from 0."""
    import bisect

    return bisect.bisect_left(places, position)


def reasons(store: Store, dataset: str, version: int) -> dict[str, dict[str, int]]:
    """Rows of a version by state and reason: {"removed": {"near_duplicate": 3}, "kept": {"redacted": 5}}."""
    found: dict[str, dict[str, int]] = {}
    with reading(store, dataset) as db:
        for state, reason, count in db.conn.execute(
            "SELECT state, reason, count(*) FROM version_rows WHERE version = ? AND reason IS NOT NULL AND reason != '' GROUP BY 1, 2",
            (version,)):
            found.setdefault(state, {})[reason] = count
    return found


def row_in_use(store: Store, dataset: str, version: int, position: int) -> Row | None:
    """The kept row at a position, or the first one at all for position 0."""
    with reading(store, dataset) as db:
        compare = "v.position > ?" if position == 0 else "v.position = ?"
        found = db.conn.execute(
            "SELECT v.position, v.split, r.hash, r.payload FROM version_rows v JOIN rows r ON r.id = v.row WHERE v.version = ? "
            f"AND {compare} AND v.state = 'kept' ORDER BY v.position LIMIT 1", (version, position)).fetchone()
    return None if found is None else decode(found[3], split=found[1], digest=found[2], position=found[0])


def neighbour(store: Store, dataset: str, version: int, position: int, step: int) -> int:
    """The position of the kept row after (step 1) or before (-1) another one; that one at the end."""
    compare, order = (">", "ASC") if step > 0 else ("<", "DESC")
    with reading(store, dataset) as db:
        found = db.conn.execute(f"SELECT position FROM version_rows WHERE version = ? AND position {compare} ? AND state = 'kept' "
                                f"ORDER BY position {order} LIMIT 1", (version, position)).fetchone()
    return int(found[0]) if found else position


def iter_found(store: Store, dataset: str, version: int, wanted: RowFilter) -> Iterator[WholeRow]:
    """All rows that a filter finds, whole, in bounded memory; makes the index that it needs."""
    while wanted.by_content and not prepare(store, dataset, version, bool(match_of(wanted.words))).complete:
        pass
    for place in _found(store, dataset, version, wanted):
        if (row := whole_row(store, dataset, version, place, wanted)) is not None:
            yield row


def _found(store: Store, dataset: str, version: int, wanted: RowFilter) -> Iterator[int]:
    """All places that a filter finds, in its order; what is found by content comes in another one and is held: 4 bytes a place."""
    parts = _parts(store, dataset, version, wanted)
    if not wanted.by_content:
        return (place for part in parts for place in part.places)
    places = array("I")
    for part in parts:
        places.extend(part.places)
    return iter(in_order(store, dataset, version, wanted, places))


def _parts(store: Store, dataset: str, version: int, wanted: RowFilter) -> Iterator[Part]:
    part: Part | None = find(store, dataset, version, wanted)
    while part is not None:
        yield part
        part = find(store, dataset, version, wanted, part.after) if part.after is not None else None
