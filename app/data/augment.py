"""data.augment at work: reword questions by rule or by a served model, keep the answers, add what passes.

Which rows are reworded, and how, depends on the run's seed and the row's content alone.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from app.config.artifacts import Artifact, Rows
from app.config.node import StepContext
from app.data import preserving
from app.data.asking import Answer, Asker, Question, Shape, Unusable, cost_so_far
from app.data.candidates import MOST_REPEATED, languages, refuses
from app.data.closeness import Form, asked
from app.data.derive import Derivation
from app.data.making import Answers, find_sources, held_out, step_cost, told
from app.data.quality import repetition
from app.data.rewording import ENGLISH_ONLY, RULES, reword
from app.data.splitting import draw
from app.data.tally import Tally
from app.store.records import Row

if TYPE_CHECKING:
    from app.data.augment_node import AugmentParams

VERSION = 1
"""Of the rules and of the paraphrase's words; kept with each row."""
SHORTEST, LONGEST = 0.5, 2.0
"""Length of a paraphrase as a share of the question's."""


class Paraphrase(Shape):
    """What the model writes."""

    text: str = Field(min_length=1, max_length=4000)


@dataclass(frozen=True, slots=True)
class Task:
    """One row to be reworded by one method."""

    row: Row
    method: str
    seed: int


def augment(ctx: StepContext, rows: Rows, params: AugmentParams) -> dict[str, Artifact]:
    """Add the reworded rows.  Raises UsageError dataset.no_training_rows, and with paraphrases what :class:`Asker` raises."""
    with contextlib.ExitStack() as open_:
        asker = open_.enter_context(Asker(ctx, params.model)) if "paraphrase" in params.methods else None
        named = {**params.model_dump(), "served": asker.version if asker else ""}
        derived = open_.enter_context(Derivation(ctx, rows, node="data.augment", note="Reworded", params=named))
        return _Augmentation(ctx, asker, derived, params).run()


