"""The engine pool: loads a deployed model when it is first asked, keeps a queue, unloads it when idle, restarts it after a crash.

Lives in the service's event loop.  It reads the table ``deployments`` and writes there what became of each.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from app.config.subprocess_tools import group_options
from app.errors import NeuroWeaverError, ServingError, from_record
from app.serving.engine import Assignment
from app.store import Store, settings
from app.store.profile import project_dir
from app.store.watcher import Watcher

LOAD_SECONDS = 120.0
SILENT_SECONDS = 90.0
"""An engine that gives nothing for so long has hung: the request fails and the engine is killed."""
RESTART_SECONDS = 60.0
QUEUE = 32
"""Requests that may wait for a slot; one more is refused."""
BUFFER = 256
"""Events an engine may be ahead of a slow reader."""
LINE = 32 * 2**20
WATCH_SECONDS = 0.3
Json = dict[str, Any]


class QueueFull(Exception):
    """Too many requests wait."""

    def __init__(self, seconds: float) -> None:
        super().__init__("The queue is full.")
        self.seconds = seconds


class BadRequest(Exception):
    """The engine refused the request; its text is the reason."""


class Silent(Exception):
    """The engine gave no answer in time."""


@dataclass
class _Call:
    events: asyncio.Queue[Json] = field(default_factory=lambda: asyncio.Queue(BUFFER))


class EngineProcess:
    """One worker process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._calls: dict[int, _Call] = {}
        self._next = 1
        self._reader = asyncio.create_task(self._read())
        self.ready: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self.slots = 1
        self.dead = False

    @classmethod
    async def start(cls, assignment: Assignment, log: Path) -> EngineProcess:
        """Start a worker and wait until it has loaded.  Raises ServingError with its reason."""
        env = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
        env.pop("NEUROWEAVER_PASSPHRASE", None)
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "app.serving.worker",
                cwd=project_dir(),
                env=env,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                limit=LINE,
                **group_options(),
            )
        engine = cls(process)
        engine._write(asdict(assignment))
        try:
            message = await asyncio.wait_for(asyncio.shield(engine.ready), LOAD_SECONDS)
        except TimeoutError as problem:
            await engine.kill()
            raise ServingError(
                "engine.load",
                "The model did not load in time.",
                why=f"It took over {LOAD_SECONDS:.0f} s.",
                remedy="Free some memory and try again.",
            ) from problem
        if "failed" in message:
            await engine.kill()
            raise from_record({"class": "ServingError", **message["failed"]})
        engine.slots = int(message["slots"])
        return engine

    @property
    def pid(self) -> int:
        return self._process.pid

    def _write(self, message: Json) -> None:
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(orjson.dumps(message) + b"\n")

    async def _read(self) -> None:
        stream = self._process.stdout
        if stream is None:
            return
        with contextlib.suppress(ConnectionError, ValueError):
            while line := await stream.readline():
                try:
                    message = orjson.loads(line)
                except orjson.JSONDecodeError:  # half a line: the worker died while writing
                    break
                await self._take(message)
        self.dead = True
        if not self.ready.done():
            self.ready.set_result(
                {
                    "failed": {
                        "code": "engine.crashed",
                        "what": "The engine ended while it loaded the model.",
                        "why": "",
                        "remedy": "Check the file: export it again, or import another one.",
                    }
                }
            )
        for call in self._calls.values():
            with contextlib.suppress(asyncio.QueueFull):
                call.events.put_nowait({"crashed": True})

    async def _take(self, message: Json) -> None:
        if message["id"] == 0:
            if not self.ready.done():
                self.ready.set_result(message)
            return
        call = self._calls.get(message["id"])
        if call is None:
            return
        try:
            call.events.put_nowait(message)
        except asyncio.QueueFull:  # nobody reads: give this one up, the others go on
            self._write({"id": message["id"], "op": "cancel"})
            call.events.get_nowait()
            call.events.put_nowait({"id": message["id"], "error": "The reader is too slow.", "kind": "slow"})
            del self._calls[message["id"]]

    async def call(self, op: str, body: Json) -> AsyncIterator[Json]:
        """Messages of one call, ended by the engine.  Closing the iterator early cancels it."""
        identity, self._next = self._next, self._next + 1
        call = self._calls[identity] = _Call()
        if self.dead:
            call.events.put_nowait({"crashed": True})
        self._write({"id": identity, "op": op, "body": body})
        finished = False
        try:
            while True:
                try:
                    message = await asyncio.wait_for(call.events.get(), SILENT_SECONDS)
                except TimeoutError as problem:
                    raise Silent from problem
                if message.get("end") or message.get("crashed"):
                    finished = True
                    if message.get("crashed"):
                        yield message
                    return
                yield message
        finally:
            if not finished:
                self._write({"id": identity, "op": "cancel"})
            self._calls.pop(identity, None)

    async def kill(self) -> None:
        """End the worker."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._reader.cancel()


class Served:
    """One deployed model: its row, its process, its queue."""

    def __init__(self, store: Store, row: Json) -> None:
        self._store, self.alias = store, str(row["alias"])
        self.row = row
        self.engine: EngineProcess | None = None
        self._starting: asyncio.Task[EngineProcess] | None = None
        self._slots = asyncio.Semaphore(1)
        self.waiting = self.running = 0
        self.used = time.monotonic()
        self._crashed: list[float] = []

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes it another deployment."""
        return self.row["path"], self.row["engine"], self.row["options"], self.row["created"]

    def note(self, state: str, why: str | None = None) -> None:
        """Write the state for everybody to read."""
        pid = self.engine.pid if self.engine else None
        self._store.db.execute(
            "UPDATE deployments SET state = ?, why = ?, pid = ?, restarts = ?, updated = ? WHERE alias = ?",
            (state, why, pid, len(self._crashed), time.time(), self.alias),
        )

    async def ensure(self) -> EngineProcess:
        """The loaded engine; loading is done once for all who wait.  Raises ServingError."""
        if self.engine is not None and not self.engine.dead:
            return self.engine
        if self.engine is not None:
            self._crash()
        if self._starting is None:
            self._check_breaker()
            self._starting = asyncio.create_task(self._start())
        try:
            return await asyncio.shield(self._starting)
        finally:
            if self._starting is not None and self._starting.done():
                self._starting = None

    def _crash(self) -> None:
        self.engine = None
        self._crashed.append(time.monotonic())
        self.note("failed", "The engine ended unexpectedly; it starts again when asked.")

    def _check_breaker(self) -> None:
        """One restart a minute at most."""
        if (
            self._crashed
            and time.monotonic() - self._crashed[-1] < RESTART_SECONDS
            and len(self._crashed) > 1
            and self._crashed[-1] - self._crashed[-2] < RESTART_SECONDS
        ):
            left = RESTART_SECONDS - (time.monotonic() - self._crashed[-1])
            raise ServingError(
                "engine.breaker",
                f"The model {self.alias!r} has crashed twice in a row and rests.",
                why="It is started again at most once a minute.",
                remedy=f"Try again in {left:.0f} seconds.",
            )

    async def _start(self) -> EngineProcess:
        options = orjson.loads(self.row["options"])
        threads = int(settings.get(self._store, "threads")) or max((os.cpu_count() or 2) // 2, 1)
        assignment = Assignment(
            self.row["engine"],
            self.row["path"],
            threads=threads,
            **{name: options[name] for name in ("slots", "context", "base") if name in options},
        )
        try:
            self.engine = await EngineProcess.start(assignment, self._store.profile.logs / "engines.log")
        except NeuroWeaverError as problem:
            self.note("failed", orjson.dumps(problem.as_record()).decode())
            raise
        self._slots = asyncio.Semaphore(self.engine.slots)
        self.note("ready")
        return self.engine

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[tuple[EngineProcess, float]]:
        """A free slot and the seconds waited.  Raises QueueFull."""
        if self.waiting >= QUEUE:
            raise QueueFull(2.0)
        began = time.monotonic()
        self.waiting += 1
        try:
            engine = await self.ensure()
            slots = self._slots
            await slots.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            yield engine, time.monotonic() - began
        finally:
            self.running -= 1
            self.used = time.monotonic()
            slots.release()

    async def unload(self, state: str = "idle") -> None:
        """Free the memory; the next request loads it again."""
        engine, self.engine = self.engine, None
        if engine is not None:
            await engine.kill()
        self.note(state)


class Pool:
    """All served models."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.served: dict[str, Served] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch the table of deployments."""
        self._store.db.execute("UPDATE deployments SET state = 'idle', pid = NULL WHERE state IN ('ready', 'failed')")
        await self._sync()
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End all workers."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for served in self.served.values():
            await served.unload()

    async def _watch(self) -> None:
        watcher = Watcher(self._store)
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if "deployments" in watcher.poll():
                await self._sync()
            await self._rest()

    async def _sync(self) -> None:
        rows = {row["alias"]: row for row in self._store.rows("SELECT * FROM deployments WHERE state != 'stopped'")}
        for alias in [
            alias
            for alias, served in self.served.items()
            if alias not in rows or served.key != Served(self._store, rows[alias]).key
        ]:
            await self.served.pop(alias).unload("stopped" if alias not in rows else "starting")
        for alias, row in rows.items():
            if alias not in self.served:
                self.served[alias] = Served(self._store, row)
            if row["state"] == "starting" and self.served[alias]._starting is None:
                asyncio.create_task(self._load(self.served[alias]))  # noqa: RUF006  # its result is in the table

    @staticmethod
    async def _load(served: Served) -> None:
        with contextlib.suppress(NeuroWeaverError):  # noted in the table by then
            await served.ensure()
            served.note("ready")

    async def _rest(self) -> None:
        idle = float(settings.get(self._store, "engine.idle_seconds"))
        for served in list(self.served.values()):
            if served.engine is not None and served.engine.dead:
                served._crash()
            elif (
                served.engine is not None and not served.running and not served.waiting and time.monotonic() - served.used > idle
            ):
                await served.unload()

    def find(self, name: str) -> Served | None:
        """The served model of a name."""
        return self.served.get(name)
