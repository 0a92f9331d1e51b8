"""The first cut of refining: what is removed from a version and why.  Nothing is lost: a removed row keeps its place.

Held-out rows are looked at first, so that of a training row and the test row it repeats the test row stays.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import xxhash

from app.data.near import NearIndex
from app.errors import UsageError
from app.store import Store
from app.store.datasets import DatasetDb, decode, open_dataset
from app.store.records import Row
from app.store.versions import VersionWriter

ORDER = ("test", "calibration", "train", "")
BROKEN = "\ufffd"
Tell = Callable[[float, str], None]
Reason = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as bad.  Lengths in characters of question and answer together; languages as ISO 639-1, empty: all."""

    near_threshold: float = 0.7
    near: bool = True
    shortest: int = 1
    longest: int = 1_000_000
    languages: tuple[str, ...] = ()
    split: dict[str, float] = field(default_factory=dict)
    group_field: str = ""
    seed: int = 0


@dataclass
class Outcome:
    """Decisions by position: split, and where removed the reason and what it repeats."""

    splits: dict[int, str] = field(default_factory=dict)
    removed: dict[int, Reason] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refined:
    """The new version and its figures."""

    dataset: str
    version: int
    rows: int
    splits: dict[str, int]
    content_hash: str
    report: dict[str, Any]


def text_of(row: Row) -> str:
    """All words of a row."""
    return "\n".join([*(message["content"] for message in row.messages), row.text, row.chosen, row.rejected]).strip()


def refine(store: Store, dataset: str, version: int, rules: Rules, tell: Tell) -> Refined:
    """Make a new version of a dataset without its bad rows."""
    with open_dataset(store, dataset) as db:
        outcome = _decide(db, version, rules, tell)
        tell(0.9, "Writing the new version")
        return _write(store, db, version, outcome, rules)


def _decide(db: DatasetDb, version: int, rules: Rules, tell: Tell) -> Outcome:
    outcome = Outcome()
    total = db.conn.execute("SELECT count(*) FROM version_rows WHERE version = ? AND state = 'kept'", (version,)).fetchone()[0]
    splits = {row[0] for row in db.conn.execute("SELECT DISTINCT split FROM version_rows WHERE version = ?", (version,))}
    own = _Reader(db, version)
    index = NearIndex(rules.near_threshold, rules.seed, own.text) if rules.near else None
    exact: dict[bytes, int] = {}
    for seen, row in enumerate(_held_out_first(db, version, splits), start=1):
        outcome.splits[row.position] = row.split
        if reason := _bad(row, rules) or _repeats(row, exact, index, outcome):
            outcome.removed[row.position] = reason
        if seen % 200 == 0:
            tell(0.9 * seen / total, f"{seen:,} of {total:,} rows looked at, {len(outcome.removed):,} removed")
    if splits == {""} and rules.split:
        _assign_splits(db, version, outcome, rules)
    return outcome


def _held_out_first(db: DatasetDb, version: int, splits: Iterable[str]) -> Iterator[Row]:
    for split in [name for name in ORDER if name in splits]:
        yield from db.iter_rows(version, split)


class _Reader:
    """Reads the text of a position again, for verifying a candidate."""

    def __init__(self, db: DatasetDb, version: int) -> None:
        self._db, self._version = db, version

    def text(self, position: int) -> str:
        payload = self._db.conn.execute(
            "SELECT r.payload FROM version_rows v JOIN rows r ON r.id = v.row WHERE v.version = ? AND v.position = ?",
            (self._version, position),
        ).fetchone()[0]
        return text_of(decode(payload))


def _bad(row: Row, rules: Rules) -> Reason | None:
    text = text_of(row)
    if not text or (row.shape == "chat" and not row.answer.strip()):
        return "empty", ""
    if BROKEN in text:
        return "broken_encoding", f"{text.count(BROKEN)} unreadable characters"
    if len(text) < rules.shortest:
        return "too_short", f"{len(text)} characters"
    if len(text) > rules.longest:
        return "too_long", f"{len(text)} characters"
    if rules.languages:
        found = language(text)
        if found not in rules.languages:
            return "language", found
    return None


def language(text: str) -> str:
    """ISO 639-1 code of the most likely language."""
    import py3langid

    return str(py3langid.classify(text[:2000])[0])


def _repeats(row: Row, exact: dict[bytes, int], index: NearIndex | None, outcome: Outcome) -> Reason | None:
    text = text_of(row)
    digest = xxhash.xxh3_128_digest(" ".join(text.casefold().split()).encode())
    earlier = exact.setdefault(digest, row.position)
    if earlier != row.position:
        return _kind("exact_duplicate", row, earlier, outcome), f"row {earlier}"
    near = index.find_or_add(row.position, text) if index is not None else None
    if near is not None:
        return _kind("near_duplicate", row, near[0], outcome), f"row {near[0]}, {100 * near[1]:.0f} % alike"
    return None


