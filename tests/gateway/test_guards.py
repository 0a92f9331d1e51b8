"""What the endpoint refuses, over a raw connection, and that hanging up frees the engine."""

from __future__ import annotations

import gzip
import json
import socket
import time
from typing import Any

import httpx
import pytest

from app.store import Profile, Store
from tests.gateway.conftest import Running
from tests.serving.harness import until

CHAT = {"model": "starter", "messages": [{"role": "user", "content": "Count to one hundred."}], "max_tokens": 8}


def call(endpoint: Running, method: str = "POST", path: str = "/v1/chat/completions", *, auth: bool = True, **options: Any) -> httpx.Response:
    headers = ({"authorization": f"Bearer {endpoint.key}"} if auth else {}) | options.pop("headers", {})
    return httpx.request(method, endpoint.root + path, headers=headers, timeout=60, **options)


@pytest.mark.parametrize(("options", "status"), [
    pytest.param({"headers": {"host": "evil.example"}, "json": CHAT}, 421, id="foreign host"),
    pytest.param({"headers": {"origin": "null"}, "json": CHAT}, 403, id="null origin"),
    pytest.param({"headers": {"origin": "https://evil.example"}, "method": "OPTIONS"}, 403, id="foreign preflight"),
    pytest.param({"content": json.dumps(CHAT), "headers": {"content-type": "text/plain"}}, 415, id="plain text"),
    pytest.param({"content": gzip.compress(b"0" * 10**6), "headers": {"content-encoding": "gzip", "content-type": "application/json"}},
                 415, id="packed body"),
    pytest.param({"content": b"\xff\xfe{", "headers": {"content-type": "application/json"}}, 400, id="not UTF-8"),
    pytest.param({"content": b"[1]", "headers": {"content-type": "application/json"}}, 400, id="not an object"),
    pytest.param({"content": b"x" * (5 * 2**20), "headers": {"content-type": "application/json"}}, 413, id="5 MB"),
    pytest.param({"method": "GET"}, 405, id="wrong method"),
    pytest.param({"path": "/v1/nothing", "json": {}}, 404, id="unknown path"),
    pytest.param({"path": "/v1/models?key=nw-1", "method": "GET", "auth": False}, 401, id="key in the query"),
    pytest.param({"json": CHAT, "headers": {"x-api-key": "other"}}, 401, id="two keys"),
    pytest.param({"json": CHAT, "auth": False, "headers": {"authorization": "Bearer ' OR 1=1 --"}}, 401, id="SQL in the key"),
    pytest.param({"json": {**CHAT, "temperature": "1"}}, 400, id="number as text"),
    pytest.param({"json": {**CHAT, "n": 1.5}}, 400, id="half an answer"),
    pytest.param({"json": CHAT, "headers": {f"x-{number}": "1" for number in range(80)}}, 431, id="80 headers"),
])
def test_a_bad_request_gets_its_status_in_the_clients_shape(endpoint: Running, options: dict[str, Any], status: int) -> None:
    answer = call(endpoint, **options)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["message"]
    assert {"type", "code", "param"} <= set(error)
    assert "Traceback" not in answer.text


def raw(endpoint: Running, request: bytes) -> bytes:
    port = int(endpoint.root.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        connection.settimeout(10)
        try:
            return connection.recv(65536)
        except (TimeoutError, ConnectionResetError):
            return b""


def test_length_and_chunks_together_never_smuggle_a_second_request(endpoint: Running) -> None:
    inner = b"GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
    answer = raw(endpoint, b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 4\r\n"
                 b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n" + inner)
    assert answer.count(b"HTTP/1.1 200") == 0


def test_endless_headers_are_cut(endpoint: Running) -> None:
    answer = raw(endpoint, b"GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\n" + b"x: y\r\n" * 30_000)
    assert b"200 OK" not in answer


def test_hanging_up_frees_the_engine_within_a_second(endpoint: Running) -> None:
    body = {**CHAT, "max_tokens": 900, "stream": True, "temperature": 1.2}
    headers = {"authorization": f"Bearer {endpoint.key}"}
    for _ in range(4):  # all slots
        with httpx.stream("POST", f"{endpoint.base_url}/chat/completions", json=body, headers=headers, timeout=60) as stream:
            next(stream.iter_lines())
    began = time.monotonic()
    assert call(endpoint, json={**CHAT, "max_tokens": 1}).status_code == 200
    assert time.monotonic() - began < 5  # four abandoned answers of 900 tokens would take far longer


def test_the_service_makes_a_copy_of_the_catalogue(endpoint: Running) -> None:
    until(lambda: any(file.name.startswith("catalogue-") for file in (endpoint.home / "backups").glob("*")), 20)


def test_requests_are_metered(endpoint: Running) -> None:
    call(endpoint, json=CHAT)
    limit = time.monotonic() + 10
    with Store.open(Profile(endpoint.home)) as store:
        while time.monotonic() < limit:
            row = store.row("SELECT u.tokens_out, u.energy_source, u.wear_cost FROM usage u JOIN requests r ON r.id = u.request "
                            "WHERE r.status = 200 ORDER BY u.id DESC")
            if row:
                break
            time.sleep(0.2)
    assert row is not None
    assert row["tokens_out"] > 0
    assert row["wear_cost"] > 0


def test_platform_routes_do_what_the_window_does(endpoint: Running) -> None:
    kits = call(endpoint, "GET", "/api/v1/kits/browse").json()["kits"]
    assert "legal" in [kit["name"] for kit in kits]
    uploaded = call(endpoint, path="/api/v1/datasets/upload?name=faq.csv", content=b"question,answer\nq,a\nr,b\n")
    assert (uploaded.status_code, uploaded.json()["rows"]) == (201, 2)
    refused = call(endpoint, path="/api/v1/datasets/upload?name=../../x.csv", content=b"a")
    assert refused.json()["error"]["param"] == "name"
    fault = call(endpoint, path="/api/v1/workflows/create", json={"document": "steps: {a: {node: dataset.imprt}}"})
    assert fault.status_code == 422
    assert "dataset.import" in fault.json()["error"]["message"]
    assert "system.cpu_percent" in call(endpoint, "GET", "/api/v1/monitoring/metrics").json()["machine"]
    answer = call(endpoint, path="/api/v1/inference/predict", json={"model": "starter", "input": "Hello", "max_tokens": 4}).json()
    assert answer["output"]
    paths = call(endpoint, "GET", "/openapi.json", auth=False).json()["paths"]
    assert {"/api/v1/workflows/create", "/api/v1/datasets/upload", "/api/v1/models/deploy", "/api/v1/kits/browse",
            "/api/v1/monitoring/metrics", "/api/v1/inference/predict", "/v1/chat/completions"} <= set(paths)
