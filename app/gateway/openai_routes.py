"""The routes below /v1/, as OpenAI's."""

from __future__ import annotations

import contextlib

import orjson

from app.gateway import checks, shapes
from app.gateway.answers import Answer, embed_all, slot
from app.gateway.errors import ApiError
from app.gateway.exchange import Exchange
from app.serving.pool import Pool
from app.serving.served import Served

MODELS = "/v1/models"
KINDS = {"/v1/chat/completions": "chat", "/v1/completions": "completion"}
EMBEDDINGS = "/v1/embeddings"


def allowed(path: str) -> tuple[str, ...] | None:
    """The methods of a route, or None where there is none."""
    if path == MODELS or path.startswith(f"{MODELS}/"):
        return ("GET",)
    return ("POST",) if path in KINDS or path == EMBEDDINGS else None


def served_model(pool: Pool, name: str) -> Served:
    """The served model of a name.  Raises ApiError 404."""
    served = pool.find(name)
    if served is None:
        known = ", ".join(pool.served) or "none yet"
        raise ApiError(404, f"The model {name!r} does not exist. Served: {known}.", code="model_not_found", param="model")
    return served


class OpenAIRoutes:
    """Answers below /v1/."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def answer(self, exchange: Exchange) -> None:
        """Dispatch."""
        if exchange.path == MODELS:
            await exchange.reply(200, {"object": "list", "data": [shapes.model_card(one) for one in self._pool.served.values()]})
        elif exchange.path == EMBEDDINGS:
            await self._embeddings(exchange)
        elif kind := KINDS.get(exchange.path):
            await self._generate(exchange, kind)
        else:
            found = served_model(self._pool, exchange.path.removeprefix(f"{MODELS}/"))
            await exchange.reply(200, shapes.model_card(found))

    async def _generate(self, exchange: Exchange, kind: str) -> None:
        body = await exchange.json_object()
        served = served_model(self._pool, checks.model(body))
        exchange.model = served.alias
        request = checks.chat(body) if kind == "chat" else checks.completion(body)
        exchange.stream = checks.flag(body, "stream")
        wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        async with slot(exchange, served) as engine:
            answer = Answer(engine, kind, request, exchange, served.alias)
            if exchange.stream:
                await self._stream(exchange, answer, wants_usage)
                return
            whole = await answer.whole()
        await exchange.reply(200, whole)

    @staticmethod
    async def _stream(exchange: Exchange, answer: Answer, wants_usage: bool) -> None:
        async with contextlib.aclosing(answer.chunks(wants_usage)) as chunks:
            async for chunk in chunks:
                await exchange.event(orjson.dumps(chunk))
        await exchange.event(b"[DONE]", last=True)

    async def _embeddings(self, exchange: Exchange) -> None:
        body = await exchange.json_object()
        served = served_model(self._pool, checks.model(body))
        exchange.model = served.alias
        texts, packed = checks.embedding(body)
        async with slot(exchange, served) as engine:
            vectors = await embed_all(engine, texts, exchange)
        data = [
            {"object": "embedding", "index": at, "embedding": shapes.packed(vector) if packed else vector}
            for at, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": exchange.prompt_tokens, "total_tokens": exchange.prompt_tokens}
        await exchange.reply(200, {"object": "list", "data": data, "model": served.alias, "usage": usage})
