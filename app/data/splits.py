"""Which rows are learnt from and which are held back: the splits of a version, without leaks between them.

Rows go together that share a group's value, and rows that are near duplicates of each other by a chain of pairs.  A row that
has a split keeps it, and what goes together with it follows it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from app.data.derive import Derivation, at_row
from app.data.frame import Frame
from app.data.near import find_clusters, linked
from app.data.ranking import ORDER
from app.data.shingle_file import ShingleFile
from app.data.splitting import TRAIN, assign, draw, fill
from app.errors import UsageError
from app.store.records import SPLITS, Row

Tell = Callable[[float, str], None]
Numbers = npt.NDArray[np.int64]
DOCUMENT = "document"
"""The column by which rows are grouped where none is named and there are groups enough."""
FEWEST_GROUPS = 10
MOST_STRATA = 1000
FEWEST_ASKED = 20
"""Rows of a split from which chance alone does not explain half or twice as many."""
NO_SPLIT = ORDER.index("")


@dataclass(frozen=True, slots=True)
class SplitRules:
    """How rows are divided.  shares: of each split but train.  group, stratify: columns, or "".

    near: Jaccard similarity from which rows go together, None: it does not matter.
    """

    shares: dict[str, float] = field(default_factory=dict)
    group: str = ""
    stratify: str = ""
    near: float | None = None
    seed: int = 0

    def check(self) -> None:
        """Raise UsageError for shares that are no shares."""
        unknown = [name for name in self.shares if name not in SPLITS]
        total = sum(share for name, share in self.shares.items() if name != TRAIN)
        if unknown or any(share < 0 for share in self.shares.values()) or total >= 1:
            raise UsageError(
                "split.bad_shares",
                "The shares of the splits do not fit.",
                why=f"They are {self.shares}.",
                remedy="Name test and calibration with shares that leave something for train, for example "
                "{test: 0.1, calibration: 0.05}.",
            )


@dataclass(slots=True)
class _Rows:
    """All rows in order: position, split they have, number of their stratum, draw of their group, hash of their group."""

    positions: array[int] = field(default_factory=lambda: array("q"))
    splits: array[int] = field(default_factory=lambda: array("b"))
    strata: array[int] = field(default_factory=lambda: array("q"))
    drawn: array[float] = field(default_factory=lambda: array("d"))
    groups: array[int] = field(default_factory=lambda: array("Q"))


def divide(d: Derivation, rules: SplitRules, tell: Tell, *, again: bool = False) -> list[str]:
    """Give each row of the new version that has none a split; returns warnings.

    again: also rows that have one.  Raises UsageError for a column that a row lacks.
    """
    if not rules.shares:
        return []
    with ShingleFile(Path(d.db.store.profile.cache), d.total if rules.near is not None else 1) as file:
        rows = _read(d, rules, file if rules.near is not None else None, again, tell)
        _, firsts, member = np.unique(np.array(rows.groups, np.uint64), return_index=True, return_inverse=True)
        together: Numbers = firsts[member]
        unchecked = 0
        if rules.near is not None and len(together):
            file.seal()
            clusters, unchecked = find_clusters(file, rules.near, lambda share, words: tell(0.4 + 0.5 * share, words))
            together = linked(together, np.arange(len(together)), clusters)
    chosen = _choose(rows, together, rules)
    for number, (position, before, now) in enumerate(zip(rows.positions, rows.splits, chosen.tolist(), strict=True)):
        if now != before:
            d.set_split(position, ORDER[now])
        if number % 5000 == 0:
            tell(0.9 + 0.1 * number / len(chosen), f"{number:,} rows divided")
    warnings = _warnings(rows, together, chosen, rules)
    if unchecked:
        warnings.append(f"{unchecked:,} rows share rare words with so many others that not every pair of them was compared; rows that "
                        "are alike can stand in different splits.")
    return warnings


def _read(d: Derivation, rules: SplitRules, file: ShingleFile | None, again: bool, tell: Tell) -> _Rows:
    column = rules.group or _own_group(d, tell)
    rows, strata = _Rows(), dict[str, int]()
    frame = Frame.of_version(d.db, d.version) if file is not None else Frame()
    for number, row in enumerate(d.db.iter_rows(d.version)):
        with at_row(d.node, row.position):
            name = _value(row, column, "group") if column else row.hash
            rows.positions.append(row.position)
            rows.splits.append(NO_SPLIT if again else ORDER.index(row.split))
            rows.strata.append(strata.setdefault(_value(row, rules.stratify, "stratify"), len(strata)) if rules.stratify else 0)
            rows.groups.append(xxhash.xxh3_64_intdigest(name.encode("utf-8", "replace")))
            rows.drawn.append(draw(rules.seed, name))
            if file is not None:
                file.add(frame.text_with_borders(row))
        if len(strata) > MOST_STRATA:
            raise UsageError("split.too_many_values", f"{rules.stratify!r} has more than {MOST_STRATA:,} different values.",
                             remedy="Stratify by a column with few values, such as a label.")
        if number % 500 == 0:
            tell(0.4 * number / max(d.total, 1), f"{number:,} rows read for the split")
    return rows


def _own_group(d: Derivation, tell: Tell) -> str:
    """DOCUMENT if every row has it and there are groups enough, else "" (each row for itself)."""
    seen: set[str] = set()
    for number, row in enumerate(d.db.iter_rows(d.version)):
        if number % 500 == 0:
            tell(0.0, f"{number:,} rows looked at for their documents")
        if DOCUMENT not in row.meta:
            return ""
        if len(seen) < FEWEST_GROUPS:
            seen.add(str(row.meta[DOCUMENT]))
    return DOCUMENT if len(seen) >= FEWEST_GROUPS else ""


def _value(row: Row, column: str, parameter: str) -> str:
    if column not in row.meta:
        raise UsageError(
            "split.no_column",
            f"Row {row.position} has no {column!r} to {parameter} by.",
            remedy="Name a column that every row has, or leave this parameter out.",
        )
    return str(row.meta[column])


def _choose(rows: _Rows, together: Numbers, rules: SplitRules) -> Numbers:
    """For each row the number of its split in ORDER."""
    before = np.array(rows.splits, np.int64)
    if not len(together):
        return before
    firsts, member, sizes = np.unique(together, return_inverse=True, return_counts=True)
    fixed = np.full(len(firsts), NO_SPLIT)
    np.minimum.at(fixed, member, before)  # the most held back of those that go together
    drawn, strata = np.array(rows.drawn)[firsts], np.array(rows.strata, np.int64)[firsts]
    open_ = np.flatnonzero(fixed == NO_SPLIT)
    names = np.array([ORDER.index(name) for name in [TRAIN, *(name for name in rules.shares if name != TRAIN)]])
    for stratum in np.unique(strata[open_]):
        among = open_[strata[open_] == stratum]
        fixed[among] = names[fill(drawn[among], sizes[among], rules.shares) if rules.stratify else assign(drawn[among], rules.shares)]
    return np.where(before == NO_SPLIT, fixed[member], before)


def _warnings(rows: _Rows, together: Numbers, chosen: Numbers, rules: SplitRules) -> list[str]:
    found = []
    before = np.array(rows.splits, np.int64)
    fresh = bool((before == NO_SPLIT).all())
    if fresh and len(np.unique(together)) == 1:
        found.append(f"All rows belong to one {rules.group or 'group'}; nothing was held back.")
    elif fresh:
        found += _far_from_asked(chosen, rules.shares)
    lowest, highest = np.full(len(chosen), NO_SPLIT), np.zeros(len(chosen), np.int64)
    np.minimum.at(lowest, together, chosen)
    np.maximum.at(highest, together, chosen)
    if straddle := int(((lowest < highest) & (np.bincount(together, minlength=len(chosen)) > 0)).sum()):
        found.append(f"{straddle:,} groups straddle two splits, because the source splits them so. Refine with leaks removed.")
    return found


def _far_from_asked(chosen: Numbers, shares: Mapping[str, float]) -> Iterator[str]:
    """Splits with less than half, or more than twice, of the rows that were asked for."""
    for name, share in shares.items():
        asked, given = share * len(chosen), int((chosen == ORDER.index(name)).sum())
        if name != TRAIN and asked >= FEWEST_ASKED and not asked / 2 <= given <= 2 * asked:
            yield (f"{name} has {given:,} of {len(chosen):,} rows, where {share:.0%} were asked for: rows that are alike or of one group "
                   "stay together, and some of these groups are large. Remove near duplicates before the split.")


def split_words(splits: Iterable[tuple[str, Any]]) -> str:
    """"800 train, 100 test" for an event."""
    return ", ".join(f"{count:,} {name or 'not split'}" for name, count in splits)
