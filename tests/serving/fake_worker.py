"""The product's engine worker around an engine that does what the last message tells it: also crash, hang and babble.

Messages: "count N every S" | "read N seconds" (a long prompt) | "flood" | "segfault" | "silent" | "half a frame" |
"half a frame and hang" | "garbage" | "broken" | "refuse".  One request at a time, as a busy engine.  A model path that ends in
"-crashes" crashes while loading.  Environment FAKE_LOG: a file that gets one JSON line for each start and each end of an answer.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

from app.serving import worker
from app.serving.engine import Assignment, Json, Send


def log(**line: Any) -> None:
    if path := os.environ.get("FAKE_LOG"):
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"pid": os.getpid(), "at": time.time(), **line}) + "\n")


def piece(text: str) -> Json:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


class FakeEngine:
    def __init__(self, assignment: Assignment) -> None:
        log(event="start")
        if assignment.path.endswith("-crashes"):
            os.kill(os.getpid(), signal.SIGSEGV)
        self.slots = assignment.slots
        self._busy = threading.Lock()

    def generate(self, kind: str, request: Json, send: Send) -> None:
        order = str(request["messages"][-1]["content"] if kind == "chat" else request["prompt"])
        if order == "silent":  # holds up nobody else
            threading.Event().wait()
        with self._busy:
            sent = self._obey(order, send)
        log(event="end", order=order, sent=sent)

    def _obey(self, order: str, send: Send) -> int:
        if found := re.fullmatch(r"count (\d+) every ([\d.]+)", order):
            return self._count(int(found[1]), float(found[2]), send)
        if found := re.fullmatch(r"read (\d+) seconds", order):
            return self._read(float(found[1]), send)
        if order == "flood":
            return self._flood(send)
        self._misbehave(order, send)
        return self._count(3, 0, send)

    @staticmethod
    def _count(pieces: int, seconds: float, send: Send) -> int:
        for number in range(pieces):
            if send(piece(f"{number} ")):
                return number
            time.sleep(seconds)
        send({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        send({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": pieces, "total_tokens": 3 + pieces}})
        return pieces

    @staticmethod
    def _read(seconds: float, send: Send) -> int:
        """Take a long prompt, with a sign of life for each of its batches."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if send({"choices": []}):
                return 0
            time.sleep(0.05)
        return FakeEngine._count(1, 0, send)

    @staticmethod
    def _flood(send: Send) -> int:
        number = 0
        while not send(piece("x" * 4000)) and number < 100_000:
            number += 1
        return number

    @staticmethod
    def _misbehave(order: str, send: Send) -> None:
        if order == "segfault":
            send(piece("one "))
            send(piece("two "))
            os.kill(os.getpid(), signal.SIGSEGV)
            time.sleep(5)
        elif order == "half a frame":
            babble(b'{"id": 1, "event": {"choi')
            os._exit(0)
        elif order == "half a frame and hang":
            babble(b'{"id": 1, "event": {"choi')
            time.sleep(60)
        elif order == "garbage":
            babble(b"ggml_assert failed\n")
            time.sleep(60)
        elif order == "broken":
            raise RuntimeError("the engine's own words")
        elif order == "refuse":
            raise ValueError("This schema cannot be compiled.")

    def embed(self, text: str) -> tuple[list[float], int]:
        return [1.0, 0.0], 1


def babble(data: bytes) -> None:
    """Write past the protocol."""
    running[0]._answers.write(data)
    running[0]._answers.flush()


running: list[worker.Worker] = []


class _Worker(worker.Worker):
    def __init__(self, *pipes: Any) -> None:
        super().__init__(*pipes)
        running.append(self)


if __name__ == "__main__":
    worker.load = FakeEngine  # type: ignore[assignment]
    worker.Worker = _Worker  # type: ignore[misc]
    worker.main()
