"""The OpenAPI document of every route, made from small tables."""

from __future__ import annotations

import functools
from typing import Any

from app.gateway import checks, openai_routes, platform

Json = dict[str, Any]
STRING: Json = {"type": "string"}
INTEGER: Json = {"type": "integer"}
NUMBER: Json = {"type": "number"}
BOOLEAN: Json = {"type": "boolean"}
STRINGS: Json = {"oneOf": [STRING, {"type": "array", "items": STRING}]}
OBJECT: Json = {"type": "object"}
MESSAGES: Json = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["role", "content"],
        "properties": {"role": {"enum": list(checks.ROLES)}, "content": STRING},
    },
}
FIELDS: Json = {
    "model": STRING,
    "messages": MESSAGES,
    "prompt": STRINGS,
    "input": STRINGS,
    "stream": BOOLEAN,
    "stream_options": {"type": "object", "properties": {"include_usage": BOOLEAN}},
    "max_tokens": {**INTEGER, "minimum": 1, "maximum": checks.MOST_TOKENS},
    "max_completion_tokens": {**INTEGER, "minimum": 1, "maximum": checks.MOST_TOKENS},
    "temperature": {**NUMBER, "minimum": 0, "maximum": 2},
    "top_p": {**NUMBER, "minimum": 0, "maximum": 1},
    "presence_penalty": {**NUMBER, "minimum": -2, "maximum": 2},
    "frequency_penalty": {**NUMBER, "minimum": -2, "maximum": 2},
    "stop": STRINGS,
    "seed": INTEGER,
    "n": {"const": 1},
    "best_of": {"const": 1},
    "logprobs": {"oneOf": [BOOLEAN, {**INTEGER, "minimum": 0, "maximum": 5}]},
    "top_logprobs": {**INTEGER, "minimum": 0, "maximum": 20},
    "response_format": OBJECT,
    "logit_bias": {"type": "object", "additionalProperties": NUMBER},
    "encoding_format": {"enum": ["float", "base64"]},
    "user": STRING,
}
ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": STRING,
                "type": STRING,
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
                "line": INTEGER,
                "column": INTEGER,
                "others": {"type": "array", "items": OBJECT},
            },
        }
    },
}
OPENAI = (
    ("/v1/chat/completions", "Answer a conversation", checks.CHAT, ("model", "messages")),
    ("/v1/completions", "Continue a text", checks.COMPLETION, ("model", "prompt")),
    ("/v1/embeddings", "Turn texts into vectors", checks.EMBEDDING, ("model", "input")),
)
PLATFORM: dict[str, tuple[str, Json, tuple[str, ...]]] = {
    "/api/v1/workflows/create": (
        "Check a workflow document and queue its run",
        {"document": STRING, "name": STRING},
        ("document",),
    ),
    "/api/v1/datasets/upload": ("Import a file: the body is the file, its name stands in ?name=", {}, ()),
    "/api/v1/models/deploy": ("Release a registered model and serve it", {"model": STRING, "alias": STRING}, ("model",)),
    "/api/v1/kits/browse": ("The kits on this machine", {}, ()),
    "/api/v1/monitoring/metrics": ("Machine, work, requests and money", {}, ()),
    platform.PREDICT: (
        "One answer to one question",
        {name: FIELDS[name] for name in ("model", "max_tokens", "temperature", "seed")} | {"input": STRING},
        ("model", "input"),
    ),
}


@functools.cache
def document() -> Json:
    """OpenAPI 3.1.  The same object each time: do not change it."""
    paths: Json = {path: {"post": _operation(path, words, _body(names, needed))} for path, words, names, needed in OPENAI}
    paths[openai_routes.MODELS] = {"get": _operation(openai_routes.MODELS, "The served models")}
    paths[f"{openai_routes.MODELS}/{{model}}"] = {"get": _operation("/v1/models/one", "One served model", _in_path("model"))}
    for path, method in platform.ROUTES.items():
        words, fields, needed = PLATFORM[path]
        extra = _upload() if path.endswith("/upload") else _json_body(fields, needed) if fields else {}
        paths[path] = {method.lower(): _operation(path, words, extra, "201" if method == "POST" and "model" not in fields else "200")}
    paths["/api/v1/workflows/{run}"] = {"get": _operation("/api/v1/workflows/one", "State and result of a run", _in_path("run"))}
    for path, words in (("/health", "Whether the endpoint answers"), ("/openapi.json", "This document")):
        paths[path] = {"get": _operation(path, words) | {"security": []}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "NeuroWeaver", "version": "0.1.0", "description": "The endpoint of this workstation."},
        "security": [{"key": []}],
        "paths": paths,
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}, "schemas": {"Error": ERROR}},
    }


def _operation(path: str, summary: str, extra: Json | None = None, status: str = "200") -> Json:
    refusal = {"description": "Why not", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    return {
        "operationId": path.strip("/").replace("/", "_").replace(".", "_"),
        "summary": summary,
        "responses": {status: {"description": "Done"}, "default": refusal},
        **(extra or {}),
    }


def _body(names: set[str], needed: tuple[str, ...]) -> Json:
    return _json_body({name: FIELDS.get(name, {}) for name in sorted(names)}, needed)


def _json_body(fields: Json, needed: tuple[str, ...]) -> Json:
    schema = {"type": "object", "properties": fields, "required": list(needed), "additionalProperties": False}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _in_path(name: str) -> Json:
    return {"parameters": [{"name": name, "in": "path", "required": True, "schema": STRING}]}


def _upload() -> Json:
    file = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return {
        "parameters": [{"name": "name", "in": "query", "required": True, "schema": STRING}],
        "requestBody": {"required": True, "content": file},
    }
