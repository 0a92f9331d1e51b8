"""Refining: rows that are bad by themselves go, then rows that repeat others; what was never split is split.

Two passes, so that memory is bounded whatever the number of rows: the first looks at each row alone and goes on where it was
stopped, the second compares all rows with each other (repeats.py), which begins anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from app.config.artifacts import Artifact, Rows
from app.config.node import StepContext
from app.data.derive import Derivation, at_row
from app.data.lookup import Marked
from app.data.repair import BROKEN
from app.data.repeats import REASONS, RepeatRules, Repeats
from app.data.rowtext import text_of
from app.data.splits import SplitRules, divide
from app.store.records import Row

ALONE, COMPARED = 0.3, 0.9
"""Where on the progress bar the first and the second pass end."""
Reason = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as bad.  Lengths in characters of question and answer together; languages as ISO 639-1, empty: all."""

    repeats: RepeatRules = field(default_factory=RepeatRules)
    shortest: int = 1
    longest: int = 1_000_000
    languages: tuple[str, ...] = ()
    split: SplitRules = field(default_factory=SplitRules)


_INVISIBLE = re.compile("[\\s\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]*\\Z")
"""Nothing that can be seen: blanks, zero-width and direction marks."""


def refine(ctx: StepContext, rows: Rows, rules: Rules, params: Mapping[str, object]) -> dict[str, Artifact]:
    """Make a new version without bad rows.  Raises UsageError for rules that do not fit, or that would leave nothing."""
    rules.split.check()
    with Derivation(ctx, rows, node="data.refine", note="Refined", params=params, share=ALONE) as d:
        for row in d.rows():
            if reason := bad(row, rules):
                d.remove(row, *reason)
        unchecked = _compare(d, ctx, rules.repeats)
        d.save()
        split = d.db.conn.execute("SELECT 1 FROM version_rows WHERE version = ? AND split != '' LIMIT 1", (d.parent,)).fetchone()
        warnings = [] if split else divide(d, rules.split, lambda share, words: ctx.progress(COMPARED + 0.04 * share, words))
        if unchecked:
            warnings.append(f"{unchecked:,} rows share rare words with so many others that not every pair of them was compared; near "
                            "duplicates can be left among them.")
        return d.finish({"warnings": warnings, "not_all_compared": unchecked, "rules": {
            "near_duplicates": rules.repeats.near, "semantic_duplicates": rules.repeats.meaning,
            "contradictions": rules.repeats.contradictions, "languages": list(rules.languages),
            "shortest": rules.shortest, "longest": rules.longest}})


def _compare(d: Derivation, ctx: StepContext, rules: RepeatRules) -> int:
    """Decide about rows that repeat others; how many were not compared with all."""
    half = (ALONE + COMPARED) / 2
    with Repeats(d.db, d.parent, rules, d.total) as repeats:
        for count, row in enumerate(_good(d), start=1):
            with at_row("data.refine", row.position, "what was done before it is kept"):
                repeats.add(row)
            if count % 500 == 0:
                ctx.progress(ALONE + (half - ALONE) * count / d.total, f"{count:,} of {d.total:,} rows read for comparison")
        for count, verdict in enumerate(repeats.verdicts(lambda share, words: ctx.progress(half + (COMPARED - half) * share, words))):
            (d.remove if verdict.removed else d.flag)(verdict.position, verdict.reason, verdict.detail)
            if count % 2000 == 0:
                ctx.progress(COMPARED, f"{count:,} rows decided")
        return repeats.unchecked


def _good(d: Derivation) -> Iterator[Row]:
    """Rows that the first pass let stay.  What an earlier attempt removed as a repeat is compared again."""
    d.save()
    marks = ", ".join("?" * len(REASONS))
    alone = Marked(np.fromiter((position for (position,) in d.db.conn.execute(
        f"SELECT position FROM version_rows WHERE version = ? AND state = 'removed' AND reason NOT IN ({marks})",
        (d.version, *REASONS))), np.int64))
    return (row for row in d.rows(again=True) if row.position not in alone)


def bad(row: Row, rules: Rules) -> Reason | None:
    """(reason, detail) for a row that is bad by itself, or None."""
    text = text_of(row)
    if _INVISIBLE.match(text) or _INVISIBLE.match(row.answer):
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
