"""Rows 32 to 38 of the fault matrix: engines and clients that misbehave, over real HTTP and real worker processes."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.config.subprocess_tools import is_alive, started_at
from app.gateway import listener
from app.serving.process import USUAL, Limits
from app.store import Store
from tests.serving.harness import FAKE, Endpoint, deploy, endpoint, text, until

FAST = Limits(load=20, silent=0.8, restart=2.0, queue=4, buffer=64)


@pytest.fixture
def diary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the fake workers say they did."""
    path = tmp_path / "fake.jsonl"
    path.touch()
    monkeypatch.setenv("FAKE_LOG", str(path))
    return path


def said(diary: Path, event: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, diary.read_text().splitlines()) if line["event"] == event]


@pytest.fixture
def serving(store: Store, diary: Path) -> Iterator[Endpoint]:
    """A fake engine with one slot behind the real gateway."""
    deploy(store, slots=1)
    with endpoint(store, limits=FAST, worker=FAKE) as running:
        yield running


def test_row_32_a_crash_in_a_stream_is_told_there_and_restarts_are_rationed(serving: Endpoint, diary: Path) -> None:
    assert USUAL.restart == 60
    for _ in range(2):
        with serving.stream("segfault") as events:
            found = list(events)
        assert text(iter(found)).startswith("one two")
        assert found[-1]["error"]["code"] == "engine_crashed"  # and no [DONE]
        refused = serving.chat("count 1 every 0")
        if refused.status_code == 200:
            continue
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["type"]) == (503, "engine.resting", "server_error")
        assert 1 <= int(refused.headers["retry-after"]) <= 2
        assert "once a minute" in error["message"]
        break
    else:
        pytest.fail("the engine was started again as often as it crashed")
    assert len(said(diary, "start")) == 2  # the first start and one restart
    until(lambda: serving.chat("count 1 every 0").status_code == 200, 5)
    serving.chat("segfault")
    assert serving.chat("count 1 every 0").status_code == 503  # the pause counts from the last restart, crash or not
    starts = [line["at"] for line in said(diary, "start")]
    assert starts[2] - starts[1] >= FAST.restart - 0.2


