"""The machine's own series over time, thinned for a plot: however many points there are, a plot gets a few hundred.

Each bucket gives its lowest and its highest value in the order in which they came, so that no peak is lost.
"""

from __future__ import annotations

from app.store import Store

BUCKETS = 300
Points = list[tuple[float, float]]


def history(store: Store, name: str, start: float, end: float, *, run: str = "", buckets: int = BUCKETS) -> Points:
    """(seconds before ``end`` as a number ≤ 0, value), at most two a bucket, oldest first.  start, end: seconds since 1970."""
    width = max((end - start) / buckets, 1e-3)
    rows = store.rows(
        "SELECT min(at) AS first, max(at) AS last, min(value) AS low, max(value) AS high, "
        "max(CASE WHEN rising THEN 1 ELSE 0 END) AS rising FROM (SELECT at, value, value >= lag(value, 1, value) OVER (ORDER BY at) "
        "AS rising FROM metrics WHERE run = ? AND name = ? AND at BETWEEN ? AND ?) GROUP BY CAST((at - ?) / ? AS INTEGER) "
        "ORDER BY first", (run, name, start, end, start, width))
    found: Points = []
    for row in rows:
        low, high = (row["low"], row["high"]) if row["rising"] else (row["high"], row["low"])
        found.append((row["first"] - end, low))
        if row["last"] > row["first"]:
            found.append((row["last"] - end, high))
    return found
