"""The HTTP endpoint on 127.0.0.1: guards, routes, streaming.  A plain ASGI application, so that its own share of a
request stays small.  Every engine call is streamed inside, also for a client that wants one answer: hanging up then
frees the slot at once.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import struct
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvicorn

from app.errors import NeuroWeaverError
from app.gateway import checks, keys
from app.gateway.doors import Doors
from app.gateway.errors import ApiError, from_ours
from app.gateway.meter import RequestMeter
from app.gateway.platform import Platform
from app.serving.pool import EngineProcess, Pool, QueueFull, Served, Silent
from app.store import Store

Json = dict[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
BODY = 2 * 2**20
MOST_HEADERS = 64
HOSTS = ("127.0.0.1", "localhost", "[::1]")
PORTS_TRIED = 50
ALLOWED = {
    "/v1/models": ("GET",),
    "/v1/chat/completions": ("POST",),
    "/v1/completions": ("POST",),
    "/v1/embeddings": ("POST",),
    "/openapi.json": ("GET",),
    "/health": ("GET",),
}


class Gone(Exception):
    """The client has hung up."""


@dataclass
class Exchange:
    """One request on its way."""

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


class Gateway:
    """Start it in the service's loop."""

    def __init__(self, store: Store, pool: Pool, doors: Doors) -> None:
        self._store, self._pool = store, pool
        self._meter = RequestMeter(store)
        self._platform = Platform(store, pool, doors)
        self._keys: tuple[float, dict[str, str]] = (0.0, {})
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self, port: int) -> None:
        """Listen on the port, or on the next free one: a stranger's port is never shared."""
        keys.ensure(self._store)
        listener = _listen(port)
        self.port = int(listener.getsockname()[1])
        config = uvicorn.Config(
            self,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=30,
            h11_max_incomplete_event_size=64 * 1024,
            limit_concurrency=256,
            server_header=False,
            ws="none",
        )
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # the service has its own
        self._meter.start()
        self._task = asyncio.create_task(_quietly(self._server, listener))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Stop listening; streams in progress end."""
        if self._server is not None:
            self._server.should_exit = self._server.force_exit = True
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._meter.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)
        try:
            await self._answer(exchange)
        except Gone:
            exchange.status = exchange.status or 499
            exchange.error = "The client hung up."
        except ApiError as problem:
            await self._refuse(exchange, problem)
        except NeuroWeaverError as problem:
            await self._refuse(exchange, from_ours(problem, 400 if problem.bad_input else 503))
        except Exception as problem:  # a mistake in the program must not reach the client as a traceback
            await self._refuse(
                exchange, ApiError(500, f"The endpoint could not answer ({type(problem).__name__}).", code="internal")
            )
        if exchange.path.startswith("/v1/") and not exchange.path.startswith("/v1/models"):
            self._meter.note(exchange)

    async def _refuse(self, exchange: Exchange, problem: ApiError) -> None:
        exchange.error = problem.message
        if exchange.started:  # in the middle of a stream: say it there, and end
            with contextlib.suppress(Exception):
                await exchange.send({"type": "http.response.body", "body": b"data: " + orjson.dumps(problem.body()) + b"\n\n"})
            return
        await exchange.reply(problem.status, problem.body(), problem.headers)

    # ---- guards ---------------------------------------------------------------------------------------------------

    async def _answer(self, exchange: Exchange) -> None:
        self._guard(exchange)
        if exchange.path == "/health":
            await exchange.reply(200, {"status": "ok"})
            return
        if exchange.path == "/openapi.json":
            await exchange.reply(200, self._platform.openapi())
            return
        self._authenticate(exchange)
        if exchange.path.startswith("/api/v1/"):
            await self._platform.answer(exchange)
        elif exchange.path == "/v1/models":
            await exchange.reply(200, {"object": "list", "data": [_model(served) for served in self._pool.served.values()]})
        elif exchange.path.startswith("/v1/models/"):
            await exchange.reply(200, _model(self._served(exchange.path.removeprefix("/v1/models/"))))
        elif exchange.path == "/v1/embeddings":
            await self._embeddings(exchange)
        else:
            await self._generate(exchange, "chat" if exchange.path == "/v1/chat/completions" else "completion")

    def _guard(self, exchange: Exchange) -> None:
        if len(exchange.scope["headers"]) > MOST_HEADERS:
            raise ApiError(431, "There are too many headers.", code="too_many_headers")
        host = exchange.header(b"host").rpartition(":")[0] or exchange.header(b"host")
        if host not in HOSTS:
            raise ApiError(421, "This endpoint answers to 127.0.0.1 and localhost only.", code="wrong_host")
        if exchange.header(b"origin"):
            raise ApiError(403, "Pages in a browser may not call this endpoint.", code="foreign_origin")
        allowed = ALLOWED.get(exchange.path) or self._platform.allowed(exchange.path)
        if exchange.path.startswith("/v1/models/"):
            allowed = ("GET",)
        if allowed is None:
            raise ApiError(404, f"There is no {exchange.path[:100]}.", code="unknown_url")
        if exchange.scope["method"] not in allowed:
            raise ApiError(
                405,
                f"{exchange.scope['method']} is not allowed here; use {' or '.join(allowed)}.",
                code="method_not_allowed",
                headers={"allow": ", ".join(allowed)},
            )

    def _authenticate(self, exchange: Exchange) -> None:
        given = [value.decode("latin-1") for name, value in exchange.scope["headers"] if name == b"authorization"]
        other = exchange.header(b"x-api-key") or exchange.header(b"api-key")
        words = given[0].split() if len(given) == 1 else []
        if other or len(words) != 2 or words[0].lower() != "bearer":
            raise ApiError(
                401, "Give the key in one header: Authorization: Bearer KEY. It is on the Endpoint page.", code="invalid_api_key"
            )
        exchange.key = self._find_key(words[1])
        if exchange.key is None:
            raise ApiError(401, "Incorrect API key provided.", code="invalid_api_key")

    def _find_key(self, given: str) -> str | None:
        return keys.find(self._store, given)

    async def _body(self, exchange: Exchange) -> Json:
        if exchange.header(b"content-type").partition(";")[0].strip().lower() != "application/json":
            raise ApiError(415, "The body must be application/json.", code="unsupported_media_type")
        if exchange.header(b"content-encoding").lower() not in ("", "identity"):
            raise ApiError(415, "A packed body is not accepted.", code="unsupported_media_type")
        content = await read_body(exchange, BODY)
        try:
            body = orjson.loads(content)
        except orjson.JSONDecodeError as problem:
            raise ApiError(400, f"The body is not valid JSON: {problem}.", code="invalid_json") from problem
        if not isinstance(body, dict):
            raise ApiError(400, "The body must be a JSON object.", code="invalid_json")
        return body

    def _served(self, name: str) -> Served:
        served = self._pool.find(name)
        if served is None:
            known = ", ".join(self._pool.served) or "none yet"
            raise ApiError(404, f"The model {name!r} does not exist. Served: {known}.", code="model_not_found", param="model")
        return served

    # ---- answers --------------------------------------------------------------------------------------------------

    async def _generate(self, exchange: Exchange, kind: str) -> None:
        body = await self._body(exchange)
        served = self._served(checks.model(body))
        exchange.model = served.alias
        request = checks.chat(body) if kind == "chat" else checks.completion(body)
        exchange.stream = checks.flag(body, "stream")
        wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        async with self._slot(exchange, served) as engine:
            events = _Events(engine, kind, request, exchange, served.alias)
            if exchange.stream:
                await self._stream(exchange, events, wants_usage)
            else:
                await exchange.reply(200, await _until_gone(exchange, events.whole()))

    @contextlib.asynccontextmanager
    async def _slot(self, exchange: Exchange, served: Served) -> AsyncIterator[EngineProcess]:
        try:
            async with contextlib.AsyncExitStack() as stack:
                engine, exchange.queued = await _until_gone(exchange, stack.enter_async_context(served.slot()))
                yield engine
        except QueueFull as problem:
            raise ApiError(
                429,
                "Too many requests wait for this model.",
                code="queue_full",
                headers={"retry-after": str(round(problem.seconds))},
            ) from problem
        except Silent as problem:
            engine_process = served.engine
            if engine_process is not None:
                await engine_process.kill()
            raise ApiError(504, "The engine gave no answer in time; it is started again.", code="engine_timeout") from problem

    async def _stream(self, exchange: Exchange, events: _Events, wants_usage: bool) -> None:
        watcher = asyncio.create_task(_gone(exchange))
        try:
            async for event in _abandon(events.chunks(wants_usage), watcher):
                if not exchange.started:
                    await exchange.begin(200, b"text/event-stream; charset=utf-8")
                await exchange.send(
                    {"type": "http.response.body", "body": b"data: " + orjson.dumps(event) + b"\n\n", "more_body": True}
                )
            await exchange.send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
        finally:
            watcher.cancel()

    async def _embeddings(self, exchange: Exchange) -> None:
        body = await self._body(exchange)
        served = self._served(checks.model(body))
        exchange.model = served.alias
        texts, packed = checks.embedding(body)
        async with self._slot(exchange, served) as engine:
            vectors = await _until_gone(exchange, _embed_all(engine, texts, exchange))
        data = [
            {"object": "embedding", "index": at, "embedding": _packed(vector) if packed else vector}
            for at, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": exchange.prompt_tokens, "total_tokens": exchange.prompt_tokens}
        await exchange.reply(200, {"object": "list", "data": data, "model": served.alias, "usage": usage})


class _Events:
    """The engine's events as the client is to see them: our id and the alias, never a path of this machine."""

    def __init__(self, engine: EngineProcess, kind: str, request: Json, exchange: Exchange, alias: str) -> None:
        self._engine, self._kind, self._request, self._exchange = engine, kind, request, exchange
        prefix = "chatcmpl-" if kind == "chat" else "cmpl-"
        self._common: Json = {"id": prefix + uuid.uuid4().hex, "created": int(time.time()), "model": alias}

    async def _engine_events(self) -> AsyncIterator[Json]:
        async with contextlib.aclosing(self._engine.call(self._kind, self._request)) as messages:  # type: ignore[type-var]
            async for message in messages:
                if message.get("crashed"):
                    raise ApiError(503, "The engine ended unexpectedly; it is started again.", code="engine_crashed")
                if "error" in message:
                    status = 400 if message.get("kind") == "request" else 500
                    raise ApiError(status, str(message["error"]), code="engine_refused" if status == 400 else "engine_error")
                event = message.get("event")
                if event is not None:
                    self._count(event)
                    yield event

    def _count(self, event: Json) -> None:
        if usage := event.get("usage"):
            self._exchange.prompt_tokens = int(usage.get("prompt_tokens", 0))
            self._exchange.completion_tokens = int(usage.get("completion_tokens", 0))
        if self._exchange.first is None and any(_words(choice) for choice in event.get("choices", ())):
            self._exchange.first = time.monotonic() - self._exchange.began

    async def chunks(self, wants_usage: bool) -> AsyncIterator[Json]:
        """Chunks in OpenAI's form."""
        name = "chat.completion.chunk" if self._kind == "chat" else "text_completion"
        async for event in self._engine_events():
            choices = [_choice(choice, self._kind) for choice in event.get("choices", ())]
            if choices:
                yield {**self._common, "object": name, "choices": choices, **({"usage": None} if wants_usage else {})}
            elif wants_usage and event.get("usage"):
                yield {**self._common, "object": name, "choices": [], "usage": self._usage()}

    def _usage(self) -> Json:
        prompt, answer = self._exchange.prompt_tokens, self._exchange.completion_tokens
        return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}

    async def whole(self) -> Json:
        """All chunks as one answer."""
        words: list[str] = []
        logprobs: list[Any] = []
        finish = "stop"
        async for event in self._engine_events():
            for choice in event.get("choices", ()):
                words.append(_words(choice))
                finish = choice.get("finish_reason") or finish
                if found := choice.get("logprobs"):
                    logprobs.append(found)
        choice = {"index": 0, "finish_reason": finish, "logprobs": _joined(logprobs, self._kind)}
        if self._kind == "chat":
            choice["message"] = {"role": "assistant", "content": "".join(words), "refusal": None}
        else:
            choice["text"] = "".join(words)
        return {
            **self._common,
            "object": "chat.completion" if self._kind == "chat" else "text_completion",
            "choices": [choice],
            "usage": self._usage(),
        }


