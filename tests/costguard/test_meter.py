"""Energy, wear and money, checked with figures worked out by hand."""

from __future__ import annotations

import time

import pytest

from app.costguard import meter
from app.store import Store, settings


@pytest.fixture
def priced(store: Store) -> Store:
    """0.40 a kWh; 2,000 over 10,000 hours, which is 0.20 an hour."""
    for key, value in {"tariff_per_kwh": 0.4, "hardware_price": 2000.0, "hardware_life_hours": 10_000.0, "currency": "CHF"}.items():
        settings.put(store, key, value)
    return store


def reading(store: Store, at: float, watts: float, source: str = "rapl") -> None:
    store.db.execute("INSERT INTO metrics (run, step, name, at, value, unit) VALUES ('', '', 'system.watts', ?, ?, ?)",
                     (at, watts, source))


@pytest.mark.parametrize(
    ("watt_hours", "seconds", "energy", "wear"),
    [(1000, 3600, 0.4, 0.2), (50, 1800, 0.02, 0.1), (0, 0, 0, 0), (2.5, 90, 0.001, 0.005)],
)
def test_money_is_energy_times_tariff_and_price_over_life(priced, watt_hours, seconds, energy, wear):
    assert meter.prices(priced).of(watt_hours, seconds) == pytest.approx((energy, wear))


def test_a_charge_is_written_with_the_prices_of_its_moment(priced):
    money = meter.charge(priced, scope="step", run="r", step="train", seconds=1800, energy_wh=50, energy_source="rapl", tokens_in=7)
    settings.put(priced, "tariff_per_kwh", 99.0)
    row = priced.row("SELECT * FROM usage")
    assert money == pytest.approx(0.12)
    assert (row["energy_cost"], row["wear_cost"]) == pytest.approx((0.02, 0.1))
    assert (row["run"], row["step"], row["tokens_in"], row["currency"], row["energy_source"]) == ("r", "train", 7, "CHF", "rapl")


def test_steady_power_for_an_hour_is_that_many_watt_hours(store):
    for second in range(10, 3610, 10):
        reading(store, 1000.0 + second, 60.0)
    assert meter.energy_between(store, 1000, 4600) == meter.Energy(pytest.approx(60.0), "rapl")


def test_changing_power_is_summed_piece_by_piece(store):
    for at, watts in ((110, 36.0), (120, 72.0), (130, 108.0)):  # 10 s each
        reading(store, at, watts)
    assert meter.energy_between(store, 100, 130).watt_hours == pytest.approx((360 + 720 + 1080) / 3600)
    assert meter.energy_between(store, 105, 125).watt_hours == pytest.approx((180 + 720 + 540) / 3600)  # cut at both ends


def test_time_without_readings_counts_in_full_and_is_an_estimate(store):
    settings.put(store, "cpu_watts_full", 90.0)
    reading(store, 110, 36.0)
    found = meter.energy_between(store, 100, 210)
    assert found == meter.Energy(pytest.approx((360 + 9000) / 3600), "estimate")


def test_the_weakest_evidence_names_the_whole(store):
    reading(store, 110, 36.0, "nvml")
    reading(store, 120, 36.0, "rapl")
    assert meter.energy_between(store, 100, 120).source == "rapl"
    assert meter.weakest(["nvml", "rapl", "estimate"]) == "estimate"
    assert meter.weakest(["nvml"]) == "nvml"


@pytest.mark.parametrize("end", [100, 50])
def test_no_time_takes_no_energy(store, end):
    assert meter.energy_between(store, 100, end).watt_hours == 0


@pytest.mark.parametrize(("age", "expected"), [(1, (33.0, "rapl")), (60, (45.0, "estimate")), (-60, (45.0, "estimate"))],
                         ids=["fresh", "stale", "from a clock that was set back"])
def test_power_now_is_the_newest_fresh_reading(store, age, expected):
    reading(store, time.time() - age, 33.0)
    assert meter.watts_now(store) == expected


def test_power_now_without_any_reading_is_the_stated_full_power(store):
    assert meter.watts_now(store) == (settings.DEFAULTS["cpu_watts_full"], "estimate")
