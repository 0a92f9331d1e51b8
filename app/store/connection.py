"""Opening encrypted SQLite: one connection a thread, settings the whole product relies on, three distinct failures."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlcipher3 import dbapi2 as sqlcipher

from app.errors import Place, StoreError
from app.store.key import CatalogueKey, obtain_key
from app.store.light import Database
from app.store.profile import Profile

BUSY_MS = 10_000


def connect(path: Path, key_hex: str, cipher: tuple[str, ...] = ()) -> Any:
    """Open an encrypted database file; made if missing.

    The connection is in autocommit mode: use :meth:`Store.write` for a transaction.
    cipher: SQLCipher pragmas that the file was made with ("cipher_page_size = 16384"); none: SQLCipher's defaults.
    Raises StoreError store.wrong_key or store.damaged; the file is left untouched in both cases.
    """
    existed = path.exists() and path.stat().st_size > 0
    try:
        connection = sqlcipher.connect(str(path), isolation_level=None, check_same_thread=False,
                                       timeout=BUSY_MS / 1000)
        connection.execute(f"PRAGMA key = \"x'{key_hex}'\"")
        for pragma in cipher:
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA cipher_log_level = NONE")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        _configure(connection)
    except sqlcipher.DatabaseError as problem:
        raise _opening_failure(path, problem, existed) from problem
    return connection


def _configure(connection: Any) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA foreign_keys = ON")


def _opening_failure(path: Path, problem: Exception, existed: bool) -> StoreError:
    text = str(problem)
    if "not a database" in text and existed:
        return StoreError("store.wrong_key", "The database does not open with this key.", where=Place.of(path),
                          why="The key is another one, or the first page of the file is damaged.",
                          remedy="Check the passphrase or the key file; or restore a backup. The file is untouched.")
    if "malformed" in text or "corrupt" in text or "disk image" in text:
        return damaged(path, text)
    return StoreError("store.unavailable", "The database cannot be opened.", where=Place.of(path), why=f"{text}.",
                      remedy="Check that the folder exists, is writable and has free space.")


def damaged(path: Path, why: str) -> StoreError:
    """The failure of a database whose pages do not check out."""
    return StoreError("store.damaged", "The database is damaged.", where=Place.of(path), why=f"{why}.",
                      remedy="Keep the file and restore the newest backup beside it. Nothing was changed.")


class Store:
    """The catalogue of one profile.

    ``store.db`` is this thread's sqlite-utils Database.  Reads need nothing more; several writes that belong
    together go inside ``with store.write() as db:``, which takes the write lock at once and rolls back on error.
    """

    def __init__(self, profile: Profile, key: CatalogueKey) -> None:
        self.profile = profile
        self.key = key
        self._local = threading.local()
        self._opened: list[Any] = []
        self._lock = threading.Lock()

    @classmethod
    def open(cls, profile: Profile | None = None, *, key: CatalogueKey | None = None, migrate: bool = True) -> Store:
        """Open (or make) the catalogue.  key: given by a parent process, else obtained for the profile."""
        from app.store.catalogue import migrate_catalogue

        profile = profile or Profile.default()
        profile.create()
        store = cls(profile, key or obtain_key(profile))
        try:
            if migrate:
                migrate_catalogue(store)
        except BaseException:
            store.close()
            raise
        return store

    @property
    def db(self) -> Database:
        """This thread's connection."""
        database = getattr(self._local, "database", None)
        if database is None:
            database = Database(connect(self.profile.catalogue, self.key.hex))
            self._local.database = database
            with self._lock:
                self._opened.append(database)
        return database

    @contextlib.contextmanager
    def write(self) -> Iterator[Database]:
        """One transaction.  Nested use joins the outer transaction."""
        database = self.db
        if database.conn.in_transaction:
            yield database
            return
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")

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
        with self._lock:
            opened, self._opened = self._opened, []
        for database in opened:
            with contextlib.suppress(Exception):  # a connection that failed to open has nothing to close
                database.conn.close()
        self._local = threading.local()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
