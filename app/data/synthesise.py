"""data.synthesise at work: ask a served model for rows, check each, add the good ones.

Sources are gone through once, in order, so that a stopped step goes on where it was.  How many candidates a source gives follows
from how many rows are still wanted, how much of the sources is left, and the share of candidates that passed so far: the new rows
are spread over the whole dataset, and a model of which half is dropped is asked twice as often.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from app.config.artifacts import Artifact, Rows
from app.config.node import StepContext
from app.data.asking import Answer, Asker, Unusable, cost_so_far
from app.data.candidates import Limits, agree, judge
from app.data.closeness import Form, asked
from app.data.derive import Derivation
from app.data.making import Answers, existing, find_sources, held_out, step_cost, told
from app.data.methods import VERSIONS, Task, asked_back, candidate, facts, made_row, question
from app.data.passages import Passage, passages
from app.data.preserving import MOST_CHARACTERS
from app.data.splitting import draw
from app.data.tally import Tally
from app.store.records import Row

if TYPE_CHECKING:
    from app.data.synthesise_node import SynthesiseParams

RESERVE = 0.4
"""Share of the sources that make up for what was dropped of the others."""
KEEP_SECONDS = 5.0
"""A long document is written in parts: so much work is lost at most when the step is killed."""
TELL_EVERY = 10
"""Candidates between two points of the curves."""


def synthesise(ctx: StepContext, rows: Rows, params: SynthesiseParams) -> dict[str, Artifact]:
    """Make the rows.  Raises UsageError dataset.no_training_rows, and what :class:`Asker` raises."""
    with Asker(ctx, params.model, at_once=params.at_once) as asker:
        named = {**params.model_dump(exclude={"at_once"}), "served": asker.version}
        with Derivation(ctx, rows, node="data.synthesise", note="Rows made by a model", params=named) as derived:
            return _Synthesis(ctx, asker, derived, params).run()


class _Synthesis:
    """One dataset on its way.  A source is a row with an answer, or a passage of a document."""

    def __init__(self, ctx: StepContext, asker: Asker, derived: Derivation, params: SynthesiseParams) -> None:
        self._ctx, self._asker, self._derived, self._params = ctx, asker, derived, params
        self._tally = Tally(derived)
        self._split, self._sources = find_sources(derived)
        self._waiting = self._number = 0
        self._kept = time.monotonic()
        self._cost_before = cost_so_far(ctx.store, ctx.run)
        checks = params.checks
        self._limits = Limits((checks.min_question, checks.max_question), (checks.min_answer, checks.max_answer), checks.near_duplicate)
        ctx.progress(0.0, "Reading the rows that exist")
        form = Form.of(derived.rows(again=True))
        self._near = existing(ctx, derived, form)
        self._held_out = held_out(ctx, derived, form, words=checks.test_words, meaning=checks.test_meaning)

    def run(self) -> dict[str, Artifact]:
        """Go through the sources once."""
        if not self._split and self._derived.total:
            self._ctx.event("The rows have no splits. Split them before rows are made, else a new row can come close to a later test "
                            "row.", level="warning")
        if self._derived.resumed:
            self._ctx.event(f"Going on: {self._made:,} rows were made before")
        answers: Answers[Task] | None = None
        for row in self._derived.rows():
            if answers is None:
                answers = Answers(self._asker, self._sources_from(row.position), self._questions)
            for place, task, answer in answers.of(row.position):
                self._reach(row.position, place)
                self._take(task, answer)
        return self._finish()

    # -- asking --------------------------------------------------------------------------------------------------------------

    def _sources_from(self, start: int) -> Iterator[Row]:
        """Rows to make others from, from the one at ``start`` on."""
        self._number = int(self._derived.db.conn.execute(
            "SELECT count(*) FROM version_rows WHERE version = ? AND state = 'kept' AND split = ? AND position < ?",
            (self._derived.parent, self._split, start)).fetchone()[0])
        for row in self._derived.db.iter_rows(self._derived.parent, self._split, after=start - 1):
            yield row
            self._number += 1

    def _questions(self, row: Row) -> Iterator[tuple[int, Task, Any]]:
        """Candidates to ask for.  Read as slots get free, so that each knows how it went so far."""
        parts = self._parts(row)
        for place, part in enumerate(parts):
            if place < self._tally[f"at.{row.position}"]:
                continue  # an earlier attempt has done it
            for attempt in range(self._wanted((self._number + (place + 1) / len(parts)) / self._sources, part)):
                task = self._task(row, part, place, attempt)
                self._waiting += 1
                yield place, task, question(task, self._params.max_tokens, self._params.temperature)

    def _parts(self, row: Row) -> list[Passage | None]:
        """One for a row with a single question and its answer, the passages of a document, none for anything else."""
        if row.shape == "chat":
            single = sum(message["role"] == "user" for message in row.messages) == 1
            return [None] if single and row.answer.strip() and len(asked(row)) + len(row.answer) <= MOST_CHARACTERS else []
        if row.shape == "text":
            every = passages(row.text, self._params.passages.size, self._params.passages.overlap)
            return [one for one in every if facts(one)]
        return []

    def _wanted(self, share: float, part: Passage | None) -> int:
        """How many candidates to ask of a source, when this share of all sources ends with it.  A fact is asked about once."""
        rate = (self._made + 1) / (self._tally["asked"] + 2)
        missing = self._params.rows * min(share / (1 - RESERVE), 1.0) - self._made - rate * self._waiting
        most = self._params.per_source if part is None else min(self._params.per_source, len(facts(part)))
        return max(0, min(most, round(missing / rate)))

    def _task(self, row: Row, part: Passage | None, place: int, attempt: int) -> Task:
        first = draw(self._ctx.seed, f"{row.hash}:{place}")
        chance = int(draw(self._ctx.seed, f"{row.hash}:{place}:{attempt}") * 2**31)
        if part is None:
            methods = self._params.methods
            return Task(row, methods[(int(first * len(methods)) + attempt) % len(methods)], chance)
        found = facts(part)
        return Task(row, "questions", chance, part, found[(int(first * len(found)) + attempt) % len(found)])

    # -- deciding ------------------------------------------------------------------------------------------------------------

    def _reach(self, position: int, place: int) -> None:
        """All passages before this one are done."""
        name = f"at.{position}"
        if place > self._tally[name]:
            self._tally.add(name, place - self._tally[name])
            if time.monotonic() - self._kept > KEEP_SECONDS:
                self._derived.keep()
                self._kept = time.monotonic()

    def _take(self, task: Task, answer: Answer[Any] | Unusable) -> None:
        self._waiting -= 1
        self._tally.add("asked")
        self._tally.add(f"asked.{task.method}")
        if reason := self._reason(task, answer):
            self._tally.add(f"dropped.{reason}")
        self._tell()

    def _reason(self, task: Task, answer: Answer[Any] | Unusable) -> str:
        """Why a candidate is dropped; "" for one that was added."""
        if isinstance(answer, Unusable):
            return answer.code.removeprefix("ask.")
        self._count(answer)
        found = candidate(task, answer.value)
        if verdict := judge(task, found, self._limits, self._near, self._held_out):
            return verdict
        if self._made >= self._params.rows:  # asked for before the last ones came in
            return "not_needed"
        if self._params.checks.ask_back and task.passage is not None:
            again = self._asker.ask(asked_back(task, found, self._params.max_tokens))
            if isinstance(again, Unusable):
                return "asked_back"
            self._count(again)
            if not agree(again.value.answer, found.answer):
                return "asked_back"
        self._add(made_row(task, found, self._origin(task)), task)
        return ""

    def _count(self, answer: Answer[Any]) -> None:
        self._tally.add("tokens_in", answer.tokens_in)
        self._tally.add("tokens_out", answer.tokens_out)

    def _add(self, row: Row, task: Task) -> None:
        position = self._derived.add(row, f"made_{task.method}", f"from row {task.row.position}")
        self._near.add(position, asked(row))
        self._tally.add("made")
        self._tally.add(f"made.{task.method}")

    def _origin(self, task: Task) -> dict[str, Any]:
        """Where a new row comes from.  Columns of its source stay beside it (its licence, say)."""
        known: dict[str, Any] = {
            "origin": "synthetic", "origin_method": task.method, "origin_model": self._asker.version,
            "origin_row": task.row.hash, "origin_prompt": f"{task.method}/{VERSIONS[task.method]}", "origin_seed": task.seed,
        }
        if task.passage is not None:  # characters of the source row's text, and what stands there
            start = task.passage.start
            known |= {"origin_span": f"{start + task.quote[0]}-{start + task.quote[1]}", "origin_quote": task.quoted}
        return known

    @property
    def _made(self) -> int:
        return int(self._tally["made"])

    @property
    def _passed(self) -> float:
        """Share of the candidates that were looked at."""
        looked_at = self._tally["asked"] - self._tally["dropped.not_needed"]
        return self._made / looked_at if looked_at else 0.0

    def _tell(self) -> None:
        asked_for, made = int(self._tally["asked"]), self._made
        passed, speed = self._passed, self._asker.usage.as_json()["tokens_per_second"]
        self._ctx.progress(0.9 * min(made / self._params.rows, 1.0),
                           f"{made:,} of {self._params.rows:,} rows made, {passed:.0%} of candidates passed, {speed:.0f} tokens/s")
        if asked_for % TELL_EVERY == 0:
            self._ctx.metric("synthesis.rows", made, unit="rows", x=asked_for)
            self._ctx.metric("synthesis.passed", passed, x=asked_for)

    # -- ending --------------------------------------------------------------------------------------------------------------

    def _finish(self) -> dict[str, Artifact]:
        made, asked_for, dropped = self._made, int(self._tally["asked"]), self._tally.group("dropped.")
        cost = step_cost(self._ctx, self._cost_before)
        report = {
            "wanted": self._params.rows, "made": made, "candidates": asked_for, "passed": self._passed,
            "dropped": dropped, "model": self._asker.version, "sources": self._sources,
            "methods": {name: {"candidates": count, "made": int(self._tally[f"made.{name}"])}
                        for name, count in self._tally.group("asked.").items()},
            "asked": {**self._asker.usage.as_json(), "tokens_in": int(self._tally["tokens_in"]),
                      "tokens_out": int(self._tally["tokens_out"])},
            "cost": cost, "cost_per_row": cost["amount"] / made if cost and made else None,
        }
        self._say(report)
        return self._derived.finish(report)

    def _say(self, report: dict[str, Any]) -> None:
        made, wanted = report["made"], report["wanted"]
        spent = f", {report['cost']['amount']:.4f} {report['cost']['currency']}" if report["cost"] else ""
        self._ctx.event(f"{made:,} rows made from {report['candidates']:,} candidates ({report['passed']:.0%} passed{spent})",
                        level="good" if made else "warning", kind="synthesise")
        if reasons := told(report["dropped"]):
            self._ctx.event(f"Dropped: {reasons}", kind="synthesise")
        if made < wanted:
            self._ctx.event(f"{wanted - made:,} rows fewer than wanted: too few candidates passed. A larger model, more sources or a "
                            "higher per_source make more.", level="warning", kind="synthesise")
