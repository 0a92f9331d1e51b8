"""The curves of a run, read so that a plot costs the same however long its series is.

A plot gets at most CHART_POINTS of a series: the lowest and the highest figure of each part of the axis, where they were measured, so
that no peak is lost, and the newest.  SQLite does the choosing, so memory does not grow with the series.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from app.store import Store

BUCKETS = 400
CHART_POINTS = 2 * BUCKETS
"""Most points of one curve, but for its last."""
BY_TIME = frozenset({"train.tokens_per_second"})
"""Series of the training whose x is the time, not the step."""
Points = list[tuple[float, float]]
Curves = dict[str, Points]
_ORDER = " ORDER BY id"


def curves(store: Store, identity: str, names: Collection[str] = (), part: tuple[float, float] | None = None) -> Curves:
    """The run's own series and the machine's during the run; all, or those named; all of the x axis, or a part of it.

    Step series (train.*) have the training step as x; the others the minutes since the run started.
    """
    row = store.row("SELECT started, ended FROM runs WHERE id = ?", (identity,))
    if row is None or row["started"] is None:
        return {}
    start, end = float(row["started"]), row["ended"] if row["ended"] is not None else 9e12
    found: Curves = {}
    for run, when in ((identity, ""), ("", f" AND at BETWEEN {start!r} AND {float(end)!r}")):
        known = store.rows("SELECT name FROM metrics WHERE run = ? GROUP BY name", (run,))
        for name in [one["name"] for one in known if not names or one["name"] in names]:
            minutes = f"(at - {start!r}) / 60"
            x = minutes if name in BY_TIME or not run else f"coalesce(x, {minutes})"
            if points := _series(store, x, f"run = ? AND name = ?{when}", (run, name), part):
                found[name] = points
    return found


def _series(store: Store, x: str, where: str, values: tuple[Any, ...], part: tuple[float, float] | None) -> Points:
    if part is not None:
        where, values = f"{where} AND {x} BETWEEN ? AND ?", (*values, *part)
    read = f"SELECT id, {x} AS x, value FROM metrics WHERE {where}"
    first = store.db.execute(f"{read}{_ORDER} LIMIT ?", (*values, CHART_POINTS + 1)).fetchall()
    if len(first) <= CHART_POINTS:
        return [(float(place), float(value)) for _, place, value in first]
    last = store.db.execute(f"{read}{_ORDER} DESC LIMIT 1", values).fetchone()
    low, high = part or (first[0][1], last[1])
    width = max((high - low) / BUCKETS, 1e-9)
    chosen = " UNION ".join(f"SELECT id, x, {which}(value) AS value FROM ({read}) GROUP BY CAST((x - ?) / ? AS INTEGER)"
                            for which in ("min", "max"))  # beside one min or max, SQLite gives the row that has it
    found = store.db.execute(chosen + _ORDER, (*values, low, width) * 2).fetchall()
    return [(float(place), float(value)) for _, place, value in (found if found[-1][0] == last[0] else [*found, last])]
