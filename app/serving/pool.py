"""The engine pool: loads a deployed model when it is first asked, unloads it when idle, follows the table ``deployments``.

Lives in the service's event loop.  It reads the table and writes there what became of each deployment.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence

import orjson

from app.errors import NeuroWeaverError, StoreError
from app.serving.process import USUAL, WORKER, Limits
from app.serving.served import Served
from app.store import Store, settings
from app.store.watcher import Pace, Watcher, to_tick

WATCH_SECONDS, CALM_SECONDS = 0.25, 0.5


class Pool:
    """All served models.  worker: the command of an engine worker."""

    def __init__(self, store: Store, limits: Limits = USUAL, worker: Sequence[str] = WORKER) -> None:
        self._store, self._limits, self._worker = store, limits, worker
        self.served: dict[str, Served] = {}
        self._loading: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch the table of deployments."""
        self._store.db.execute("UPDATE deployments SET state = 'idle', pid = NULL WHERE state IN ('ready', 'failed')")
        watcher = Watcher(self._store)
        await self._sync()
        self._task = asyncio.create_task(self._watch(watcher))

    async def stop(self) -> None:
        """End all workers."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for served in self.served.values():
            await served.unload()

    async def _watch(self, watcher: Watcher) -> None:
        changed, pace, clock = False, Pace(WATCH_SECONDS, CALM_SECONDS), asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(to_tick(pace.seconds, clock()))
            with contextlib.suppress(StoreError):  # a full or busy disk: try again
                changed = "deployments" in watcher.poll() or changed
                if changed:
                    pace.moved()
                    await self._sync()
                    changed = False
                await self._rest()

    async def _sync(self) -> None:
        rows = {row["alias"]: row for row in self._store.rows("SELECT * FROM deployments WHERE state != 'stopped'")}
        for alias in set(self.served) - set(rows):
            await self.served.pop(alias).retire("stopped")
        for alias, row in rows.items():
            served = await self._kept_or_switched(alias, row)
            if row["state"] == "starting" and not served.starting:
                task = asyncio.create_task(self._load(served))
                self._loading.add(task)
                task.add_done_callback(self._loading.discard)

    async def _kept_or_switched(self, alias: str, row: dict[str, object]) -> Served:
        """What answers to a name.  The new one stands there before the old one ends, so that the name is never unknown meanwhile."""
        wanted, known = self._of(row), self.served.get(alias)
        if known is not None and known.key == wanted.key:
            return known
        self.served[alias] = wanted
        if known is not None:
            await known.retire("starting")
        return wanted

    def _of(self, row: dict[str, object]) -> Served:
        return Served(self._store, row, self._limits, self._worker)

    @staticmethod
    async def _load(served: Served) -> None:
        """Load as asked; what became of it is in the table, for whoever waits there."""
        try:
            await served.ensure()
            served.note("ready")
        except NeuroWeaverError as problem:
            with contextlib.suppress(StoreError):
                served.note("failed", orjson.dumps(problem.as_record()).decode())

    async def _rest(self) -> None:
        for served in self.served.values():
            served.notice_crash()
        loaded = [served for served in self.served.values() if served.engine is not None]
        idle = float(settings.get(self._store, "engine.idle_seconds")) if loaded else 0.0
        for served in loaded:
            busy = served.running or served.waiting or served.starting
            if served.engine is not None and not busy and time.monotonic() - served.used > idle:
                await served.unload()

    def find(self, name: str) -> Served | None:
        """The served model of a name."""
        return self.served.get(name)
