"""The service: scheduler, engine pool, gateway and monitors, in one process without Qt and without torch.

Start: lock, store, scheduler, sampler, pool, copies, gateway, announce.  Stop: gateway, pool, scheduler (running work saves
and pauses), sampler, copies, withdraw.  One service a profile; the others recognise it by service.json.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable
from typing import Any

from filelock import FileLock, Timeout

from app.config import offline
from app.config.presence import Presence, announce, find_service, withdraw
from app.config.subprocess_tools import started_at
from app.errors import NeuroWeaverError, UsageError
from app.store import Profile, Store, settings
from app.store.backup import backup_if_older
from app.store.watcher import Watcher, to_tick

LOOK_SECONDS = 0.5
COPY_SECONDS, COPY_LOOK_SECONDS = 24 * 3600.0, 3600.0
"""A copy of the catalogue is made when the newest is this old, and how often that is looked at."""


_log = logging.getLogger(__name__)


class Service:
    """Make it, then :meth:`run` until SIGTERM, SIGINT or :meth:`ask_stop`."""

    def __init__(self, profile: Profile, *, port: int | None = None, told: Callable[[Presence], None] | None = None) -> None:
        self._profile, self._port, self._told = profile, port, told
        self._halt = asyncio.Event()
        self._gateway: Any = None

    def ask_stop(self) -> None:
        """End soon; safe from the event loop's own thread."""
        self._halt.set()

    async def run(self) -> None:
        """Raises UsageError service.running if this profile has a service already."""
        self._profile.create()
        lock = FileLock(self._profile.home / "service.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as problem:
            found = find_service(self._profile)
            where = f" Its process is {found.pid}; it answers at {found.base_url}." if found else ""
            raise UsageError(
                "service.running",
                "A service runs for this profile already.",
                why=where.strip(),
                remedy="Use that one, or stop it first.",
            ) from problem
        try:
            with Store.open(self._profile) as store:
                await self._serve(store)
        finally:
            lock.release()

    async def _serve(self, store: Store) -> None:
        from app.costguard.sampler import Sampler
        from app.serving.pool import Pool
        from app.workflow.scheduler import Scheduler

        self._catch_signals()
        offline.follow(store, "service")
        self._announce()
        scheduler, sampler, pool = Scheduler(store), Sampler(store), Pool(store)
        scheduler.start()
        sampler.start()
        await pool.start()
        copies = asyncio.create_task(self._keep_copies(store))
        try:
            await self._keep_gateway(store, pool)
            if self._told is not None:
                self._told(self._presence())
            await self._until_stopped(store, pool)
        finally:
            self._halt.set()
            await self._stop_gateway()
            await pool.stop()
            await asyncio.to_thread(scheduler.stop)
            sampler.stop()
            await copies
            withdraw(self._profile)

    async def _keep_copies(self, store: Store) -> None:
        """One copy of the catalogue a day; a disk that has no room for it today is asked again in an hour."""
        while not self._halt.is_set():
            try:
                await asyncio.to_thread(backup_if_older, store, COPY_SECONDS)
            except (NeuroWeaverError, OSError) as problem:
                _log.warning("No copy of the catalogue was made: %s", problem)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._halt.wait(), COPY_LOOK_SECONDS)

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError, RuntimeError):  # Windows; not the main thread
                loop.add_signal_handler(number, self._halt.set)

    async def _until_stopped(self, store: Store, pool: Any) -> None:
        watcher, clock = Watcher(store), asyncio.get_running_loop().time
        while not self._halt.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._halt.wait(), to_tick(LOOK_SECONDS, clock()))
            if "settings" in watcher.poll():
                offline.follow(store, "service")
                await self._keep_gateway(store, pool)

    async def _keep_gateway(self, store: Store, pool: Any) -> None:
        """The endpoint is on exactly while its setting says so."""
        wanted = bool(settings.get(store, "endpoint.enabled"))
        if wanted and self._gateway is None:
            from app.gateway.doors import Doors
            from app.gateway.server import Gateway
            from app.workflow import doors

            own = Doors(doors.create_workflow, doors.kits, doors.run_result, doors.import_file, doors.deploy, doors.metrics)
            self._gateway = Gateway(store, pool, own)
            await self._gateway.start(self._port if self._port is not None else int(settings.get(store, "endpoint.port")))
            self._announce()
        elif not wanted and self._gateway is not None:
            await self._stop_gateway()
            self._announce()

    async def _stop_gateway(self) -> None:
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            await gateway.stop()

    def _presence(self) -> Presence:
        port = self._gateway.port if self._gateway is not None else None
        return Presence(os.getpid(), started_at(os.getpid()) or 0.0, f"http://127.0.0.1:{port}/v1" if port else None, port)

    def _announce(self) -> None:
        announce(self._profile, self._presence())


def run_service(profile: Profile, *, port: int | None = None, told: Callable[[Presence], None] | None = None) -> None:
    """Run until a signal ends it."""

    async def main() -> None:
        await Service(profile, port=port, told=told).run()

    asyncio.run(main())
