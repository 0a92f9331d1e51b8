"""Opening encrypted SQLite: one connection a thread, settings the whole product relies on, failures told apart."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlcipher3 import dbapi2 as sqlcipher

from app.errors import StoreError
from app.store import opening
from app.store.faults import damaged, translate, unavailable
from app.store.idle import Idle
from app.store.key import CatalogueKey, check_key, obtain_key
from app.store.light import Database
from app.store.profile import Profile

__all__ = ["BUSY_MS", "Store", "connect", "damaged"]

BUSY_MS = 10_000
_GAP = ("The write-ahead file of the database was missing. What was written last before the end of an earlier process is "
        "lost; the rest was opened as it stood at {when}.")


def connect(path: Path, key_hex: str, cipher: tuple[str, ...] = ()) -> Any:
    """Open an encrypted database file; made if missing.

    The connection is in autocommit mode: use :meth:`Store.write` for a transaction.  Its failures are StoreErrors.
    cipher: SQLCipher pragmas that the file was made with ("cipher_page_size = 16384"); none: SQLCipher's defaults.
    Raises StoreError store.damaged, store.disk_full or store.unavailable.  (Whether a key is the right one, key.py knows.)
    """
    existed = path.exists() and path.stat().st_size > 0
    connection: Any = None
    try:
        connection = opening.open_encrypted(path, key_hex, cipher, BUSY_MS)
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        _configure(connection)
    except (StoreError, sqlcipher.DatabaseError) as problem:
        if connection is not None:
            connection.close()
        raise _opening_failure(path, problem, existed) from problem
    return connection


def _configure(connection: Any) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA foreign_keys = ON")


def _opening_failure(path: Path, problem: Exception, existed: bool) -> StoreError:
    text = str(problem.__cause__ if isinstance(problem, StoreError) else problem)
    if "not a database" in text and existed:
        return damaged(path, "Its first page does not decrypt, or it is another profile's database")
    return translate(path, Exception(text)) or unavailable(path, text)


class Store:
    """The catalogue of one profile.

    ``store.db`` is this thread's sqlite-utils Database.  Reads need nothing more; several writes that belong
    together go inside ``with store.write() as db:``, which takes the write lock at once and rolls back on error.
    After a disk error the connection is thrown away and the next use opens another.
    """

    def __init__(self, profile: Profile, key: CatalogueKey) -> None:
        self.profile = profile
        self.key = key
        self.gap = ""
        """What :meth:`open` found missing, in words; "" if nothing is."""
        self.idle = Idle()
        """Connections to datasets that wait for their next reader; see datasets.reading."""
        self._local = threading.local()
        self._all = _Connections(profile)
        self._at_end = weakref.finalize(self, self._all.end)

    @classmethod
    def open(cls, profile: Profile | None = None, *, key: CatalogueKey | None = None, migrate: bool = True) -> Store:
        """Open (or make) the catalogue.  key: given by a parent process, else obtained for the profile.

        Raises StoreError store.wrong_key, store.damaged, store.newer_schema or store.missing, the files untouched;
        store.busy, store.disk_full, store.profile_unwritable.
        """
        profile = profile or Profile.default()
        profile.create()
        with opening.guard(profile):
            if key is not None:
                check_key(profile, key)
            store = cls(profile, key or obtain_key(profile))
            try:
                store._open(migrate)
            except BaseException:
                store._at_end.detach()
                store._all.close()
                raise
        return store

    def _open(self, migrate: bool) -> None:
        from app.store.catalogue import check_schema, migrate_catalogue

        there = opening.check_present(self.profile)
        if there:
            check_schema(opening.peek(self.profile.catalogue, self.key.hex), self.profile)
        age = self.profile.catalogue.stat().st_mtime if there else 0.0
        lost = opening.mark(self.profile) and there
        self._all.use()
        _ = self.db
        if migrate:
            migrate_catalogue(self)
            if lost:
                self._tell_gap(age)

    def _tell_gap(self, age: float) -> None:
        self.gap = _GAP.format(when=time.strftime("%Y-%m-%d %H:%M", time.localtime(age)))
        self.db.execute("INSERT INTO events (at, level, kind, message) VALUES (?, 'warning', 'store.gap', ?)",
                        (time.time(), self.gap))

    @property
    def db(self) -> Database:
        """This thread's connection."""
        database = getattr(self._local, "database", None)
        if database is None or _conn(database).broken:
            database = Database(connect(self.profile.catalogue, self.key.hex))
            self._local.database = database
            self._all.add(database)
        return database

    @contextlib.contextmanager
    def write(self) -> Iterator[Database]:
        """One transaction.  Nested use joins the outer transaction.

        Raises StoreError store.disk_full, store.io or store.busy; nothing of the transaction is kept then.
        """
        database = self.db
        if _in_transaction(database):
            yield database
            return
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
            database.execute("COMMIT")
        except BaseException:
            if _in_transaction(database):  # a full disk has already rolled it back
                with contextlib.suppress(StoreError, sqlcipher.DatabaseError):  # the first failure is the one to tell
                    database.execute("ROLLBACK")
            raise

    def rows(self, sql: str, arguments: tuple[Any, ...] | dict[str, Any] = ()) -> list[dict[str, Any]]:
        """All rows of a query as dictionaries."""
        cursor = self.db.execute(sql, arguments)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]

    def row(self, sql: str, arguments: tuple[Any, ...] | dict[str, Any] = ()) -> dict[str, Any] | None:
        """The first row of a query, or None."""
        found = self.rows(sql, arguments)
        return found[0] if found else None

    def close(self) -> None:
        """Close every connection of this process."""
        self.idle.end()
        self._all.end()
        self._local = threading.local()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Connections:
    """Every connection of a store, by the thread that uses it.  Knows no Store, so that one that is forgotten can end."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._opened: list[tuple[weakref.ref[threading.Thread], Database]] = []
        self._lock = threading.Lock()
        self._users: int | None = None

    def use(self) -> None:
        """Tell other processes that the catalogue is in use; see backup.restore."""
        self._users = opening.share_users(self._profile)

    def add(self, database: Database) -> None:
        """Remember a connection of this thread; close those of threads that ended and those under which the disk failed."""
        with self._lock:
            before, used = self._opened, [one for one in self._opened if _in_use(*one)]
            self._opened = [*used, (weakref.ref(threading.current_thread()), database)]
        for one in before:
            if one not in used:
                _close_quietly(one[1])

    def end(self) -> None:
        """At close, at the end of the process, or when the store is forgotten."""
        if not self._opened:
            return
        try:
            with opening.guard(self._profile):
                self.close()
        except (OSError, StoreError):  # the profile folder is gone, or read-only
            self.close()

    def close(self) -> None:
        """Close all.  The caller holds the guard, so that nobody opens in between."""
        with self._lock:
            found, self._opened = self._opened, []
        for _, database in found:
            _close_quietly(database)
        with contextlib.suppress(OSError):
            opening.unmark(self._profile)
        if self._users is not None:
            os.close(self._users)
            self._users = None


def _in_use(thread: weakref.ref[threading.Thread], database: Database) -> bool:
    owner = thread()
    return owner is not None and owner.is_alive() and not _conn(database).broken


def _conn(database: Database) -> Any:
    return database.conn


def _close_quietly(database: Database) -> None:
    with contextlib.suppress(Exception):  # a connection under which the disk failed has nothing to close
        database.conn.close()


def _in_transaction(database: Database) -> bool:
    return bool(database.conn.in_transaction)
