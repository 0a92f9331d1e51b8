"""The HTTP endpoint on 127.0.0.1.  A plain ASGI application, so that its own share of a request stays small."""

from __future__ import annotations

import contextlib

import orjson

from app.errors import NeuroWeaverError
from app.gateway import guards, keys, openai_routes, openapi
from app.gateway.doors import Doors
from app.gateway.errors import ApiError, from_ours
from app.gateway.exchange import Exchange, Gone, Receive, Scope, Send
from app.gateway.listener import Listener
from app.gateway.meter import RequestMeter
from app.gateway.platform import PREDICT, Platform
from app.serving.pool import Pool
from app.store import Store

MOST_REQUESTS = 256
"""Requests in progress, all routes together; one more is refused."""
OPEN = {"/health": ("GET",), "/openapi.json": ("GET",)}
"""Routes that need no key."""


class Gateway:
    """Start it in the service's loop."""

    def __init__(self, store: Store, pool: Pool, doors: Doors) -> None:
        self._store = store
        self._meter = RequestMeter(store)
        self._platform = Platform(store, pool, doors)
        self._openai = openai_routes.OpenAIRoutes(pool)
        self._keys = guards.KeyRing(store)
        self._listener: Listener | None = None
        self._busy = 0
        self.port = 0

    async def start(self, port: int) -> None:
        """Listen on the port, or on the next free one."""
        keys.ensure(self._store)
        self._listener = Listener(self, port)
        self.port = self._listener.port
        self._meter.start()
        await self._listener.start()

    async def stop(self) -> None:
        """Stop listening; streams in progress end."""
        if self._listener is not None:
            await self._listener.stop()
        await self._meter.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)
        self._busy += 1
        try:
            await self._answer_or_refuse(exchange)
        finally:
            self._busy -= 1
            if exchange.path == PREDICT or openai_routes.allowed(exchange.path) == ("POST",):
                self._meter.note(exchange)

    async def _answer_or_refuse(self, exchange: Exchange) -> None:
        try:
            await self._answer(exchange)
        except Gone:
            exchange.status = exchange.status or 499
            exchange.error = "The client hung up."
        except ApiError as problem:
            await self._refuse(exchange, problem)
        except NeuroWeaverError as problem:
            await self._refuse(exchange, from_ours(problem))
        except Exception as problem:  # a mistake in the program must not reach the client as a traceback
            message = f"The endpoint could not answer ({type(problem).__name__})."
            await self._refuse(exchange, ApiError(500, message, code="internal"))

    @staticmethod
    async def _refuse(exchange: Exchange, problem: ApiError) -> None:
        exchange.error = problem.message
        if exchange.started:  # in the middle of a stream: say it there, and end
            with contextlib.suppress(Exception):
                await exchange.event(orjson.dumps(problem.body()), last=True)
            return
        await exchange.reply(problem.status, problem.body(), problem.headers)

    async def _answer(self, exchange: Exchange) -> None:
        guards.check_caller(exchange)
        path = exchange.path
        guards.check_method(exchange, OPEN.get(path) or openai_routes.allowed(path) or self._platform.allowed(path))
        if self._busy > MOST_REQUESTS:
            raise ApiError(503, "The endpoint is busy with other requests.", code="overloaded", headers={"retry-after": "1"})
        if path in OPEN:
            await exchange.reply(200, openapi.document() if path == "/openapi.json" else {"status": "ok"})
            return
        exchange.key = self._keys.check(exchange)
        await (self._platform if path.startswith("/api/v1/") else self._openai).answer(exchange)
