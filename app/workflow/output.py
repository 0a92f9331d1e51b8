"""A worker's output, kept but capped: the first and the last megabyte, whatever it writes."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import IO

HEAD_BYTES = 1_000_000
TAIL_BYTES = 1_000_000
HEAD, TAILS = "output.log", ("output.tail.0", "output.tail.1")
_CHUNK = 1 << 16


class CappedOutput:
    """Writes the first HEAD_BYTES to one file, the rest alternately to two that hold TAIL_BYTES each at most.

    A full disk costs the record, never the worker: write errors are ignored.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = 0
        self.total = 0
        self._room = HEAD_BYTES
        self._file: IO[bytes] | None = self._open(HEAD)
        for name in TAILS:
            (folder / name).unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        """Keep what fits; older parts of the middle are dropped."""
        self.total += len(chunk)
        while chunk:
            if self._room == 0:
                self._next_file()
            part, chunk = chunk[: self._room], chunk[self._room:]
            self._room -= len(part)
            with contextlib.suppress(OSError):
                if self._file is not None:
                    self._file.write(part)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            if self._file is not None:
                self._file.close()

    def _next_file(self) -> None:
        self.close()
        self._file, self._room = self._open(TAILS[self._turn]), TAIL_BYTES
        self._turn = 1 - self._turn

    def _open(self, name: str) -> IO[bytes] | None:
        with contextlib.suppress(OSError):
            return (self._folder / name).open("wb", buffering=0)
        return None


def keep_output(stream: IO[bytes], folder: Path) -> threading.Thread:
    """Copy a worker's pipe into its folder until it closes, in a thread of its own."""

    def copy() -> None:
        kept = CappedOutput(folder)
        with stream:
            while chunk := os.read(stream.fileno(), _CHUNK):
                kept.write(chunk)
        kept.close()

    thread = threading.Thread(target=copy, name="worker-output", daemon=True)
    thread.start()
    return thread


def read_output(folder: Path) -> str:
    """What a step wrote, with a line where the middle was dropped.  Empty if it wrote nothing."""
    parts = [folder / HEAD, *sorted((folder / name for name in TAILS if (folder / name).exists()),
                                    key=lambda path: path.stat().st_mtime_ns)]
    texts = [path.read_bytes() for path in parts if path.exists()]
    if len(texts) < 2:
        return b"".join(texts).decode("utf-8", "replace")
    tail = b"".join(texts[1:])[-TAIL_BYTES:]
    return (texts[0] + b"\n[... what came between is not kept ...]\n" + tail).decode("utf-8", "replace")
