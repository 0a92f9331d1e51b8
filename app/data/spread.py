"""Rows of a version spread over all of it, for what can be learned from some of them."""

from __future__ import annotations

from collections.abc import Iterator

from app.store.datasets import DatasetDb, decode
from app.store.records import Row

PAGE = 2_000


def sample_rows(db: DatasetDb, version: int, most: int, seed: int) -> list[Row]:
    """At most about ``most`` kept rows, spread over the version and the same for the same seed."""
    return list(spread(db, version, most, seed))


def spread(db: DatasetDb, version: int, most: int, seed: int) -> Iterator[Row]:
    """The same rows in order of position, read in pages."""
    total = count_kept(db, version)
    where = "" if total <= most else "AND (v.position + ?2) * 2654435761 % 4294967296 < ?3"
    sql = ("SELECT v.position, v.split, r.hash, r.payload FROM version_rows v JOIN rows r ON r.id = v.row WHERE v.version = ?1 "
           f"AND v.state = 'kept' {where} AND v.position > ?4 ORDER BY v.position LIMIT ?5")
    bound, after = int(2**32 * most / max(total, 1)), 0
    while page := min(PAGE, most):
        found = db.conn.execute(sql, (version, 7919 * seed + 1, bound, after, page)).fetchall()
        for position, split, digest, payload in found:
            yield decode(payload, split=split, digest=digest, position=position)
        if len(found) < page:
            return
        most, after = most - len(found), found[-1][0]


def count_kept(db: DatasetDb, version: int) -> int:
    """How many rows of a version are in use."""
    return int(db.conn.execute("SELECT count(*) FROM version_rows WHERE version = ? AND state = 'kept'", (version,)).fetchone()[0])
