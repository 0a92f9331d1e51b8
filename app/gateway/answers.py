"""One answer of an engine, as chunks or as a whole.

Every call is streamed inside, also for a client that wants one answer: hanging up then frees the slot at once.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from app.gateway import checks, shapes
from app.gateway.errors import ApiError
from app.gateway.exchange import Exchange
from app.serving.process import EngineProcess, Silent
from app.serving.served import QueueFull, Resting, Served

Json = dict[str, Any]
TOO_LONG = "context_length_exceeded"
REFUSALS = {"request": (400, "engine_refused"), "too_long": (400, TOO_LONG), "schema": (400, "invalid_value")}
"""Kind of an engine's error: the status and code that it becomes; any other is a fault of the engine."""
PROMPTS = {"chat": "messages", "completion": "prompt", "embed": "input"}
OBJECTS = {("chat", True): "chat.completion.chunk", ("chat", False): "chat.completion"}


@contextlib.asynccontextmanager
async def slot(exchange: Exchange, served: Served) -> AsyncIterator[EngineProcess]:
    """A free slot of a model, for as long as the client stays.

    Raises Gone when it hangs up; ApiError 429 when too many wait, 503 while the engine rests, 504 when it says nothing.
    """
    try:
        async with exchange.attended(), served.slot() as (engine, exchange.queued):
            yield engine
    except QueueFull as problem:
        raise ApiError(429, "Too many requests wait for this model.", code="queue_full", headers=_after(problem.seconds)) from problem
    except Resting as problem:
        message = f"{problem.what} {problem.why} {problem.remedy}"
        raise ApiError(503, message, code=problem.code, headers=_after(problem.seconds)) from problem
    except Silent as problem:
        raise ApiError(504, "The engine gave no answer in time.", code="engine_timeout") from problem


def _after(seconds: float) -> dict[str, str]:
    return {"retry-after": str(max(1, round(seconds)))}


async def messages(engine: EngineProcess, op: str, body: Json) -> AsyncGenerator[Json, None]:
    """What the engine says to one call.  Raises ApiError for a refusal (400), a fault (500) and a crash (503)."""
    async with contextlib.aclosing(engine.call(op, body)) as found:
        async for message in found:
            if message.get("crashed"):
                raise ApiError(503, "The engine ended unexpectedly; it is started again.", code="engine_crashed", headers=_after(1))
            if "error" in message:
                kind = str(message.get("kind"))
                status, code = REFUSALS.get(kind, (500, "engine_error"))
                param = {"too_long": PROMPTS[op], "schema": checks.SCHEMA}.get(kind)
                raise ApiError(status, str(message["error"]), code=code, param=param)
            yield message


class Answer:
    """The engine's events as the client is to see them: our id and the alias, never a path of this machine."""

    def __init__(self, engine: EngineProcess, kind: str, request: Json, exchange: Exchange, alias: str) -> None:
        self._engine, self._kind, self._request, self._exchange = engine, kind, request, exchange
        prefix = "chatcmpl-" if kind == "chat" else "cmpl-"
        self._common: Json = {"id": prefix + uuid.uuid4().hex, "created": int(time.time()), "model": alias}

    async def _events(self) -> AsyncGenerator[Json, None]:
        async with contextlib.aclosing(messages(self._engine, self._kind, self._request)) as found:
            async for message in found:
                if (event := message.get("event")) is not None:
                    self._count(event)
                    yield event

    def _count(self, event: Json) -> None:
        if usage := event.get("usage"):
            self._exchange.prompt_tokens = int(usage.get("prompt_tokens", 0))
            self._exchange.completion_tokens = int(usage.get("completion_tokens", 0))
        if self._exchange.first is None and any(shapes.words(choice) for choice in event.get("choices", ())):
            self._exchange.first = time.monotonic() - self._exchange.began

    def _usage(self) -> Json:
        return shapes.usage(self._exchange.prompt_tokens, self._exchange.completion_tokens)

    async def chunks(self, wants_usage: bool) -> AsyncGenerator[Json, None]:
        """Chunks in OpenAI's form."""
        common = {**self._common, "object": OBJECTS.get((self._kind, True), "text_completion")}
        unused, sent = {"usage": None} if wants_usage else {}, 0
        async with contextlib.aclosing(self._events()) as events:
            async for event in events:
                if choices := [shapes.chunk_choice(choice, self._kind, sent) for choice in event.get("choices", ())]:
                    sent += sum(len(shapes.words(choice)) for choice in choices)
                    yield {**common, "choices": choices, **unused}
                elif wants_usage and event.get("usage"):
                    yield {**common, "choices": [], "usage": self._usage()}

    async def whole(self) -> Json:
        """All chunks as one answer."""
        texts: list[str] = []
        logprobs: list[Any] = []
        finish = "stop"
        async with contextlib.aclosing(self._events()) as events:
            async for event in events:
                for choice in event.get("choices", ()):
                    texts.append(shapes.words(choice))
                    finish = choice.get("finish_reason") or finish
                    if found := choice.get("logprobs"):
                        logprobs.append(found)
        choice = shapes.whole_choice("".join(texts), finish, logprobs, self._kind)
        kind = OBJECTS.get((self._kind, False), "text_completion")
        return {**self._common, "object": kind, "choices": [choice], "usage": self._usage()}


async def embed_all(engine: EngineProcess, texts: list[str], exchange: Exchange) -> list[list[float]]:
    """One vector a text, one after the other: several in one call were measured to differ from single ones."""
    vectors = []
    for one in texts:
        async for message in messages(engine, "embed", {"input": one}):
            vectors.append(message["answer"]["embedding"])
            exchange.prompt_tokens += int(message["answer"]["tokens"])
    return vectors
