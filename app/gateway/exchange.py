"""One request on its way: reading it, answering it, and noticing that the client has hung up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.gateway.errors import ApiError

Json = dict[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
BODY = 2 * 2**20
PART_SECONDS = 30.0
"""A body of which nothing arrives for so long is given up."""


class Gone(Exception):
    """The client has hung up."""


@dataclass
class Exchange:
    """One request.  Seconds are measured from its arrival with a monotonic clock."""

    scope: Scope
    receive: Receive
    send: Send
    began: float = field(default_factory=time.monotonic)
    key: str | None = None
    model: str = ""
    status: int = 0
    error: str = ""
    stream: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    queued: float = 0.0
    first: float | None = None
    started: bool = False

    @property
    def path(self) -> str:
        return str(self.scope["path"])

    def header(self, name: bytes) -> str:
        """A header's value, or ""."""
        return next((value.decode("latin-1") for key, value in self.scope["headers"] if key == name), "")

    async def begin(self, status: int, kind: bytes, extra: dict[str, str] | None = None) -> None:
        """Send status and headers."""
        self.status, self.started = status, True
        headers = [(b"content-type", kind), (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
        headers += [(name.encode(), value.encode()) for name, value in (extra or {}).items()]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def reply(self, status: int, body: Any, extra: dict[str, str] | None = None) -> None:
        """A whole JSON answer."""
        content = orjson.dumps(body)
        await self.begin(status, b"application/json", {"content-length": str(len(content)), **(extra or {})})
        await self.send({"type": "http.response.body", "body": content})

    async def event(self, data: bytes, *, last: bool = False) -> None:
        """One server-sent event; the first one sends the headers too."""
        if not self.started:
            await self.begin(200, b"text/event-stream; charset=utf-8")
        await self.send({"type": "http.response.body", "body": b"data: " + data + b"\n\n", "more_body": not last})

    async def part(self) -> tuple[bytes, bool]:
        """(next part of the body, whether more follows).  Raises Gone, or ApiError 408 if nothing comes for 30 s."""
        try:
            async with asyncio.timeout(PART_SECONDS):
                message = await self.receive()
        except TimeoutError as problem:
            raise ApiError(408, "The body did not arrive in time.", code="body_timeout", headers={"connection": "close"}) from problem
        if message["type"] == "http.disconnect":
            raise Gone
        return message.get("body", b""), bool(message.get("more_body"))

    async def body(self, limit: int = BODY) -> bytes:
        """The whole body.  Raises ApiError 413, or Gone."""
        length = self.header(b"content-length")
        parts, size, more = [], int(length) if length.isdigit() else 0, True
        if size > limit:
            raise too_large(limit)
        size = 0
        while more:
            part, more = await self.part()
            size += len(part)
            if size > limit:
                raise too_large(limit)
            parts.append(part)
        return b"".join(parts)

    async def json_object(self) -> Json:
        """The body as a JSON object.  Raises ApiError 400, 413 or 415, or Gone."""
        if self.header(b"content-type").partition(";")[0].strip().lower() != "application/json":
            raise ApiError(415, "The body must be application/json.", code="unsupported_media_type")
        if self.header(b"content-encoding").lower() not in ("", "identity"):
            raise ApiError(415, "A packed body is not accepted.", code="unsupported_media_type")
        content = await self.body()
        try:
            body = orjson.loads(content)
        except orjson.JSONDecodeError as problem:
            raise ApiError(400, f"The body is not valid JSON: {problem}.", code="invalid_json") from problem
        if not isinstance(body, dict):
            raise ApiError(400, "The body must be a JSON object.", code="invalid_json")
        return body

    @contextlib.asynccontextmanager
    async def attended(self) -> AsyncIterator[None]:
        """Work that is cancelled when the client hangs up; then Gone is raised.  The body must have been read."""
        task, gone = asyncio.current_task(), False

        async def watch() -> None:
            nonlocal gone
            while (await self.receive())["type"] != "http.disconnect":
                pass
            gone = True
            if task is not None:
                task.cancel()

        watcher = asyncio.create_task(watch())
        try:
            yield
        except asyncio.CancelledError:
            if gone and task is not None and task.uncancel() == 0:
                raise Gone from None
            raise
        finally:
            watcher.cancel()


def too_large(limit: int) -> ApiError:
    """413 with the bound that was passed."""
    words = f"{limit // 2**30} GiB" if limit >= 2**30 else f"{limit // 2**20} MiB"
    return ApiError(413, f"The body is larger than {words}.", code="body_too_large")
