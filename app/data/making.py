"""What nodes that add rows share: their sources, answers in the order of the rows, likeness to what exists, and the step's money."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from app.config.node import StepContext
from app.data.asking import Answer, Asker, Question, Unusable, cost_so_far
from app.data.candidates import REASONS
from app.data.closeness import Form, HeldOut, Nearest, asked
from app.data.derive import Derivation
from app.errors import Cancelled, UsageError
from app.store.records import Row

if TYPE_CHECKING:
    from app.data.embedding import Encoder

HELD_OUT = ("test", "calibration")
TOLD_ROWS = 50
"""Few, because their meaning may be read too: some 80 rows a second."""
T = TypeVar("T")


class Answers(Generic[T]):
    """Answers in the order of their rows, handed out row by row; what they answer is asked some rows ahead.

    rows: those to ask about.  questions: (place in the row, what is asked, its question) of a row, made as the model gets free.
    A row whose questions cannot be made fails when its turn comes, and not those before it.
    """

    def __init__(
        self, asker: Asker | None, rows: Iterable[Row], questions: Callable[[Row], Iterable[tuple[int, T, Question[Any]]]]
    ) -> None:
        self._rows, self._questions = rows, questions
        self._failed: tuple[int, Exception] | None = None
        self._answers = asker.ask_all(self._ask()) if asker is not None else iter(())
        self._next: tuple[tuple[int, int, T], Answer[Any] | Unusable] | None = None
        self._begun = False

    def _ask(self) -> Iterator[tuple[tuple[int, int, T], Question[Any]]]:
        for row in self._rows:
            try:
                for place, task, question in self._questions(row):
                    yield (row.position, place, task), question
            except Cancelled:
                raise
            except Exception as problem:
                self._failed = row.position, problem
                return

    def of(self, position: int) -> Iterator[tuple[int, T, Answer[Any] | Unusable]]:
        """Those for the row at this position: (place, what was asked, answer)."""
        if not self._begun:
            self._begun, self._next = True, next(self._answers, None)
        while self._next is not None and self._next[0][0] == position:
            (_, place, task), answer = self._next
            yield place, task, answer
            self._next = next(self._answers, None)
        if self._failed is not None and self._failed[0] == position:
            raise self._failed[1]


def find_sources(derived: Derivation) -> tuple[str, int]:
    """(split whose rows are sources, how many there are): train, or "" where no row has a split.  Raises UsageError if none fits."""
    counts = dict(derived.db.conn.execute(
        "SELECT split, count(*) FROM version_rows WHERE version = ? AND state = 'kept' GROUP BY split", (derived.parent,)).fetchall())
    split = "" if set(counts) <= {""} else "train"
    if not counts.get(split):
        raise UsageError("dataset.no_training_rows", "There is no row to make others from.",
                         why="No row is for training; held-out rows are never used.", remedy="Give some rows the split train.")
    return split, int(counts[split])


def existing(ctx: StepContext, derived: Derivation, form: Form) -> Nearest:
    """The rows that are not held out, and those that an earlier attempt has added, ready to be compared with."""
    db, parent, version = derived.db, derived.parent, derived.version
    last = int(db.conn.execute("SELECT coalesce(max(position), 0) FROM version_rows WHERE version = ?", (parent,)).fetchone()[0])
    rows = (row for row in db.iter_rows(parent) if row.split not in HELD_OUT)
    near = Nearest(_ticked(ctx, rows), form, lambda position: _text_at(derived, position))
    for row in db.iter_rows(version, after=last):
        near.add(row.position, asked(row))
    return near


def held_out(ctx: StepContext, derived: Derivation, form: Form, *, words: float, meaning: float) -> HeldOut:
    """The held-out rows, ready to be compared with."""

    def rows() -> Iterator[Row]:
        for split in HELD_OUT:
            yield from _ticked(ctx, derived.db.iter_rows(derived.parent, split))

    def encoder() -> Encoder:
        from app.data.embedding import Encoder

        return Encoder(ctx.store)

    return HeldOut(rows, form, lambda position: _text_at(derived, position), encoder, words=words, meaning=meaning)


def _text_at(derived: Derivation, position: int) -> str:
    return asked(next(derived.db.iter_rows(derived.version, batch=1, after=position - 1)))


def _ticked(ctx: StepContext, rows: Iterable[Row]) -> Iterator[Row]:
    for count, row in enumerate(rows):
        if count % TOLD_ROWS == 0:
            ctx.progress(0.0, f"{count:,} rows read that new ones are compared with")
        yield row


def step_cost(ctx: StepContext, before: tuple[float, str] | None) -> dict[str, Any] | None:
    """Money of this step and of its earlier attempts, as far as it was measured; other steps that ran meanwhile are in it."""
    now = cost_so_far(ctx.store, ctx.run)
    if now is None:
        return None
    earlier = ctx.store.row("SELECT coalesce(sum(energy_cost + wear_cost), 0) AS money FROM usage WHERE run = ? AND step = ? "
                            "AND scope = 'step'", (ctx.run, ctx.step)) or {"money": 0.0}
    return {"amount": now[0] - (before[0] if before else 0.0) + float(earlier["money"]), "currency": now[1]}


def told(dropped: dict[str, int]) -> str:
    """Reasons and counts in words."""
    return ", ".join(f"{count:,} {REASONS.get(reason, reason.replace('_', ' '))}" for reason, count in dropped.items())
