"""Requests and what they cost, written in batches off the event loop so that no answer waits for the disk."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from collections import deque
from typing import Any

from app.config.presence import STEP_HEADER
from app.costguard import meter
from app.gateway.exchange import Exchange
from app.store import Store

EVERY_SECONDS = 0.25


class RequestMeter:
    """Collects in the loop, writes in a thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lines: deque[tuple[tuple[Any, ...], bool]] = deque()
        self._writing = threading.Lock()
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._loop())

    async def stop(self) -> None:
        """Write what is left."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await asyncio.to_thread(self.flush)

    def note(self, exchange: Exchange) -> None:
        """Remember a finished request.  One that a step made is charged with the step, whose time it is."""
        seconds = time.monotonic() - exchange.began
        line = (
            "req_" + uuid.uuid4().hex,
            time.time(),
            exchange.key,
            exchange.path[:100],
            exchange.model,
            exchange.status,
            exchange.error[:500] or None,
            int(exchange.stream),
            exchange.prompt_tokens,
            exchange.completion_tokens,
            exchange.queued,
            exchange.first,
            seconds,
        )
        charged = bool(exchange.prompt_tokens or exchange.completion_tokens) and not exchange.header(STEP_HEADER.encode())
        self._lines.append((line, charged))
        self._due.set()

    async def _loop(self) -> None:
        while await self._due.wait():
            await asyncio.sleep(EVERY_SECONDS)
            self._due.clear()
            try:
                await asyncio.to_thread(self.flush)
            except Exception:  # a busy or full store: the lines stay and are tried again
                self._due.set()

    def flush(self) -> None:
        """Write the lines and the charges of those that were answered; by one thread at a time, so each line once."""
        with self._writing:
            self._write()

    def _write(self) -> None:
        lines = list(self._lines)
        if not lines:
            return
        watts, source = meter.watts_now(self._store)
        prices = meter.prices(self._store)
        with self._store.write() as db:
            db.conn.executemany(
                "INSERT INTO requests (id, at, key_id, route, model, status, error, stream, prompt_tokens, completion_tokens, "
                "queued_seconds, first_token_seconds, seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [line for line, _ in lines],
            )
            for line, charged in lines:
                if charged:
                    self._charge(line, watts, source, prices)
        for _ in lines:  # in this thread, while the loop may add more at the other end
            self._lines.popleft()

    def _charge(self, line: tuple[Any, ...], watts: float, source: str, prices: meter.Prices) -> None:
        worked = max(line[12] - line[10], 0.0)
        meter.charge(
            self._store,
            scope="request",
            request=line[0],
            model=line[4],
            seconds=worked,
            energy_wh=watts * worked / 3600,
            energy_source=source,
            tokens_in=line[8],
            tokens_out=line[9],
            at_prices=prices,
        )
