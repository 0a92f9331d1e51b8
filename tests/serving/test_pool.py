"""When an engine is loaded and unloaded, and what the table says of it.  A fake engine in a real worker process."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.config.subprocess_tools import is_alive, started_at
from app.store import Store, settings
from tests.serving.harness import FAKE, Endpoint, deploy, endpoint, until


def row(store: Store) -> dict[str, Any]:
    found = store.row("SELECT * FROM deployments WHERE alias = 'm'")
    assert found is not None
    return found


@pytest.fixture
def serving(store: Store) -> Iterator[Endpoint]:
    deploy(store)
    with endpoint(store, worker=FAKE) as running:
        yield running


def test_a_model_is_loaded_when_it_is_first_asked_and_once_for_all(serving: Endpoint, store: Store) -> None:
    assert (row(store)["state"], row(store)["pid"]) == ("idle", None)
    assert serving.chat("count 1 every 0").status_code == 200
    first = row(store)
    assert first["state"] == "ready"
    assert is_alive(first["pid"], started_at(first["pid"]))
    assert serving.chat("count 1 every 0").status_code == 200
    assert row(store)["pid"] == first["pid"]


def test_an_idle_model_is_unloaded_and_comes_back_when_asked(serving: Endpoint, store: Store) -> None:
    serving.chat("count 1 every 0")
    pid, began = row(store)["pid"], started_at(row(store)["pid"])
    with serving.stream("count 12 every 0.1") as events:
        settings.put(store, "engine.idle_seconds", 0)
        assert list(events)[-1] == "[DONE]"  # never under a running answer
    until(lambda: row(store)["state"] == "idle", 5)
    assert not is_alive(pid, began)
    assert row(store)["pid"] is None
    assert serving.chat("count 1 every 0").status_code == 200


def test_an_idle_engine_that_dies_is_noticed_and_told(serving: Endpoint, store: Store) -> None:
    serving.chat("count 1 every 0")
    engine = serving.pool.served["m"].engine
    assert engine is not None
    engine._process.kill()
    until(lambda: row(store)["state"] == "failed", 5)
    assert "ended unexpectedly" in row(store)["why"]
    assert row(store)["restarts"] == 1
    assert serving.chat("count 1 every 0").status_code == 200


def test_another_deployment_of_a_name_replaces_the_engine_and_stopping_ends_it(serving: Endpoint, store: Store) -> None:
    serving.chat("count 1 every 0")
    before, began = row(store)["pid"], started_at(row(store)["pid"])
    deploy(store, path="another")
    until(lambda: not is_alive(before, began), 5)
    assert serving.chat("count 1 every 0").status_code == 200
    store.db.execute("UPDATE deployments SET state = 'stopped' WHERE alias = 'm'")
    until(lambda: "m" not in serving.pool.served, 5)
    gone = serving.chat("count 1 every 0")
    assert (gone.status_code, gone.json()["error"]["code"], gone.json()["error"]["param"]) == (404, "model_not_found", "model")
    assert row(store)["state"] == "stopped"


def test_a_name_is_known_while_its_engine_is_switched_over(serving: Endpoint, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    serving.chat("count 1 every 0")
    seen: list[bool] = []
    old = serving.pool.served["m"]
    unload = old.unload

    async def watched(state: str = "idle") -> None:
        seen.append("m" in serving.pool.served)
        await unload(state)

    monkeypatch.setattr(old, "unload", watched)
    deploy(store, path="another")
    until(lambda: serving.pool.served["m"] is not old and seen, 5)
    assert seen == [True]


def test_who_waits_for_an_engine_that_is_switched_over_starts_no_second_one(store: Store) -> None:
    deploy(store, slots=1)
    with endpoint(store, worker=FAKE) as serving, ThreadPoolExecutor(3) as clients:
        asked = [clients.submit(serving.chat, "count 50 every 0.1") for _ in range(3)]
        old = serving.pool.served["m"]
        until(lambda: (old.running, old.waiting) == (1, 2), 10)
        deploy(store, path="another", slots=1)
        codes = sorted(one.result().json()["error"]["code"] for one in asked)
        assert codes == ["engine.replaced", "engine.replaced", "engine_crashed"]
        assert old.engine is None
        assert serving.chat("count 1 every 0").status_code == 200


@pytest.mark.parametrize(("order", "status", "code"), [("broken", 500, "engine_error"), ("refuse", 400, "engine_refused")])
def test_what_an_engine_raises_is_told_and_the_engine_lives_on(serving: Endpoint, store: Store, order: str, status: int, code: str) -> None:
    answer = serving.chat(order)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert "Traceback" not in answer.text
    pid = row(store)["pid"]
    assert serving.chat("count 1 every 0").status_code == 200
    assert row(store)["pid"] == pid


def test_no_engine_outlives_the_pool(store: Store) -> None:
    deploy(store)
    with endpoint(store, worker=FAKE) as serving:
        serving.chat("count 1 every 0")
        pid, began = row(store)["pid"], started_at(row(store)["pid"])
    assert not is_alive(pid, began)
    assert row(store)["state"] == "idle"