def _words(choice: Json) -> str:
    return str((choice.get("delta") or {}).get("content") or choice.get("text") or "")


def _choice(choice: Json, kind: str) -> Json:
    if kind == "completion":
        return {
            "index": 0,
            "text": choice.get("text") or "",
            "finish_reason": choice.get("finish_reason"),
            "logprobs": choice.get("logprobs"),
        }
    delta = {
        name: value for name, value in (choice.get("delta") or {}).items() if name in ("role", "content") and value is not None
    }
    return {
        "index": 0,
        "delta": delta,
        "finish_reason": choice.get("finish_reason"),
        "logprobs": _chat_logprobs(choice.get("logprobs")),
    }


def _chat_logprobs(found: Any) -> Any:
    if not found:
        return None
    return {"content": [_token(one) for one in found.get("content") or []], "refusal": None}


def _token(one: Json) -> Json:
    kept = {name: one.get(name) for name in ("token", "logprob", "bytes")}
    return {
        **kept,
        "top_logprobs": [
            {name: top.get(name) for name in ("token", "logprob", "bytes")} for top in one.get("top_logprobs") or []
        ],
    }


def _joined(parts: list[Any], kind: str) -> Any:
    if not parts:
        return None
    content = [one for part in parts for one in part.get("content") or []]
    if kind == "chat":
        return {"content": [_token(one) for one in content], "refusal": None}
    return {
        "tokens": [one.get("token") for one in content],
        "token_logprobs": [one.get("logprob") for one in content],
        "top_logprobs": [{top.get("token"): top.get("logprob") for top in one.get("top_logprobs") or []} for one in content],
        "text_offset": [],
    }


