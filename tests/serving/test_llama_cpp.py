"""llama.cpp with the packaged starter model: several requests at once, hanging up, and a machine that is busy."""

from __future__ import annotations

import multiprocessing
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.errors import ServingError
from app.registry.bases import packaged_file
from app.serving import llama_cpp
from app.serving.engine import Assignment
from app.store import Store
from tests.serving.harness import Endpoint, deploy, endpoint
from tests.tiny import STARTER

SLOTS = 4


@pytest.fixture(scope="module")
def serving(shared_store: Store) -> Iterator[Endpoint]:
    file = packaged_file(STARTER)
    assert file is not None
    deploy(shared_store, path=file, slots=SLOTS, context=2048)
    with endpoint(shared_store) as running:
        assert running.chat("Hello", max_tokens=1).status_code == 200
        yield running


def test_a_file_that_is_gone_is_named_as_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="The model's file is missing"):
        llama_cpp.load(Assignment("llama.cpp", str(tmp_path / "gone.gguf")))


def timed_stream(serving: Endpoint, number: int) -> tuple[float, float]:
    """(first words, end) of an answer."""
    first = 0.0
    with serving.stream(f"Count to {number}.", max_tokens=24, temperature=1, seed=number, logit_bias={"2": -100}) as events:
        for event in events:
            if not first and event != "[DONE]" and any(choice["delta"].get("content") for choice in event["choices"]):
                first = time.monotonic()
    return first, time.monotonic()


def test_several_requests_are_answered_at_once(serving: Endpoint) -> None:
    with ThreadPoolExecutor(SLOTS) as threads:
        times = list(threads.map(lambda number: timed_stream(serving, number), range(90, 90 + SLOTS)))
    assert max(first for first, _ in times) < min(end for _, end in times)  # all were being written together


@pytest.mark.parametrize(("content", "tokens", "wait", "clients"), [
    pytest.param("A clause on the lease of land. " * 120, 1, 0.6, 1, id="prefill"),
    pytest.param("Count to one thousand.", 200, 0.8, SLOTS, id="decode"),
])
def test_a_disconnect_frees_the_engine_long_before_the_answer_would_end(
        serving: Endpoint, content: str, tokens: int, wait: float, clients: int) -> None:
    began = time.monotonic()
    assert serving.chat(f"All of it: {content}", max_tokens=tokens, logit_bias={"2": -100}).status_code == 200
    whole = time.monotonic() - began
    busy = [serving.raw(f"{number} {content}", max_tokens=tokens, logit_bias={"2": -100}, stream=True) for number in range(clients)]
    time.sleep(wait)
    assert serving.pool.served["m"].running == clients
    for connection in busy:
        connection.close()
    left = time.monotonic()
    assert serving.chat("Now", max_tokens=1).status_code == 200
    assert time.monotonic() - left < whole / 2


def test_a_text_longer_than_a_batch_can_be_embedded(serving: Endpoint) -> None:
    answer = serving.post("/v1/embeddings", {"model": "m", "input": "A clause on the lease of land. " * 60})
    assert answer.status_code == 200, answer.text
    assert answer.json()["usage"]["prompt_tokens"] > 256


def test_a_prompt_that_does_not_fit_is_an_honest_400(serving: Endpoint) -> None:
    answer = serving.chat("word " * 4000)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
    assert re.fullmatch(r"The prompt has 4,\d\d\d tokens; the context holds [\d,]+ with the answer\.", error["message"])


def test_a_text_to_embed_that_does_not_fit_is_told_like_a_prompt(serving: Endpoint) -> None:
    error = serving.post("/v1/embeddings", {"model": "m", "input": "word " * 4000, "encoding_format": None}).json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "input")


def test_a_schema_that_cannot_be_used_is_told_by_its_field(serving: Endpoint) -> None:
    wrong = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "wibble"}}}
    error = serving.chat("Hello", response_format=wrong).json()["error"]
    assert (error["code"], error["param"]) == ("invalid_value", "response_format.json_schema.schema")
    assert error["message"] == "The schema cannot be used: unrecognized type wibble."


def test_a_model_file_that_is_gone_is_named(store: Store, tmp_path: Path) -> None:
    deploy(store, path=tmp_path / "gone.gguf")
    with endpoint(store) as serving:
        answer = serving.chat("Hello")
        noted = store.row("SELECT state, why FROM deployments")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "engine.file_missing")
    assert noted is not None
    assert noted["state"] == "failed"
    assert "gone.gguf" in noted["why"]


def burn(stop: threading.Event) -> None:
    while not stop.is_set():
        sum(range(10_000))


def test_serving_goes_on_while_both_cores_are_busy(serving: Endpoint) -> None:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    busy = [context.Process(target=burn, args=(stop,), daemon=True) for _ in range(2)]
    for process in busy:
        process.start()
    try:
        time.sleep(1)
        began = time.monotonic()
        answer = serving.chat("What is a lease?", max_tokens=24, logit_bias={"2": -100})
        seconds = time.monotonic() - began
    finally:
        stop.set()
        for process in busy:
            process.join(10)
    assert answer.json()["usage"]["completion_tokens"] == 24
    assert seconds < 20  # with the engine's usual waiting: no answer in 60 s


def test_the_engines_own_port_is_a_random_one_that_nobody_can_use(serving: Endpoint) -> None:
    import psutil

    engine = serving.pool.served["m"].engine
    assert engine is not None
    listening = [one for one in psutil.Process(engine.pid).net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    for one in listening:
        assert one.laddr.ip == "127.0.0.1"
        with socket.create_connection((one.laddr.ip, one.laddr.port), timeout=5) as connection:
            connection.sendall(b"POST /completion HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
            assert b" 401 " in connection.recv(4096)
