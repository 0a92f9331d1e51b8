"""A lock between processes that its holder's death releases.  (The package filelock takes 0.1 s to import: measured.)"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_WAIT_SECONDS = 0.01


@contextlib.contextmanager
def held(path: Path, seconds: float = 30.0) -> Iterator[None]:
    """Hold the lock in ``path`` (made if missing).  Raises TimeoutError after ``seconds``, OSError where no file can be made."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + seconds
        while not _try(handle):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path.name} has been held by another process for {seconds:g} s")
            time.sleep(_WAIT_SECONDS)
        yield
    finally:
        os.close(handle)


def share(path: Path) -> int | None:
    """Say, until the answer is closed with ``os.close`` or this process dies, that ``path`` is in use.  None on Windows, where
    files that are in use cannot be moved anyway.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(handle, fcntl.LOCK_SH)
    return handle


def _try(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
