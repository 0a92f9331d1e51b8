"""A served model for tests: a small server on loopback that speaks the endpoint's protocol and answers as it is told."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from app.config.presence import Presence, announce, withdraw
from app.config.subprocess_tools import started_at
from app.store import Store

KEY = "nw-test"
Body = dict[str, Any]


class Served:
    """``answer`` makes the answer of a request's body: an object, a text as it is, or a :class:`Refuse`."""

    def __init__(self, answer: Callable[[Body], Any]) -> None:
        self.answer = answer
        self.asked: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.lock = threading.Lock()
        self.at_once = self.most_at_once = 0

    def question(self, number: int = -1) -> str:
        """All words of one request."""
        return "\n".join(message["content"] for message in self.asked[number]["messages"])


class Refuse(Exception):
    """Answer with this status instead."""

    def __init__(self, status: int, code: str = "", message: str = "No.", retry_after: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.retry_after = status, code, message, retry_after


def deploy(store: Store, alias: str = "teacher", *, version: str = "teacher@1", engine: str = "llama.cpp", state: str = "ready",
           slots: int = 4) -> None:
    """A row as the engine pool would keep it."""
    store.db.execute("INSERT OR REPLACE INTO deployments (alias, model_version, engine, path, state, options, gate, created, updated) "
                     "VALUES (?, ?, ?, '', ?, ?, '{}', 1, 1)", (alias, version, engine, state, json.dumps({"slots": slots})))


@contextlib.contextmanager
def serving(store: Store, answer: Callable[[Body], Any]) -> Iterator[Served]:
    """The service, as far as a step sees it: announced, with a key, and "teacher" deployed."""
    served = Served(answer)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(served))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    store.db.execute("INSERT OR REPLACE INTO api_keys (id, name, key, created) VALUES ('k', 'first', ?, 1)", (KEY,))
    deploy(store)
    announce(store.profile, Presence(os.getpid(), started_at(os.getpid()) or 0.0, f"http://127.0.0.1:{server.server_port}/v1", server.server_port))
    try:
        yield served
    finally:
        withdraw(store.profile)
        server.shutdown()
        server.server_close()
        thread.join(5)


def _handler(served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with served.lock:
                served.asked.append(body)
                served.headers.append({name.lower(): value for name, value in self.headers.items()})
                served.at_once += 1
                served.most_at_once = max(served.at_once, served.most_at_once)
            try:
                self._answer(body)
            except (BrokenPipeError, ConnectionResetError):
                pass
            finally:
                with served.lock:
                    served.at_once -= 1

        def _answer(self, body: Body) -> None:
            try:
                if self.headers["authorization"] != f"Bearer {KEY}":
                    raise Refuse(401, "invalid_api_key")
                found = served.answer({**body, "path": self.path})
                if isinstance(found, Exception):
                    raise found
            except Refuse as refused:
                self._whole(refused.status, {"error": {"message": refused.message, "code": refused.code}}, refused.retry_after)
                return
            if self.path != "/v1/chat/completions":
                self._whole(200, found)
                return
            text, finish = (found["cut"], "length") if isinstance(found, dict) and "cut" in found else (found, "stop")
            self._stream(text if isinstance(text, str) else json.dumps(text), finish)

        def _whole(self, status: int, content: Any, retry_after: str = "") -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            if retry_after:
                self.send_header("retry-after", retry_after)
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, text: str, finish: str) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            for event in ({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]},
                          {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
                          {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}}):
                self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
            self.wfile.write(b"data: [DONE]\n\n")
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def slowly(seconds: float, answer: Any) -> Callable[[Body], Any]:
    """An answer after some time."""

    def make(_: Body) -> Any:
        time.sleep(seconds)
        return answer

    return make
