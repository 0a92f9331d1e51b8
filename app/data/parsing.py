"""From a file to blocks of rows, in this process or, for all but small text files, in a child of its own.

The child keeps the libraries that open foreign formats away from this process: it may be killed by its memory limit or
by a crash in native code, and the user reads a plain sentence.  It also parses while this process writes.
Order of what is read: one Head, Blocks, one Tail.
"""

from __future__ import annotations

import itertools
import os
import queue
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from app.data.batches import Maker, Totals, blocks
from app.data.encoding import line_lists
from app.data.line_batches import line_blocks
from app.data.mapping import ColumnMapping, check, mapping_of, recognise
from app.data.mapping_preview import Sample, sample_file
from app.data.readers import TEXT_KINDS, Rows, kind_of, open_rows
from app.errors import DatasetError, Place, from_record
from app.store.blocks import Block

LOOKED_AT = 50
"""Rows from which shape and mapping are recognised."""
SMALL = 2**20
"""Bytes up to which a text file is read in this process: starting another takes longer."""
MEMORY = 320 * 2**20
"""Bytes that a child may use."""
BUSY_SECONDS = 8.0
"""Processor seconds without a row after which a child is stopped."""
QUIET_SECONDS = 120.0
_QUEUE = 3


@dataclass(frozen=True, slots=True)
class Job:
    """What to read and how.  mapping: as JSON, None: recognise.  split_field: None: "split" where there is one.

    sample: 0 reads the whole file; else one Sample with this many rows is all that comes.
    """

    path: str
    mapping: dict[str, Any] | None = None
    split_field: str | None = None
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Head:
    """Known from the first rows."""

    mapping: dict[str, Any]
    split_field: str
    columns: list[str]
    first: list[dict[str, Any]]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Tail:
    """Known at the end."""

    rows: int
    rejected: int
    splits: dict[str, int]
    content_hash: str
    first_rejects: list[list[Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


Part = Head | tuple[Block, float] | Tail | Sample


def look_at(job: Job) -> tuple[Rows, list[Any]]:
    """The opened file and its first LOOKED_AT records."""
    source = open_rows(Path(job.path))
    return source, list(itertools.islice(source.rows, LOOKED_AT))


def parse_file(job: Job) -> Iterator[Part]:
    """Read a file in this process.  Raises DatasetError."""
    path = Path(job.path)
    if job.sample:
        yield sample_file(job)
        return
    source, start = look_at(job)
    first = [record for _, record, _ in start if isinstance(record, Mapping)]
    if not first:
        raise nothing_usable(path, [(number, str(reason)) for number, reason, _ in start])
    place = Place.of(path)
    mapping = mapping_of(job.mapping, place) if job.mapping is not None else recognise(first, place)
    check(mapping, first, place)
    split = _split_field(job.split_field, first, place)
    columns = list(dict.fromkeys(str(name) for record in first for name in record))
    yield Head(mapping.model_dump(), split, columns, [dict(record) for record in first[:5]],
               list(source.warnings))
    totals = Totals()
    for block in _blocks(source, start, mapping, split, totals):
        yield block, source.fraction()
    yield Tail(
        totals.rows,
        totals.rejected,
        totals.splits_or_none(),
        totals.digest.hexdigest(),
        [list(pair) for pair in totals.first_rejects],
        source.late() + totals.warnings(),
    )


def _blocks(source: Rows, start: list[Any], mapping: ColumnMapping, split: str, totals: Totals) -> Iterator[Block]:
    if source.text is None:
        return blocks(itertools.chain(start, source.rows), Maker(mapping, split, totals), totals)
    source.text.counts.clear()  # it is read again from its start
    return line_blocks(line_lists(source.text), source.text, mapping, split, totals)


def _split_field(given: str | None, first: list[Mapping[str, Any]], place: Place) -> str:
    names = {str(name) for record in first for name in record}
    if given and given not in names:
        raise DatasetError(
            "dataset.no_such_column",
            f"There is no column {given!r} that says the split.",
            where=Place(place.file, field=given),
            why=f"The file has: {', '.join(sorted(names)[:20])}.",
            remedy="Correct split_field, or leave it out.",
        )
    return given if given is not None else "split" if "split" in names else ""


def nothing_usable(path: Path, rejects: list[tuple[int, str]]) -> DatasetError:
    """The failure of a file none of whose rows can be used; names the first and its reason."""
    number, reason = rejects[0] if rejects else (None, "it has no rows")
    return DatasetError(
        "dataset.nothing_usable",
        "No row of this file can be used; nothing was imported.",
        where=Place.of(path, number),
        why=f"The first one: {reason}.",
        remedy="Mend the file, or correct the mapping.",
    )


# ---- the pipe -------------------------------------------------------------------------------------------------------


def write_part(stream: IO[bytes], part: Part | DatasetError) -> None:
    """Put one part on the pipe."""
    blobs: tuple[bytes, ...] = ()
    if isinstance(part, tuple):
        block, fraction = part
        blobs = (block.places, block.spans, block.hashes, block.payloads)
        head: dict[str, Any] = {"kind": "block", "count": block.count, "rejects": block.rejects, "fraction": fraction}
    elif isinstance(part, DatasetError):
        head = {"kind": "error", "record": part.as_record()}
    else:
        head = {"kind": type(part).__name__.lower(), "fields": asdict(part)}
    text = orjson.dumps(head | {"sizes": [len(blob) for blob in blobs]}, default=str, option=orjson.OPT_NON_STR_KEYS)
    stream.write(struct.pack(">I", len(text)) + text)
    for blob in blobs:
        stream.write(blob)
    stream.flush()


def read_part(stream: IO[bytes]) -> Part | None:
    """Take one part from the pipe; None at its end.  Raises the DatasetError that the child met."""
    size = stream.read(4)
    if len(size) < 4:
        return None
    head = orjson.loads(stream.read(struct.unpack(">I", size)[0]))
    if head["kind"] == "error":
        raise from_record(head["record"])
    if head["kind"] == "block":
        places, spans, hashes, payloads = (stream.read(length) for length in head["sizes"])
        rejects = [(number, reason, raw) for number, reason, raw in head["rejects"]]
        return Block(head["count"], places, spans, hashes, payloads, rejects), head["fraction"]
    kinds: dict[str, type[Head | Tail | Sample]] = {"head": Head, "tail": Tail, "sample": Sample}
    return kinds[head["kind"]](**head["fields"])


def read_file(job: Job, tick: Callable[[], None] | None = None) -> Iterator[Part]:
    """Read a file where it is best read.  tick: called often; may raise, to stop.  Raises DatasetError."""
    path = Path(job.path)
    if kind_of(path) in TEXT_KINDS and path.suffix.lower() != ".gz" and path.stat().st_size <= SMALL:
        yield from parse_file(job)
        return
    yield from _read_in_child(job, tick or (lambda: None))


def read_sample(path: Path, mapping: ColumnMapping | Mapping[str, Any] | None, rows: int) -> Sample:
    """The beginning of a file, always read in the child.  Raises DatasetError."""
    check_present(path)
    job = Job(str(path.resolve()), mapping_for(mapping), sample=max(rows, 1))
    parts = _read_in_child(job, lambda: None)
    try:
        found = next(parts)
    finally:
        parts.close()
    if not isinstance(found, Sample):
        raise TypeError(f"a Sample was asked for, not {type(found).__name__}")
    return found


def check_present(path: Path) -> None:
    """Raise DatasetError dataset.no_such_file where there is no plain file."""
    if not path.is_file():
        raise DatasetError(
            "dataset.no_such_file",
            "There is no such file.",
            where=Place.of(path),
            why="It is not a plain file." if path.exists() else "The path names no file.",
            remedy="Check the path.",
        )


def _read_in_child(job: Job, tick: Callable[[], None]) -> Generator[Part]:
    from app.config.subprocess_tools import kill_tree, start_child
    from app.store.profile import project_dir

    command = [sys.executable, "-m", "app.data.parse_child", orjson.dumps(asdict(job)).decode()]
    child = start_child(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=project_dir(),
        env={**os.environ, "PYTHONPATH": str(project_dir())},
    )
    parts: queue.Queue[Part | BaseException | None] = queue.Queue(_QUEUE)
    stopped = threading.Event()
    pump = threading.Thread(target=_pump, args=(child.stdout, parts, stopped), name="import-reader", daemon=True)
    pump.start()
    try:
        yield from _parts(job, child, parts, tick)
    finally:
        stopped.set()
        if child.poll() is None:
            kill_tree(child.pid)
        child.wait()
        pump.join(timeout=5)
        if child.stdout is not None:
            child.stdout.close()


def _pump(stream: IO[bytes], parts: queue.Queue[Part | BaseException | None], stopped: threading.Event) -> None:
    """Move parts from the pipe to the queue, which holds a few only: so memory stays bounded."""
    item: Part | BaseException | None = None
    while not stopped.is_set():
        try:
            item = read_part(stream)
        except Exception as problem:  # handed to the reader of the queue
            item = problem
        while not stopped.is_set():
            try:
                parts.put(item, timeout=0.2)
                break
            except queue.Full:
                continue
        if item is None or isinstance(item, BaseException):
            return


def _parts(
    job: Job, child: subprocess.Popen[bytes], parts: queue.Queue[Part | BaseException | None], tick: Callable[[], None]
) -> Iterator[Part]:
    clock = _Clock(child.pid)
    while True:
        try:
            item = parts.get(timeout=0.2)
        except queue.Empty:
            tick()
            clock.check(job)
            continue
        if isinstance(item, DatasetError):
            raise item
        if item is None or isinstance(item, BaseException):
            raise _ended(job, child)
        yield item
        if isinstance(item, Tail):
            return
        clock.restart()


class _Clock:
    """How long a child has given no row: processor seconds, so that a busy machine is not mistaken for a bad file."""

    def __init__(self, pid: int) -> None:
        import psutil

        self._process = psutil.Process(pid)
        self.restart()

    def _used(self) -> float:
        import psutil

        try:
            times = self._process.cpu_times()
            return float(times.user + times.system)
        except psutil.Error:
            return 0.0

    def restart(self) -> None:
        self._wall, self._busy = time.monotonic(), self._used()

    def check(self, job: Job) -> None:
        if self._used() - self._busy > BUSY_SECONDS or time.monotonic() - self._wall > QUIET_SECONDS:
            raise DatasetError(
                "dataset.too_slow",
                "The file takes too long to read; nothing was imported.",
                where=Place.of(job.path),
                why=f"No row came in {BUSY_SECONDS:g} seconds of computing.",
                remedy="Save the data as CSV or JSON lines.",
            )


def _ended(job: Job, child: subprocess.Popen[bytes]) -> DatasetError:
    code = child.wait()
    if code == OVER_MEMORY:
        return DatasetError(
            "dataset.too_heavy",
            "The file needs too much memory to read; nothing was imported.",
            where=Place.of(job.path),
            why=f"One part of it takes more than {MEMORY // 2**20} MiB when opened.",
            remedy="Save the data as JSON lines, or divide the file.",
        )
    return DatasetError(
        "dataset.unreadable",
        "The file cannot be read; nothing was imported.",
        where=Place.of(job.path),
        why=f"Its reader ended without an answer (exit code {code}); the file is damaged or hostile.",
        remedy="Open it in the program that made it and save it again, or as CSV or JSON lines.",
    )


OVER_MEMORY = 97
"""Exit code of a child that reached MEMORY."""


def mapping_for(job_mapping: ColumnMapping | Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A mapping as a job holds it."""
    if job_mapping is None:
        return None
    return job_mapping.model_dump() if isinstance(job_mapping, ColumnMapping) else dict(job_mapping)
