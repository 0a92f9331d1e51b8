"""Looking at a database file before it is opened for writing, without changing one byte of it; and noticing a lost -wal.

A wrong key, a newer schema and a damaged file are told apart here.  The key is known to be right (key.py compares its check
sum), so pages that do not decrypt are damage.

A process that dies leaves its last commits in ``catalogue.db-wal``.  Should that file vanish before the next start, SQLite
opens the older state without a word.  So a mark lies beside the database for as long as a -wal must exist: opened and not
closed in order.  A mark without a -wal means that commits are gone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlcipher3 import dbapi2 as sqlcipher

from app.errors import Place, StoreError
from app.store.faults import Connection, copy_back, damaged, unavailable
from app.store.lock import held, share
from app.store.profile import Profile

TRIES = 5
WAIT_SECONDS = 0.05


def wal(path: Path) -> Path:
    """The write-ahead file of a database."""
    return path.with_name(path.name + "-wal")


def peek(path: Path, key_hex: str) -> int:
    """The schema number in an encrypted database file.  Nothing is written: no byte of the file, of its -wal, no new file.

    Raises StoreError store.damaged or store.unavailable.  Another process may be opening the file at this moment, so what
    looks damaged is looked at again before it is called so.
    """
    for attempt in range(TRIES):
        try:
            return _peek(path, key_hex)
        except sqlcipher.DatabaseError as problem:
            if attempt < TRIES - 1 and path.exists():
                time.sleep(WAIT_SECONDS)
                continue
            text = str(problem)
            raise (unavailable if "unable to open" in text else damaged)(path, text) from problem
    raise AssertionError("unreachable")


def _peek(path: Path, key_hex: str) -> int:
    found = wal(path)
    quiet = not found.exists() or found.stat().st_size == 0  # then nobody has it open and the file is whole
    connection = sqlcipher.connect(f"file:{quote(str(path))}?{'immutable=1' if quiet else 'mode=ro'}", uri=True, timeout=10.0)
    try:
        connection.execute(f"PRAGMA key = \"x'{key_hex}'\"")
        connection.execute("PRAGMA cipher_log_level = NONE")
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def check_present(profile: Profile) -> bool:
    """Whether there is a catalogue.  Raises StoreError store.missing if there must have been one."""
    if profile.catalogue.exists() and profile.catalogue.stat().st_size > 0:
        return True
    left = [*profile.datasets.glob("*.db"), *profile.backups.glob("catalogue-*.db")]
    log = wal(profile.catalogue)
    if left or (log.exists() and log.stat().st_size > 0):
        raise StoreError("store.missing", "The database is gone or empty, but data that belongs to it is here.",
                         where=Place.of(profile.catalogue), why=f"For example {(left or [log])[0].name}.",
                         remedy=copy_back(profile.backups))
    return False


@contextlib.contextmanager
def guard(profile: Profile) -> Iterator[None]:
    """One process at a time makes, migrates, opens or closes a profile's catalogue."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(held(profile.home / "catalogue.lock"))
        except TimeoutError as problem:
            raise StoreError("store.busy", "The database is busy.", where=Place.of(profile.catalogue), why=f"{problem}.",
                             remedy="Try again in a moment.") from problem
        yield


def share_users(profile: Profile) -> int | None:
    """A handle that says, while it is open, that this process uses the catalogue."""
    try:
        return share(profile.home / "catalogue.users")
    except OSError:
        return None


def refuse_if_used(profile: Profile) -> None:
    """Raises StoreError store.in_use while any process (this one too) has the catalogue open."""
    try:
        with held(profile.home / "catalogue.users", 0.0):
            return
    except TimeoutError as problem:
        raise StoreError("store.in_use", "The database is in use.", where=Place.of(profile.catalogue),
                         remedy="Close the window and stop the service first. Nothing was changed.") from problem


def mark(profile: Profile) -> bool:
    """Note that the catalogue is open.  True if commits of an earlier process are lost."""
    lost = _mark(profile).exists() and not wal(profile.catalogue).exists()
    _mark(profile).touch()
    return lost


def unmark(profile: Profile) -> None:
    """Note that it was closed in order, if this was the last process that had it open (SQLite then removes the -wal)."""
    if not wal(profile.catalogue).exists():
        _mark(profile).unlink(missing_ok=True)


def _mark(profile: Profile) -> Path:
    return profile.home / "catalogue.open"


def open_encrypted(path: Path, key_hex: str, cipher: tuple[str, ...], busy_ms: int) -> Any:
    """A connection with the key given and nothing read yet."""
    connection = sqlcipher.connect(str(path), isolation_level=None, check_same_thread=False, timeout=busy_ms / 1000,
                                   factory=Connection)
    connection.path = path
    connection.execute(f"PRAGMA key = \"x'{key_hex}'\"")
    for pragma in cipher:
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("PRAGMA cipher_log_level = NONE")
    return connection
