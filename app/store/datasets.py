"""Datasets: one encrypted database each, rows stored once by content hash, versions as lists of row hashes.

A version is cheap (row numbers with state and reason), so it can be diffed and every removal undone.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
from sqlcipher3 import dbapi2 as sqlcipher

from app.errors import DatasetError, Place, StoreError, UsageError
from app.store.backup import renew
from app.store.connection import Store, connect
from app.store.records import Row, decode, encode

__all__ = [
    "DatasetDb", "create_dataset", "decode", "disk_full", "encode", "erase_dataset", "open_dataset", "order_name", "reading",
    "remove_files",
]

CIPHER = ("cipher_page_size = 16384", "cipher_hmac_algorithm = HMAC_SHA256")
"""Larger pages and SHA-256, for which processors have instructions: a row costs 6 µs to write in place of 10 (measured)."""

ROW_INDEX = "CREATE UNIQUE INDEX IF NOT EXISTS rows_hash ON rows (hash)"
"""Apart from the table, because an import into an empty dataset makes it last; see versions.py."""

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, hash BLOB NOT NULL, payload BLOB NOT NULL)",
    """CREATE TABLE IF NOT EXISTS version_rows (
    version INTEGER NOT NULL, position INTEGER NOT NULL, row INTEGER NOT NULL REFERENCES rows(id),
    split TEXT NOT NULL DEFAULT '', state TEXT NOT NULL DEFAULT 'kept', reason TEXT, detail TEXT,
    PRIMARY KEY (version, position)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS rejects (
    version INTEGER NOT NULL, number INTEGER NOT NULL, reason TEXT NOT NULL, raw TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS rejects_version ON rejects (version, number)",
    # by content, so that they follow a row through its versions
    "CREATE TABLE IF NOT EXISTS scores (row INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY (row, name)) "
    "WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS scores_value ON scores (name, value, row)",
    "CREATE TABLE IF NOT EXISTS ratings (row INTEGER PRIMARY KEY, rating INTEGER NOT NULL, "
    "note TEXT NOT NULL DEFAULT '', at REAL NOT NULL)",
    """CREATE TABLE IF NOT EXISTS findings (
    id INTEGER PRIMARY KEY, version INTEGER NOT NULL, position INTEGER NOT NULL, field TEXT NOT NULL,
    start INTEGER NOT NULL, "end" INTEGER NOT NULL, entity TEXT NOT NULL, score REAL NOT NULL, detector TEXT NOT NULL,
    replacement TEXT NOT NULL DEFAULT '', decision TEXT NOT NULL DEFAULT 'open', decided_by TEXT NOT NULL DEFAULT '')""",
    "CREATE INDEX IF NOT EXISTS findings_place ON findings (version, position)",
    """CREATE TABLE IF NOT EXISTS redaction_rules (
    id INTEGER PRIMARY KEY, entity TEXT NOT NULL, folded TEXT NOT NULL, decision TEXT NOT NULL, created REAL NOT NULL)""",
    # how far a version that is being derived has come; written in the same transaction as its rows
    "CREATE TABLE IF NOT EXISTS derivations (version INTEGER PRIMARY KEY, done INTEGER NOT NULL)",
    ROW_INDEX,
)
PAGE_BYTES = 16 * 2**20
"""Payloads that are read at once, and one more row."""
WARM_KB = -8192
"""Page cache of a connection that stays open for reading."""
SCHEMA_VERSION = 2
"""Raised with _SCHEMA; kept in each file as PRAGMA user_version."""
LONGEST_NAME = 200
"""Characters of a dataset's name."""


def order_name(version: int) -> str:
    """Name of the score that holds the learning order of a version (data.select writes it, training reads it)."""
    return f"order:{version}"


def disk_full(path: Path, why: str) -> StoreError:
    """The failure of a write for which there was no room."""
    return StoreError("store.disk_full", "The disk is full; what was being written is not kept.", where=Place.of(path),
                      why=f"{why[:1].upper()}{why[1:]}.",
                      remedy="Make room on this disk and try again. Earlier data is untouched.")


class DatasetDb:
    """The database of one dataset.  Use :func:`open_dataset` (close it, or use it in ``with``) or :func:`reading`.

    conn: a connection to it that is open already.
    """

    def __init__(self, store: Store, dataset: str, key_hex: str, conn: Any = None) -> None:
        self.store = store
        self.dataset = dataset
        self.path: Path = store.profile.datasets / f"{dataset}.db"
        self.conn = conn or connect(self.path, key_hex, CIPHER)
        if conn is None:
            self._migrate()

    def _migrate(self) -> None:
        found = int(self.conn.execute("PRAGMA user_version").fetchone()[0])
        if found > SCHEMA_VERSION:
            self.conn.close()
            raise StoreError("store.newer_schema", "This dataset was written by a newer version of NeuroWeaver; nothing was changed.",
                             where=Place.of(self.path), why=f"Its schema is {found}; this version knows {SCHEMA_VERSION}.",
                             remedy="Update NeuroWeaver.")
        if found < SCHEMA_VERSION:
            with self.write() as conn:
                for statement in _SCHEMA:
                    conn.execute(statement)
                conn.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextlib.contextmanager
    def write(self) -> Iterator[Any]:
        """One transaction on this dataset.  Raises StoreError store.disk_full when the disk is full; nothing is kept then."""
        try:
            self.conn.execute("BEGIN IMMEDIATE")
            yield self.conn
            self.conn.execute("COMMIT")
        except BaseException as problem:
            if self.conn.in_transaction:  # a full disk has already rolled it back
                self.conn.execute("ROLLBACK")
            if isinstance(problem, sqlcipher.OperationalError) and "full" in str(problem):
                raise disk_full(self.path, str(problem)) from problem
            raise

    def iter_rows(self, version: int, split: str | None = None, *, state: str = "kept", batch: int = 2000,
                  after: int = 0) -> Iterator[Row]:
        """Rows of a version in order, read in bounded memory by keyset pages: of ``batch`` rows, or fewer where they are long.

        split: only that one ("train", ...); state: "kept" or "removed"; after: only rows behind this position.
        """
        where = "AND v.split = :split" if split is not None else ""
        sql = (f"SELECT v.position, v.split, r.hash, r.payload FROM version_rows v JOIN rows r ON r.id = v.row "
               f"WHERE v.version = :version AND v.state = :state {where} AND v.position > :after "
               f"ORDER BY v.position LIMIT :batch")
        while True:
            found, more = read_page(self.conn.execute(sql, {"version": version, "state": state, "split": split, "after": after,
                                                            "batch": batch}), batch)
            for position, row_split, digest, payload in found:
                yield decode(payload, split=row_split, digest=digest, position=position)
            if not more:
                return
            after = found[-1][0]

    def put_scores(self, scores: Iterable[tuple[str, str, float]]) -> None:
        """Keep scores of rows: (content hash in hex, name, value).  A later value of the same name replaces the earlier one."""
        with self.write() as conn:
            conn.executemany("INSERT OR REPLACE INTO scores (row, name, value) SELECT id, ?2, ?3 FROM rows WHERE hash = ?1",
                             ((bytes.fromhex(digest), name, value) for digest, name, value in scores))

    def scores_of(self, version: int, name: str) -> dict[int, float]:
        """One score of a version's kept rows by position; rows without it are left out."""
        return dict(self.conn.execute(
            "SELECT v.position, s.value FROM version_rows v JOIN scores s ON s.row = v.row AND s.name = ? "
            "WHERE v.version = ? AND v.state = 'kept'", (name, version)).fetchall())

    def add_rows(self, version: int, rows: Iterable[Row], *, start: int = 1) -> int:
        """Append rows to a version that is being written; returns how many.  position: row.position or a count from start."""
        count = 0
        with self.write() as conn:
            for offset, row in enumerate(rows):
                digest, payload = encode(row)
                conn.execute("INSERT INTO rows (hash, payload) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING", (digest, payload))
                conn.execute(
                    "INSERT INTO version_rows (version, position, row, split) "
                    "VALUES (?, ?, (SELECT id FROM rows WHERE hash = ?), ?)",
                    (version, row.position or start + offset, digest, row.split))
                count += 1
        return count

    def close(self) -> None:
        self.conn.close()

    def __enter__(self) -> DatasetDb:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_page(cursor: Any, most: int) -> tuple[list[Any], bool]:
    """(rows, whether there may be more) of a query for so many rows, whose last column is the payload: fewer where they are long."""
    found, held = list[Any](), 0
    for row in cursor:
        found.append(row)
        held += len(row[-1])
        if held >= PAGE_BYTES:
            cursor.close()
            return found, True
    return found, len(found) == most


def dataset_name(name: str) -> str:
    """A name that a user gave.  Raises UsageError dataset.bad_name for one that no list can show."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError("dataset.bad_name", "A dataset cannot be called so.",
                         why=f"A name has 1 to {LONGEST_NAME} characters, all of which can be seen.", remedy="Choose another name.")
    return name.strip()


def create_dataset(store: Store, name: str, origin: dict[str, Any] | None = None) -> str:
    """Make an empty dataset with its own random key; returns its id."""
    identity = "ds_" + secrets.token_hex(6)
    store.db.table("datasets").insert({
        "id": identity, "name": name, "key": secrets.token_hex(32), "created": time.time(),
        "origin": orjson.dumps(origin or {}).decode()})
    return identity


def open_dataset(store: Store, dataset: str) -> DatasetDb:
    """Open a dataset's database.  Raises DatasetError if there is none of that id or it was erased."""
    return DatasetDb(store, dataset, _key(store, dataset))


@contextlib.contextmanager
def reading(store: Store, dataset: str) -> Iterator[DatasetDb]:
    """As :func:`open_dataset`, for somebody who asks again and again: the connection stays open for the next one, its pages warm."""
    key = _key(store, dataset)
    waiting = store.idle.take(dataset)
    db = DatasetDb(store, dataset, key, waiting)
    if waiting is None:
        db.conn.execute(f"PRAGMA cache_size = {WARM_KB}")
    try:
        yield db
    finally:
        if db.conn.broken or db.conn.in_transaction:
            db.close()
        elif not store.idle.give(dataset, db.conn):
            remove_files(store, dataset)  # it was erased meanwhile, and opening it may have made a file anew


def _key(store: Store, dataset: str) -> str:
    found = store.row("SELECT key FROM datasets WHERE id = ?", (dataset,))
    if found is None or found["key"] is None:
        store.idle.end(dataset)
        raise DatasetError("dataset.unknown", f"There is no dataset {dataset!r}.",
                           why="It was erased." if found else "", remedy="List the datasets with: main.py datasets")
    return str(found["key"])


def erase_dataset(store: Store, dataset: str) -> None:
    """Erase a dataset for good: its key goes first, from the copies too, so that what is left of its file cannot be read by anybody."""
    store.db.execute("UPDATE datasets SET key = NULL, erased = ? WHERE id = ?", (time.time(), dataset))
    store.idle.end(dataset)
    remove_files(store, dataset)
    renew(store)


def remove_files(store: Store, dataset: str) -> None:
    """Delete the files of a dataset: its database and what was set aside at import."""
    folder = store.profile.datasets
    for file in (*folder.glob(f"{dataset}.db*"), *(folder / "rejects").glob(f"{dataset}-v*.jsonl")):
        with contextlib.suppress(OSError):  # without its key the file is noise
            file.unlink()
