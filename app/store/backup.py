"""Copies of the catalogue, made while it is in use: each whole, encrypted with the same key, verified before it counts.

A copy is written beside under another name, checked, flushed to the disk and renamed: a process killed at any moment leaves
the earlier copies as they were.  The rows of datasets lie in files of their own (datasets/<id>.db) and are not in the copy.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from sqlcipher3 import dbapi2 as sqlcipher

from app.errors import Place, StoreError, UsageError
from app.store.connection import Store
from app.store.faults import damaged, translate
from app.store.key import CatalogueKey
from app.store.opening import guard, open_encrypted, peek, refuse_if_used, wal
from app.store.profile import Profile

KEEP = 7
PAGES = 256
"""Copied at a time; writers go on in between."""


def backup(store: Store) -> Path:
    """Copy the catalogue; the new file.  The newest seven are kept.  Raises StoreError store.disk_full or store.damaged."""
    folder = store.profile.backups
    folder.mkdir(mode=0o700, exist_ok=True)
    _sweep(folder)
    beside = folder / f".partial-{os.getpid()}.db"
    try:
        _copy(store, beside)
        _flush(beside)
        seconds, rest = divmod(time.time_ns(), 1_000_000_000)  # one reading: two could be of different seconds
        final = folder / f"catalogue-{time.strftime('%Y%m%d-%H%M%S', time.localtime(seconds))}-{rest:09d}.db"
        beside.replace(final)
    finally:
        for left in (beside, wal(beside), beside.with_name(beside.name + "-journal")):
            left.unlink(missing_ok=True)
    for old in backups(store.profile)[KEEP:]:
        old.unlink(missing_ok=True)
    return final


def backups(profile: Profile) -> list[Path]:
    """All copies, the newest first."""
    return sorted(profile.backups.glob("catalogue-*.db"), reverse=True)


def backup_if_older(store: Store, seconds: float) -> Path | None:
    """A copy, unless there is one that is younger than ``seconds``."""
    newest = next(iter(backups(store.profile)), None)
    if newest is not None and 0 <= time.time() - newest.stat().st_mtime < seconds:
        return None
    return backup(store)


def renew(store: Store) -> None:
    """One copy of now in place of all: what was erased, keys above all, stays in none.  A full disk costs the new copy alone."""
    earlier = backups(store.profile)
    if not earlier:
        return
    with contextlib.suppress(StoreError):
        backup(store)
    for copy in earlier:
        copy.unlink(missing_ok=True)


def _copy(store: Store, target: Path) -> None:
    copy = open_encrypted(target, store.key.hex, (), 10_000)
    try:
        store.db.conn.backup(copy, pages=PAGES, sleep=0.001)
        copy.execute("PRAGMA journal_mode = DELETE")
        answer = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlcipher.DatabaseError as problem:
        raise translate(target, problem) or problem from problem
    finally:
        copy.close()
    if answer != "ok":
        raise damaged(store.profile.catalogue, f"The copy does not check out: {answer}")


def _flush(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def _sweep(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for left in folder.glob(".partial-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > 3600:
                left.unlink()


def restore_damaged(profile: Profile, key: CatalogueKey) -> tuple[Path, Path]:
    """(the copy, where the damaged file lies now), as :func:`restore`.  Raises UsageError store.sound for a catalogue that is whole."""
    copy = next(iter(backups(profile)), None)
    if _is_sound(profile):
        raise UsageError("store.sound", "The database is whole; nothing was put in its place.", where=Place.of(profile.catalogue))
    aside = restore(profile, key, copy)
    assert copy is not None
    return copy, aside


def _is_sound(profile: Profile) -> bool:
    from app.store.integrity import check_catalogue

    try:
        with Store.open(profile) as store:
            return not check_catalogue(store)
    except StoreError as problem:
        if problem.code in ("store.damaged", "store.missing"):
            return False
        raise


def restore(profile: Profile, key: CatalogueKey, chosen: Path | None = None) -> Path:
    """Put a copy (by default the newest) in the place of the catalogue; where the earlier file lies now.

    The earlier file is kept as it is beside, under the name catalogue-damaged-<time>.db.  No other process may have the
    profile open.  Raises UsageError if there is no copy, StoreError store.damaged if the copy is damaged, store.in_use.
    """
    copy = chosen or next(iter(backups(profile)), None)
    if copy is None or not copy.is_file():
        raise UsageError("store.no_backup", "There is no backup.", where=Place.of(profile.backups), remedy="Nothing was changed.")
    peek(copy, key.hex)
    with guard(profile):
        refuse_if_used(profile)
        aside = profile.home / f"catalogue-damaged-{time.strftime('%Y%m%d-%H%M%S')}.db"
        fresh = profile.home / ".catalogue.restoring"
        fresh.write_bytes(copy.read_bytes())
        _flush(fresh)
        for name, kept in ((wal(profile.catalogue), wal(aside)), (profile.catalogue, aside)):
            if name.exists():
                name.replace(kept)
        profile.catalogue.with_name("catalogue.db-shm").unlink(missing_ok=True)
        fresh.replace(profile.catalogue)
        (profile.home / "catalogue.open").unlink(missing_ok=True)
    return aside
