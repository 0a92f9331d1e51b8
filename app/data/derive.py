"""Make a new version of a dataset out of an earlier one, row by row: the one way all data nodes write.

Nothing is lost: a removed row keeps its place with the reason, a changed row's earlier text stays in the parent version,
and :func:`undo` takes any of it back.  Decisions are written in batches together with how far the work has come, so that
a step which fails on a row, is stopped or is killed goes on behind the last row that was done.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import orjson
import xxhash

from app.config.artifacts import Artifact, Report, Rows
from app.config.node import StepContext, version_of
from app.errors import Cancelled, DatasetError, NeuroWeaverError, Place, UsageError
from app.store import Store
from app.store.datasets import DatasetDb, open_dataset
from app.store.records import Row, encode
from app.store.versions import VersionWriter, discard_paused

BATCH_ROWS, BATCH_BYTES, BATCH_SECONDS = 2000, 16 * 2**20, 1.0
TELL_ROWS, TELL_SECONDS = 200, 0.25
COPIED = 50_000
"""Places copied, or hashed, between two looks at whether to stop."""
ITERATING = 0.9
"""Share of the progress bar that the rows take; the rest is for writing the version."""
NOT_REDACTED = "not_redacted"
_Statement = tuple[str, tuple[Any, ...]]
_CARRIED = (("scores", "name, value"), ("ratings", "rating, note, at"))
"""What is known of a row's content: the tables and their columns."""
_INHERITED = ("file", "mapping", "split_field", "columns", "types")
"""What a version keeps of its parent's origin: where the rows came from."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A version and its figures.  splits: kept rows of each; empty where the rows have none."""

    dataset: str
    version: int
    rows: int
    splits: dict[str, int]
    content_hash: str
    report: dict[str, Any] = field(default_factory=dict)

    def as_rows(self) -> Rows:
        """The artifact that names it."""
        return Rows(content_hash=self.content_hash, dataset=self.dataset, version=self.version, rows=self.rows, splits=self.splits)


