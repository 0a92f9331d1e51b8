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
import xxhash

from app.errors import DatasetError
from app.store.connection import Store, connect
from app.store.records import Row

MOST_SEEN = 3_000_000
"""Hashes that an import keeps in memory; beyond that the index on disk is asked."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, hash BLOB UNIQUE NOT NULL, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS version_rows (
    version INTEGER NOT NULL, position INTEGER NOT NULL, row INTEGER NOT NULL REFERENCES rows(id),
    split TEXT NOT NULL DEFAULT '', state TEXT NOT NULL DEFAULT 'kept', reason TEXT, detail TEXT,
    PRIMARY KEY (version, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rejects (
    version INTEGER NOT NULL, number INTEGER NOT NULL, reason TEXT NOT NULL, raw TEXT NOT NULL);
"""


def encode(row: Row) -> tuple[bytes, bytes]:
    """(16-byte hash, payload) of a row: xxh3-128 of its canonical JSON (sorted keys)."""
    payload = orjson.dumps(row.payload(), option=orjson.OPT_SORT_KEYS)
    return xxhash.xxh3_128_digest(payload), payload


def decode(payload: bytes, *, split: str = "", digest: bytes = b"", position: int = 0) -> Row:
    """The row that :func:`encode` wrote."""
    content = orjson.loads(payload)
    return Row(
        shape=content["shape"], messages=content.get("messages", []), text=content.get("text", ""),
        chosen=content.get("chosen", ""), rejected=content.get("rejected", ""), meta=content.get("meta", {}),
        split=split, hash=digest.hex(), position=position,
    )


class DatasetDb:
    """The database of one dataset.  Use :func:`open_dataset`; close it, or use it in ``with``."""

    def __init__(self, store: Store, dataset: str, key_hex: str) -> None:
        self.store = store
        self.dataset = dataset
        self.path: Path = store.profile.datasets / f"{dataset}.db"
        self.conn = connect(self.path, key_hex)
        for statement in _SCHEMA.split(";\n"):
            if statement.strip():
                self.conn.execute(statement)

    @contextlib.contextmanager
    def write(self) -> Iterator[Any]:
        """One transaction on this dataset."""
        self.conn.execute("BEGIN IMMEDIATE")
        try:
            yield self.conn
        except BaseException:
            self.conn.execute("ROLLBACK")
            raise
        self.conn.execute("COMMIT")

    def iter_rows(self, version: int, split: str | None = None, *, state: str = "kept", batch: int = 2000) -> Iterator[Row]:
        """Rows of a version in order, read in bounded memory by keyset pages.

        split: only that one ("train", ...); state: "kept" or "removed".
        """
        where = "AND v.split = :split" if split is not None else ""
        sql = (f"SELECT v.position, v.split, r.hash, r.payload FROM version_rows v JOIN rows r ON r.id = v.row "
               f"WHERE v.version = :version AND v.state = :state {where} AND v.position > :after "
               f"ORDER BY v.position LIMIT :batch")
        after = 0
        while True:
            found = self.conn.execute(sql, {"version": version, "state": state, "split": split, "after": after,
                                            "batch": batch}).fetchall()
            for position, row_split, digest, payload in found:
                yield decode(payload, split=row_split, digest=digest, position=position)
            if len(found) < batch:
                return
            after = found[-1][0]

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


