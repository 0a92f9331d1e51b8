"""The platform routes reach the very functions that the window and the command line call."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.config.presence import STEP_HEADER
from app.store import Store
from app.workflow import doors as workflow_doors
from tests.serving.harness import FAKE, chat_body, deploy, endpoint


def test_each_route_does_what_the_windows_function_does(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, Any]] = []

    def spy(place: str) -> None:
        module, _, name = place.rpartition(".")
        real = getattr(__import__(module, fromlist=[name]), name)

        def wrapped(*args: Any, **options: Any) -> Any:
            called.append((place, real(*args, **options)))
            return called[-1][1]

        monkeypatch.setattr(place, wrapped)

    for place in ("app.workflow.runs.submit_text", "app.data.api.import_file", "app.config.views.kits", "app.costguard.views.costs"):
        spy(place)
    deploy(store)
    with endpoint(store, worker=FAKE) as serving:
        made = serving.post("/api/v1/workflows/create", {"document": "extends: kits/legal", "name": "mine"})
        assert (made.status_code, called.pop()) == (201, ("app.workflow.runs.submit_text", made.json()["run"]))
        assert (store.row("SELECT name, state FROM runs") or {})["name"] == "mine"
        content = b"question,answer\nq,a\nr,b\n"
        up = httpx.post(f"{serving.root}/api/v1/datasets/upload?name=faq.csv", content=content, headers=serving.headers).json()
        place, done = called.pop()
        assert (place, up["rows"], up["dataset"]) == ("app.data.api.import_file", 2, done.dataset)
        cards = httpx.get(f"{serving.root}/api/v1/kits/browse", headers=serving.headers).json()["kits"]
        assert [card["name"] for card in cards] == [asdict(card)["name"] for card in called.pop()[1]]
        told = httpx.get(f"{serving.root}/api/v1/monitoring/metrics", headers=serving.headers).json()
        assert (called.pop()[0], told["runs"]) == ("app.costguard.views.costs", {"queued": 1})
        answer = serving.post("/api/v1/inference/predict", {"model": "m", "input": "count 2 every 0"}).json()
        assert (answer["output"], answer["version"], answer["usage"]["completion_tokens"]) == ("0 1 ", "m@1", 2)
    assert not called
    metered = store.row("SELECT route, completion_tokens FROM requests")
    assert metered == {"route": "/api/v1/inference/predict", "completion_tokens": 2}


def test_deploy_releases_the_version_under_its_alias(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    store.db.execute("INSERT INTO models (id, name, created) VALUES ('mine', 'mine', 1)")
    store.db.execute("INSERT INTO model_versions (id, model, version, state, format, path, proof, content_hash, created) "
                     "VALUES ('mine@1', 'mine', 1, 'registered', 'gguf', ?, '{\"passed\": true}', ?, 1)",
                     (str(file), hashlib.sha256(b"GGUF").hexdigest()))
    with endpoint(store, worker=FAKE) as serving:
        answer = serving.post("/api/v1/models/deploy", {"model": "mine", "alias": "short"})
        assert (answer.status_code, answer.json()) == (200, {"model": "short", "state": "starting"}), answer.text
        row = store.row("SELECT model_version FROM deployments WHERE alias = 'short'")
        assert row == {"model_version": "mine@1"}
        live = store.row("SELECT live FROM models")
        assert live == {"live": "mine@1"}


def test_a_base_that_is_gone_costs_no_release_and_a_packaged_one_is_found_where_it_is_now(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    store.db.execute("INSERT INTO models (id, name, created) VALUES ('mine', 'mine', 1)")
    for number, base in enumerate(("/gone/own-base", "/gone/smollm2-135m-instruct"), 1):
        store.db.execute("INSERT INTO model_versions (id, model, version, state, format, path, base, proof, content_hash, created) "
                         "VALUES (?, 'mine', ?, 'registered', 'gguf', ?, ?, '{\"passed\": true}', ?, 1)",
                         (f"mine@{number}", number, str(file), base, str(number)))
        assert workflow_doors.deploy(store, f"mine@{number}", None) == "mine"
    served = store.rows("SELECT alias, model_version FROM deployments ORDER BY alias")
    assert served == [{"alias": "mine", "model_version": "mine@2"},
                      {"alias": "smollm2-135m-instruct-base", "model_version": "base:smollm2-135m-instruct"}]


def test_a_packaged_base_is_served_and_nothing_is_released(store: Store) -> None:
    with endpoint(store, worker=FAKE) as serving:
        answer = serving.post("/api/v1/models/deploy", {"model": "smollm2-135m-instruct"})
        assert (answer.status_code, answer.json()["model"]) == (200, "smollm2-135m-instruct-base"), answer.text
        row = store.row("SELECT model_version FROM deployments WHERE alias = 'smollm2-135m-instruct-base'")
        assert row == {"model_version": "base:smollm2-135m-instruct"}
        assert store.row("SELECT 1 FROM models") is None


def test_what_a_step_asks_is_kept_but_charged_with_the_step(store: Store) -> None:
    deploy(store)
    with endpoint(store, worker=FAKE) as serving:
        for headers in (serving.headers, {**serving.headers, STEP_HEADER: "run_1/step"}):
            assert httpx.post(f"{serving.root}/v1/chat/completions", json=chat_body("count 2 every 0"), headers=headers).status_code == 200
    assert [row["completion_tokens"] for row in store.rows("SELECT completion_tokens FROM requests")] == [2, 2]
    assert len(store.rows("SELECT 1 FROM usage")) == 1
