"""What work costs: energy times the tariff, and wear: the hardware's price spread over its working life.

All prices and their defaults are in app/store/settings.py; the user changes them on the Settings page.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from app.store import Store, settings

STALE_SECONDS = 15.0
"""A power reading older than this says nothing about now."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Money for one kWh and for one hour of wear."""

    per_kwh: float
    per_hour: float
    currency: str

    def of(self, watt_hours: float, seconds: float) -> tuple[float, float]:
        """(energy cost, wear cost) of some energy over some time."""
        return watt_hours / 1000 * self.per_kwh, seconds / 3600 * self.per_hour


def prices(store: Store) -> Prices:
    """The prices in force."""
    life = float(settings.get(store, "hardware_life_hours"))
    return Prices(
        float(settings.get(store, "tariff_per_kwh")),
        float(settings.get(store, "hardware_price")) / life,
        str(settings.get(store, "currency")),
    )


def watts_now(store: Store) -> tuple[float, str]:
    """(watts of this machine, source) from the newest reading; the stated idle power as an estimate where there is none."""
    row = store.row("SELECT value, unit, at FROM metrics WHERE run = '' AND name = 'system.watts' ORDER BY id DESC LIMIT 1")
    if row is None or time.time() - row["at"] > STALE_SECONDS:
        return float(settings.get(store, "cpu_watts_full")), "estimate"
    return float(row["value"]), str(row["unit"])


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
) -> float:
    """Write one row of usage; returns its money.  scope: step or request."""
    found = prices(store)
    energy, wear = found.of(energy_wh, seconds)
    store.db.execute(
        "INSERT INTO usage (at, scope, run, step, request, model, tokens_in, tokens_out, seconds, energy_wh, energy_source, "
        "energy_cost, wear_cost, currency) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            time.time(),
            scope,
            run,
            step,
            request,
            model,
            tokens_in,
            tokens_out,
            seconds,
            energy_wh,
            energy_source,
            energy,
            wear,
            found.currency,
        ),
    )
    return energy + wear
