"""The sums of the Costs page."""

from __future__ import annotations

import time

import pytest

from app.costguard import meter, views
from app.store import Store, settings


def charged(store: Store, *, at: float | None = None, money: float = 1.0, scope: str = "step", source: str = "rapl",
            run: str | None = "r1", model: str | None = None, currency: str = "EUR", tokens: int = 10) -> None:
    """One charge: ``money`` for energy, twice that for wear."""
    store.db.execute(
        "INSERT INTO usage (at, scope, run, step, model, tokens_in, seconds, energy_wh, energy_source, energy_cost, wear_cost, "
        "currency) VALUES (?, ?, ?, 'train', ?, ?, 60, 5, ?, ?, ?, ?)",
        (at if at is not None else time.time(), scope, run, model, tokens, source, money, 2 * money, currency))


@pytest.fixture
def run(store: Store) -> str:
    store.db.execute("INSERT INTO runs (id, number, name, document, document_hash, resolved, state, seed, created) "
                     "VALUES ('r1', 1, 'Legal', '', '', '{}', 'done', 0, 0)")
    return "r1"


def test_today_and_month_are_summed_apart(store, run):
    charged(store, money=1.0)
    charged(store, money=2.0, at=max(views.month_start(), views.day_start() - 1))
    charged(store, money=4.0, at=views.month_start() - 1)
    found = views.costs(store)
    in_today = 2.0 if views.month_start() == views.day_start() else 0.0  # on the first of a month both are today
    assert found.today.energy_cost == pytest.approx(1.0 + in_today)
    assert found.month.energy_cost == pytest.approx(3.0)
    assert found.month.total == pytest.approx(9.0)
    assert (found.month.tokens, found.month.seconds, found.month.energy_wh) == (20, 120, 10)


def test_nothing_charged_is_nothing(store):
    found = views.costs(store)
    assert (found.today.total, found.today.source, found.per_thousand, found.items, found.days) == (0, "", None, [], [])


@pytest.mark.parametrize(("sources", "weakest"), [(["nvml", "rapl"], "rapl"), (["nvml", "estimate"], "estimate"), (["nvml"], "nvml")])
def test_a_sum_names_its_weakest_evidence(store, sources, weakest):
    for source in sources:
        charged(store, source=source)
    assert views.costs(store).month.source == weakest


def test_where_it_goes_lists_runs_and_models_the_dearest_first(store, run):
    charged(store, money=1.0)
    charged(store, money=1.0)
    charged(store, money=5.0, scope="request", run=None, model="legal")
    found = views.costs(store).items
    assert [(item.kind, item.name, item.spend.total) for item in found] == [("answers", "legal", 15.0), ("run", "Legal, run 1", 6.0)]
    assert found[1].run == "r1"


def test_a_thousand_answers_cost_a_thousand_times_the_mean(store):
    charged(store, scope="request", run=None, money=0.001)
    charged(store, scope="request", run=None, money=0.003)
    assert views.costs(store).per_thousand == pytest.approx(1000 * (0.003 + 0.009) / 2)


def test_other_currencies_are_never_added_up(store):
    charged(store, money=1.0)
    charged(store, money=7.0, currency="USD")
    found = views.costs(store)
    assert found.month.total == pytest.approx(3.0)
    assert found.other_currencies == (("USD", 21.0),)
    settings.put(store, "currency", "USD")
    found = views.costs(store)
    assert found.month.total == pytest.approx(21.0)
    assert (found.currency, found.other_currencies) == ("USD", (("EUR", 3.0),))


def test_days_are_local_and_in_order(store):
    for days_ago in (2, 0, 0, 40):
        charged(store, at=views.day_start(days_ago=days_ago) + 60)
    found = views.costs(store).days
    assert [day for day, _, _ in found] == [views.day_start(days_ago=2), views.day_start()]
    assert [energy for _, energy, _ in found] == [1.0, 2.0]


def test_the_newest_charges_come_first(store, run):
    charged(store, money=1.0)
    meter.charge(store, scope="request", request="q", model="legal", seconds=1, energy_wh=1, energy_source="nvml", tokens_out=3)
    assert [(item.kind, item.name) for item in views.recent(store)] == [("answer", "legal"), ("step", "train")]
    assert len(views.recent(store, 1)) == 1


@pytest.mark.parametrize("zone", ["Europe/Zurich", "America/New_York", "UTC"])
def test_a_day_before_the_clocks_change_is_still_midnight(monkeypatch, zone):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        now = time.mktime((2026, 4, 10, 15, 0, 0, 0, 0, -1))
        for days_ago in range(30):
            local = time.localtime(views.day_start(now, days_ago=days_ago))
            assert (local.tm_hour, local.tm_min) == (0, 0)
    finally:
        monkeypatch.undo()
        time.tzset()
