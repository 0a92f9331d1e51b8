"""Redaction of a whole version: look, decide by the rules, give stand-ins, keep every finding for the review."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import floor
from typing import Any

from app.config.cores import free_cores
from app.data.derive import Derivation
from app.data.patience import patiently
from app.data.redaction.crew import Answer, Crew, look
from app.data.redaction.detect import Detector, Finding, Settings
from app.data.redaction.entities import label
from app.data.redaction.pseudonyms import Mode, Pseudonyms
from app.data.redaction.quality import published
from app.data.redaction.rows import labelled, replaced, shifted, texts_of, with_texts
from app.data.redaction.rules import Rules, load
from app.errors import DatasetError, Place
from app.store.records import Row

BATCH_ROWS, BATCH_CHARACTERS = 64, 60_000
MOST_CHILDREN = 4
"""Unless more are asked for: with the names model each takes some 250 MB."""
WORTH_CHILDREN = 1_500
"""Rows from which children pay: each takes some seconds to load its model."""
_INSERT = (
    'INSERT INTO findings (version, position, field, start, "end", entity, score, detector, replacement, decision, '
    "decided_by) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How to redact.  sure: findings below this certainty wait for a person; they are redacted meanwhile."""

    settings: Settings
    mode: Mode = "placeholder"
    sure: float = 0.75
    columns: tuple[str, ...] = ("*",)
    processes: int = 0


def redact(derivation: Derivation, plan: Plan, alive: Callable[[], None], waiting: Callable[[], None]) -> dict[str, Any]:
    """Redact all rows of a version that is being derived; returns the report.

    alive: called for every batch, so that a long one is not taken for a hang.  waiting: called while a model loads or a child works.
    Both may raise.
    """
    rules = Rules(load(derivation.db.conn))
    pseudonyms = Pseudonyms(derivation.db, plan.mode, derivation.write)
    with ExitStack() as stack:
        ahead = _Ahead(derivation, plan, alive, waiting, stack)
        for row in derivation.rows():
            redact_row(derivation, row, ahead.of(row), rules, pseudonyms, plan)
    return report(derivation.db.conn, derivation.version, plan.settings)


class _Ahead:
    """Findings by row, made in batches ahead of the row that is being written."""

    def __init__(
        self, derivation: Derivation, plan: Plan, alive: Callable[[], None], waiting: Callable[[], None], stack: ExitStack
    ) -> None:
        self._derivation, self._plan, self._stack = derivation, plan, stack
        self._alive, self._waiting = alive, waiting
        self._places: list[list[int]] = []
        self._ready: dict[int, dict[str, list[Finding]] | str] = {}
        self._answers: Iterator[Answer] | None = None

    def of(self, row: Row) -> dict[str, list[Finding]]:
        """Findings by field.  Raises DatasetError redaction.row_failed."""
        if self._answers is None:
            self._answers = self._start(row.position)
        while row.position not in self._ready:
            self._alive()
            answer = next(self._answers)
            self._ready = dict(zip(self._places.pop(0), answer, strict=True))
        found = self._ready.pop(row.position)
        if isinstance(found, str):
            raise DatasetError(
                "redaction.row_failed",
                f"data.redact failed on row {row.position}; what was done before it is kept.",
                where=Place.of(field=f"row {row.position}"),
                why=found,
                remedy="Look at the row on the Datasets page, mend or remove it, then resume the run.",
            )
        return found

    def _start(self, position: int) -> Iterator[Answer]:
        batches = self._batches(position)
        settings = self._plan.settings
        few = self._derivation.total < WORTH_CHILDREN  # asked first: looking for free cores takes half a second
        children = 1 if few else self._plan.processes or min(MOST_CHILDREN, free_cores())
        if children > 1:
            return self._stack.enter_context(Crew(settings, children, self._waiting)).map(batches)
        detector = Detector(settings)
        patiently(detector.load, self._waiting)
        return (look(detector, batch) for batch in batches)

    def _batches(self, position: int) -> Iterator[list[dict[str, str]]]:
        batch: list[dict[str, str]] = []
        places: list[int] = []
        size = 0
        for row in self._derivation.db.iter_rows(self._derivation.parent, after=position - 1, batch=500):
            texts = {name: labelled(name, text)[0] for name, text in texts_of(row, self._plan.columns).items()}
            batch.append(texts)
            places.append(row.position)
            size += sum(map(len, texts.values()))
            if len(batch) >= BATCH_ROWS or size >= BATCH_CHARACTERS:
                self._places.append(places)
                yield batch
                batch, places, size = [], [], 0
        if batch:
            self._places.append(places)
            yield batch


