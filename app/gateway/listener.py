"""The socket, and what happens on it before a request is one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import h11
import orjson
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.errors import ServingError
from app.gateway.errors import ApiError
from app.store.watcher import to_tick

PORTS_TRIED = 50
SEND_BUFFER = 64 * 1024
"""Bytes that may wait for a slow reader in this process, and as many again in the system."""
UNREAD_SECONDS = 20.0
"""A client that reads nothing for so long, with a full buffer, is dropped."""
HEADER_SECONDS = 20.0
"""A connection that sends no request for so long is closed."""
KEEP_SECONDS = 30
HEADER_BYTES = 64 * 1024


class Connection(H11Protocol):
    """uvicorn's, with a bound on how slowly a client may read or ask, and with errors in OpenAI's shape."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=SEND_BUFFER)
        self._arm(HEADER_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._disarm()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._arm(UNREAD_SECONDS)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._disarm()

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP gets the same shape of error as everything else."""
        body = orjson.dumps(ApiError(400, msg, code="invalid_http").body())
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        with contextlib.suppress(h11.LocalProtocolError):  # in the middle of an answer nothing can be said any more
            for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def listen(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1: on the port, or the next free one.  A stranger's port is never shared.

    Raises ServingError endpoint.no_port.
    """
    for candidate in [*range(port, min(port + PORTS_TRIED, 65536)), 0]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, else asyncio leaves Nagle on: 40 ms
        try:
            exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)  # Windows
            listener.setsockopt(socket.SOL_SOCKET, exclusive or socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            listener.bind(("127.0.0.1", candidate))
            listener.listen(128)
            listener.setblocking(False)
            return listener
        except OSError:
            listener.close()
    raise ServingError("endpoint.no_port", "The endpoint found no free port.", remedy="End a program that uses many ports.")


class _Server(uvicorn.Server):
    """It wakes once a second, for the date in its answers, and when it is to end; uvicorn's own wakes ten times."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ends = asyncio.Event()

    async def main_loop(self) -> None:
        """Until :meth:`end`."""
        clock = asyncio.get_running_loop().time
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ends.wait(), to_tick(1.0, clock()))

    def end(self) -> None:
        """Stop, without waiting for clients."""
        self.should_exit = self.force_exit = True
        self._ends.set()


class Listener:
    """uvicorn in the service's own loop."""

    def __init__(self, application: Any, port: int) -> None:
        self._socket = listen(port)
        self.port = int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            application,
            http=Connection,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=KEEP_SECONDS,
            h11_max_incomplete_event_size=HEADER_BYTES,
            server_header=False,
            ws="none",
        )
        self._server = _Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # the service has its own
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to accept."""
        self._task = asyncio.create_task(self._serve())
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.01)

    async def _serve(self) -> None:
        with contextlib.suppress(asyncio.CancelledError, SystemExit):
            await self._server._serve(sockets=[self._socket])

    async def stop(self) -> None:
        """Stop listening; streams in progress end."""
        self._server.end()
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
