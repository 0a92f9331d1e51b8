"""The engine worker: ``python -m app.serving.worker``, one process for one loaded model.

It talks to the service over its standard input and output, one JSON object a line, so there is no port that a stranger
could answer on.  Its first line is the assignment; then {"id", "op": chat | completion | embed | cancel, "body"}.
It answers {"id", "event"}, {"id", "answer"} or {"id", "error", "kind"}, and {"id", "end": true} as the last of each.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

import orjson

from app.config import offline
from app.config.subprocess_tools import die_with_parent
from app.errors import NeuroWeaverError
from app.serving.engine import Assignment, BadSchema, Engine, TooLong, load

KINDS: dict[type[Exception], str] = {TooLong: "too_long", BadSchema: "schema"}
"""What the service calls a refusal; any other is a "request"."""


class Worker:
    """Reads requests, runs each on a thread, writes answers."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._requests, self._answers = requests, answers
        self._lock = threading.Lock()
        self._active: set[int] = set()
        self._cancelled: set[int] = set()
        self._engine: Engine | None = None

    def say(self, message: dict[str, Any]) -> None:
        """Write one line; the service that does not read any more has ended, and so does this process."""
        with self._lock:
            try:
                self._answers.write(orjson.dumps(message) + b"\n")
                self._answers.flush()
            except (OSError, ValueError):
                os._exit(0)

    def run(self) -> None:
        """Load, then serve until the service closes the pipe."""
        assignment = Assignment(**json.loads(self._requests.readline()))
        began = time.monotonic()
        try:
            self._engine = load(assignment)
        except NeuroWeaverError as problem:
            self.say({"id": 0, "failed": problem.as_record()})
            return
        except Exception as problem:  # whatever a runtime raises is the reason the user reads
            self.say(
                {
                    "id": 0,
                    "failed": {
                        "code": "engine.load",
                        "what": "The model could not be loaded.",
                        "why": f"{type(problem).__name__}: {problem}",
                        "remedy": "Export or import it again.",
                    },
                }
            )
            return
        self.say({"id": 0, "ready": True, "slots": self._engine.slots, "seconds": time.monotonic() - began})
        threads = ThreadPoolExecutor(self._engine.slots + 1, thread_name_prefix="request")
        for line in self._requests:
            message = orjson.loads(line)
            if message["op"] != "cancel":
                self._active.add(message["id"])
                threads.submit(self._carry_out, message)
            elif message["id"] in self._active:  # else it has ended by itself
                self._cancelled.add(message["id"])
        os._exit(0)

    def _carry_out(self, message: dict[str, Any]) -> None:
        identity = message["id"]
        try:
            self._answer(identity, message)
        except ValueError as problem:
            self.say({"id": identity, "error": str(problem)[:2000], "kind": KINDS.get(type(problem), "request")})
        except Exception as problem:  # the client gets words, the worker lives on
            self.say({"id": identity, "error": f"{type(problem).__name__}: {problem}"[:2000], "kind": "engine"})
        finally:
            self._active.discard(identity)
            self._cancelled.discard(identity)
            self.say({"id": identity, "end": True})

    def _answer(self, identity: int, message: dict[str, Any]) -> None:
        engine = self._engine
        if engine is None or identity in self._cancelled:
            return
        if message["op"] == "embed":
            vector, tokens = engine.embed(message["body"]["input"])
            self.say({"id": identity, "answer": {"embedding": vector, "tokens": tokens}})
            return

        def send(event: dict[str, Any]) -> bool:
            self.say({"id": identity, "event": event})
            return identity in self._cancelled

        engine.generate(message["op"], message["body"], send)


def main() -> None:
    """Keep the pipes for the protocol alone: what a native library prints goes to standard error."""
    die_with_parent()
    offline.begin("engine", "listen")
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    Worker(requests, answers).run()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
