"""SQLite's failures in our words.  A connection of :class:`Connection` raises these instead of the driver's own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sqlcipher3 import dbapi2 as sqlcipher

from app.errors import Place, StoreError

LITTLE_ROOM = 65_536
"""Bytes.  The -shm file alone takes 32,768."""
LOOK_EVERY = 20_000
"""Instructions of SQLite between two looks at whether to stop: some milliseconds."""


def damaged(path: Path, why: str) -> StoreError:
    """The failure of a database whose pages do not check out."""
    return StoreError("store.damaged", "The database is damaged.", where=Place.of(path), why=f"{why.rstrip('.')}.",
                      remedy=copy_back(path.parent / "backups") if path.name == "catalogue.db" else
                      "Import its file again. Other datasets are untouched." if path.parent.name == "datasets" else
                      "Keep the file. Nothing was changed.")


def copy_back(backups: Path) -> str:
    """What to do about a catalogue that is damaged or gone."""
    if not any(backups.glob("catalogue-*.db")):
        return "Keep the file, and name another folder in NEUROWEAVER_HOME: there is no backup yet. Nothing was changed."
    return f"Put the newest backup of {backups} in its place: main.py doctor --restore, which keeps the file as it is. Nothing was changed."


def wrong_key(path: Path) -> StoreError:
    """The failure of a key that is not this database's."""
    return StoreError("store.wrong_key", "The database does not open with this key.", where=Place.of(path),
                      why="The passphrase or the key is another one.",
                      remedy="Check the passphrase or the key file. The database is untouched.")


def disk_full(path: Path, why: str) -> StoreError:
    """The failure of a write for which there was no room."""
    return StoreError("store.disk_full", "The disk is full; what was being written is not kept.", where=Place.of(path),
                      why=f"{why[:1].upper()}{why[1:]}.",
                      remedy="Make room on this disk and try again. Earlier data is untouched.")


def unavailable(path: Path, why: str) -> StoreError:
    """The failure of a file that cannot be opened at all."""
    return StoreError("store.unavailable", "The database cannot be opened.", where=Place.of(path), why=f"{why}.",
                      remedy="Check that the folder exists, is writable and has free space.")


def translate(path: Path, problem: Exception) -> StoreError | None:
    """The StoreError that a failure of the driver stands for; None for a mistake in a statement (IntegrityError, syntax)."""
    text = str(problem)
    if "is full" in text or ("disk I/O error" in text and _no_room(path)):
        return disk_full(path, text)
    if "disk I/O error" in text:
        return StoreError("store.io", "The disk reported an error; what was being written is not kept.", where=Place.of(path),
                          why=f"{text}.", remedy="Check the disk and its free space, then try again.")
    if "malformed" in text or "not a database" in text or "corrupt" in text:
        return damaged(path, text)
    if "readonly" in text:
        return StoreError("store.read_only", "The database cannot be written.", where=Place.of(path), why=f"{text}.",
                          remedy="Give yourself write access to the profile folder, or name another in NEUROWEAVER_HOME.")
    if "locked" in text or "busy" in text:
        return StoreError("store.busy", "The database is busy.", where=Place.of(path),
                          why="Another process has been writing for more than ten seconds.", remedy="Try again in a moment.")
    return unavailable(path, text) if "unable to open" in text else None


def _no_room(path: Path) -> bool:
    """A full disk also shows as an I/O error, where SQLite cannot make the file that readers share (-shm)."""
    try:
        return shutil.disk_usage(path.parent).free < LITTLE_ROOM
    except OSError:
        return False


class _Cursor(sqlcipher.Cursor):
    def execute(self, *arguments: Any) -> Any:
        try:
            return super().execute(*arguments)
        except sqlcipher.DatabaseError as problem:
            raise self._told(problem) from problem

    def executemany(self, *arguments: Any) -> Any:
        try:
            return super().executemany(*arguments)
        except sqlcipher.DatabaseError as problem:
            raise self._told(problem) from problem

    def fetchone(self) -> Any:
        try:
            return super().fetchone()
        except sqlcipher.DatabaseError as problem:
            raise self._told(problem) from problem

    def fetchmany(self, *arguments: Any, **named: Any) -> Any:
        try:
            return super().fetchmany(*arguments, **named)
        except sqlcipher.DatabaseError as problem:
            raise self._told(problem) from problem

    def fetchall(self) -> Any:
        try:
            return super().fetchall()
        except sqlcipher.DatabaseError as problem:
            raise self._told(problem) from problem

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except sqlcipher.DatabaseError as problem:
            raise self._told(problem) from problem

    def _told(self, problem: Exception) -> BaseException:
        connection: Any = self.connection
        stopped: BaseException | None = connection.stopped
        if stopped is not None:
            connection.stopped = None
            return stopped
        found = translate(connection.path, problem)
        if found is not None and found.code in ("store.io", "store.damaged"):
            connection.broken = True
        return found or problem


class Connection(sqlcipher.Connection):
    """A connection whose failures are StoreErrors.  ``broken``: the disk failed under it; it must not be used again."""

    path: Path = Path()
    broken: bool = False
    stopped: BaseException | None = None
    """What ended the statement that is being executed; its failure is told as this."""

    def watch(self, alive: Callable[[], None] | None) -> None:
        """Have ``alive`` called all the time while a statement takes long (None: no more).  What it raises ends the statement, is
        raised by it, and takes back what it did."""
        self.stopped = None
        self.set_progress_handler(partial(self._look, alive) if alive is not None else None, LOOK_EVERY)

    def _look(self, alive: Callable[[], None]) -> int:
        """What SQLite asks for: 1 ends the statement."""
        try:
            alive()
        except BaseException as problem:  # SQLite would swallow it
            self.stopped = problem
            return 1
        return 0

    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)
