"""The platform routes: workflows, datasets, models, kits, metrics, predictions.  The same functions as the window's."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from app.gateway import checks
from app.gateway.answers import Answer, slot
from app.gateway.doors import Doors
from app.gateway.errors import ApiError
from app.gateway.exchange import Exchange, too_large
from app.gateway.openai_routes import served_model
from app.serving.pool import Pool
from app.store import Store

Json = dict[str, Any]
UPLOAD = 4 * 2**30
PREDICT = "/api/v1/inference/predict"
ROUTES = {
    "/api/v1/workflows/create": "POST",
    "/api/v1/datasets/upload": "POST",
    "/api/v1/models/deploy": "POST",
    "/api/v1/kits/browse": "GET",
    "/api/v1/monitoring/metrics": "GET",
    PREDICT: "POST",
}
_RUN = re.compile(r"/api/v1/workflows/(run_[0-9a-f]{12})")


class Platform:
    """Answers below /api/v1/."""

    def __init__(self, store: Store, pool: Pool, doors: Doors) -> None:
        self._store, self._pool, self._doors = store, pool, doors

    @staticmethod
    def allowed(path: str) -> tuple[str, ...] | None:
        """The methods of a route, or None where there is none."""
        if _RUN.fullmatch(path):
            return ("GET",)
        return (ROUTES[path],) if path in ROUTES else None

    async def answer(self, exchange: Exchange) -> None:
        """Dispatch; long work runs in a thread."""
        if found := _RUN.fullmatch(exchange.path):
            await exchange.reply(200, await asyncio.to_thread(self._doors.run_result, self._store, found[1]))
            return
        name = exchange.path.removeprefix("/api/v1/").replace("/", "_")
        status, body = await getattr(self, f"_{name}")(exchange)
        await exchange.reply(status, body)

    async def _workflows_create(self, exchange: Exchange) -> tuple[int, Json]:
        body = await _json(exchange, {"document", "name"})
        document = checks.text(body.get("document"), "document", 1_000_000)
        name = checks.text(body.get("name", ""), "name", 200)
        return 201, {"run": await asyncio.to_thread(self._doors.create_workflow, self._store, document, name)}

    async def _datasets_upload(self, exchange: Exchange) -> tuple[int, Json]:
        query = _query(exchange)
        checks.known(query, {"name"})
        name = query.get("name", "")
        if not re.fullmatch(r"[\w][\w .()-]{0,150}\.[A-Za-z0-9]{1,8}(\.gz)?", name):
            raise ApiError(
                400, "Give the file's plain name in ?name=, for example ?name=rows.jsonl", code="invalid_value", param="name"
            )
        folder = Path(tempfile.mkdtemp(prefix="upload-", dir=self._store.profile.cache))
        try:
            path = folder / name
            await _receive_file(exchange, path)
            return 201, await asyncio.to_thread(self._doors.import_file, self._store, path, None)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _models_deploy(self, exchange: Exchange) -> tuple[int, Json]:
        body = await _json(exchange, {"model", "alias"})
        alias = checks.text(body["alias"], "alias", 100) if body.get("alias") is not None else None
        served = await asyncio.to_thread(self._doors.deploy, self._store, checks.model(body), alias)
        return 200, {"model": served, "state": "starting"}

    async def _kits_browse(self, exchange: Exchange) -> tuple[int, Json]:
        return 200, {"kits": await asyncio.to_thread(self._doors.kits, self._store)}

    async def _monitoring_metrics(self, exchange: Exchange) -> tuple[int, Json]:
        return 200, await asyncio.to_thread(self._doors.metrics, self._store)

    async def _inference_predict(self, exchange: Exchange) -> tuple[int, Json]:
        body = await _json(exchange, {"model", "input", "max_tokens", "temperature", "seed"})
        served = served_model(self._pool, checks.model(body))
        exchange.model = served.alias
        asked = {name: value for name, value in body.items() if name != "input"}
        request = checks.chat({**asked, "messages": [{"role": "user", "content": checks.text(body.get("input"), "input")}]})
        async with slot(exchange, served) as engine:
            whole = await Answer(engine, "chat", request, exchange, served.alias).whole()
        return 200, {
            "model": served.alias,
            "version": served.row["model_version"],
            "output": whole["choices"][0]["message"]["content"],
            "usage": whole["usage"],
        }


def _query(exchange: Exchange) -> dict[str, str]:
    return dict(parse_qsl(exchange.scope["query_string"].decode("latin-1")))


async def _json(exchange: Exchange, names: set[str]) -> Json:
    body = await exchange.json_object()
    checks.known(body, names)
    return body


async def _receive_file(exchange: Exchange, path: Path) -> None:
    size, more = 0, True
    with path.open("wb") as stream:
        while more:
            part, more = await exchange.part()
            size += len(part)
            if size > UPLOAD:
                raise too_large(UPLOAD)
            await asyncio.to_thread(stream.write, part)