class _Augmentation:
    """One dataset on its way."""

    def __init__(self, ctx: StepContext, asker: Asker | None, derived: Derivation, params: AugmentParams) -> None:
        self._ctx, self._asker, self._derived, self._params = ctx, asker, derived, params
        self._split, _ = find_sources(derived)
        self._tally = Tally(derived)
        self._cost_before = cost_so_far(ctx.store, ctx.run)
        self._form = Form.of(derived.rows(again=True))
        self._held_out = held_out(ctx, derived, self._form, words=params.test_words, meaning=0)

    def run(self) -> dict[str, Artifact]:
        """Go through the rows once."""
        answers: Answers[Task] | None = None
        for row in self._derived.rows():
            if answers is None:
                rows = self._derived.db.iter_rows(self._derived.parent, self._split, after=row.position - 1)
                answers = Answers(self._asker, rows, self._questions)
            made: set[str] = {asked(row)}
            for task in self._tasks(row):
                if task.method != "paraphrase":
                    self._by_rule(task, made)
            for _, task, answer in answers.of(row.position):
                self._paraphrased(task, answer, made)
        return self._finish()

    def _tasks(self, row: Row) -> list[Task]:
        """What is done to a row.  Held-out rows, very long ones and those without a question are left alone."""
        if row.split != self._split or not row.prompt or max(len(asked(row)), len(row.answer)) > preserving.MOST_CHARACTERS:
            return []
        if draw(self._ctx.seed, f"share:{row.hash}") >= self._params.share:
            return []
        methods, first = self._params.methods, draw(self._ctx.seed, row.hash)
        return [Task(row, methods[(int(first * len(methods)) + copy) % len(methods)],
                     int(draw(self._ctx.seed, f"{row.hash}:{copy}") * 2**31)) for copy in range(self._params.copies)]

    # -- by rule -------------------------------------------------------------------------------------------------------------

    def _by_rule(self, task: Task, made: set[str]) -> None:
        """Where the rule finds nothing to change, the next one is tried."""
        rules: list[str] = [name for name in self._params.methods if name in RULES]
        start = rules.index(task.method)
        text = asked(task.row)
        kept = [span for words in preserving.kept_words(text, task.row.answer) for span in preserving.places(words, text)]
        kept += self._form.fixed_spans(text)
        for rule in (*rules[start:], *rules[:start]):
            if rule in ENGLISH_ONLY and languages().tell(text) not in ("", "en"):
                continue
            changed = reword(text, rule, random.Random(task.seed), kept, self._params.strength)
            if changed not in made:
                self._decide(Task(task.row, rule, task.seed), changed, made)
                return
        self._drop(task, "nothing_to_change")

    # -- by a model ----------------------------------------------------------------------------------------------------------

    def _questions(self, row: Row) -> Iterator[tuple[int, Task, Question[Paraphrase]]]:
        for place, task in enumerate(self._tasks(row)):
            if task.method == "paraphrase":
                yield place, task, self._question(task)

    def _question(self, task: Task) -> Question[Paraphrase]:
        text = asked(task.row)
        kept = preserving.kept_words(text, task.row.answer)
        must = f" These words stay exactly as they are: {'; '.join(kept)}." if kept else ""
        words = (f"Say the following in other words, in the same language. Keep its meaning, every number, code and name.{must} "
                 f"Do not answer it.\n\n{text}")
        return Question([{"role": "user", "content": words}], Paraphrase, max_tokens=self._params.max_tokens,
                        temperature=self._params.temperature, seed=task.seed)

    def _paraphrased(self, task: Task, answer: Answer[Paraphrase] | Unusable, made: set[str]) -> None:
        if isinstance(answer, Unusable):
            self._drop(task, answer.code.removeprefix("ask."))
            return
        self._tally.add("tokens_in", answer.tokens_in)
        self._tally.add("tokens_out", answer.tokens_out)
        text, before = answer.value.text.strip(), asked(task.row)
        if reason := _bad_paraphrase(before, text):
            self._drop(task, reason)
        elif text in made:
            self._drop(task, "copy")
        else:
            self._decide(task, text, made)

    # -- deciding ------------------------------------------------------------------------------------------------------------

    def _decide(self, task: Task, text: str, made: set[str]) -> None:
        """Add the row if its answer still holds and it is not too close to a held-out one."""
        if preserving.lost(asked(task.row), task.row.answer, text) is not None:
            self._drop(task, "lost_words")
        elif self._held_out.too_close(text):
            self._drop(task, "test_leak")
        else:
            made.add(text)
            self._derived.add(self._row(task, text), f"reworded_{task.method}", f"from row {task.row.position}")
            self._count(task)
            self._tally.add("made")
            self._tally.add(f"made.{task.method}")

    def _row(self, task: Task, text: str) -> Row:
        row = task.row
        prompt = [*row.prompt[:-1], {"role": row.prompt[-1]["role"], "content": text}]
        messages = [*prompt, row.messages[-1]] if row.shape == "chat" else prompt
        model = {"origin_model": self._asker.version} if task.method == "paraphrase" and self._asker else {}
        facts = {"origin": "augmented", "origin_method": task.method, "origin_row": row.hash, "origin_prompt": f"{task.method}/{VERSION}",
                 "origin_seed": task.seed}
        return Row(row.shape, messages, chosen=row.chosen, rejected=row.rejected, meta={**row.meta, **facts, **model}, split=row.split)

    def _drop(self, task: Task, reason: str) -> None:
        self._count(task)
        self._tally.add(f"dropped.{reason}")

    def _count(self, task: Task) -> None:
        self._tally.add("candidates")
        self._tally.add(f"candidates.{task.method}")
        if self._asker is not None:
            self._ctx.check_cancelled()

    def _finish(self) -> dict[str, Artifact]:
        made, candidates, dropped = int(self._tally["made"]), int(self._tally["candidates"]), self._tally.group("dropped.")
        report: dict[str, Any] = {
            "made": made, "candidates": candidates, "passed": made / candidates if candidates else 0.0, "dropped": dropped,
            "methods": {name: {"candidates": count, "made": int(self._tally[f"made.{name}"])}
                        for name, count in self._tally.group("candidates.").items()},
        }
        if self._asker is not None:
            cost = step_cost(self._ctx, self._cost_before)
            report |= {"model": self._asker.version, "cost": cost, "asked": {
                **self._asker.usage.as_json(), "tokens_in": int(self._tally["tokens_in"]), "tokens_out": int(self._tally["tokens_out"])}}
        self._ctx.metric("augment.rows", made, unit="rows")
        self._ctx.event(f"{made:,} rows added in other words ({report['passed']:.0%} of {candidates:,} passed)",
                        level="good" if made else "warning", kind="augment")
        if reasons := told(dropped):
            self._ctx.event(f"Dropped: {reasons}", kind="augment")
        return self._derived.finish(report)


def _bad_paraphrase(before: str, text: str) -> str:
    """The reason against a paraphrase as a text, "" if there is none."""
    if not SHORTEST * len(before) <= len(text) <= max(LONGEST * len(before), 40):
        return "too_short" if len(text) < len(before) else "too_long"
    if refuses(text):
        return "refusal"
    if repetition(text) > max(MOST_REPEATED, repetition(before)):
        return "repetition"
    if preserving.lost_number(before, text) is not None:
        return "changed_number"
    expected, told_language = languages().tell(before), languages().tell(text)
    return "language" if expected and told_language and expected != told_language else ""
