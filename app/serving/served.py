"""One deployed model: its process, its queue, and what happens when the process ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson

from app.errors import NeuroWeaverError, ServingError
from app.serving.engine import Assignment
from app.serving.process import USUAL, WORKER, EngineProcess, Limits
from app.store import Store, settings

CRASHED = "The engine ended unexpectedly; it starts again when asked."
LONGEST_RETRY = 60.0
Json = dict[str, Any]


class QueueFull(Exception):
    """Too many requests wait.  seconds: after which a place is likely."""

    def __init__(self, seconds: float) -> None:
        super().__init__("The queue is full.")
        self.seconds = seconds


class Resting(ServingError):
    """The engine crashed again soon after its restart.  seconds: until it may be started."""

    def __init__(self, alias: str, seconds: float, why: str) -> None:
        super().__init__(
            "engine.resting",
            f"The model {alias!r} ended or failed to load twice and rests.",
            why=why,
            remedy=f"It is started again at most once a minute: try again in {max(1, round(seconds))} seconds.",
        )
        self.seconds = seconds


class Served:
    """One deployed model.  running and waiting count its requests."""

    def __init__(self, store: Store, row: Json, limits: Limits = USUAL, worker: Sequence[str] = WORKER) -> None:
        self._store, self._limits, self._worker = store, limits, worker
        self.row, self.alias = row, str(row["alias"])
        self.engine: EngineProcess | None = None
        self._starting: asyncio.Task[EngineProcess] | None = None
        self.waiting = self.running = 0
        self.used = time.monotonic()
        self._usual = 1.0
        self._crashes = 0
        self._failed = ""
        self._restarted: float | None = None
        self._retired = False

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes it another deployment."""
        return self.row["path"], self.row["engine"], self.row["options"], self.row["created"]

    @property
    def starting(self) -> bool:
        """Whether it is being loaded."""
        return self._starting is not None and not self._starting.done()

    def note(self, state: str, why: str | None = None) -> None:
        """Write the state for everybody to read."""
        pid = self.engine.pid if self.engine else None
        self._store.db.execute(
            "UPDATE deployments SET state = ?, why = ?, pid = ?, restarts = ?, updated = ? WHERE alias = ?",
            (state, why, pid, self._crashes, time.time(), self.alias),
        )

    async def ensure(self) -> EngineProcess:
        """The loaded engine; loading is done once for all who wait.  Raises ServingError."""
        if self.engine is not None and not self.engine.dead:
            return self.engine
        if self._retired:
            raise ServingError("engine.replaced", f"The model {self.alias!r} was switched over or stopped while the request waited.",
                               remedy="Ask again.")
        self.notice_crash()
        if self._starting is None or self._starting.done():
            self._allow_restart()
            self._starting = asyncio.create_task(self._start())
            self._starting.add_done_callback(_consumed)
        return await asyncio.shield(self._starting)

    def notice_crash(self) -> None:
        """Note that the process has ended by itself; nothing if it has not."""
        if self.engine is not None and self.engine.dead:
            self.engine = None
            self._failed = CRASHED
            self._crashes += 1
            self.note("failed", CRASHED)

    def _allow_restart(self) -> None:
        """Raises Resting if the last restart was less than a minute ago.  A first start is none."""
        if not self._failed:
            return
        now = time.monotonic()
        if self._restarted is not None and now - self._restarted < self._limits.restart:
            raise Resting(self.alias, self._restarted + self._limits.restart - now, self._failed)
        self._restarted = now

    async def _start(self) -> EngineProcess:
        options = orjson.loads(self.row["options"])
        threads = int(settings.get(self._store, "threads")) or max((os.cpu_count() or 2) // 2, 1)
        given = {name: options[name] for name in ("slots", "context", "base") if name in options}
        assignment = Assignment(self.row["engine"], self.row["path"], threads=threads, **given)
        log = self._store.profile.logs / "engines.log"
        try:
            self.engine = await EngineProcess.start(assignment, log, self._limits, self._worker)
        except NeuroWeaverError as problem:
            self._failed = problem.message
            self._crashes += 1
            self.note("failed", orjson.dumps(problem.as_record()).decode())
            raise
        self._failed = ""
        self.used = time.monotonic()
        self.note("ready")
        return self.engine

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[tuple[EngineProcess, float]]:
        """A free slot and the seconds waited.  Raises QueueFull, Resting or another ServingError."""
        if self.waiting >= self._limits.queue:
            raise QueueFull(min(self._usual * self.waiting / (self.engine.slots if self.engine else 1), LONGEST_RETRY))
        began = time.monotonic()
        self.waiting += 1
        try:
            engine = await self._free_slot()
        finally:
            self.waiting -= 1
        self.running += 1
        got = time.monotonic()
        try:
            yield engine, got - began
        finally:
            self.running -= 1
            self.used = time.monotonic()
            self._usual += 0.2 * (self.used - got - self._usual)
            engine.free.release()

    async def _free_slot(self) -> EngineProcess:
        """A slot of an engine that lives: one that ended while we queued is started again."""
        while True:
            engine = await self.ensure()
            await engine.free.acquire()
            if not engine.dead:
                return engine
            engine.free.release()

    async def retire(self, state: str) -> None:
        """End for good: another one has its name, or none.  Who still waits here is told; nothing is started for them."""
        self._retired = True
        await self.unload(state)

    async def unload(self, state: str = "idle") -> None:
        """Free the memory; the next request loads it again."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait({self._starting})
        engine, self.engine = self.engine, None
        if engine is not None:
            await engine.kill()
        self.note(state)


def _consumed(task: asyncio.Task[EngineProcess]) -> None:
    """A failed start that nobody waits for any more has been noted in the table."""
    if not task.cancelled():
        task.exception()
