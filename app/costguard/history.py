"""The machine's own series over time, thinned for a plot: however many points there are, a plot gets a few hundred.

Each bucket gives its lowest and its highest value, first the one that is nearer to where the curve is, so that no peak is lost.
"""

from __future__ import annotations

from app.store import Store

BUCKETS = 300
Points = list[tuple[float, float]]


def history(store: Store, name: str, start: float, end: float, *, run: str = "", buckets: int = BUCKETS) -> Points:
    """(seconds before ``end`` as a number ≤ 0, value), at most two a bucket, oldest first.  start, end: seconds since 1970.

    Only rows of that span are read: those of a series lie in the index in the order in which they came, and so by time.
    """
    width = max((end - start) / buckets, 1e-3)
    earlier = store.row("SELECT id FROM metrics WHERE run = ? AND name = ? AND at < ? ORDER BY id DESC LIMIT 1", (run, name, start))
    rows = store.rows(
        "SELECT min(at) AS first, max(at) AS last, min(value) AS low, max(value) AS high FROM metrics "
        "WHERE run = ? AND name = ? AND id > ? AND at <= ? GROUP BY CAST((at - ?) / ? AS INTEGER) ORDER BY first",
        (run, name, earlier["id"] if earlier else 0, end, start, width))
    found: Points = []
    for row in rows:
        low, high = row["low"], row["high"]
        falls = bool(found) and found[-1][1] > (low + high) / 2
        found.append((row["first"] - end, high if falls else low))
        if row["last"] > row["first"]:
            found.append((row["last"] - end, low if falls else high))
    return found
