"""Sensors where they answer, an estimate that says so where they do not, and series that stay small."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from app.costguard import sampler as module
from app.costguard.sampler import Rapl, Sampler, prune
from app.errors import StoreError
from app.store import Store, settings


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """Two packages and a part of one, as Linux shows them."""
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):
        (tmp_path / name).mkdir()
        counters(tmp_path, name, 5_000_000)
        (tmp_path / name / "max_energy_range_uj").write_text("10000000\n")
    return tmp_path


def counters(folder: Path, name: str, value: int) -> None:
    (folder / name / "energy_uj").write_text(f"{value}\n")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_watts_are_the_microjoules_of_all_packages_over_the_time(powercap, clock):
    rapl = Rapl(powercap)
    assert rapl.watts() is None  # nothing to compare with yet
    clock[0] += 2
    counters(powercap, "intel-rapl:0", 6_000_000)
    counters(powercap, "intel-rapl:1", 5_500_000)
    counters(powercap, "intel-rapl:0:0", 9_000_000)  # part of package 0, counted there
    assert rapl.watts() == pytest.approx((1.0 + 0.5) / 2)


def test_a_counter_that_starts_anew_is_followed(powercap, clock):
    rapl = Rapl(powercap)
    rapl.watts()
    clock[0] += 1
    counters(powercap, "intel-rapl:0", 1_000_000)  # 5 J up to its end at 10 J, and one more
    assert rapl.watts() == pytest.approx(6.0)


def test_counters_that_may_not_be_read_are_none(powercap, clock):
    (powercap / "intel-rapl:1" / "energy_uj").write_text("denied")
    assert Rapl(powercap).watts() is None
    assert Rapl(powercap / "nowhere").watts() is None


class NoRapl:
    def watts(self) -> None:
        return None


class SomeRapl:
    def watts(self) -> float:
        return 20.0


class NoCards:
    def read(self) -> dict[str, float]:
        return {}


class OneCard:
    def read(self) -> dict[str, float]:
        return {"system.gpu_percent": 80.0, "system.gpu_memory_mb": 2048.0, "system.gpu_temperature": 61.0, "gpu_watts": 150.0}


@pytest.mark.parametrize(
    ("rapl", "cards", "watts", "source"),
    [
        pytest.param(NoRapl(), NoCards(), 10 + 30 * 0.5, "estimate", id="no sensor"),
        pytest.param(SomeRapl(), NoCards(), 20.0, "rapl", id="processor"),
        pytest.param(NoRapl(), OneCard(), 25 + 150, "estimate", id="card only"),
        pytest.param(SomeRapl(), OneCard(), 170.0, "rapl", id="both"),
    ],
)
def test_power_names_its_weakest_source(store, monkeypatch, rapl, cards, watts, source):
    settings.put(store, "cpu_watts_idle", 10.0)
    settings.put(store, "cpu_watts_full", 40.0)
    monkeypatch.setattr(module.psutil, "cpu_percent", lambda: 50.0)
    sampler = Sampler(store)
    sampler._rapl, sampler._cards = rapl, cards
    found = {name: (value, unit) for name, value, unit in sampler.sample()}
    assert found["system.watts"] == (pytest.approx(watts), source)
    assert found["system.cpu_percent"] == (50.0, "%")
    assert found["system.memory_mb"][0] > 10
    assert ("system.gpu_percent" in found) == isinstance(cards, OneCard)
    assert found.get("system.gpu_temperature") == ((61.0, "°C") if isinstance(cards, OneCard) else None)
    assert found["system.disk_free_gb"][0] > 0
    assert "gpu_watts" not in found


@pytest.mark.parametrize(("load", "cards", "state", "works"), [
    pytest.param(3.0, NoCards(), "done", False, id="rest"), pytest.param(60.0, NoCards(), "done", True, id="processor"),
    pytest.param(3.0, OneCard(), "done", True, id="card"), pytest.param(3.0, NoCards(), "running", True, id="run"),
])
def test_a_machine_that_rests_is_read_seldom(store, monkeypatch, load, cards, state, works):
    store.db.execute("INSERT INTO runs (id, number, name, document, document_hash, resolved, state, seed, created) "
                     "VALUES ('run_1', 1, 'a', '', '', '{}', ?, 1, 0)", (state,))
    monkeypatch.setattr(module.psutil, "cpu_percent", lambda: load)
    sampler = Sampler(store, every=1.0, rest=5.0)
    sampler._rapl, sampler._cards = NoRapl(), cards
    assert sampler.pause_after(sampler.sample()) == (1.0 if works else 5.0)


def test_a_running_sampler_writes_its_series(store):
    sampler = Sampler(store, every=0.02)
    sampler.start()
    deadline = time.monotonic() + 10
    while not store.row("SELECT 1 FROM metrics WHERE name = 'system.watts'") and time.monotonic() < deadline:
        time.sleep(0.02)
    sampler.stop()
    names = {row["name"] for row in store.rows("SELECT DISTINCT name FROM metrics WHERE run = '' AND step = ''")}
    assert {"system.cpu_percent", "system.memory_mb", "system.watts"} <= names


def test_a_sampler_outlives_a_store_that_fails_for_a_while(store, monkeypatch):
    calls = []
    real = Sampler.sample

    def failing(self):
        calls.append(1)
        if len(calls) < 4:
            raise StoreError("store.busy", "The database is busy.")
        return real(self)

    monkeypatch.setattr(Sampler, "sample", failing)
    sampler = Sampler(store, every=0.02)
    sampler.start()
    deadline = time.monotonic() + 10
    while not store.row("SELECT 1 FROM metrics WHERE name = 'system.watts'") and time.monotonic() < deadline:
        time.sleep(0.02)
    sampler.stop()
    assert len(calls) >= 4
    assert store.row("SELECT count(*) AS n FROM metrics WHERE name = 'system.watts'")["n"] >= 1


def _second(store: Store, at: float, value: float, run: str = "") -> None:
    store.db.execute("INSERT INTO metrics (run, step, name, at, value, unit) VALUES (?, '', 'system.watts', ?, ?, 'rapl')",
                     (run, at, value))


def test_old_readings_become_means_and_go_after_a_day(store):
    now = 200_000.0
    ages = [25 * 3600, *range(7200, 7180, -1), *range(60, 50, -1)]
    for age in ages:
        _second(store, now - age, float(age))
        _second(store, now - age, float(age), run="run_1")
    prune(store, now)
    kept = store.rows("SELECT at, value FROM metrics WHERE run = '' ORDER BY at")
    assert len(kept) == 2 + 10  # two tens of seconds, and the last minute as it was
    assert [row["value"] for row in kept[:2]] == pytest.approx([7195.5, 7185.5])
    assert [row["value"] for row in kept[2:]] == [float(age) for age in range(60, 50, -1)]
    assert store.row("SELECT count(*) AS n FROM metrics WHERE run = 'run_1'")["n"] == len(ages)
    prune(store, now)
    assert len(store.rows("SELECT 1 FROM metrics WHERE run = ''")) == 12  # a second time changes nothing


def test_thinning_keeps_the_energy(store):
    from app.costguard.meter import energy_between

    now = 200_000.0
    for age in range(7200, 7100, -1):
        _second(store, now - age + 1, 50.0 + age % 7)
    before = energy_between(store, now - 7200, now - 7100)
    prune(store, now)
    after = energy_between(store, now - 7200, now - 7100)
    assert after.watt_hours == pytest.approx(before.watt_hours, rel=0.02)
    assert after.source == before.source == "rapl"
