"""Find rows by their words: a full-text index in the dataset's own (encrypted) database, made when it is first wanted.

Rows are stored once by content, so the index is one for all versions, and a later version adds its new rows alone.  It holds no
text (contentless): where each word stands, no more.  It is made in slices, each a transaction of its own, so that a stop loses
nothing and nobody waits for the database.

Words are found whole and in any order; the last one also as a beginning, because it may still be being typed; words in
quotation marks as they stand; a word with * behind it as a beginning.  Case and accents make no difference.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

from app.store import Store
from app.store.datasets import DatasetDb, open_dataset, reading

SLICE_SECONDS = 0.25
BATCH = 10_000
SHORTEST_BEGINNING = 2
"""Letters of a beginning; shorter ones would have to merge a large part of the index, and find nearly every row."""

_PLACES = "CREATE INDEX IF NOT EXISTS version_rows_row ON version_rows (version, row)"
"""From a row's content to its places: 0.7 s for a million rows."""
_TABLES = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS row_words USING fts5(words, content = '', prefix = '2 3', "
    "tokenize = 'unicode61 remove_diacritics 2')",
    # how far each version's rows are in the index: the last row number, and whether that was all
    "CREATE TABLE IF NOT EXISTS row_words_done (version INTEGER PRIMARY KEY, row INTEGER NOT NULL, complete INTEGER NOT NULL)",
)
_TEXT = """concat_ws(char(10), (SELECT group_concat(m.value ->> 'content', char(10)) FROM json_each(p, '$.messages') m),
    p ->> 'text', p ->> 'chosen', p ->> 'rejected', (SELECT group_concat(atom, char(10)) FROM json_tree(p, '$.meta')))"""
_ADD = f"""INSERT INTO row_words (rowid, words) SELECT id, {_TEXT} FROM (
    SELECT r.id, CAST(r.payload AS TEXT) AS p FROM (SELECT DISTINCT row FROM version_rows
        WHERE version = :version AND row > :after AND row <= :until) v JOIN rows r ON r.id = v.row
    WHERE r.id NOT IN (SELECT id FROM row_words_docsize))"""
_PART = re.compile(r'"([^"]*)"?|(\S+)')


@dataclass(frozen=True, slots=True)
class Prepared:
    """How far the index is.  share: of this version's rows, 0..1."""

    complete: bool
    share: float


def prepare(store: Store, dataset: str, version: int, words: bool = True) -> Prepared:
    """Make some more of what looking by content needs (a quarter of a second's work); call it until it is complete.

    words: the full-text index too, else only what leads from a row's content to its places.
    """
    with reading(store, dataset) as db:
        now = _state(db, version) if words else Prepared(True, 1.0)
        if has_places(db) and now.complete:
            return now
    with open_dataset(store, dataset) as db:  # one of its own: what is made here fills the page cache
        if not has_places(db):
            with db.write() as conn:
                conn.execute(_PLACES)
        return _add_rows(db, version) if words else now


def state(store: Store, dataset: str, version: int) -> Prepared:
    """How far the full-text index of a version is, without making any of it."""
    with reading(store, dataset) as db:
        return _state(db, version)


def has_places(db: DatasetDb) -> bool:
    """Whether the index from content to places is there."""
    return db.conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'version_rows_row'").fetchone() is not None


def _state(db: DatasetDb, version: int) -> Prepared:
    if db.conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'row_words_done'").fetchone() is None:
        return Prepared(False, 0.0)
    found = db.conn.execute("SELECT row, complete FROM row_words_done WHERE version = ?", (version,)).fetchone()
    if found is None:
        return Prepared(False, 0.0)
    last = db.conn.execute("SELECT max(row) FROM version_rows WHERE version = ?", (version,)).fetchone()[0] or 1
    return Prepared(bool(found[1]), 1.0 if found[1] else min(found[0] / last, 1.0))


def _add_rows(db: DatasetDb, version: int) -> Prepared:
    db.conn.execute("PRAGMA cache_size = -65536")
    ends = time.monotonic() + SLICE_SECONDS
    while not (now := _state(db, version)).complete and time.monotonic() < ends:
        with db.write() as conn:
            for statement in _TABLES:
                conn.execute(statement)
            _add_batch(conn, version)
    return now


def _add_batch(conn: Any, version: int) -> None:
    found = conn.execute("SELECT row FROM row_words_done WHERE version = ?", (version,)).fetchone()
    after = found[0] if found else 0
    until, count = conn.execute("SELECT max(row), count(*) FROM (SELECT DISTINCT row FROM version_rows WHERE version = ? AND row > ? "
                                "ORDER BY row LIMIT ?)", (version, after, BATCH)).fetchone()
    if count:
        conn.execute(_ADD, {"version": version, "after": after, "until": until})
    conn.execute("INSERT OR REPLACE INTO row_words_done (version, row, complete) VALUES (?, ?, ?)",
                 (version, until or after, count < BATCH))


def add_rows(conn: Any, version: int, positions: str | bytes) -> None:
    """Put rows (a JSON list of positions) into the index, where there is one: for a version that changes after its index was made."""
    if conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'row_words'").fetchone():
        conn.execute(f"INSERT INTO row_words (rowid, words) SELECT id, {_TEXT} FROM (SELECT DISTINCT r.id, CAST(r.payload AS TEXT) AS p "
                     "FROM json_each(?) j CROSS JOIN version_rows v ON v.version = ? AND v.position = j.value JOIN rows r ON r.id = v.row "
                     "WHERE r.id NOT IN (SELECT id FROM row_words_docsize))", (positions, version))


def match_of(words: str) -> str:
    """What a user typed as an FTS5 query; "" where there is no word in it."""
    parts = [found for found in _PART.finditer(words) if re.search(r"\w", found.group())]
    return " AND ".join(_term(found, last=number == len(parts) and not words[-1:].isspace())
                        for number, found in enumerate(parts, start=1))


def _term(found: re.Match[str], *, last: bool) -> str:
    phrase, word = found.groups()
    if word is None:
        return f'"{phrase}"' + ("*" if last and not found.group().endswith('"') else "")
    plain = word.replace('"', "").rstrip("*")
    beginning = (last or word.endswith("*")) and len(plain) >= SHORTEST_BEGINNING
    return f'"{plain}"' + ("*" if beginning else "")
