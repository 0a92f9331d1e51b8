"""Latency that the gateway adds, at a steady rate of requests, against the same mock engine asked directly.

    python tests/bench/gateway_overhead.py [--rate 200] [--seconds 3] [--rounds 4] [--stream]

Mock engine: the worker's protocol over pipes, in a process of its own (``--worker``), answering each chat at once with
eight pieces.  Gateway: the product's own service parts (store, pool, key check, metering) in a second process.  Direct: a
bare ASGI application under the same uvicorn in the same process, which speaks to the *same* worker over the same pipe and
sends its pieces on unseen.  So the difference is what the gateway does: guards, key, checks, shapes, queue, metering.

Open loop: requests leave at fixed times whether or not earlier ones are answered, and latency counts from the time at which
a request was to leave.  Blocks of gateway and direct alternate (A B B A), so that both meet the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
PIECES = 8
ALIAS = "mock"


class MockEngine:
    """app.serving.engine.Engine that answers at once."""

    slots = 64

    def generate(self, kind: str, request: dict[str, Any], send: Any) -> None:
        for number in range(PIECES):
            send({"choices": [{"index": 0, "delta": {"content": f"word{number} "}, "finish_reason": None}]})
        send({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        send({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": PIECES, "total_tokens": 5 + PIECES}})

    def embed(self, text: str) -> tuple[list[float], int]:
        return [0.0], 1


def be_worker() -> None:
    """The product's worker around the mock."""
    from app.serving import worker

    worker.load = lambda assignment: MockEngine()  # type: ignore[assignment]
    worker.main()


class Direct:
    """The bare server: one route, no checks; the engine's answer in one JSON body, or its pieces as they come."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        import orjson

        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body")
        asked = orjson.loads(body)
        engine = await self._pool.served[ALIAS].ensure()
        pieces = engine.call("chat", asked)
        if asked.get("stream"):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
            async for message in pieces:
                await send({"type": "http.response.body", "body": b"data: " + orjson.dumps(message["event"]) + b"\n\n", "more_body": True})
            await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
            return
        words = [message["event"] async for message in pieces]
        content = orjson.dumps(words)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(content)).encode())]})
        await send({"type": "http.response.body", "body": content})


def be_server(home: Path) -> None:
    """Gateway and direct server in one loop; says their ports and the key on one line."""

    async def run() -> None:
        from app.gateway import keys
        from app.gateway.listener import Listener
        from app.gateway.server import Gateway
        from app.serving.pool import Pool
        from app.store import Profile, Store

        with Store.open(Profile(home)) as store:
            store.db.execute("INSERT INTO deployments (alias, model_version, engine, path, state, options, gate, created, updated) "
                             "VALUES (?, 'mock@1', 'llama.cpp', 'mock', 'starting', '{}', '{}', 1, 1)", (ALIAS,))
            pool = Pool(store, worker=(sys.executable, str(Path(__file__).resolve()), "--worker"))
            await pool.start()
            gateway, direct = Gateway(store, pool, None), Listener(Direct(pool), 0)  # type: ignore[arg-type]
            await gateway.start(0)
            await direct.start()
            await pool.served[ALIAS].ensure()
            print(json.dumps({"gateway": gateway.port, "direct": direct.port, "key": keys.ensure(store)}), flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
            await gateway.stop()
            await direct.stop()
            await pool.stop()
            found = store.row("SELECT count(*) AS n FROM usage WHERE scope = 'request'")
            print(json.dumps({"metered": found["n"] if found else 0}), flush=True)

    asyncio.run(run())


class Caller:
    """Keep-alive connections to one server; a new one where all are busy."""

    def __init__(self, port: int, key: str, stream: bool) -> None:
        body = json.dumps({"model": ALIAS, "messages": [{"role": "user", "content": "Is this a licence notice?"}], "stream": stream,
                           "max_tokens": 16}).encode()
        self._port, self._free = port, []  # type: ignore[var-annotated]
        self._request = (f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {key}\r\n"
                         f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n").encode() + body
        self._stream = stream

    async def ask(self, due: float) -> float:
        """Seconds from the time at which the request was due to the end of its answer."""
        reader, writer = self._free.pop() if self._free else await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError((head + await reader.read(2000)).decode())
        if self._stream:
            await reader.readuntil(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        else:
            size = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(size)
        taken = time.perf_counter() - due
        self._free.append((reader, writer))
        return taken


async def block(caller: Caller, rate: float, seconds: float) -> list[float]:
    """Latencies of one open-loop block."""
    tasks, began = [], time.perf_counter() + 0.05
    for number in range(int(rate * seconds)):
        due = began + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(caller.ask(due)))
    return list(await asyncio.gather(*tasks))


async def measure(given: argparse.Namespace, told: dict[str, Any]) -> dict[str, list[float]]:
    """Alternating blocks, after one of each that does not count."""
    callers = {name: Caller(told[name], told["key"], given.stream) for name in ("gateway", "direct")}
    found: dict[str, list[float]] = {name: [] for name in callers}
    for caller in callers.values():
        await block(caller, given.rate, 1.0)
    for number in range(given.rounds):
        order = ("gateway", "direct") if number % 2 == 0 else ("direct", "gateway")
        for name in order:
            found[name] += await block(callers[name], given.rate, given.seconds)
    return found


def percentile(values: list[float], share: float) -> float:
    """In milliseconds."""
    ordered = sorted(values)
    return 1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def report(given: argparse.Namespace, found: dict[str, list[float]], metered: int) -> dict[str, Any]:
    """p50 and p99 of both and their differences, ms."""
    rows = {name: {"p50_ms": percentile(values, 0.5), "p99_ms": percentile(values, 0.99), "requests": len(values)}
            for name, values in found.items()}
    added = {name: rows["gateway"][name] - rows["direct"][name] for name in ("p50_ms", "p99_ms")}
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"rate": given.rate, "stream": given.stream, **rows, "added": added, "aim": {"p50_ms": 1.0, "p99_ms": 3.0},
            "metered_requests": metered, "load_average": load}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200, help="requests a second")
    parser.add_argument("--seconds", type=float, default=3, help="of one block")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--stream", action="store_true", help="server-sent events in place of one JSON answer")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--server", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        be_worker()
    elif given.server:
        be_server(given.server)
    else:
        print(json.dumps(run(given), indent=1))


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Start the server, measure, stop it."""
    import subprocess

    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "NEUROWEAVER_HOME": f"{home}/profile", "NEUROWEAVER_KEYRING": "off"}
        server = subprocess.Popen([sys.executable, str(Path(__file__).resolve()), "--server", f"{home}/profile"], env=environment,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert server.stdin
        assert server.stdout
        told = json.loads(server.stdout.readline())
        found = asyncio.run(measure(given, told))
        server.stdin.close()
        metered = json.loads(server.stdout.readline())["metered"]
        server.wait(30)
    return report(given, found, metered)


if __name__ == "__main__":
    main()
