"""Text files as UTF-8 lines: encodings recognised, gzip opened with a limit, no line longer than memory allows."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.errors import DatasetError, Place

LONGEST_LINE = 16 * 2**20
"""Bytes of one line; a longer one is set aside without being held in memory."""
SAMPLE = 256 * 1024
MOST_RATIO = 200
RATIO_FROM = 64 * 2**20
"""A gzip file may unpack to MOST_RATIO times its size; below RATIO_FROM bytes nobody counts."""
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """A text file: where it is, its encoding, and what the user should know about it."""

    path: Path
    encoding: str
    packed: bool
    warnings: tuple[str, ...] = ()

    def open_bytes(self) -> IO[bytes]:
        """The unpacked bytes, with the limit of a gzip file."""
        return _Limited(self.path) if self.packed else self.path.open("rb")

    def open_text(self) -> io.TextIOWrapper:
        """Decoded text; newlines as they are, as the csv module wants them."""
        return io.TextIOWrapper(self.open_bytes(), encoding=self.encoding, errors="strict", newline="")


class _Limited(io.BufferedIOBase):
    """A gzip stream that refuses to be a bomb."""

    def __init__(self, path: Path) -> None:
        self._path, self._size = path, max(path.stat().st_size, 1)
        self._stream, self._given = gzip.open(path, "rb"), 0

    def readable(self) -> bool:
        return True

    def _count(self, data: bytes) -> bytes:
        self._given += len(data)
        if self._given > RATIO_FROM and self._given > MOST_RATIO * self._size:
            raise DatasetError(
                "dataset.bomb",
                "The packed file grows beyond all measure; nothing was imported.",
                where=Place.of(self._path),
                why=f"It unpacks to more than {MOST_RATIO} times its size.",
                remedy="Unpack it yourself and look at it first.",
            )
        return data

    def read(self, size: int | None = -1) -> bytes:
        return self._count(_gzip_guard(self._path, lambda: self._stream.read(-1 if size is None else size)))

    def read1(self, size: int = -1) -> bytes:
        return self._count(_gzip_guard(self._path, lambda: self._stream.read1(size)))

    def readline(self, size: int | None = -1) -> bytes:
        return self._count(_gzip_guard(self._path, lambda: self._stream.readline(-1 if size is None else size)))

    def close(self) -> None:
        self._stream.close()
        super().close()


def _gzip_guard(path: Path, read: object) -> bytes:
    try:
        return read()  # type: ignore[operator,no-any-return]
    except (EOFError, OSError, zlib.error) as problem:
        raise DatasetError(
            "dataset.damaged_gzip",
            "The packed file is damaged; nothing was imported.",
            where=Place.of(path),
            why=f"{problem}.",
            remedy="Fetch or pack it again.",
        ) from problem


def open_source(path: Path) -> Source:
    """Look at the file's beginning.  Raises DatasetError for an empty or unreadable file."""
    packed = path.suffix.lower() == ".gz"
    try:
        with _Limited(path) if packed else path.open("rb") as stream:
            sample = stream.read(SAMPLE)
    except OSError as problem:
        raise DatasetError(
            "dataset.unreadable",
            "The file cannot be read.",
            where=Place.of(path),
            why=f"{problem.strerror or problem}.",
            remedy="Check its name and your access to it.",
        ) from problem
    encoding, warnings = guess(sample)
    body = sample
    for mark, _ in _BOMS:
        body = body.removeprefix(mark)
    if not body.strip():
        raise DatasetError(
            "dataset.empty",
            "The file is empty; nothing was imported.",
            where=Place.of(path),
            why="It holds no text.",
            remedy="Choose another file.",
        )
    return Source(path, encoding, packed, tuple(warnings))


def guess(sample: bytes) -> tuple[str, list[str]]:
    """The encoding of a sample, and a warning where it is not UTF-8."""
    for mark, name in _BOMS:
        if sample.startswith(mark):
            return name, [] if name == "utf-8-sig" else [f"The file is {name.upper()}; it was read as such."]
    if _is_utf8(sample):
        return "utf-8", []
    from charset_normalizer import from_bytes

    best = from_bytes(sample[: SAMPLE // 8]).best()
    name = best.encoding if best is not None and best.encoding not in ("ascii", "utf_8") else "cp1252"
    return name, [f"The file is not UTF-8; it was read as {name}. Look at a few rows with accents."]


def _is_utf8(sample: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=False)
    except UnicodeDecodeError:
        return False
    return True


def lines(source: Source) -> Iterator[tuple[int, bytes | None]]:
    """(number from 1, UTF-8 line) of a text file; None for a line beyond LONGEST_LINE.  Blank lines are counted, not given."""
    plain = source.encoding in ("utf-8", "utf-8-sig")
    with source.open_bytes() as stream:
        reader: IO[bytes] = stream if plain else _Recoder(stream, source)  # type: ignore[assignment]
        number = 0
        while line := reader.readline(LONGEST_LINE):
            number += 1
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if len(line) >= LONGEST_LINE and not line.endswith(b"\n"):
                while (more := reader.readline(LONGEST_LINE)) and not more.endswith(b"\n"):
                    pass
                yield number, None
            elif line.strip():
                yield number, line


class _Recoder:
    """Lines of another encoding as UTF-8."""

    def __init__(self, stream: IO[bytes], source: Source) -> None:
        self._text = io.TextIOWrapper(stream, encoding=source.encoding, errors="replace", newline="\n")

    def readline(self, limit: int) -> bytes:
        return self._text.readline(limit).encode("utf-8", "replace")