def test_row_32_an_engine_that_crashes_while_loading_says_how_and_rests(store: Store, diary: Path) -> None:
    deploy(store, path="x-crashes")
    with endpoint(store, limits=FAST, worker=FAKE) as serving:
        answers = [serving.chat("count 1 every 0") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [503] * 4
    assert "SIGSEGV" in answers[0].json()["error"]["message"]
    assert [answer.json()["error"]["code"] for answer in answers] == ["engine.crashed", "engine.crashed", "engine.resting", "engine.resting"]
    assert len(said(diary, "start")) == 2


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_row_33_an_engine_that_never_answers_gives_504_and_is_replaced(serving: Endpoint, diary: Path, stream: bool) -> None:
    began = time.monotonic()
    answer = serving.chat("silent", stream=stream)
    assert answer.status_code == 504
    assert answer.json()["error"] == {"message": "The engine gave no answer in time.", "type": "server_error", "param": None,
                                      "code": "engine_timeout"}
    assert time.monotonic() - began < FAST.silent + 5
    assert text_of(serving.chat("count 2 every 0")) == "0 1 "
    assert len({line["pid"] for line in said(diary, "start")}) == 2


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def test_row_33_one_silent_answer_does_not_end_the_others(store: Store, diary: Path) -> None:
    deploy(store, slots=2)
    with endpoint(store, limits=FAST, worker=FAKE) as serving, serving.stream("count 30 every 0.1") as events:
        next(events)
        assert serving.chat("silent").status_code == 504
        assert list(events)[-1] == "[DONE]"
    assert len(said(diary, "start")) == 1


def test_a_long_prompt_with_signs_of_life_is_not_taken_for_silence(serving: Endpoint) -> None:
    assert text_of(serving.chat("read 2 seconds")) == "0 "  # silent: 0.8 s


@pytest.mark.parametrize(("order", "status"), [("half a frame", 503), ("garbage", 503), ("half a frame and hang", 504)])
def test_row_34_a_broken_frame_is_a_clean_error_and_ends_that_worker(serving: Endpoint, diary: Path, order: str, status: int) -> None:
    answer = serving.chat(order)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    first = said(diary, "start")[0]["pid"]
    until(lambda: not is_alive(first, started_at(first)))
    assert text_of(serving.chat("count 2 every 0")) == "0 1 "


@pytest.mark.parametrize("order", ["read 30 seconds", "count 600 every 0.05"], ids=["prefill", "decode"])
def test_row_35_the_engine_is_free_within_a_second_of_a_disconnect(serving: Endpoint, diary: Path, order: str) -> None:
    text_of(serving.chat("count 1 every 0"))  # loaded
    connection = serving.raw(order, stream=True)
    time.sleep(0.4)
    connection.close()
    began = time.monotonic()
    assert text_of(serving.chat("count 1 every 0")) == "0 "
    assert time.monotonic() - began < 1
    assert next(line["sent"] for line in said(diary, "end") if line["order"] == order) < 60


def test_row_36_a_queued_client_that_leaves_harms_nobody(serving: Endpoint) -> None:
    with serving.stream("count 30 every 0.03") as events:
        next(events)
        queued = serving.raw("count 1 every 0")
        served = serving.pool.served["m"]
        until(lambda: served.waiting == 1)
        queued.close()
        until(lambda: served.waiting == 0)
        found = list(events)
    assert found[-1] == "[DONE]"
    assert "29 " in text(iter(found))
    assert text_of(serving.chat("count 1 every 0")) == "0 "


def test_a_full_queue_gives_429_with_retry_after(serving: Endpoint) -> None:
    text_of(serving.chat("count 1 every 0"))
    waiting = [serving.raw("count 600 every 0.05") for _ in range(1 + FAST.queue)]
    until(lambda: serving.pool.served["m"].waiting == FAST.queue)
    refused = serving.chat("count 1 every 0")
    for connection in waiting:
        connection.close()
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert int(refused.headers["retry-after"]) >= 1
    until(lambda: serving.pool.served["m"].waiting == 0)
    assert text_of(serving.chat("count 1 every 0")) == "0 "


def test_row_37_a_reader_of_one_byte_a_second_is_dropped_with_bounded_memory(
        store: Store, diary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "UNREAD_SECONDS", 2)
    deploy(store, slots=2)
    with endpoint(store, limits=FAST, worker=FAKE) as serving:
        text_of(serving.chat("count 1 every 0"))  # loaded
        connection = serving.raw("flood", stream=True)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        threading.Thread(target=read_slowly, args=(connection,), daemon=True).start()
        until(lambda: len(said(diary, "end")) == 2, 5)
        assert said(diary, "end")[1]["sent"] * 4000 < 8 * 2**20  # the engine was stopped: 400 MB were to come
        assert connections(serving) == 1
        assert text_of(serving.chat("count 1 every 0")) == "0 "  # others are served meanwhile
        assert connections(serving) >= 1
        until(lambda: connections(serving) == 0, 6)
        connection.close()


def connections(serving: Endpoint) -> int:
    """Open connections of the endpoint."""
    assert serving.gateway._listener is not None
    return len(serving.gateway._listener._server.server_state.connections)


def read_slowly(connection: socket.socket) -> None:
    """One byte a second."""
    try:
        while connection.recv(1):
            time.sleep(1)
    except OSError:
        pass


class Stranger:
    """A program that listens where ours wants to, and counts who calls."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port, self.calls = self._socket.getsockname()[1], 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        try:
            while True:
                self._socket.accept()[0].close()
                self.calls += 1
        except OSError:
            pass

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def test_row_38_a_taken_port_is_left_alone_and_its_owner_never_called(store: Store, diary: Path) -> None:
    stranger = Stranger()
    deploy(store)
    try:
        with endpoint(store, worker=FAKE, port=stranger.port) as serving:
            assert serving.port != stranger.port
            assert text_of(serving.chat("count 1 every 0")) == "0 "
        assert stranger.calls == 0
    finally:
        stranger.close()


def test_row_38_a_stale_engine_is_never_taken_for_ours(store: Store, diary: Path) -> None:
    """Engines are asked over the pipes of the process that we started: another one's pid in the table means nothing."""
    deploy(store)
    store.db.execute("UPDATE deployments SET pid = 1, state = 'ready'")
    with endpoint(store, worker=FAKE) as serving:
        assert text_of(serving.chat("count 1 every 0")) == "0 "
        row = store.row("SELECT pid FROM deployments")
        assert row is not None
        assert row["pid"] == said(diary, "start")[0]["pid"]
