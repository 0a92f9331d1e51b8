"""One engine worker seen from the service: started, asked over its pipes, ended.

There is no port between the two, so nothing that happens to listen somewhere can be taken for an engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from app.config.subprocess_tools import group_options
from app.errors import ServingError, from_record
from app.serving.engine import Assignment
from app.store.profile import project_dir

LINE = 32 * 2**20
"""Bytes of one message; a longer one is taken for a broken engine."""
EXIT_SECONDS = 1.0
WORKER = (sys.executable, "-m", "app.serving.worker")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the pool, in seconds and counts.

    silent: an engine that says nothing for so long has hung; engines give a sign of life with every batch of a prompt.
    restart: a crashed engine is started again at most once in this time.  queue: requests that may wait for a slot.
    buffer: events an engine may be ahead of a slow reader.
    """

    load: float = 120.0
    silent: float = 90.0
    restart: float = 60.0
    queue: int = 32
    buffer: int = 256


USUAL = Limits()


class Silent(Exception):
    """The engine gave no answer in time."""


class EngineProcess:
    """One worker process.  ``free`` counts its free slots."""

    def __init__(self, process: asyncio.subprocess.Process, limits: Limits) -> None:
        self._process, self._limits = process, limits
        self._calls: dict[int, asyncio.Queue[Json]] = {}
        self._next = 1
        self._heard = time.monotonic()
        self._ready: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read())
        self.slots = 1
        self.free = asyncio.Semaphore(1)
        self.dead = False

    @classmethod
    async def start(
        cls, assignment: Assignment, log: Path, limits: Limits = USUAL, worker: Sequence[str] = WORKER
    ) -> EngineProcess:
        """Start a worker and wait until it has loaded.  Raises ServingError with its reason."""
        env = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
        env.pop("NEUROWEAVER_PASSPHRASE", None)
        pipe = asyncio.subprocess.PIPE
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *worker, cwd=project_dir(), env=env, stdin=pipe, stdout=pipe, stderr=output, limit=LINE, **group_options()
            )
        engine = cls(process, limits)
        try:
            await engine._load(assignment)
        except BaseException:
            await engine.kill()
            raise
        return engine

    async def _load(self, assignment: Assignment) -> None:
        self._write(asdict(assignment))
        try:
            async with asyncio.timeout(self._limits.load):
                message = await self._ready
        except TimeoutError as problem:
            why = f"It took over {self._limits.load:.0f} s."
            remedy = "Free some memory and try again."
            raise ServingError("engine.load", "The model did not load in time.", why=why, remedy=remedy) from problem
        if "failed" in message:
            raise from_record({"class": "ServingError", **message["failed"]})
        self.slots = int(message["slots"])
        self.free = asyncio.Semaphore(self.slots)

    @property
    def pid(self) -> int:
        return self._process.pid

    def _write(self, message: Json) -> None:
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(orjson.dumps(message) + b"\n")

    async def _read(self) -> None:
        stream = self._process.stdout
        try:
            while stream is not None and (line := await stream.readline()):
                self._heard = time.monotonic()
                self._take(orjson.loads(line))
        except (ValueError, KeyError, TypeError, OSError):
            pass  # not our protocol, or half a message: this engine cannot be trusted any more
        self.dead = True
        for events in self._calls.values():
            _force(events, {"crashed": True})
        code = await self._ended()
        if self._process.stdin is not None:
            self._process.stdin.close()
        if not self._ready.done():
            self._ready.set_result({"failed": _crashed_in_load(code)})

    async def _ended(self) -> int:
        """The exit code.  A process that ends by itself is given the time to: killing it then would lose its code."""
        try:
            async with asyncio.timeout(EXIT_SECONDS):
                return await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            return await self._process.wait()

    def _take(self, message: Json) -> None:
        identity = message["id"]
        if identity == 0:
            if not self._ready.done():
                self._ready.set_result(message)
            return
        events = self._calls.get(identity)
        if events is None:
            return
        try:
            events.put_nowait(message)
        except asyncio.QueueFull:  # nobody reads: give this one up, the others go on
            self._write({"id": identity, "op": "cancel"})
            _force(events, {"id": identity, "error": "The reader is too slow.", "kind": "slow"})
            del self._calls[identity]

    async def call(self, op: str, body: Json) -> AsyncGenerator[Json, None]:
        """Messages of one call, ended by the engine.  Closing the iterator early cancels it.

        The last one is {"crashed": true} if the engine ended.  Raises Silent; an engine that is silent to all is killed.
        """
        identity, self._next = self._next, self._next + 1
        events: asyncio.Queue[Json] = asyncio.Queue(self._limits.buffer)
        self._calls[identity] = events
        if self.dead:
            _force(events, {"crashed": True})
        self._write({"id": identity, "op": op, "body": body})
        message: Json = {}
        try:
            while not message.get("crashed"):
                message = await self._following(events)
                if message.get("end"):
                    return
                yield message
        finally:
            self._calls.pop(identity, None)
            if not (message.get("end") or message.get("crashed")):
                self._write({"id": identity, "op": "cancel"})

    async def _following(self, events: asyncio.Queue[Json]) -> Json:
        if not events.empty():
            return events.get_nowait()
        try:
            async with asyncio.timeout(self._limits.silent):
                return await events.get()
        except TimeoutError as problem:
            if time.monotonic() - self._heard >= self._limits.silent:
                await self.kill()
            raise Silent from problem

    async def kill(self) -> None:
        """End the worker.  Calls in progress are told that it crashed."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await asyncio.wait({self._reader})


def _force(events: asyncio.Queue[Json], message: Json) -> None:
    """Put a message, for a full queue in place of the oldest one."""
    if events.full():
        events.get_nowait()
    events.put_nowait(message)


def _crashed_in_load(code: int) -> Json:
    with contextlib.suppress(ValueError):
        why = f"Its process ended with {signal.Signals(-code).name}." if code < 0 else f"Its process ended with code {code}."
    return {
        "code": "engine.crashed",
        "what": "The engine ended while it loaded the model.",
        "why": why,
        "remedy": "Check the file: export it again, or import another one.",
    }
