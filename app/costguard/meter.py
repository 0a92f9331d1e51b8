"""What work costs: energy times the tariff, and wear: the hardware's price spread over its working life.

All prices and their defaults are in app/store/settings.py; the user changes them on the Settings page.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from app.store import Store, settings

STALE_SECONDS = 15.0
"""A power reading older than this says nothing about now."""
SOURCES = ("estimate", "rapl", "nvml")
"""Where power readings come from, the weakest evidence first."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Money for one kWh and for one hour of wear."""

    per_kwh: float
    per_hour: float
    currency: str

    def of(self, watt_hours: float, seconds: float) -> tuple[float, float]:
        """(energy cost, wear cost) of some energy over some time."""
        return watt_hours / 1000 * self.per_kwh, seconds / 3600 * self.per_hour


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of the whole machine over a time.  source: the weakest evidence in it."""

    watt_hours: float
    source: str


def prices(store: Store) -> Prices:
    """The prices in force.  Wear: price of the hardware over the hours it is expected to work."""
    life = float(settings.get(store, "hardware_life_hours"))
    return Prices(
        float(settings.get(store, "tariff_per_kwh")),
        float(settings.get(store, "hardware_price")) / life,
        str(settings.get(store, "currency")),
    )


def weakest(sources: Iterable[str]) -> str:
    """The weakest evidence among some; "estimate" where there is none."""
    return min(sources, key=lambda name: SOURCES.index(name) if name in SOURCES else 0, default="estimate")


def watts_now(store: Store) -> tuple[float, str]:
    """(watts of this machine, source) from the newest reading; without a fresh one, the stated full power as an estimate."""
    row = store.row("SELECT value, unit, at FROM metrics WHERE run = '' AND name = 'system.watts' ORDER BY id DESC LIMIT 1")
    if row is None or not -STALE_SECONDS <= time.time() - row["at"] <= STALE_SECONDS:
        return float(settings.get(store, "cpu_watts_full")), "estimate"
    return float(row["value"]), str(row["unit"])


def energy_between(store: Store, start: float, end: float) -> Energy:
    """Energy of the whole machine from ``start`` to ``end`` (Unix seconds), integrated over its power readings.

    Each reading is the mean power since the one before and counts for at most 15 s back.  Time that no reading covers counts
    with the stated full power, so that costs are never told too low, and makes the whole an estimate.
    """
    if end <= start:
        return Energy(0.0, "estimate")
    readings = store.rows("SELECT at, value, unit FROM metrics WHERE run = '' AND name = 'system.watts' AND at > ? AND at < ? "
                          "ORDER BY at", (start, end + STALE_SECONDS))
    joules, covered, sources, position = 0.0, 0.0, [], start
    for reading in readings:
        begin, stop = max(position, reading["at"] - STALE_SECONDS), min(reading["at"], end)
        if stop > begin:
            joules += reading["value"] * (stop - begin)
            covered += stop - begin
            sources.append(reading["unit"])
            position = stop
    gap = (end - start) - covered
    if gap > 1e-6:
        joules += gap * float(settings.get(store, "cpu_watts_full"))
        sources.append("estimate")
    return Energy(joules / 3600, weakest(sources))


def charge(
    store: Store,
    *,
    scope: str,
    seconds: float,
    energy_wh: float,
    energy_source: str,
    run: str | None = None,
    step: str | None = None,
    request: str | None = None,
    model: str | None = None,
    tokens_in: int = 0,
    tokens_out: int = 0,
    at_prices: Prices | None = None,
) -> float:
    """Write one row of usage; returns its money.

    scope: step or request.  seconds and energy_wh: of the whole machine; the caller divides them among work that shares it.
    at_prices: the prices in force where the caller has read them already, for many rows at once.
    """
    found = at_prices or prices(store)
    energy, wear = found.of(energy_wh, seconds)
    store.db.execute(
        "INSERT INTO usage (at, scope, run, step, request, model, tokens_in, tokens_out, seconds, energy_wh, energy_source, "
        "energy_cost, wear_cost, currency) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (time.time(), scope, run, step, request, model, tokens_in, tokens_out, seconds, energy_wh, energy_source, energy, wear,
         found.currency),
    )
    return energy + wear
