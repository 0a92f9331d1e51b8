"""What the Costs page reads.  Money is in the currency that was in force when it was charged; energy in Wh."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.costguard.meter import SOURCES
from app.store import Store, settings

MOST_ITEMS = 30
DAYS = 30


@dataclass(frozen=True, slots=True)
class Spend:
    """A sum of what was charged in the currency now in force.

    source: the weakest evidence in it: estimate before rapl before nvml, "" where nothing was charged.
    """

    energy_cost: float
    wear_cost: float
    energy_wh: float
    seconds: float
    tokens: int
    source: str

    @property
    def total(self) -> float:
        return self.energy_cost + self.wear_cost


@dataclass(frozen=True, slots=True)
class Item:
    """One line of "where it goes": a run, or all requests to one model."""

    kind: str
    name: str
    run: str
    at: float
    spend: Spend


@dataclass(frozen=True, slots=True)
class CostsView:
    """days: (Unix time of local midnight, energy cost, wear cost), oldest first, days without work left out.

    per_thousand: measured money for 1,000 answered requests this month, or None while there is none.
    other_currencies: this month's sums that were charged in another currency than today's; they are in no other figure.
    """

    currency: str
    tariff: float
    hardware_price: float
    hardware_life_hours: float
    today: Spend
    month: Spend
    days: list[tuple[float, float, float]]
    items: list[Item]
    per_thousand: float | None
    other_currencies: tuple[tuple[str, float], ...] = ()


_SUMS = ("coalesce(sum(energy_cost), 0) AS energy_cost, coalesce(sum(wear_cost), 0) AS wear_cost, "
         "coalesce(sum(energy_wh), 0) AS energy_wh, coalesce(sum(seconds), 0) AS seconds, "
         "coalesce(sum(tokens_in + tokens_out), 0) AS tokens, "
         "min(CASE energy_source WHEN 'nvml' THEN 2 WHEN 'rapl' THEN 1 ELSE 0 END) AS source")
_COUNTED = ("scope IN ('step', 'request') AND currency = "  # a run's own row would repeat its steps
            f"coalesce((SELECT json_extract(value, '$') FROM settings WHERE key = 'currency'), '{settings.DEFAULTS['currency']}')")


def _spend(row: Mapping[str, Any]) -> Spend:
    return Spend(row["energy_cost"], row["wear_cost"], row["energy_wh"], row["seconds"], int(row["tokens"]),
                 "" if row["source"] is None else SOURCES[row["source"]])


def since(store: Store, start: float) -> Spend:
    """Everything charged since a Unix time."""
    row = store.row(f"SELECT {_SUMS} FROM usage WHERE {_COUNTED} AND at >= ?", (start,))
    return _spend(row or {})


def day_start(now: float | None = None, *, days_ago: int = 0) -> float:
    """The last local midnight, or one some days before; days of 23 and 25 hours are counted as what they are."""
    local = time.localtime(now if now is not None else time.time())
    return time.mktime((local.tm_year, local.tm_mon, local.tm_mday - days_ago, 0, 0, 0, 0, 0, -1))


def month_start(now: float | None = None) -> float:
    """The local start of the month."""
    local = time.localtime(now if now is not None else time.time())
    return time.mktime((local.tm_year, local.tm_mon, 1, 0, 0, 0, 0, 0, -1))


def costs(store: Store) -> CostsView:
    """Everything the page shows."""
    month = month_start()
    answered = store.row(f"SELECT count(*) AS n, {_SUMS} FROM usage WHERE {_COUNTED} AND scope = 'request' AND at >= ?", (month,))
    per_thousand = 1000 * _spend(answered).total / answered["n"] if answered and answered["n"] else None
    return CostsView(
        currency=str(settings.get(store, "currency")), tariff=float(settings.get(store, "tariff_per_kwh")),
        hardware_price=float(settings.get(store, "hardware_price")),
        hardware_life_hours=float(settings.get(store, "hardware_life_hours")), today=since(store, day_start()),
        month=since(store, month), days=_days(store), items=_items(store, month), per_thousand=per_thousand,
        other_currencies=_others(store, month))


def _days(store: Store) -> list[tuple[float, float, float]]:
    start = day_start(days_ago=DAYS - 1)
    found = store.rows(f"SELECT date(at, 'unixepoch', 'localtime') AS day, min(at) AS at, sum(energy_cost) AS energy, "
                       f"sum(wear_cost) AS wear FROM usage WHERE {_COUNTED} AND at >= ? GROUP BY day ORDER BY day", (start,))
    return [(day_start(row["at"]), row["energy"], row["wear"]) for row in found]


def _others(store: Store, start: float) -> tuple[tuple[str, float], ...]:
    rows = store.rows("SELECT currency, sum(energy_cost + wear_cost) AS money FROM usage WHERE scope IN ('step', 'request') "
                      "AND at >= ? AND currency != ? GROUP BY currency", (start, settings.get(store, "currency")))
    return tuple((row["currency"], row["money"]) for row in rows)


def _items(store: Store, start: float) -> list[Item]:
    """Runs and served models of the month, the dearest first."""
    runs = store.rows(f"SELECT 'run' AS kind, r.name || ', run ' || r.number AS name, u.run AS run, max(u.at) AS at, {_SUMS} "
                      f"FROM usage u JOIN runs r ON r.id = u.run WHERE {_COUNTED} AND u.scope = 'step' AND u.at >= ? GROUP BY u.run",
                      (start,))
    models = store.rows(f"SELECT 'answers' AS kind, coalesce(model, '') AS name, '' AS run, max(at) AS at, {_SUMS} "
                        f"FROM usage WHERE {_COUNTED} AND scope = 'request' AND at >= ? GROUP BY model", (start,))
    items = [Item(row["kind"], row["name"], row["run"], row["at"], _spend(row)) for row in [*runs, *models]]
    return sorted(items, key=lambda item: item.spend.total, reverse=True)[:MOST_ITEMS]


def recent(store: Store, limit: int = MOST_ITEMS) -> list[Item]:
    """The newest charges first: steps by run and name, requests by model."""
    rows = store.rows(f"SELECT CASE scope WHEN 'step' THEN 'step' ELSE 'answer' END AS kind, coalesce(step, model, '') AS name, "
                      f"coalesce(run, '') AS run, max(at) AS at, {_SUMS} FROM usage WHERE {_COUNTED} GROUP BY id "
                      "ORDER BY id DESC LIMIT ?", (limit,))
    return [Item(row["kind"], row["name"], row["run"], row["at"], _spend(row)) for row in rows]
