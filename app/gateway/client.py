"""A small client of the local endpoint, for the window's Playground and the command line's chat.

Standard library only: the window must not pay for an HTTP package.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from app.errors import ServingError

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a streamed answer; the last one has ``done`` and the figures.

    seconds: since the question was sent.  first_seconds: until the first words.  tokens: word pieces of the answer, as
    the engine counted them.
    """

    text: str
    done: bool = False
    seconds: float = 0.0
    first_seconds: float | None = None
    tokens: int = 0
    finish: str = ""

    @property
    def tokens_per_second(self) -> float | None:
        """Speed after the first words, or None where it cannot be told."""
        if self.first_seconds is None or self.tokens < 2 or self.seconds <= self.first_seconds:
            return None
        return (self.tokens - 1) / (self.seconds - self.first_seconds)


def stream_chat(
    base_url: str,
    key: str,
    model: str,
    messages: Sequence[Mapping[str, str]],
    *,
    stop: threading.Event | None = None,
    **options: Any,
) -> Iterator[Piece]:
    """Ask a model and yield its answer as it is written.

    base_url ends in /v1.  options: max_tokens, temperature, seed, response_format, ...  ``stop`` ends it early by
    closing the connection, which frees the engine.  Raises ServingError with the endpoint's own words on failure.
    """
    body = json.dumps(
        {"model": model, "messages": list(messages), "stream": True, "stream_options": {"include_usage": True}, **options}
    )
    began = time.monotonic()
    connection = _connect(base_url)
    try:
        response = _post(connection, urlsplit(base_url).path.rstrip("/") + "/chat/completions", key, body)
        yield from _pieces(response, began, stop)
    except (OSError, http.client.HTTPException) as problem:
        raise _broken(problem) from problem
    finally:
        connection.close()


def _connect(base_url: str) -> http.client.HTTPConnection:
    parts = urlsplit(base_url)
    return http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port or 80, timeout=CONNECT_SECONDS)


def _post(connection: http.client.HTTPConnection, path: str, key: str, body: str) -> http.client.HTTPResponse:
    connection.connect()
    connection.sock.settimeout(ANSWER_SECONDS)
    connection.request("POST", path, body, {"Content-Type": "application/json", "Authorization": f"Bearer {key}"})
    response = connection.getresponse()
    if response.status != http.client.OK:
        raise refusal(response.status, response.read(65536))
    return response


def refusal(status: int, body: bytes) -> ServingError:
    """The endpoint's error object as one of ours."""
    message, code = "", ""
    with contextlib.suppress(ValueError, AttributeError):
        error = json.loads(body).get("error", {})
        message, code = str(error.get("message", "")), str(error.get("code") or error.get("type") or "")
    return ServingError(
        f"endpoint.{code or status}",
        "The endpoint did not answer the question.",
        why=message or f"It replied with status {status}.",
        remedy="Wait a moment and ask again." if status in (429, 503, 504) else "See the Endpoint page.",
    )


def _broken(problem: Exception) -> ServingError:
    return ServingError(
        "endpoint.unreachable",
        "The endpoint cannot be reached.",
        why=f"{problem}.",
        remedy="Check that it is switched on, on the Endpoint page.",
    )


def _pieces(response: http.client.HTTPResponse, began: float, stop: threading.Event | None) -> Iterator[Piece]:
    first: float | None = None
    tokens, finish = 0, ""
    for event in _events(response):
        if stop is not None and stop.is_set():
            finish = "stopped"
            break
        if "error" in event:
            raise ServingError(
                "endpoint.broken_off", "The answer broke off.", why=str(event["error"].get("message", "")), remedy="Ask again."
            )
        tokens = int((event.get("usage") or {}).get("completion_tokens", tokens))
        for choice in event.get("choices", []):
            finish = choice.get("finish_reason") or finish
            text = (choice.get("delta") or {}).get("content") or ""
            if text:
                first = first if first is not None else time.monotonic() - began
                yield Piece(text)
    yield Piece("", done=True, seconds=time.monotonic() - began, first_seconds=first, tokens=tokens, finish=finish)


def _events(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """The JSON objects of a server-sent event stream; ends at [DONE]."""
    while line := response.readline():
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        try:
            yield json.loads(data)
        except ValueError as problem:
            raise ServingError(
                "endpoint.broken_off", "The answer broke off.", why="Part of it was not readable.", remedy="Ask again."
            ) from problem
