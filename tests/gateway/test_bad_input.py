"""Every field that can be wrong in a request, and every status an error can have, each in OpenAI's shape."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.openapi.models import OpenAPI

from app.store import Store
from tests.serving.harness import FAKE, Endpoint, chat_body, deploy, endpoint


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    from app.store import Profile

    home = tmp_path_factory.mktemp("bad-input") / "profile"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROWEAVER_HOME", str(home))
        patch.setenv("NEUROWEAVER_KEYRING", "off")
        with Store.open(Profile(home)) as store:
            deploy(store)
            with endpoint(store, worker=FAKE) as running:
                yield running


def schema(value: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": value}}}


def picture(url: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}


def nested(depth: int) -> Any:
    return {"type": "object", "properties": {"a": nested(depth - 1)}} if depth else {"type": "string"}


def doubling(times: int) -> Any:
    """Definitions each of which holds the next one twice."""
    held = {str(at): {"anyOf": [{"$ref": f"#/$defs/{at + 1}"}] * 2} for at in range(times)}
    return {"$ref": "#/$defs/0", "$defs": {**held, str(times): {"type": "string"}}}


@pytest.mark.parametrize(("changed", "param"), [
    *(pytest.param({"n": value}, "n", id=f"n {value!r}") for value in (1_000_000, -1, 0, 1.5, "1", True)),
    *(pytest.param({"max_tokens": value}, "max_tokens", id=f"max_tokens {value!r}") for value in (0, -1, 2**63, "8", 1.5)),
    *(pytest.param({"temperature": value}, "temperature", id=f"temperature {value!r}") for value in (999_999, -0.1, "1", [])),
    pytest.param({"top_p": 2}, "top_p", id="top_p"),
    pytest.param({"seed": 1.5}, "seed", id="seed"),
    pytest.param({"stream": "yes"}, "stream", id="stream as text"),
    pytest.param({"stream_options": {"include_usage": True}}, "stream_options", id="stream options without a stream"),
    pytest.param({"top_logprobs": 3}, "top_logprobs", id="alternatives without logprobs"),
    pytest.param({"n_discard": -1}, "n_discard", id="engine parameter"),
    pytest.param({"logit_bias": {str(at): 1 for at in range(100_000)}}, "logit_bias", id="bias on 100,000 tokens"),
    pytest.param({"logit_bias": {str(2**31): 1}}, "logit_bias", id="bias on no token"),
    pytest.param({"logit_bias": {"\u00b2": 1}}, "logit_bias", id="bias on a digit that is no number"),
    pytest.param({"tool_choice": "required"}, "tool_choice", id="tool choice without tools"),
    pytest.param({"stop": ""}, "stop", id="empty stop"),
    pytest.param({"stop": ["x"] * 10_000}, "stop", id="10,000 stops"),
    pytest.param({"stop": "x" * 10_000}, "stop", id="stop of 10,000 characters"),
    pytest.param(schema({"type": "string", "pattern": "(a+)+$"}), "response_format.json_schema.schema", id="slow expression"),
    pytest.param(schema({"$ref": "#"}), "response_format.json_schema.schema", id="schema of itself"),
    pytest.param(schema({"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}}), "response_format.json_schema.schema",
                 id="definition of itself"),
    pytest.param(schema({"$ref": "http://127.0.0.1/schema"}), "response_format.json_schema.schema", id="schema from elsewhere"),
    pytest.param(schema(doubling(16)), "response_format.json_schema.schema", id="definitions that double"),
    pytest.param(schema(nested(400)), "response_format.json_schema.schema", id="schema 800 levels deep"),
    pytest.param(schema(nested(40)), "response_format.json_schema.schema", id="deep schema"),
    pytest.param(schema({"enum": ["a"] * 300}), "response_format.json_schema.schema", id="huge enum"),
    pytest.param(schema("no object"), "response_format.json_schema.schema", id="schema as text"),
    pytest.param({"response_format": {"type": "xml"}}, "response_format.type", id="unknown format"),
    pytest.param({"tools": [{"type": "function", "function": {"name": "x", "parameters": {"pattern": "(a+)+$"}}}]}, "tools", id="tools"),
    pytest.param({"grammar": "root ::= root"}, "grammar", id="grammar"),
    pytest.param({"chat_template": "{{ 1 }}"}, "chat_template", id="chat template"),
    pytest.param({"trust_remote_code": True}, "trust_remote_code", id="remote code"),
    *(pytest.param(picture(url), "messages[0].content[0]", id=url) for url in
      ("file:///etc/passwd", "http://169.254.169.254/latest/meta-data", "http://127.0.0.1/302")),
    pytest.param({"messages": []}, "messages", id="no messages"),
    pytest.param({"messages": [{"role": "root", "content": "x"}]}, "messages[0].role", id="unknown role"),
    pytest.param({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", id="number as text"),
    pytest.param({"model": 5}, "model", id="model as number"),
])
def test_a_wrong_field_is_a_400_that_names_it(serving: Endpoint, changed: dict[str, Any], param: str) -> None:
    answer = serving.post("/v1/chat/completions", {**chat_body("count 1 every 0"), **changed})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert answer.json()["error"]["type"] == "invalid_request_error"


def token(**header: Any) -> str:
    parts = [header, {"sub": "admin", "exp": 1}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".c2ln"


@pytest.mark.parametrize("headers", [
    pytest.param([], id="none"),
    pytest.param([("authorization", "Bearer")], id="empty"),
    pytest.param([("authorization", f"Bearer {token(alg='none')}")], id="JWT without signature"),
    pytest.param([("authorization", f"Bearer {token(alg='HS256')}")], id="JWT, expired, other algorithm"),
    pytest.param([("authorization", f"Bearer {token(alg='RS256', crit=['x'])}")], id="JWT with unknown crit"),
    pytest.param([("authorization", "Bearer ' OR 1=1 --")], id="SQL"),
    pytest.param([("authorization", "Bearer nw-\xff")], id="not ASCII"),
    pytest.param([("authorization", "Basic KEY")], id="other scheme"),
    pytest.param([("authorization", "Bearer KEY"), ("authorization", "Bearer nw-other")], id="two headers"),
    pytest.param([("authorization", "Bearer KEY"), ("x-api-key", "other")], id="two kinds of header"),
])
def test_only_the_key_in_its_one_header_opens(serving: Endpoint, headers: list[tuple[str, str]]) -> None:
    given = [(name.encode(), value.replace("KEY", serving.key).encode("latin-1")) for name, value in headers]
    answer = httpx.get(f"{serving.root}/v1/models?key={serving.key}", headers=given)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "authentication_error"
    assert answer.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize(("body", "status"), [
    pytest.param(b'{"temperature": NaN}', 400, id="NaN"),
    pytest.param(b'{"model": "\xff"}', 400, id="invalid UTF-8"),
    pytest.param(b'{"model": "\\ud800"}', 400, id="lone surrogate"),
    pytest.param(b"[" * 100_000, 400, id="100,000 brackets"),
    pytest.param(b"", 400, id="nothing"),
    pytest.param(b" " * (5 * 2**20), 413, id="5 MB"),
])
def test_a_body_that_is_no_json_is_refused(serving: Endpoint, body: bytes, status: int) -> None:
    answer = httpx.post(f"{serving.root}/v1/chat/completions", content=body, headers={**serving.headers, "content-type": "application/json"})
    assert answer.status_code == status
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_document_that_is_wrong_is_a_422_and_an_unknown_model_a_404(serving: Endpoint) -> None:
    wrong = serving.post("/api/v1/workflows/create", {"document": "steps: {a: {node: dataset.imprt}}"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "workflow.unknown_node")
    unknown = serving.post("/api/v1/models/deploy", {"model": "nobody"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model.unknown")


def test_an_empty_prompt_and_a_seed_beyond_64_bits_are_told_in_figures(serving: Endpoint) -> None:
    for several in (["a", "b"], [1, 2], [[1]]):
        told = serving.post("/v1/completions", {"model": "m", "prompt": several}).json()["error"]
        assert (told["param"], "one prompt a request" in told["message"]) == ("prompt", True)
    empty = serving.post("/v1/completions", {"model": "m", "prompt": ""}).json()["error"]
    assert (empty["param"], empty["message"]) == ("prompt", "prompt cannot be an empty string.")
    seed = serving.post("/v1/chat/completions", {**chat_body("count 1 every 0"), "seed": 2**63}).json()["error"]
    assert seed["message"].endswith(f"and {2**63 - 1}; it is {2**63}.")


def test_every_fault_of_what_was_sent_is_told_with_its_place(serving: Endpoint) -> None:
    text = "nme: x\nsteps:\n  a: {node: dataset.import, pth: x.csv}\n"
    error = serving.post("/api/v1/workflows/create", {"document": text}).json()["error"]
    found = [(one["code"], one["param"], one["line"], one["column"]) for one in (error, *error["others"])]
    assert found == [("config.unknown_key", "nme", 1, 1), ("config.missing", "steps.a.path", 3, 3),
                     ("config.unknown_key", "steps.a.pth", 3, 29)]
    table = httpx.post(f"{serving.root}/api/v1/datasets/upload?name=t.csv", content=b'question,answer\na,b\nc,"d\n', headers=serving.headers)
    assert (table.status_code, table.json()["error"]["code"], table.json()["error"]["line"]) == (422, "dataset.bad_csv", 3)
    assert "upload-" not in table.text


def test_an_upload_takes_nothing_that_it_does_not_know(serving: Endpoint) -> None:
    answer = httpx.post(f"{serving.root}/api/v1/datasets/upload?name=t.csv&split=part", content=b"question,answer\na,b\n", headers=serving.headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "split")


def test_a_mistake_in_the_program_is_a_500_without_its_words(serving: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.pool, "find", lambda name: 1 / 0)
    answer = serving.chat("count 1 every 0")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert "division" not in answer.text


def test_too_many_requests_at_once_are_a_503_with_retry_after(serving: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.gateway.server.MOST_REQUESTS", 0)
    answer = serving.chat("count 1 every 0")
    assert (answer.status_code, answer.json()["error"]["code"], answer.headers["retry-after"]) == (503, "overloaded", "1")


def test_the_openapi_document_is_valid_and_names_every_route(serving: Endpoint) -> None:
    document = httpx.get(f"{serving.root}/openapi.json").json()
    OpenAPI.model_validate(document)
    operations = [one for path in document["paths"].values() for one in path.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    for path, methods in document["paths"].items():
        other = httpx.request("DELETE", serving.root + path.replace("{model}", "m").replace("{run}", "run_0123456789ab"))
        assert other.status_code == 405
        assert other.headers["allow"].lower().split(", ") == list(methods)
