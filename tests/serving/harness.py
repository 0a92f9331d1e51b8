"""The real pool and gateway in a thread of the test, so that their bounds can be set; asked over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.gateway import keys
from app.gateway.doors import Doors
from app.gateway.server import Gateway
from app.serving.pool import Pool
from app.serving.process import USUAL, WORKER, Limits
from app.store import Store
from app.workflow import doors as workflow_doors

FAKE = (sys.executable, "-m", "tests.serving.fake_worker")
DOORS = Doors(workflow_doors.create_workflow, workflow_doors.kits, workflow_doors.run_result, workflow_doors.import_file,
              workflow_doors.deploy, workflow_doors.metrics)


@dataclass
class Endpoint:
    """A gateway that answers."""

    port: int
    key: str
    pool: Pool
    gateway: Gateway

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def chat(self, content: str, **options: Any) -> httpx.Response:
        return self.post("/v1/chat/completions", chat_body(content, **options))

    def post(self, path: str, body: Any) -> httpx.Response:
        return httpx.post(self.root + path, json=body, headers=self.headers, timeout=60)

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    @contextlib.contextmanager
    def stream(self, content: str, **options: Any) -> Iterator[Iterator[Any]]:
        """The data of a stream's events, as JSON; "[DONE]" as it is.  Leaving early hangs up."""
        body = chat_body(content, stream=True, **options)
        with httpx.stream("POST", f"{self.root}/v1/chat/completions", json=body, headers=self.headers, timeout=60) as answer:
            yield (line[6:] if line == "data: [DONE]" else json.loads(line[6:]) for line in answer.iter_lines() if line)

    def raw(self, content: str, **options: Any) -> socket.socket:
        """A request on its way, its answer unread."""
        body = json.dumps(chat_body(content, **options)).encode()
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {self.key}\r\n"
                           f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        return connection


def chat_body(content: str, **options: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content}], "max_tokens": 64, "temperature": 0, **options}


def text(events: Iterator[Any]) -> str:
    """The words of the events."""
    return "".join(choice["delta"].get("content", "") for event in events if event != "[DONE]" for choice in event.get("choices", ()))


def until(condition: Any, seconds: float = 10.0) -> float:
    """Seconds until the condition holds.  Fails after ``seconds``."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.01)
    return time.monotonic() - began


def deploy(store: Store, *, path: str | Path = "fake", engine: str = "llama.cpp", alias: str = "m", **options: Any) -> None:
    """A row for the pool to act on, loaded at the first request."""
    store.db.execute("INSERT OR REPLACE INTO deployments (alias, model_version, engine, path, state, options, gate, created, updated) "
                     "VALUES (?, 'm@1', ?, ?, 'idle', ?, '{}', ?, 1)", (alias, engine, str(path), json.dumps(options), time.time()))


@contextlib.contextmanager
def endpoint(store: Store, *, limits: Limits = USUAL, worker: Sequence[str] = WORKER, port: int = 0) -> Iterator[Endpoint]:
    """Run pool and gateway; everything has ended when the block is left."""
    started: list[Endpoint] = []
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        pool = Pool(store, limits, worker)
        gateway = Gateway(store, pool, DOORS)
        await pool.start()
        try:
            await gateway.start(port)
            started.append(Endpoint(gateway.port, keys.ensure(store), pool, gateway))
            ready.set()
            await stop.wait()
        finally:
            await gateway.stop()
            await pool.stop()

    thread = threading.Thread(target=lambda: asyncio.Runner(loop_factory=lambda: loop).run(run()))
    thread.start()
    assert ready.wait(30)
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        assert not thread.is_alive()
