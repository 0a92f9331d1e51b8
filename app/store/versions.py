"""Writing one version of a dataset: whole or not at all, one writer a dataset, and mended after a crash.

A version is "writing" from its first row to :meth:`VersionWriter.finish`; readers look at "ready" ones only.  Its
``origin`` names the process that writes it and the first row number it may have used, so that after a ``kill -9``
:func:`recover` takes out what is left of it.  A version whose writer named a ``resume`` key is "paused" instead, and the
next writer with the same key goes on with it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

import orjson
from sqlcipher3 import dbapi2 as sqlcipher

from app.errors import DatasetError, StoreError
from app.store.blocks import LENGTH_BITS, Block
from app.store.connection import Store
from app.store.datasets import ROW_INDEX, DatasetDb, erase_dataset, open_dataset

MOST_UNINDEXED = 3_000_000
"""Rows after which an import into an empty dataset makes the index: making it sorts in memory, some 40 bytes a row."""
WAIT_SECONDS = 0.2
_ACTIVE: set[tuple[str, int]] = set()
"""(dataset, version) that this process writes now."""

_INSERT_NEW = (
    "INSERT INTO rows (id, hash, payload) SELECT ?1 + key, substr(?2, 1 + 16 * key, 16), "
    f"substr(?3, 1 + (value >> {LENGTH_BITS}), value & {2**LENGTH_BITS - 1}) FROM json_each(?4)"
)
_INSERT_UNKNOWN = (
    "INSERT INTO rows (hash, payload) SELECT substr(?1, 1 + 16 * key, 16), "
    f"substr(?2, 1 + (value >> {LENGTH_BITS}), value & {2**LENGTH_BITS - 1}) FROM json_each(?3) "
    "WHERE true ON CONFLICT (hash) DO NOTHING"
)
_SPLIT = "CASE value & 3 WHEN 0 THEN '' WHEN 1 THEN 'train' WHEN 2 THEN 'calibration' ELSE 'test' END"


class VersionWriter:
    """Writes one version.  Leaving ``with`` without :meth:`finish` undoes it: no row of it stays, its state is "failed".

    wait: called about every 0.2 s while another process writes to the same dataset (it may raise, to give up).
    resume: names the work; a version of this name that was cut off is taken up again (``resumed``), see :meth:`pause`.
    """

    def __init__(
        self,
        store: Store,
        db: DatasetDb,
        *,
        origin: dict[str, Any],
        parent: int | None = None,
        note: str = "",
        wait: Callable[[], None] | None = None,
        resume: str = "",
    ) -> None:
        self._store, self._db = store, db
        self.version, self.resumed = _claim(store, db, {**origin, "resume": resume} if resume else origin, parent, note, wait)
        self._finished = False
        conn = db.conn
        conn.execute("PRAGMA cache_size = -32768")
        conn.execute("PRAGMA wal_autocheckpoint = 2000")
        conn.execute("PRAGMA foreign_keys = OFF")  # row numbers are made here; checking each costs a look-up
        self._first = _next_row(db)
        self._next: int | None = None
        if self._first == 1:
            conn.execute("DROP INDEX IF EXISTS rows_hash")
            self._next = 1

    def write(self, block: Block) -> int:
        """Write a block in one transaction; returns its rows.  Raises StoreError store.disk_full."""
        spans, places = block.spans.decode(), block.places.decode()
        with self._db.write() as conn:
            if self._next is not None:
                conn.execute(_INSERT_NEW, (self._next, block.hashes, block.payloads, spans))
                conn.execute(
                    "INSERT INTO version_rows (version, position, row, split) "
                    f"SELECT ?1, value >> 2, ?2 + key, {_SPLIT} FROM json_each(?3)",
                    (self.version, self._next, places),
                )
                self._next += block.count
            elif block.count:
                conn.execute(_INSERT_UNKNOWN, (block.hashes, block.payloads, spans))
                conn.execute(
                    "INSERT INTO version_rows (version, position, row, split) SELECT ?1, value >> 2, "
                    f"(SELECT id FROM rows WHERE hash = substr(?2, 1 + 16 * key, 16)), {_SPLIT} FROM json_each(?3)",
                    (self.version, block.hashes, places),
                )
            conn.executemany(
                "INSERT INTO rejects (version, number, reason, raw) VALUES (?, ?, ?, ?)",
                ((self.version, *reject) for reject in block.rejects),
            )
        if self._next is not None and self._next > MOST_UNINDEXED:
            self._index()
        return block.count

    def _index(self) -> None:
        """Merge rows of equal content and make the index."""
        if self._next is None:
            return
        self._next = None
        with self._db.write() as conn:
            try:
                conn.execute(ROW_INDEX)
                return
            except sqlcipher.IntegrityError:  # some rows are equal
                pass
            conn.execute("CREATE INDEX rows_found ON rows (hash)")
            conn.execute(
                "CREATE TEMP TABLE merged AS SELECT r.id AS old, f.id AS new FROM "
                "(SELECT hash, min(id) AS id FROM rows GROUP BY hash HAVING count(*) > 1) f "
                "JOIN rows r ON r.hash = f.hash AND r.id != f.id"
            )
            if conn.execute("SELECT 1 FROM merged LIMIT 1").fetchone():
                conn.execute("CREATE UNIQUE INDEX temp.merged_old ON merged (old)")
                conn.execute(
                    "UPDATE version_rows SET row = (SELECT new FROM merged WHERE old = row) "
                    "WHERE version = ? AND row IN (SELECT old FROM merged)",
                    (self.version,),
                )
                conn.execute("DELETE FROM rows WHERE id IN (SELECT old FROM merged)")
            conn.execute("DROP TABLE merged")
            conn.execute("DROP INDEX rows_found")
            conn.execute(ROW_INDEX)

    def finish(
        self,
        *,
        rows: int,
        content_hash: str,
        splits: dict[str, int],
        shape: str,
        rejected: int = 0,
        removed: int = 0,
        report: dict[str, Any] | None = None,
    ) -> None:
        """Everything is in: the version may be read."""
        self._index()
        self._store.db.execute(
            "UPDATE dataset_versions SET state = 'ready', rows = ?, rejected = ?, removed = ?, splits = ?, shape = ?, "
            "content_hash = ?, report = ?, finished = ? WHERE dataset = ? AND version = ?",
            (
                rows,
                rejected,
                removed,
                orjson.dumps(splits).decode(),
                shape,
                content_hash,
                orjson.dumps(report or {}).decode(),
                time.time(),
                self._db.dataset,
                self.version,
            ),
        )
        self._finished = True

    def pause(self) -> None:
        """Keep what was written so far; a writer with the same ``resume`` key goes on from there."""
        self._store.db.execute(
            "UPDATE dataset_versions SET state = 'paused' WHERE dataset = ? AND version = ?", (self._db.dataset, self.version)
        )
        self._finished = True

    def __enter__(self) -> VersionWriter:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if not self._finished:
                with contextlib.suppress(StoreError, sqlcipher.DatabaseError):  # a full disk: recover() does it later
                    undo(self._store, self._db, self.version, self._first)
        finally:
            _ACTIVE.discard((self._db.dataset, self.version))
            with contextlib.suppress(sqlcipher.DatabaseError):
                self._db.conn.execute("PRAGMA foreign_keys = ON")


def _next_row(db: DatasetDb) -> int:
    return int(db.conn.execute("SELECT coalesce(max(id), 0) FROM rows").fetchone()[0]) + 1


def _claim(
    store: Store, db: DatasetDb, origin: dict[str, Any], parent: int | None, note: str, wait: Callable[[], None] | None
) -> tuple[int, bool]:
    """Take the next version number, or that of the paused version which this work goes on with: (version, whether so).

    Waits for another writer of this dataset, and mends after one that died.
    """
    while True:
        with store.write() as catalogue:
            busy = [row for row in _writing(store, db.dataset) if _is_active(row)]
            if not busy:
                for row in _writing(store, db.dataset):
                    _mend(store, db, row)
                paused = _take_up(store, db, origin.get("resume", ""))
                if paused is not None:
                    return paused, True
                newest = store.row("SELECT max(version) AS version FROM dataset_versions WHERE dataset = ?", (db.dataset,))
                version = int((newest or {}).get("version") or 0) + 1
                marked = {**origin, "writer": _self(), "first_row": _next_row(db)}
                catalogue.execute(
                    "INSERT INTO dataset_versions (dataset, version, state, parent, note, origin, created) "
                    "VALUES (?, ?, 'writing', ?, ?, ?, ?)",
                    (db.dataset, version, parent, note, orjson.dumps(marked).decode(), time.time()),
                )
                _ACTIVE.add((db.dataset, version))
                return version, False
        if wait is not None:
            wait()
        time.sleep(WAIT_SECONDS)


def _mend(store: Store, db: DatasetDb, row: dict[str, Any]) -> None:
    """Deal with a version whose writer died: one that can be gone on with is paused, any other is taken out."""
    origin = orjson.loads(row["origin"])
    if origin.get("resume"):
        store.db.execute("UPDATE dataset_versions SET state = 'paused' WHERE dataset = ? AND version = ?",
                         (db.dataset, row["version"]))
    else:
        undo(store, db, row["version"], origin.get("first_row", 1))


def _take_up(store: Store, db: DatasetDb, resume: str) -> int | None:
    """The paused version of this work, now ours."""
    if not resume:
        return None
    for row in store.rows("SELECT version, origin FROM dataset_versions WHERE dataset = ? AND state = 'paused'", (db.dataset,)):
        origin = orjson.loads(row["origin"])
        if origin.get("resume") == resume:
            store.db.execute("UPDATE dataset_versions SET state = 'writing', origin = ? WHERE dataset = ? AND version = ?",
                             (orjson.dumps({**origin, "writer": _self()}).decode(), db.dataset, row["version"]))
            _ACTIVE.add((db.dataset, row["version"]))
            return int(row["version"])
    return None


def discard_paused(store: Store, db: DatasetDb, version: int) -> None:
    """Take out a paused version that nobody will go on with."""
    found = store.row("SELECT origin FROM dataset_versions WHERE dataset = ? AND version = ? AND state = 'paused'",
                      (db.dataset, version))
    if found is not None:
        undo(store, db, version, orjson.loads(found["origin"]).get("first_row", 1))


def _writing(store: Store, dataset: str | None = None) -> list[dict[str, Any]]:
    where = "AND dataset = ?" if dataset else ""
    return store.rows(
        f"SELECT dataset, version, origin FROM dataset_versions WHERE state = 'writing' {where}", (dataset,) if dataset else ()
    )


def _self() -> list[float]:
    import psutil

    return [os.getpid(), psutil.Process().create_time()]


def _is_active(row: dict[str, Any]) -> bool:
    """Whether the process that writes this version still lives (same pid and same start)."""
    import psutil

    pid, started = orjson.loads(row["origin"]).get("writer") or (0, 0.0)
    if pid == os.getpid():
        return (row["dataset"], row["version"]) in _ACTIVE
    try:
        return bool(abs(psutil.Process(int(pid)).create_time() - started) < 0.05)
    except psutil.Error:
        return False


def undo(store: Store, db: DatasetDb, version: int, first_row: int) -> None:
    """Take out every row that a version wrote and no other uses, and mark it failed."""
    with db.write() as conn:
        for table in ("version_rows", "rejects", "findings", "derivations"):
            conn.execute(f"DELETE FROM {table} WHERE version = ?", (version,))
        used = "IN (SELECT row FROM version_rows WHERE row >= ?1)"  # by a version that was written while this one was paused
        for table, column in (("rows", "id"), ("scores", "row"), ("ratings", "row")):
            conn.execute(f"DELETE FROM {table} WHERE {column} >= ?1 AND {column} NOT {used}", (first_row,))
        conn.execute("DROP INDEX IF EXISTS rows_found")
        conn.execute(ROW_INDEX)
    store.db.execute(
        "UPDATE dataset_versions SET state = 'failed', rows = 0, finished = ? WHERE dataset = ? AND version = ?",
        (time.time(), db.dataset, version),
    )


def recover(store: Store) -> list[tuple[str, int]]:
    """Mend after a crash: versions whose writer died are taken out.  Returns their (dataset, version).  Cheap if all is well."""
    dead = [row for row in _writing(store) if not _is_active(row)]
    for row in dead:
        try:
            with open_dataset(store, row["dataset"]) as db:
                _mend(store, db, row)
        except DatasetError:  # erased since
            store.db.execute(
                "UPDATE dataset_versions SET state = 'failed' WHERE dataset = ? AND version = ?", (row["dataset"], row["version"])
            )
        drop_if_unused(store, row["dataset"])
    return [(row["dataset"], row["version"]) for row in dead]


def drop_if_unused(store: Store, dataset: str) -> bool:
    """Remove a dataset of which no version was ever finished; True if it was."""
    if store.row("SELECT 1 FROM dataset_versions WHERE dataset = ? AND state != 'failed'", (dataset,)):
        return False
    erase_dataset(store, dataset)
    with store.write() as db:
        db.execute("DELETE FROM dataset_versions WHERE dataset = ?", (dataset,))
        db.execute("DELETE FROM datasets WHERE id = ?", (dataset,))
    return True
