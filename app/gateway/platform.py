"""The platform routes: workflows, datasets, models, kits, metrics, predictions.  The same functions as the window's."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from app.gateway import checks
from app.gateway.doors import Doors
from app.gateway.errors import ApiError
from app.serving.pool import Pool
from app.store import Store

if TYPE_CHECKING:
    from app.gateway.server import Exchange

Json = dict[str, Any]
UPLOAD = 4 * 2**30
ROUTES: dict[str, tuple[str, str, Json]] = {
    "/api/v1/workflows/create": ("POST", "Check a workflow document and queue its run", {"document": "string", "name": "string"}),
    "/api/v1/datasets/upload": ("POST", "Import a file: the body is the file, its name stands in ?name=", {}),
    "/api/v1/models/deploy": ("POST", "Release a registered model and serve it", {"model": "string", "alias": "string"}),
    "/api/v1/kits/browse": ("GET", "The kits on this machine", {}),
    "/api/v1/monitoring/metrics": ("GET", "Machine, work, requests and money", {}),
    "/api/v1/inference/predict": (
        "POST",
        "One answer to one question",
        {"model": "string", "input": "string", "max_tokens": "integer"},
    ),
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
        return (ROUTES[path][0],) if path in ROUTES else None

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
        name = _query(exchange).get("name", "")
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
        from app.gateway.server import _Events, _until_gone

        body = await _json(exchange, {"model", "input", "max_tokens", "temperature", "seed"})
        served = self._pool.find(checks.model(body))
        if served is None:
            raise ApiError(404, f"The model {body['model']!r} does not exist.", code="model_not_found", param="model")
        asked = {name: value for name, value in body.items() if name != "input"}
        request = checks.chat({**asked, "messages": [{"role": "user", "content": checks.text(body.get("input"), "input")}]})
        async with contextlib.AsyncExitStack() as stack:
            engine, exchange.queued = await stack.enter_async_context(served.slot())
            whole = await _until_gone(exchange, _Events(engine, "chat", request, exchange, served.alias).whole())
        version = served.row["model_version"]
        return 200, {
            "model": served.alias,
            "version": version,
            "output": whole["choices"][0]["message"]["content"],
            "usage": whole["usage"],
        }

    @staticmethod
    def openapi() -> Json:
        """The OpenAPI document of every route."""
        paths: Json = {}
        secured: list[Json] = [{"key": []}]
        for path, (method, summary, fields) in ROUTES.items():
            entry: Json = {"summary": summary, "security": secured, "responses": {"200": {"description": "OK"}}}
            if fields:
                schema = {"type": "object", "properties": {name: {"type": kind} for name, kind in fields.items()}}
                entry["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
            paths[path] = {method.lower(): entry}
        for path, names in (
            ("/v1/chat/completions", sorted(checks.CHAT)),
            ("/v1/completions", sorted(checks.COMPLETION)),
            ("/v1/embeddings", sorted(checks.EMBEDDING)),
        ):
            open_schema: Json = {"type": "object", "properties": {name: {} for name in names}, "additionalProperties": False}
            paths[path] = {
                "post": {
                    "summary": "As OpenAI's",
                    "security": secured,
                    "responses": {"200": {"description": "OK"}},
                    "requestBody": {"content": {"application/json": {"schema": open_schema}}},
                }
            }
        paths["/v1/models"] = {
            "get": {"summary": "As OpenAI's", "security": secured, "responses": {"200": {"description": "OK"}}}
        }
        return {
            "openapi": "3.1.0",
            "info": {"title": "NeuroWeaver", "version": "0.1.0"},
            "paths": paths,
            "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        }


def _query(exchange: Exchange) -> dict[str, str]:
    from urllib.parse import parse_qsl

    return dict(parse_qsl(exchange.scope["query_string"].decode("latin-1")))


async def _json(exchange: Exchange, names: set[str]) -> Json:
    from app.gateway.server import read_body

    content = await read_body(exchange, 2 * 2**20)
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError as problem:
        raise ApiError(400, f"The body is not valid JSON: {problem}.", code="invalid_json") from problem
    if not isinstance(body, dict):
        raise ApiError(400, "The body must be a JSON object.", code="invalid_json")
    checks.known(body, names)
    return body


async def _receive_file(exchange: Exchange, path: Path) -> None:
    size = 0
    with path.open("wb") as stream:
        while True:
            message = await exchange.receive()
            if message["type"] == "http.disconnect":
                raise ApiError(400, "The upload broke off; nothing was imported.", code="upload_incomplete")
            part = message.get("body", b"")
            size += len(part)
            if size > UPLOAD:
                raise ApiError(413, f"The file is larger than {UPLOAD // 2**30} GiB.", code="body_too_large")
            await asyncio.to_thread(stream.write, part)
            if not message.get("more_body"):
                return
