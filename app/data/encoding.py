"""Text files as UTF-8 lines: encodings recognised, gzip opened with a limit, no line longer than memory allows."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from app.errors import DatasetError, Place

LONGEST_LINE = 16 * 2**20
"""Bytes of one line; a longer one is set aside without being held in memory."""
SAMPLE = 256 * 1024
BLOCK = 2**20
MOST_RATIO = 200
RATIO_FROM = 16 * 2**20
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
    """A text file: where it is, its encoding, and what the user should know about it (readers add to it)."""

    path: Path
    encoding: str
    packed: bool
    warnings: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    """What was met while reading: "foreign" lines in another encoding."""

    opened: list[Any] = field(default_factory=list)

    def late_warnings(self) -> list[str]:
        """Known after reading only."""
        foreign = self.counts.get("foreign", 0)
        return [f"{foreign:,} lines are not UTF-8; they were read as Windows-1252."] if foreign else []

    def open_bytes(self) -> Any:
        """The unpacked bytes, with the limit of a gzip file."""
        raw = self.path.open("rb")
        self.opened[:] = [raw]
        return _Limited(self.path, raw) if self.packed else raw

    def fraction(self) -> float:
        """How much of the file was read, 0..1."""
        if not self.opened or self.opened[0].closed:
            return 1.0
        return float(self.opened[0].tell()) / max(self.path.stat().st_size, 1)

    def open_text(self) -> io.TextIOWrapper:
        """Decoded text; newlines as they are, as the csv module wants them."""
        return io.TextIOWrapper(self.open_bytes(), encoding=self.encoding, errors="replace", newline="")


class _Limited(io.BufferedIOBase):
    """A gzip stream that refuses to be a bomb."""

    def __init__(self, path: Path, raw: Any) -> None:
        self._path, self._size, self._raw = path, max(path.stat().st_size, 1), raw
        self._stream, self._given = gzip.GzipFile(fileobj=raw, mode="rb"), 0

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
        self._raw.close()
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
        with path.open("rb") as raw:
            sample = _Limited(path, raw).read(SAMPLE) if packed else raw.read(SAMPLE)
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
    if not body.strip() and len(sample) < SAMPLE:
        raise DatasetError(
            "dataset.empty",
            "The file is empty; nothing was imported.",
            where=Place.of(path),
            why="It holds no text.",
            remedy="Choose another file.",
        )
    _refuse_binary(path, sample, encoding)
    return Source(path, encoding, packed, warnings)


def guess(sample: bytes) -> tuple[str, list[str]]:
    """The encoding of a sample, and a warning where it is not UTF-8."""
    for mark, name in _BOMS:
        if sample.startswith(mark):
            return name, [] if name == "utf-8-sig" else [f"The file is {name.upper()}; it was read as such."]
    if name := _without_mark(sample):
        return name, [f"The file looks like {name.upper()} without a mark; it was read as such."]
    if _is_utf8(sample):
        return "utf-8", []
    name = _old_encoding(sample)
    return name, [f"The file is not UTF-8; it was read as {name}. Look at a few rows with accents."]


def _without_mark(sample: bytes) -> str:
    """UTF-16 without a byte order mark: every other byte of Western text is zero."""
    half = max(len(sample) // 2, 1)
    if sample[1::2].count(0) > 0.3 * half and sample[0::2].count(0) < 0.05 * half:
        return "utf-16-le"
    if sample[0::2].count(0) > 0.3 * half and sample[1::2].count(0) < 0.05 * half:
        return "utf-16-be"
    return ""


def _old_encoding(sample: bytes) -> str:
    """Windows-1252 for text that is mostly ASCII, where guessers err; else what charset-normalizer finds."""
    high = sum(byte > 127 for byte in sample)
    if high < 0.25 * len(sample):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(sample[: SAMPLE // 8]).best()
    return best.encoding if best is not None and best.encoding not in ("ascii", "utf_8") else "cp1252"


def _is_utf8(sample: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=False)
    except UnicodeDecodeError:
        return False
    return True


_MAGIC = (
    (b"PK\x03\x04", "a zip container"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF-", "a PDF file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3", "a database"),
    (b"\x89PNG", "a picture"),
    (b"GGUF", "a model file"),
)


def _refuse_binary(path: Path, sample: bytes, encoding: str) -> None:
    kind = next((words for magic, words in _MAGIC if sample.startswith(magic)), "")
    if not kind and encoding in ("utf-8", "cp1252") and sample.count(0) > 0.02 * len(sample):
        kind = "binary data"
    if kind:
        raise DatasetError(
            "dataset.not_text",
            "The file is not what its name says; nothing was imported.",
            where=Place.of(path),
            why=f"It is {kind}, not text.",
            remedy="Give it the ending of its real kind, or choose another file.",
        )


def recode(source: Source, line: bytes) -> str:
    """A line that is not UTF-8, in a file that otherwise is: read as Windows-1252, and counted."""
    source.counts["foreign"] = source.counts.get("foreign", 0) + 1
    try:
        return line.decode("cp1252")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _raw_lines(source: Source) -> Iterator[bytes | None]:
    """UTF-8 lines with their ends; None for a line beyond LONGEST_LINE, which is never held whole."""
    plain = source.encoding in ("utf-8", "utf-8-sig")
    with source.open_bytes() as stream:
        reader: IO[bytes] = stream if plain else _Recoder(stream, source)  # type: ignore[assignment]
        first = True
        while line := reader.readline(LONGEST_LINE):
            if first:
                line, first = line.removeprefix(codecs.BOM_UTF8), False
            if len(line) >= LONGEST_LINE and not line.endswith(b"\n"):
                while (more := reader.readline(LONGEST_LINE)) and not more.endswith(b"\n"):
                    pass
                yield None
            else:
                yield line


def line_lists(source: Source) -> Iterator[tuple[int, list[bytes | None]]]:
    """(number of the first, UTF-8 lines without their ends): as :func:`lines`, blank ones too, many at a time for speed."""
    if source.encoding not in ("utf-8", "utf-8-sig"):
        for number, line in enumerate(_raw_lines(source), start=1):
            yield number, [line]
        return
    with source.open_bytes() as stream:
        number, rest, found = 1, stream.read(BLOCK).removeprefix(codecs.BOM_UTF8), []
        while block := stream.read(BLOCK):
            if (not rest or rest.isspace()) and block.isspace():  # nothing but line ends: count them
                number += rest.count(b"\n") + block.count(b"\n")
                rest = b""
                continue
            found = (rest + block).split(b"\n")
            rest = found.pop()
            if len(rest) > LONGEST_LINE:
                rest = _skip_line(stream)
                found.append(None)
            yield number, found
            number += len(found)
        yield number, rest.split(b"\n")


def _skip_line(stream: Any) -> bytes:
    """Read to the end of a line without keeping it; what was read of the next one."""
    while block := stream.read(BLOCK):
        _, end, after = block.partition(b"\n")
        if end:
            return bytes(after)
    return b""


def lines(source: Source) -> Iterator[tuple[int, bytes | None]]:
    """(number from 1, UTF-8 line) of a text file; None for a line beyond LONGEST_LINE.  Blank lines are counted, not given."""
    for number, line in enumerate(_raw_lines(source), start=1):
        if line is None or not line.isspace():
            yield number, line


def text_lines(source: Source) -> Iterator[str]:
    """Every line as text with its end.  Raises DatasetError for a line beyond LONGEST_LINE."""
    for number, line in enumerate(_raw_lines(source), start=1):
        if line is None:
            raise DatasetError(
                "dataset.long_line",
                f"A line is longer than {LONGEST_LINE // 2**20} MiB; nothing was imported.",
                where=Place.of(source.path, number),
                why="That is not a row; perhaps the line breaks were lost, or a quote is never closed.",
                remedy="Mend that line.",
            )
        try:
            yield line.decode()
        except UnicodeDecodeError:
            yield recode(source, line)


class _Recoder:
    """Lines of another encoding as UTF-8."""

    def __init__(self, stream: IO[bytes], source: Source) -> None:
        self._text = io.TextIOWrapper(stream, encoding=source.encoding, errors="replace", newline="\n")

    def readline(self, limit: int) -> bytes:
        return self._text.readline(limit // 4).encode("utf-8", "replace")
