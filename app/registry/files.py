"""Placing files into the registry's folder, whole or not at all, with their hashes."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from app.errors import Place, RegistryError

PIECE = 4 * 1024 * 1024
"""Bytes that are read at once."""
Tick = Callable[[], None]


def sha256(file: Path, tick: Tick | None = None) -> str:
    """Hash of a file, read in pieces of 4 MiB.  tick is called after each (raise there to stop)."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(PIECE):
            digest.update(chunk)
            if tick is not None:
                tick()
    return digest.hexdigest()


def link_or_copy(source: Path, target: Path) -> None:
    """Give ``target`` the content of ``source``: a second name for the same file where the disk allows it, else a copy.

    Files of ours are never changed in place, so two names are as good as two files.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        copy_whole(source, target)


def copy_whole(source: Path, target: Path, tick: Tick | None = None, *, expected: str | None = None) -> str:
    """Copy through a file beside, synced and renamed; returns the sha256 of what was copied.  Links are not followed.

    expected: the sha256 that the content must have; else RegistryError registry.file_changed, and ``target`` stays as it was.
    """
    partial = target.with_name(target.name + ".partial")
    digest = hashlib.sha256()
    try:
        with os.fdopen(os.open(source, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as old, partial.open("wb") as new:
            while chunk := old.read(PIECE):
                digest.update(chunk)
                new.write(chunk)
                if tick is not None:
                    tick()
            new.flush()
            os.fsync(new.fileno())
        if expected not in (None, digest.hexdigest()):
            raise RegistryError("registry.file_changed", "The file is not as it was registered; no copy was made.",
                                where=Place.of(source), why="Its sha256 is another one.", remedy="Export the model again.")
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return digest.hexdigest()


def free_space(folder: Path) -> int:
    """Bytes free on the volume of ``folder``."""
    return shutil.disk_usage(folder).free


def need_space(folder: Path, needed: int, what: str) -> None:
    """Raise RegistryError registry.no_space if the volume of ``folder`` has less than ``needed`` bytes free."""
    free = free_space(folder)
    if free < needed:
        raise RegistryError(
            "registry.no_space", f"There is too little disk space to {what}.", where=Place.of(folder),
            why=f"It needs {needed / 1e6:,.0f} MB; {free / 1e6:,.0f} MB are free.",
            remedy="Free some space, or move the data folder (Settings).")