def _kind(name: str, row: Row, earlier: int, outcome: Outcome) -> str:
    return "leak" if outcome.splits.get(earlier, row.split) != row.split else name


def _assign_splits(db: DatasetDb, version: int, outcome: Outcome, rules: Rules) -> None:
    """Rows of one group (a document, say) go to one split together; the choice depends on content and seed alone."""
    for row in db.iter_rows(version):
        if rules.group_field and rules.group_field not in row.meta:
            raise UsageError(
                "refine.no_group",
                f"Row {row.position} has no {rules.group_field!r} to group by.",
                remedy="Name a column that every row has, or leave group_field out.",
            )
        group = str(row.meta[rules.group_field]) if rules.group_field else row.hash
        drawn = int.from_bytes(hashlib.sha256(f"{rules.seed}:{group}".encode()).digest()[:8], "big") / 2**64
        outcome.splits[row.position] = choose_split(drawn, rules.split)


def choose_split(drawn: float, shares: dict[str, float]) -> str:
    """The split in whose share of 0..1 the number falls; what is left over goes to train."""
    for name, share in shares.items():
        if drawn < share:
            return name
        drawn -= share
    return "train"


def _write(store: Store, db: DatasetDb, version: int, outcome: Outcome, rules: Rules) -> Refined:
    shape = (store.row("SELECT shape FROM dataset_versions WHERE dataset = ? AND version = ?", (db.dataset, version)) or {}).get(
        "shape"
    )
    with VersionWriter(store, db, origin={"refined": version}, parent=version, note="Refined") as writer:
        with db.write() as conn:
            conn.execute(
                "INSERT INTO version_rows (version, position, row, split, state, reason, detail) SELECT ?, position, row, "
                "split, state, reason, detail FROM version_rows WHERE version = ?",
                (writer.version, version),
            )
            conn.executemany(
                "UPDATE version_rows SET split = ? WHERE version = ? AND position = ? AND split != ?",
                ((split, writer.version, position, split) for position, split in outcome.splits.items()),
            )
            conn.executemany(
                "UPDATE version_rows SET state = 'removed', reason = ?, detail = ? WHERE version = ? AND position = ?",
                ((*reason, writer.version, position) for position, reason in outcome.removed.items()),
            )
        splits, content, kept = _figures(db, writer.version)
        report = {
            "checked": len(outcome.splits),
            "kept": kept,
            "rules": {"near_duplicates": rules.near_threshold if rules.near else None},
            "removed": dict(Counter(reason for reason, _ in outcome.removed.values())),
        }
        writer.finish(
            rows=kept, removed=len(outcome.removed), splits=splits, shape=shape or "chat", content_hash=content, report=report
        )
    return Refined(db.dataset, writer.version, kept, splits, content, report)


def _figures(db: DatasetDb, version: int) -> tuple[dict[str, int], str, int]:
    digest, splits = xxhash.xxh3_128(), Counter[str]()
    for row_hash, split in db.conn.execute(
        "SELECT r.hash, v.split FROM version_rows v JOIN rows r ON r.id = v.row WHERE v.version = ? "
        "AND v.state = 'kept' ORDER BY v.position",
        (version,),
    ):
        digest.update(row_hash)
        digest.update(split.encode())
        splits[split] += 1
    return ({} if set(splits) == {""} else dict(splits)), digest.hexdigest(), sum(splits.values())


def restore(store: Store, dataset: str, version: int, positions: Iterable[int]) -> Refined:
    """A new version in which removed rows are back."""
    with open_dataset(store, dataset) as db:
        with VersionWriter(store, db, origin={"restored": version}, parent=version, note="Rows restored") as writer:
            with db.write() as conn:
                conn.execute(
                    "INSERT INTO version_rows (version, position, row, split, state, reason, detail) SELECT ?, position, row, "
                    "split, state, reason, detail FROM version_rows WHERE version = ?",
                    (writer.version, version),
                )
                conn.executemany(
                    "UPDATE version_rows SET state = 'kept', reason = NULL, detail = NULL WHERE version = ? AND position = ?",
                    ((writer.version, position) for position in positions),
                )
            splits, content, kept = _figures(db, writer.version)
            left = Counter(
                row[0]
                for row in db.conn.execute(
                    "SELECT reason FROM version_rows WHERE version = ? AND state = 'removed'", (writer.version,)
                )
            )
            report = {"kept": kept, "removed": dict(left)}
            writer.finish(rows=kept, removed=sum(left.values()), splits=splits, shape="chat", content_hash=content, report=report)
        return Refined(dataset, writer.version, kept, splits, content, report)