class VersionWriter:
    """Writes one version.  Leaving ``with`` without :meth:`finish` undoes it: no row of it stays, its state is "failed"."""

    def __init__(self, store: Store, db: DatasetDb, *, origin: dict[str, Any], parent: int | None = None, note: str = "") -> None:
        self._store, self._db = store, db
        newest = store.row("SELECT max(version) AS version FROM dataset_versions WHERE dataset = ?", (db.dataset,))
        self.version: int = int((newest or {}).get("version") or 0) + 1
        self._finished = False
        self._rejects: list[tuple[int, int, str, str]] = []
        self._first: list[tuple[int, str]] = []
        store.db.execute(
            "INSERT INTO dataset_versions (dataset, version, state, parent, note, origin, created) VALUES (?, ?, 'writing', ?, ?, ?, ?)",
            (db.dataset, self.version, parent, note, orjson.dumps(origin).decode(), time.time()))
        self._next = int(db.conn.execute("SELECT coalesce(max(id), 0) FROM rows").fetchone()[0]) + 1
        self._seen: dict[bytes, int] | None = {} if self._next == 1 else None
        """Row ids by hash where this dataset was empty: then no look-up on disk is needed."""

    def write(self, batch: list[tuple[int, bytes, bytes, str]]) -> int:
        """(position, hash, payload, split) rows in one transaction; returns how many."""
        with self._db.write() as conn:
            if self._seen is not None:
                self._write_fresh(conn, batch, self._seen)
            else:
                conn.executemany("INSERT INTO rows (hash, payload) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING",
                                 [(digest, payload) for _, digest, payload, _ in batch])
                conn.executemany("INSERT INTO version_rows (version, position, row, split) "
                                 "VALUES (?, ?, (SELECT id FROM rows WHERE hash = ?), ?)",
                                 [(self.version, position, digest, split) for position, digest, _, split in batch])
            self._flush_rejects(conn)
        if self._seen is not None and len(self._seen) > MOST_SEEN:
            self._seen = None
        return len(batch)

    def _write_fresh(self, conn: Any, batch: list[tuple[int, bytes, bytes, str]], seen: dict[bytes, int]) -> None:
        new, places = [], []
        for position, digest, payload, split in batch:
            row = seen.get(digest)
            if row is None:
                row = seen[digest] = self._next
                self._next += 1
                new.append((row, digest, payload))
            places.append((self.version, position, row, split))
        conn.executemany("INSERT INTO rows (id, hash, payload) VALUES (?, ?, ?)", new)
        conn.executemany("INSERT INTO version_rows (version, position, row, split) VALUES (?, ?, ?, ?)", places)

    def reject(self, number: int, reason: str, raw: str) -> None:
        """Set a row of the source aside."""
        if len(self._first) < 10:
            self._first.append((number, reason))
        self._rejects.append((self.version, number, reason, raw.encode("utf-8", "replace").decode()))
        if len(self._rejects) >= 5000:
            with self._db.write() as conn:
                self._flush_rejects(conn)

    def first_rejects(self) -> list[tuple[int, str]]:
        """The first rows that were set aside, with their reasons."""
        return self._first

    def _flush_rejects(self, conn: Any) -> None:
        conn.executemany("INSERT INTO rejects (version, number, reason, raw) VALUES (?, ?, ?, ?)", self._rejects)
        self._rejects.clear()

    def finish(self, *, rows: int, content_hash: str, splits: dict[str, int], shape: str, rejected: int = 0, removed: int = 0,
               report: dict[str, Any] | None = None) -> None:
        """Everything is in: the version may be read."""
        with self._db.write() as conn:
            self._flush_rejects(conn)
        self._store.db.execute(
            "UPDATE dataset_versions SET state = 'ready', rows = ?, rejected = ?, removed = ?, splits = ?, shape = ?, "
            "content_hash = ?, report = ?, finished = ? WHERE dataset = ? AND version = ?",
            (rows, rejected, removed, orjson.dumps(splits).decode(), shape, content_hash, orjson.dumps(report or {}).decode(),
             time.time(), self._db.dataset, self.version))
        self._finished = True

    def __enter__(self) -> VersionWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._finished:
            return
        with self._db.write() as conn:
            conn.execute("DELETE FROM version_rows WHERE version = ?", (self.version,))
            conn.execute("DELETE FROM rejects WHERE version = ?", (self.version,))
            conn.execute("DELETE FROM rows WHERE id NOT IN (SELECT row FROM version_rows)")
        self._store.db.execute("UPDATE dataset_versions SET state = 'failed', finished = ? WHERE dataset = ? AND version = ?",
                               (time.time(), self._db.dataset, self.version))


def create_dataset(store: Store, name: str, origin: dict[str, Any] | None = None) -> str:
    """Make an empty dataset with its own random key; returns its id."""
    identity = "ds_" + secrets.token_hex(6)
    store.db.table("datasets").insert({
        "id": identity, "name": name, "key": secrets.token_hex(32), "created": time.time(),
        "origin": orjson.dumps(origin or {}).decode()})
    return identity


def open_dataset(store: Store, dataset: str) -> DatasetDb:
    """Open a dataset's database.  Raises DatasetError if there is none of that id or it was erased."""
    found = store.row("SELECT key FROM datasets WHERE id = ?", (dataset,))
    if found is None or found["key"] is None:
        raise DatasetError("dataset.unknown", f"There is no dataset {dataset!r}.",
                           why="It was erased." if found else "", remedy="List the datasets with: main.py datasets")
    return DatasetDb(store, dataset, found["key"])