async def _embed_all(engine: EngineProcess, texts: list[str], exchange: Exchange) -> list[list[float]]:
    """One after the other: several in one call were measured to differ from single ones."""
    vectors = []
    for one in texts:
        async for message in engine.call("embed", {"input": one}):
            if message.get("crashed"):
                raise ApiError(503, "The engine ended unexpectedly; it is started again.", code="engine_crashed")
            if "error" in message:
                raise ApiError(400, str(message["error"]), code="engine_refused", param="input")
            vectors.append(message["answer"]["embedding"])
            exchange.prompt_tokens += int(message["answer"]["tokens"])
    return vectors


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _model(served: Served) -> Json:
    return {"id": served.alias, "object": "model", "created": int(served.row["created"]), "owned_by": "neuroweaver"}


async def read_body(exchange: Exchange, limit: int) -> bytes:
    """The whole body.  Raises ApiError 413, or Gone."""
    length = exchange.header(b"content-length")
    if length.isdigit() and int(length) > limit:
        raise ApiError(413, f"The body is larger than {limit // 2**20} MiB.", code="body_too_large")
    parts, size = [], 0
    while True:
        message = await exchange.receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise ApiError(413, f"The body is larger than {limit // 2**20} MiB.", code="body_too_large")
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


async def _gone(exchange: Exchange) -> None:
    while (await exchange.receive())["type"] != "http.disconnect":
        pass


