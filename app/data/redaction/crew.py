"""Detection in children, one a core: batches of rows go out, findings come back in order.

A child holds nothing but the batch it looks at; it has no key, no network and ends with its parent.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from queue import Queue
from typing import IO, Any

import orjson

from app.config.subprocess_tools import kill_tree, start_child
from app.data.patience import patiently
from app.data.redaction.detect import Detector, Finding, Settings
from app.errors import WorkflowError
from app.store.profile import project_dir

AHEAD = 2
"""Batches that wait at each child, so that none is idle while rows are written."""
Texts = dict[str, str]
Batch = Sequence[Texts]
Answer = list[dict[str, list[Finding]] | str]
"""Findings of each row, or why the row could not be looked at."""


def look(detector: Detector, batch: Batch) -> Answer:
    """Findings of each row; where the batch fails, row by row, so that only the bad row has a reason."""
    try:
        return list(detector.find_rows(batch))
    except Exception:  # whatever a library makes of a strange text
        return [_look_alone(detector, row) for row in batch]


def _look_alone(detector: Detector, row: Texts) -> dict[str, list[Finding]] | str:
    try:
        return detector.find_row(row)
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}"[:300]


class Crew:
    """Children that look at batches.  Use in ``with``."""

    def __init__(self, settings: Settings, children: int, waiting: Callable[[], None]) -> None:
        self._waiting = waiting
        job = orjson.dumps(asdict(settings)).decode()
        command = [sys.executable, "-m", "app.data.redaction.child", job]
        self._children = [
            start_child(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=project_dir(),
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            for _ in range(children)
        ]
        self._answers = [_listen(child.stdout) for child in self._children]

    def map(self, batches: Iterable[Batch]) -> Iterator[Answer]:
        """The answer to each batch, in order.  Raises WorkflowError redaction.child_died."""
        waiting: deque[int] = deque()
        for number, batch in enumerate(batches):
            turn = number % len(self._children)
            if len(waiting) >= AHEAD * len(self._children):
                yield self._receive(waiting.popleft())
            self._send(turn, batch)
            waiting.append(turn)
        while waiting:
            yield self._receive(waiting.popleft())

    def _send(self, turn: int, batch: Batch) -> None:
        """Obeying a stop too: a child that loads its model reads nothing, and a pipe holds little."""
        content = orjson.dumps(batch)
        try:
            patiently(lambda: write_frame(self._children[turn].stdin, content), self._waiting)
        except OSError as problem:
            raise _died() from problem

    def _receive(self, turn: int) -> Answer:
        """The next answer of a child, obeying a stop while it loads its model or reads a long text."""
        content = patiently(self._answers[turn].get, self._waiting)
        if content is None:
            raise _died()
        return [
            row if isinstance(row, str) else {name: [Finding(*one) for one in found] for name, found in row.items()}
            for row in orjson.loads(content)
        ]

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            kill_tree(child.pid)
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    _close(stream)
            child.wait()


def _listen(stream: IO[bytes] | None) -> Queue[bytes | None]:
    """The messages of a child as they come; None at its end.  There are never more than it was sent batches ahead."""
    answers: Queue[bytes | None] = Queue()

    def listen() -> None:
        content: bytes | None = b""
        while content is not None:
            try:
                content = read_frame(stream)
            except (OSError, ValueError):  # closed under its hands
                content = None
            answers.put(content)

    threading.Thread(target=listen, name="redaction-answers", daemon=True).start()
    return answers


def _close(stream: IO[bytes]) -> None:
    try:
        stream.close()
    except OSError:  # what was still to be written has no reader
        pass


def _died() -> WorkflowError:
    return WorkflowError(
        "redaction.child_died",
        "A process that looks for private data ended early.",
        why="It ran out of memory, or was killed from outside.",
        remedy="Resume the run: what was done is kept. With processes: 1 no further process is started.",
    )


def write_frame(stream: IO[bytes] | None, content: bytes) -> None:
    """Write one message: its length in four bytes, then itself."""
    assert stream is not None
    stream.write(struct.pack("<I", len(content)) + content)
    stream.flush()


def read_frame(stream: IO[bytes] | None) -> bytes | None:
    """The next message, or None at the end."""
    assert stream is not None
    head = stream.read(4)
    if len(head) < 4:
        return None
    content = stream.read(length := struct.unpack("<I", head)[0])
    return content if len(content) == length else None


def answer(found: Any) -> list[Any]:
    """An answer as JSON can carry it: [start, end, entity, score, detector] for each finding."""
    return [
        row
        if isinstance(row, str)
        else {name: [[one.start, one.end, one.entity, one.score, one.detector] for one in listed] for name, listed in row.items()}
        for row in found
    ]
