"""What Home says: alerts that have a reason, one next step, figures that survive a restart and any number of points."""

from __future__ import annotations

import json
import time

import pytest

from app.costguard.history import history
from app.store import Profile, Store, settings
from app.workflow import dashboard as module
from app.workflow.dashboard import dashboard


def run(store: Store, name: str, state: str, number: int, kit: str = "legal") -> str:
    store.db["runs"].insert({"id": f"run_{number}", "number": number, "name": name, "kit": kit, "document": "", "document_hash": "", "resolved": "{}",
                             "state": state, "seed": 0, "created": time.time(), "started": time.time(), "ended": time.time()})
    store.db["steps"].insert({"run": f"run_{number}", "id": "train", "position": 0, "node": "train.qlora", "title": "Train", "needs": "[]",
                              "params": "{}", "bindings": "{}", "state": state})
    return f"run_{number}"


def said(store: Store) -> list[str]:
    return [alert.words for alert in dashboard(store).alerts]


def test_a_new_profile_has_no_alert_and_says_where_to_begin(store: Store) -> None:
    found = dashboard(store)
    assert (found.started, found.alerts, found.next.page) == (False, (), "kits")


def test_a_failure_is_told_until_a_later_run_of_the_same_name_is_well(store: Store) -> None:
    run(store, "Notices", "failed", 1)
    assert said(store) == ["Notices, run 1, failed at Train."]
    assert dashboard(store).next.argument == "run_1"
    run(store, "Notices", "done", 2)
    assert said(store) == []


@pytest.mark.parametrize(("spent", "level"), [(7.9, None), (8.0, "warning"), (10.0, "danger")])
def test_the_budget_warns_before_it_is_spent(store: Store, spent: float, level: str | None) -> None:
    settings.put(store, "budget_per_month", 10.0)
    store.db["usage"].insert({"at": time.time(), "scope": "step", "run": "r", "step": "s", "seconds": 1.0, "energy_wh": 1.0, "energy_source": "estimate",
                              "energy_cost": spent, "wear_cost": 0.0, "currency": "EUR"})
    assert [alert.level for alert in dashboard(store).alerts] == ([level] if level else [])
    assert dashboard(store).month.total == pytest.approx(spent)


def test_little_room_on_the_disk_a_dead_engine_and_a_half_made_version_are_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": int(1e9)})()
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _path: usage)
    store.db["deployments"].insert({"alias": "notices", "model_version": "m@1", "engine": "llama_cpp", "path": "x", "state": "failed",
                                    "why": json.dumps({"what": "The engine stopped."}), "created": 1.0, "updated": 1.0})
    store.db["datasets"].insert({"id": "ds", "name": "Contracts", "key": "00", "created": 1.0})
    store.db["dataset_versions"].insert({"dataset": "ds", "version": 3, "state": "paused", "created": 1.0})
    assert said(store) == ["1.0 GB are free on the data drive.", "notices is not served: The engine stopped.",
                           "Contracts, version 3, is half done; resume the run that makes it."]


@pytest.mark.parametrize(("state", "words"), [("running", "is being made: Train."), ("paused", "It can go on"), ("done", "Nothing is served")])
def test_the_next_step_follows_what_happened(store: Store, state: str, words: str) -> None:
    run(store, "Notices", state, 1)
    assert words in dashboard(store).next.words


def test_between_two_steps_the_next_step_names_none(store: Store) -> None:
    run(store, "Notices", "running", 1)
    store.db.execute("UPDATE steps SET state = 'done'")
    assert dashboard(store).next.words == "Notices is being made."


def test_a_run_that_was_stopped_between_two_steps_is_told_without_one(store: Store) -> None:
    run(store, "Notices", "paused", 1)
    store.db.execute("UPDATE steps SET state = 'queued'")
    found = dashboard(store)
    assert found.next.words == "Notices stopped. It can go on from there."
    assert "Notices, run 1, is paused." in [alert.words for alert in found.alerts]


def test_history_is_there_after_a_restart(profile: Profile) -> None:
    with Store.open(profile) as store:
        for second in range(20):
            store.db.execute("INSERT INTO metrics (run, step, name, at, value) VALUES ('', '', 'system.cpu_percent', ?, ?)",
                             (time.time() - 20 + second, float(second)))
    with Store.open(profile) as store:
        gauge = dashboard(store).gauges[0]
        values = [value for _, value in gauge.points]
        assert (gauge.words, gauge.now, min(values), max(values)) == ("Processor", 19.0, 0.0, 19.0)
        assert len(values) >= 4


def test_a_million_points_become_a_few_hundred_and_no_peak_is_lost(store: Store) -> None:
    count = 1_000_000
    store.db.execute("INSERT INTO metrics (run, step, name, at, value) SELECT '', '', 'system.watts', value * 0.01, "
                     f"CASE WHEN value = 654321 THEN 99.0 ELSE value % 7 END FROM generate_series(0, {count - 1})") if _has_series(store) else (
        store.db.execute("WITH RECURSIVE n(value) AS (SELECT 0 UNION ALL SELECT value + 1 FROM n WHERE value < ?) INSERT INTO metrics "
                         "(run, step, name, at, value) SELECT '', '', 'system.watts', value * 0.01, "
                         "CASE WHEN value = 654321 THEN 99.0 ELSE value % 7 END FROM n", (count - 1,)))
    points = history(store, "system.watts", 0.0, count * 0.01)
    assert 300 <= len(points) <= 602
    assert max(value for _, value in points) == 99.0
    assert [at for at, _ in points] == sorted(at for at, _ in points)


def _has_series(store: Store) -> bool:
    return bool(store.rows("SELECT 1 FROM pragma_module_list WHERE name = 'generate_series'"))