class Derivation:
    """One new version on its way; use it in ``with``.  Leaving without :meth:`finish` pauses it, or undoes it if nothing was done.

    node: the node's name ("data.clean").  note: shown in the list of versions.  params: part of what names the work: with other
    parameters, another parent, another seed or a newer version of the node it starts anew.  share: of the progress bar, for :meth:`rows`.
    origin: what the version says of where its rows came from, where that is not what its parent says.
    """

    def __init__(
        self, ctx: StepContext, rows: Rows, *, node: str, note: str, params: Mapping[str, Any], share: float = ITERATING,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        self._ctx, self.node, self._share = ctx, node, share
        self.parent = rows.version
        self.db: DatasetDb = open_dataset(ctx.store, rows.dataset)
        self.db.conn.watch(ctx.check_cancelled)  # a statement over a million rows takes seconds
        try:
            _drop_stale(ctx.store, self.db, self.parent, node, key := self._key(rows, params))
            self._writer = VersionWriter(
                ctx.store, self.db, parent=self.parent, note=note, resume=key,
                origin={**inherited_origin(ctx.store, rows.dataset, self.parent), **(origin or {}), "node": node, "run": ctx.run,
                        "step": ctx.step},
                wait=lambda: ctx.progress(0.0, "Waiting for another writer of this dataset"),
            )
            self.version = self._writer.version
            self._done = self._begin()
        except BaseException:
            self.db.conn.watch(None)
            if hasattr(self, "_writer"):
                self._writer.__exit__()
            self.db.close()
            raise
        self.total = self._count("WHERE version = ? AND state = 'kept'", self.parent)
        self._next_position = self._count("WHERE version = ?", self.version, "coalesce(max(position), 0)") + 1
        self.added = self._next_position - 1 - self._count("WHERE version = ?", self.parent, "coalesce(max(position), 0)")
        """Rows that an earlier attempt has appended."""
        self._pending: list[_Statement] = []
        self._held = 0
        self._of_row: list[_Statement] = []
        self._row: Row | None = None
        self._seen = self._count("WHERE version = ? AND state = 'kept' AND position <= ?", (self.parent, self._done))
        self._written = self._told = time.monotonic()
        self._finished = self._kept = False

    @property
    def resumed(self) -> bool:
        """Whether this goes on with a version that an earlier attempt began."""
        return self._writer.resumed

    def _key(self, rows: Rows, params: Mapping[str, Any]) -> str:
        named = [self.node, version_of(self.node), self.parent, rows.content_hash, dict(params), self._ctx.seed]
        return hashlib.sha256(orjson.dumps(named, default=str, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]

    def _begin(self) -> int:
        """Copy the parent's places, once; the last position that an earlier attempt has done."""
        found = self.db.conn.execute("SELECT done FROM derivations WHERE version = ?", (self.version,)).fetchone()
        if found is not None:
            return int(found[0])
        with self.db.write() as conn:  # together, so that a kill between the two cannot copy them twice
            copy_places(conn, self.parent, self.version, lambda: self._ctx.progress(0.0, "Beginning the new version"))
            conn.execute("INSERT INTO derivations (version, done) VALUES (?, 0)", (self.version,))
        return 0

    def _count(self, where: str, values: Any, what: str = "count(*)") -> int:
        given = values if isinstance(values, tuple) else (values,)
        return int(self.db.conn.execute(f"SELECT {what} FROM version_rows {where}", given).fetchone()[0])

    # -- reading ------------------------------------------------------------------------------------------------------------

    def rows(self, split: str | None = None, *, again: bool = False) -> Iterator[Row]:
        """Kept rows of the parent in order, in bounded memory, with progress.

        Without a split each row counts as done when the next one is asked for, and rows that an earlier attempt has done are
        left out.  ``again``, or a split, reads all of them and counts nothing as done.  Raises Cancelled.
        """
        if again or split is not None:
            for count, row in enumerate(self.db.iter_rows(self.parent, split), start=1):
                if count % TELL_ROWS == 0:
                    self._ctx.check_cancelled()
                yield row
            return
        for row in self.db.iter_rows(self.parent, after=self._done):
            self._row = row
            yield row
            self._settle(row)
        self._flush()

    def _settle(self, row: Row) -> None:
        self._row, self._done = None, row.position
        self._seen += 1
        self._pending += self._of_row
        self._of_row.clear()
        if self._much() or time.monotonic() - self._written > BATCH_SECONDS:
            self._flush()
        if self._seen % TELL_ROWS == 0 or self._seen == self.total or time.monotonic() - self._told > TELL_SECONDS:
            self._told = time.monotonic()
            self._ctx.progress(self._share * self._seen / max(self.total, 1), f"{self._seen:,} of {self.total:,} rows")

    # -- deciding -----------------------------------------------------------------------------------------------------------

    def remove(self, row: Row | int, reason: str, detail: str = "") -> None:
        """Take a row (or the one at a position) out.  reason: one word for a count ("near_duplicate"); detail: words for a person."""
        self._say("UPDATE version_rows SET state = 'removed', reason = ?, detail = ? WHERE version = ? AND position = ?",
                  reason, detail, self.version, row if isinstance(row, int) else row.position)

    def flag(self, row: Row | int, reason: str, detail: str = "") -> None:
        """Say something of a row that stays as it is."""
        self._say("UPDATE version_rows SET reason = ?, detail = ? WHERE version = ? AND position = ? AND state = 'kept'",
                  reason, detail, self.version, row if isinstance(row, int) else row.position)

    def change(self, row: Row, new: Row, reason: str, detail: str = "") -> None:
        """Give a row new content; it keeps its place and split, and its metadata where ``new`` has the same."""
        digest, payload = encode(new)
        self._store_row(digest, payload)
        self._say("UPDATE version_rows SET row = (SELECT id FROM rows WHERE hash = ?), reason = ?, detail = ? "
                  "WHERE version = ? AND position = ?", digest, reason, detail, self.version, row.position)

    def carry(self, row: Row, new: Row) -> None:
        """What was measured and what a person said of a row holds for its new content too, where that says the same."""
        old, digest = (bytes.fromhex(row.hash) if row.hash else encode(row)[0]), encode(new)[0]
        for table, columns in _CARRIED:
            self._say(f"INSERT OR IGNORE INTO {table} (row, {columns}) SELECT n.id, {columns} FROM {table} t JOIN rows o ON o.id = t.row "
                      "JOIN rows n ON n.hash = ? WHERE o.hash = ?", digest, old)

    def add(self, new: Row, reason: str, detail: str = "") -> int:
        """Append a row in the split it names; returns its position."""
        digest, payload = encode(new)
        position, self._next_position = self._next_position, self._next_position + 1
        self._store_row(digest, payload)
        self._say("INSERT INTO version_rows (version, position, row, split, reason, detail) "
                  "VALUES (?, ?, (SELECT id FROM rows WHERE hash = ?), ?, ?, ?)",
                  self.version, position, digest, new.split, reason, detail)
        return position

    def set_split(self, position: int, split: str) -> None:
        """Put the row at a position into a split."""
        self._say("UPDATE version_rows SET split = ? WHERE version = ? AND position = ?", split, self.version, position)

    def score(self, row: Row, **values: float) -> None:
        """Keep scores of a row's content; they follow it through later versions."""
        digest = bytes.fromhex(row.hash) if row.hash else encode(row)[0]
        for name, value in values.items():
            self._say("INSERT OR REPLACE INTO scores (row, name, value) SELECT id, ?, ? FROM rows WHERE hash = ?",
                      name, value, digest)

    def write(self, statement: str, *values: Any) -> None:
        """Any other statement on the dataset's tables (findings, say), in the same transaction as the row it belongs to."""
        self._say(statement, *values)

    def keep(self) -> None:
        """Write now what was decided on the row in hand, which stays undone: for work of minutes on one row.

        The caller must know what it has decided when the row comes again; what it keeps of that goes through :meth:`write`.
        """
        self._pending += self._of_row
        self._of_row.clear()
        self._flush()
        self._kept = True

    def _store_row(self, digest: bytes, payload: bytes) -> None:
        self._held += len(payload)
        self._say("INSERT INTO rows (hash, payload) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING", digest, payload)

    def _say(self, statement: str, *values: Any) -> None:
        (self._pending if self._row is None else self._of_row).append((statement, values))
        if self._row is None and self._much():
            self._flush()

    def _much(self) -> bool:
        """Whether enough waits to be written."""
        return len(self._pending) >= BATCH_ROWS or self._held >= BATCH_BYTES

    def save(self) -> None:
        """Write every decision that was made outside of a row, so that the version can be read."""
        self._flush()

    def _flush(self) -> None:
        with self.db.write() as conn:
            for statement, values in self._pending:
                conn.execute(statement, values)
            conn.execute("UPDATE derivations SET done = ? WHERE version = ?", (self._done, self.version))
        self._pending.clear()
        self._held, self._written = 0, time.monotonic()

    # -- ending -------------------------------------------------------------------------------------------------------------

    def finish(self, report: Mapping[str, Any], *, shape: str = "") -> dict[str, Artifact]:
        """Close the version: {"rows": Rows, "report": Report}.

        report: what the node did, plain values; what was removed and changed by reason, kept rows and splits are added to it
        (``removed``, ``changed``, ``added``: counts of this step alone).  shape: of its rows, where it is not the parent's.
        Raises UsageError dataset.nothing_left.
        """
        self._flush()
        self._ctx.progress(0.95, "Writing the new version")
        made = figures(self.db, self.version, lambda: self._ctx.progress(0.95, "Writing the new version"))
        counts = self.counts()
        if made.rows == 0:
            raise UsageError("dataset.nothing_left", f"{self.node} would remove every row; no version was made.",
                             why=f"Removed: {counts['removed']}.", remedy="Relax its rules, or look at the rows first.")
        full = {"checked": self.total, "kept": made.rows, "splits": made.splits, **counts, **report}
        self._writer.finish(rows=made.rows, removed=self._count("WHERE version = ? AND state = 'removed'", self.version),
                            splits=made.splits,
                            shape=shape or shape_of(self._ctx.store, self.db.dataset, self.parent), content_hash=made.content_hash,
                            report=full)
        with self.db.write() as conn:
            conn.execute("DELETE FROM derivations WHERE version = ?", (self.version,))
        self._finished = True
        return {"rows": made.as_rows(), "report": self._report(full)}

    def counts(self) -> dict[str, dict[str, int]]:
        """What this version did to its parent so far, by reason: {"removed", "changed", "added", "flagged"}."""
        return counts(self.db, self.parent, self.version)

    def _report(self, full: Mapping[str, Any]) -> Report:
        content = orjson.dumps(full, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
        path = self._ctx.outputs_dir / f"{self.node.rpartition('.')[2]}.json"
        path.write_bytes(content)
        return Report(content_hash=hashlib.sha256(content).hexdigest(), path=str(path), summary=orjson.loads(content))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, _trace: TracebackType | None) -> None:
        self.db.conn.watch(None)  # what is kept, or taken back, is so to the end
        try:
            with self._writer:
                if not self._finished and self._keeps(problem):
                    self._of_row.clear()
                    self._flush()
                    if self._done or self._kept:
                        self._writer.pause()
        finally:
            self.db.close()
        if self._row is not None and isinstance(problem, Exception) and not isinstance(problem, NO_FAULT_OF_A_ROW):
            raise row_failed(self.node, self._row.position, problem) from problem

    def _keeps(self, problem: BaseException | None) -> bool:
        discarded = isinstance(problem, Cancelled) and not problem.save
        unfit = isinstance(problem, UsageError)  # the parameters do not fit: going on would not mend that
        return not (discarded or unfit)


NO_FAULT_OF_A_ROW = (Cancelled, NeuroWeaverError, OSError, MemoryError)


def row_failed(node: str, position: int, problem: Exception, kept: str = "what was done before it is kept") -> DatasetError:
    """What a node says when a row cannot be dealt with."""
    return DatasetError(
        "dataset.row_failed", f"{node} failed on row {position}; {kept}.",
        where=Place.of(field=f"row {position}"), why=f"{type(problem).__name__}: {problem}",
        remedy="Look at the row on the Datasets page, mend or remove it, then resume the run.")


@contextmanager
def at_row(node: str, position: int, kept: str = "nothing was changed") -> Iterator[None]:
    """What fails inside is told as the failure of this row (DatasetError dataset.row_failed), if it can be the row's fault."""
    try:
        yield
    except NO_FAULT_OF_A_ROW:
        raise
    except Exception as problem:
        raise row_failed(node, position, problem, kept) from problem


def _drop_stale(store: Store, db: DatasetDb, parent: int, node: str, key: str) -> None:
    """Paused versions of the same node over the same parent, but with other parameters: nobody will go on with them."""
    for row in store.rows("SELECT version, origin FROM dataset_versions WHERE dataset = ? AND state = 'paused' AND parent = ?",
                          (db.dataset, parent)):
        origin = orjson.loads(row["origin"])
        if origin.get("node") == node and origin.get("resume") != key:
            discard_paused(store, db, row["version"])


def inherited_origin(store: Store, dataset: str, version: int) -> dict[str, Any]:
    """What a new version keeps of its parent's origin: where the rows came from."""
    found = store.row("SELECT origin FROM dataset_versions WHERE dataset = ? AND version = ?", (dataset, version))
    origin = orjson.loads(found["origin"]) if found else {}
    return {name: origin[name] for name in _INHERITED if name in origin}


def shape_of(store: Store, dataset: str, version: int) -> str:
    """The shape of a version's rows."""
    found = store.row("SELECT shape FROM dataset_versions WHERE dataset = ? AND version = ?", (dataset, version))
    return str((found or {}).get("shape") or "chat")


def copy_places(conn: Any, source: int, target: int, alive: Callable[[], None] | None = None) -> None:
    """Copy the places of a version, its removed rows too.  alive: called now and then; may raise."""
    last, after = conn.execute("SELECT coalesce(max(position), 0) FROM version_rows WHERE version = ?", (source,)).fetchone()[0], -1
    while after < last:
        conn.execute(
            "INSERT INTO version_rows (version, position, row, split, state, reason, detail) SELECT ?, position, row, "
            "split, state, reason, detail FROM version_rows WHERE version = ? AND position > ? AND position <= ?",
            (target, source, after, after + COPIED))
        after += COPIED
        if alive is not None:
            alive()


def figures(db: DatasetDb, version: int, alive: Callable[[], None] | None = None) -> Derived:
    """Rows of each split, content hash and number of rows of what a version keeps.  alive: called now and then; may raise."""
    digest, splits = xxhash.xxh3_128(), Counter[str]()
    for count, (row_hash, split) in enumerate(db.conn.execute(
        "SELECT r.hash, v.split FROM version_rows v JOIN rows r ON r.id = v.row WHERE v.version = ? "
        "AND v.state = 'kept' ORDER BY v.position", (version,))):
        if alive is not None and count % COPIED == 0:
            alive()
        digest.update(row_hash)
        digest.update(split.encode())
        splits[split] += 1
    return Derived(db.dataset, version, splits.total(), {} if set(splits) <= {""} else dict(splits), digest.hexdigest())


def counts(db: DatasetDb, parent: int, version: int) -> dict[str, dict[str, int]]:
    """What a version did to its parent, by reason: {"removed", "changed", "added", "flagged"}, and "restored" where rows are back."""
    found: dict[str, Counter[str]] = {"removed": Counter(), "changed": Counter(), "added": Counter(), "flagged": Counter()}
    for kind, reason, count in db.conn.execute(
        "SELECT CASE WHEN p.position IS NULL THEN 'added' WHEN v.state != p.state THEN iif(v.state = 'kept', 'restored', 'removed') "
        "WHEN v.row != p.row THEN 'changed' ELSE 'flagged' END, v.reason, "
        "count(*) FROM version_rows v LEFT JOIN version_rows p ON p.version = ? AND p.position = v.position WHERE v.version = ? "
        "AND (p.position IS NULL OR v.state != p.state OR v.row != p.row OR v.reason IS NOT p.reason OR v.detail IS NOT p.detail) "
        "GROUP BY 1, 2", (parent, version)):
        found.setdefault(kind, Counter())[reason or ""] += count
    return {kind: dict(sorted(counter.items())) for kind, counter in found.items()}


# -- undo --------------------------------------------------------------------------------------------------------------------


def undo(store: Store, dataset: str, version: int, positions: Iterable[int]) -> Derived:
    """A new version in which the rows at these positions are as they were before the step that last touched them.

    A removed row is back, a changed one has its earlier text, an added one is gone; all others stay as in ``version``.
    Raises UsageError dataset.nothing_to_undo if a row was never touched.
    """
    wanted = sorted(set(positions))
    with open_dataset(store, dataset) as db:
        origin = {**inherited_origin(store, dataset, version), "undone": version}
        with VersionWriter(store, db, origin=origin, parent=version, note="Changes undone") as writer:
            line = ancestors(store, dataset, version)
            with db.write() as conn:
                copy_places(conn, version, writer.version)
                take_back(conn, writer.version, line, wanted)
                bare = flag_not_redacted(conn, writer.version, redaction_in(store, dataset, [version, *line]), wanted)
            made = figures(db, writer.version)
            left = dict(db.conn.execute("SELECT reason, count(*) FROM version_rows WHERE version = ? AND state = 'removed' "
                                        "GROUP BY reason", (writer.version,)).fetchall())
            report = {"kept": made.rows, "removed": left, "restored": len(wanted), NOT_REDACTED: bare}
            writer.finish(rows=made.rows, removed=sum(left.values()), splits=made.splits, shape=shape_of(store, dataset, version),
                          content_hash=made.content_hash, report=report)
    return Derived(dataset, made.version, made.rows, made.splits, made.content_hash, report)


def ancestors(store: Store, dataset: str, version: int) -> list[int]:
    """The ancestors of a version, its parent first."""
    parents = {row["version"]: row["parent"] for row in
               store.rows("SELECT version, parent FROM dataset_versions WHERE dataset = ?", (dataset,))}
    line: list[int] = []
    while (parent := parents.get(line[-1] if line else version)) is not None and parent not in line:
        line.append(parent)
    return line


def take_back(conn: Any, version: int, line: list[int], wanted: Iterable[int]) -> None:
    """Put the rows at these positions back to what they were in the last of the ancestors (``line``) in which they were different.

    Raises UsageError dataset.nothing_to_undo.
    """
    divided = conn.execute("SELECT 1 FROM version_rows WHERE version = ? AND state = 'kept' AND split != '' LIMIT 1",
                           (version,)).fetchone() is not None
    for position in wanted:
        now = _place(conn, version, position)
        if now is None or not line:
            raise _nothing_to_undo(position)
        earlier = next((then for ancestor in line if (then := _place(conn, ancestor, position)) is None or then[:2] != now[:2]), now)
        if earlier is None:
            conn.execute("DELETE FROM version_rows WHERE version = ? AND position = ?", (version, position))
            continue
        if earlier[:2] == now[:2]:
            raise _nothing_to_undo(position)
        row, state, split, reason, detail = earlier
        split = now[2] or split or ("train" if divided and state == "kept" else "")
        conn.execute("UPDATE version_rows SET row = ?, state = ?, split = ?, reason = ?, detail = ? WHERE version = ? AND position = ?",
                     (row, state, split, reason, detail, version, position))


def carry_over(conn: Any, parent: int, version: int, position: int) -> None:
    """What is known of the content at a position of the parent holds for what stands there now too, where that says the same."""
    for table, columns in _CARRIED:
        conn.execute(f"INSERT OR IGNORE INTO {table} (row, {columns}) SELECT n.row, {columns} FROM version_rows o JOIN {table} t ON "
                     "t.row = o.row JOIN version_rows n ON n.version = ? AND n.position = o.position WHERE o.version = ? AND "
                     "o.position = ?", (version, parent, position))


def redaction_in(store: Store, dataset: str, line: list[int]) -> tuple[int, list[int]] | None:
    """(version, those before it) of the newest of these versions that data.redact made; None if none was."""
    made = {row["version"] for row in store.rows(
        "SELECT version FROM dataset_versions WHERE dataset = ? AND origin ->> 'node' = 'data.redact'", (dataset,))}
    return next(((one, line[place + 1 :]) for place, one in enumerate(line) if one in made), None)


def flag_not_redacted(conn: Any, version: int, redaction: tuple[int, list[int]] | None, positions: Iterable[int]) -> int:
    """Say of rows that were put back that they stand as they did before the redaction: it was undone, or they had been removed when it
    was made.  Returns how many these are."""
    if redaction is None:
        return 0
    return int(conn.execute(
        "UPDATE version_rows SET reason = :reason WHERE version = :version AND state = 'kept' AND position IN (SELECT value FROM "
        "json_each(:places)) AND EXISTS (SELECT 1 FROM version_rows r WHERE r.version = :redacted AND r.position = version_rows.position "
        "AND (r.state = 'removed' OR r.row != version_rows.row)) AND EXISTS (SELECT 1 FROM json_each(:before) b JOIN version_rows p ON "
        "p.version = b.value AND p.position = version_rows.position AND p.row = version_rows.row)",
        {"reason": NOT_REDACTED, "version": version, "places": orjson.dumps(list(positions)), "redacted": redaction[0],
         "before": orjson.dumps(redaction[1])}).rowcount)


def _place(conn: Any, version: int, position: int) -> tuple[int, str, str, str | None, str | None] | None:
    found: tuple[int, str, str, str | None, str | None] | None = conn.execute(
        "SELECT row, state, split, reason, detail FROM version_rows WHERE version = ? AND position = ?", (version, position)).fetchone()
    return found


def _nothing_to_undo(position: int) -> UsageError:
    return UsageError("dataset.nothing_to_undo", f"Row {position} was not changed, removed or added by a step.",
                      remedy="Choose among the rows that a step touched.")