async def _until_gone(exchange: Exchange, work: Any) -> Any:
    """Do some work; if the client hangs up first, the work is cancelled and Gone raised."""
    task, watcher = asyncio.ensure_future(work), asyncio.create_task(_gone(exchange))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Gone
        return task.result()
    finally:
        watcher.cancel()
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


async def _abandon(events: AsyncIterator[Json], watcher: asyncio.Task[None]) -> AsyncIterator[Json]:
    """Events until the client hangs up; then Gone, and the engine's call is closed."""
    iterator = events.__aiter__()
    try:
        while True:
            following = asyncio.ensure_future(iterator.__anext__())
            await asyncio.wait({following, watcher}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration, Exception):
                    await following
                raise Gone
            try:
                yield following.result()
            except StopAsyncIteration:
                return
    finally:
        await iterator.aclose()  # type: ignore[attr-defined]


def _listen(port: int) -> socket.socket:
    for candidate in [*range(port, min(port + PORTS_TRIED, 65536)), 0]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", candidate))
            listener.listen(128)
            listener.setblocking(False)
            return listener
        except OSError:
            listener.close()
    raise ApiError(500, "No free port was found.")


async def _quietly(server: uvicorn.Server, listener: socket.socket) -> None:
    with contextlib.suppress(asyncio.CancelledError, SystemExit):
        await server._serve(sockets=[listener])