def redact_row(
    derivation: Derivation, row: Row, found: dict[str, list[Finding]], rules: Rules, pseudonyms: Pseudonyms, plan: Plan
) -> None:
    """Exchange what was found in one row, and note each finding."""
    texts = texts_of(row, plan.columns)
    listed = [
        (name, one)
        for name, text in texts.items()
        for one in rules.also(text, shifted(found.get(name, []), labelled(name, text)[1]))
        if one.entity == "PRIVATE" or one.end <= len(text)
    ]
    if not listed:
        return
    stand_ins = pseudonyms.of_row((one.entity, texts[name][one.start : one.end]) for name, one in listed)
    counts, parts = Counter[str](), dict[str, list[tuple[int, int, str]]]()
    for name, one in listed:
        text = texts[name][one.start : one.end]
        replacement = stand_ins[one.entity, text]
        said = rules.decide(one.entity, text)
        decision = "rejected" if said == "keep" else "accepted" if said == "redact" or one.score >= plan.sure else "open"
        derivation.write(
            _INSERT,
            derivation.version,
            row.position,
            name,
            one.start,
            one.end,
            one.entity,
            one.score,
            one.detector,
            replacement,
            decision,
            "rule" if said else "",
        )
        if decision != "rejected":
            parts.setdefault(name, []).append((one.start, one.end, replacement))
            counts[one.entity] += 1
    if counts:
        new = with_texts(row, {name: replaced(texts[name], listed_parts) for name, listed_parts in parts.items()})
        derivation.change(row, new, "redacted", ", ".join(f"{count} {label(name)}" for name, count in sorted(counts.items())))
        derivation.carry(row, new)


# ---- the report --------------------------------------------------------------------------------------------------------------


def report(conn: Any, version: int, settings: Settings) -> dict[str, Any]:
    """What was found and redacted by entity, and how well the detector did where the answers were known."""
    entities: dict[str, dict[str, int]] = {}
    at, seen = 0, set[str]()
    listed = "SELECT position, entity, decision FROM findings WHERE version = ? ORDER BY position"
    for position, entity, decision in conn.execute(listed, (version,)):  # counted here: SQLite would hold every position in memory
        line = entities.setdefault(entity, {"found": 0, "redacted": 0, "open": 0, "kept": 0, "rows": 0})
        if position != at:
            at, seen = position, set()
        line["rows"] += entity not in seen
        seen.add(entity)
        line["found"] += 1
        line["kept" if decision == "rejected" else "redacted"] += 1
        line["open"] += decision == "open"
    return {
        "findings": dict(sorted(entities.items())),
        "redacted": sum(line["redacted"] for line in entities.values()),
        "open": sum(line["open"] for line in entities.values()),
        "measured": measured(settings.entities, settings.model),
        "statement": statement(settings.model),
    }


def measured(entities: Sequence[str], model: bool) -> dict[str, Any]:
    """Measured recall and precision of the entities looked for; of names, in sentences that no rule was written for."""
    table = published().get("with_model" if model else "without_model", {})
    known = {**table.get("entities", {}), **({"PERSON": table["free_names"]} if "free_names" in table else {})}
    return {name: {part: known[name][part] for part in ("recall", "precision")} for name in entities if name in known}


def statement(model: bool = True) -> str:
    """One honest sentence for the report: never that all is removed."""
    table = published().get("with_model" if model else "without_model")
    if not table:
        return "How much is found was not measured for this version. Some private data can be missed."
    numbers, person = table["structured"]["recall"], table["free_names"]["recall"]
    return (
        f"Measured on {table['sentences']:,} synthetic sentences: finds {_percent(numbers)} of identifiers and "
        f"{_percent(person)} of names. "
        "Real texts differ; some private data can be missed."
    )


def _percent(share: dict[str, Any]) -> str:
    """A share with its interval; rounded down, so that 99.96 % is never "100.0 %"."""
    low, high = share["interval"]
    return f"{floor(1000 * share['value']) / 10:.1f} % ({floor(1000 * low) / 10:.1f} to {100 * high:.1f})"
