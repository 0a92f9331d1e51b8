"""Rows of a version spread over all of it, for what can be learned from some of them."""

from __future__ import annotations

from collections.abc import Iterator

from app.store.datasets import DatasetDb, decode, read_page
from app.store.records import Row

PAGE = 2_000
SAMPLE_BYTES = 64 * 2**20


def sample_rows(db: DatasetDb, version: int, most: int, seed: int) -> list[Row]:
    """At most about ``most`` kept rows, spread over the version and the same for the same seed; fewer, spread as far, where they are
    so long that all would take more than SAMPLE_BYTES."""
    where, values = _chosen(count_kept(db, version), most, seed)
    size = db.conn.execute("SELECT coalesce(sum(bytes), 0) FROM (SELECT length(r.payload) AS bytes FROM version_rows v JOIN rows r "
                           f"ON r.id = v.row WHERE v.version = ? AND v.state = 'kept' {where} ORDER BY v.position LIMIT ?)",
                           (version, *values, most)).fetchone()[0]
    return list(spread(db, version, most if size <= SAMPLE_BYTES else max(1, most * SAMPLE_BYTES // size), seed))


def spread(db: DatasetDb, version: int, most: int, seed: int) -> Iterator[Row]:
    """The same rows in order of position, read in pages."""
    where, values = _chosen(count_kept(db, version), most, seed)
    sql = ("SELECT v.position, v.split, r.hash, r.payload FROM version_rows v JOIN rows r ON r.id = v.row WHERE v.version = ? "
           f"AND v.state = 'kept' {where} AND v.position > ? ORDER BY v.position LIMIT ?")
    after = 0
    while size := min(PAGE, most):
        found, more = read_page(db.conn.execute(sql, (version, *values, after, size)), size)
        for position, split, digest, payload in found:
            yield decode(payload, split=split, digest=digest, position=position)
        if not more:
            return
        most, after = most - len(found), found[-1][0]


def _chosen(total: int, most: int, seed: int) -> tuple[str, tuple[int, ...]]:
    """(condition, its values) that about so many of all positions meet."""
    if total <= most:
        return "", ()
    first = (7919 * seed + 1) % 2**31  # else SQLite would reckon in floating point
    return "AND (v.position + ?) * 2654435761 % 4294967296 < ?", (first, int(2**32 * most / total))


def count_kept(db: DatasetDb, version: int) -> int:
    """How many rows of a version are in use."""
    return int(db.conn.execute("SELECT count(*) FROM version_rows WHERE version = ? AND state = 'kept'", (version,)).fetchone()[0])
