"""What the Endpoint page and the Playground read."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from app.config.presence import find_service
from app.store import Store, settings

RECENT = 50
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Served:
    """One name that clients may put in "model".  state: starting, ready, idle, failed, stopped."""

    alias: str
    version: str
    engine: str
    state: str
    why: str


@dataclass(frozen=True, slots=True)
class RequestLine:
    """One answered or refused request.  Seconds as the gateway measured them."""

    at: float
    route: str
    model: str
    status: int
    error: str
    prompt_tokens: int
    completion_tokens: int
    queued_seconds: float
    first_token_seconds: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class EndpointView:
    """base_url is None while no service answers.  key is shown to the profile's owner only."""

    enabled: bool
    base_url: str | None
    port: int
    key: str
    served: list[Served]
    recent: list[RequestLine]
    requests_today: int
    refused_today: int
    tokens_today: int


def endpoint(store: Store) -> EndpointView:
    """The endpoint as it is at this moment."""
    presence = find_service(store.profile)
    key = store.row("SELECT key FROM api_keys WHERE revoked IS NULL ORDER BY created DESC LIMIT 1")
    today = store.row(
        "SELECT count(*) AS n, coalesce(sum(status >= 400), 0) AS refused, "
        "coalesce(sum(prompt_tokens + completion_tokens), 0) AS tokens FROM requests WHERE at > ?",
        (midnight(),),
    ) or {"n": 0, "refused": 0, "tokens": 0}
    return EndpointView(
        enabled=bool(settings.get(store, "endpoint.enabled")),
        base_url=presence.base_url if presence else None,
        port=int(settings.get(store, "endpoint.port")),
        key=key["key"] if key else "",
        served=served(store),
        recent=recent(store),
        requests_today=int(today["n"]),
        refused_today=int(today["refused"]),
        tokens_today=int(today["tokens"]),
    )


def midnight() -> float:
    """Unix time of the last local midnight."""
    now = time.localtime()
    return time.mktime((now.tm_year, now.tm_mon, now.tm_mday, 0, 0, 0, 0, 0, -1))


def served(store: Store) -> list[Served]:
    """All deployments, the newest first."""
    return [
        Served(row["alias"], row["model_version"], row["engine"], row["state"], _words(row["why"]))
        for row in store.rows("SELECT * FROM deployments WHERE state != 'stopped' ORDER BY updated DESC")
    ]


def _words(why: str | None) -> str:
    if not why:
        return ""
    try:
        record = json.loads(why)
    except ValueError:
        return why
    return f"{record.get('what', '')} {record.get('why', '')}".strip() if isinstance(record, dict) else str(record)


def recent(store: Store) -> list[RequestLine]:
    """The newest requests first."""
    return [
        RequestLine(
            row["at"],
            row["route"],
            row["model"],
            row["status"],
            row["error"] or "",
            row["prompt_tokens"],
            row["completion_tokens"],
            row["queued_seconds"],
            row["first_token_seconds"],
            row["seconds"],
        )
        for row in store.rows("SELECT * FROM requests ORDER BY at DESC LIMIT ?", (RECENT,))
    ]


def curl_snippet(base_url: str, key: str, model: str) -> str:
    """A request that works when pasted into a shell."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
    return (
        f"curl {base_url}/chat/completions \\\n  -H 'Authorization: Bearer {key}' \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d '{body}'"
    )


def python_snippet(base_url: str, key: str, model: str) -> str:
    """A program that works with the package openai."""
    return (
        f'from openai import OpenAI\n\nclient = OpenAI(base_url="{base_url}", api_key="{key}")\n'
        f'answer = client.chat.completions.create(\n    model="{model}",\n'
        f'    messages=[{{"role": "user", "content": "Hello"}}],\n)\nprint(answer.choices[0].message.content)'
    )
