"""The five answers to the same held-out questions: constant, classic, base, base with examples, tuned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.evaluation.checks import Task, headline, refusal, score
from app.evaluation.classic import classic_answers, constant_answer, with_refusals
from app.evaluation.decode import Writer
from app.evaluation.likelihood import answer_nll
from app.evaluation.model import Messages, Pair, encode_prompt
from app.store.records import Row

LABELS = {
    "constant": "Best constant answer",
    "classic": "Classic linear model, same rows",
    "base": "Base model",
    "base_examples": "Base model with examples",
    "tuned": "Tuned model",
}
ROOM = 1.25
"""Answers may be this much longer than the longest expected one; a model that runs on is cut there."""
Tell = Callable[[str, float], None]


@dataclass
class Arm:
    """The answers of one arm to the task's questions, their field scores, one headline figure an item, and its behaviour."""

    name: str
    answers: list[str]
    scores: list[dict[str, float]]
    items: np.ndarray[Any, np.dtype[np.float64]]
    nll: float | None = None
    """Mean negative log-likelihood of the expected answers, nats a token; None where the arm has no such thing."""
    extra: dict[str, Any] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    """Its answers to the questions that should be refused, in their order."""
    refused: list[bool] = field(default_factory=list)
    """Whether each of these was refused as it should."""
    refused_wrongly: int = 0
    """How many of the task's questions it refused."""

    def fields(self) -> dict[str, float]:
        """Mean score of each field."""
        return {name: float(np.mean([one[name] for one in self.scores])) for name in self.scores[0]}


@dataclass
class Questions:
    """The held-out rows and the training rows they are compared with; what should be refused stands apart in both."""

    task: Task
    train: Sequence[Row]
    test: Sequence[Row]
    behaviour: Sequence[Row] = ()
    """Held-out questions that should be refused."""
    train_behaviour: Sequence[Row] = ()

    @property
    def asked(self) -> list[Row]:
        """Everything each arm answers: the task's questions, then those to refuse."""
        return [*self.test, *self.behaviour]

    @property
    def expected(self) -> list[str]:
        return [row.answer for row in self.test]

    def text(self, row: Row) -> str:
        """What a quote must stand in."""
        return "\n".join(message["content"] for message in row.prompt)


def divide(task: Task, train: Sequence[Row], test: Sequence[Row], most: int) -> Questions:
    """The questions of a dataset, at most ``most`` of them (0: all), with what should be refused set apart.

    A limit keeps the mix: each kind of refusal gets its share of ``most``, rounded, at least one question, and the task
    the rest; within each the first rows are asked.
    """
    kinds: dict[str, list[Row]] = {"": []}
    for row in test:
        kinds.setdefault(refusal(task, row.answer), []).append(row)
    asked = kinds.pop("")
    if 0 < most < len(test):
        kinds = {kind: rows[: max(round(most * len(rows) / len(test)), 1)] for kind, rows in kinds.items()}
        asked = asked[: max(most - sum(map(len, kinds.values())), 1)]
    taught = [bool(refusal(task, row.answer)) for row in train]
    return Questions(
        task,
        [row for row, refuses in zip(train, taught, strict=True) if not refuses],
        asked,
        [row for rows in kinds.values() for row in rows],
        [row for row, refuses in zip(train, taught, strict=True) if refuses],
    )


def scored(name: str, answers: list[str], questions: Questions) -> Arm:
    """Score one arm; ``answers`` to everything in ``questions.asked``."""
    task, count = questions.task, len(questions.test)
    scores = [
        score(task, answer, row.answer, questions.text(row)) for answer, row in zip(answers, questions.asked, strict=True)
    ]
    return Arm(
        name,
        answers[:count],
        scores[:count],
        np.array([headline(task, one) for one in scores[:count]]),
        refusals=answers[count:],
        refused=[headline(task, one) == 1.0 for one in scores[count:]],
        refused_wrongly=sum(bool(refusal(task, answer)) for answer in answers[:count]),
    )


def cheap_arms(questions: Questions, seed: int) -> list[Arm]:
    """Constant and classic, where the training rows allow them."""
    if not questions.train:
        return []
    answers = [row.answer for row in questions.train]
    arms = [scored("constant", [constant_answer(questions.task, answers)] * len(questions.asked), questions)]
    asked = [questions.text(row) for row in questions.asked]
    texts = [questions.text(row) for row in questions.train]
    found = classic_answers(questions.task, texts, answers, asked, seed)
    if found is not None:
        taught = [(questions.text(row), row.answer) for row in questions.train_behaviour]
        arms.append(scored("classic", with_refusals(found, texts, taught, asked, seed), questions))
    return arms


def example_turns(questions: Questions, count: int, seed: int, *, refusals: bool = False) -> Messages:
    """Training rows as earlier turns of the conversation: short ones, drawn with the seed.

    ``count`` of the task, and with ``refusals`` one of each kind of refusal behind them.  A small base model goes on as its
    last example did: with refusals among the examples it refused all questions of the legal kit's task.  So the task's
    questions are asked without them and those to refuse with them, each as suits the base best.
    """
    draw = np.random.default_rng(seed)
    chosen = _drawn(questions, questions.train, count, draw)
    kinds: dict[str, list[Row]] = {}
    for row in questions.train_behaviour if refusals else ():
        kinds.setdefault(refusal(questions.task, row.answer), []).append(row)
    chosen += [row for rows in kinds.values() for row in _drawn(questions, rows, 1, draw)]
    return [message for row in chosen for message in (*row.prompt, {"role": "assistant", "content": row.answer})]


def _drawn(questions: Questions, rows: Sequence[Row], count: int, draw: np.random.Generator) -> list[Row]:
    short = sorted(rows, key=lambda row: len(row.answer) + len(questions.text(row)))
    pool = short[: max(len(short) // 2, count)]
    return [pool[int(number)] for number in draw.permutation(len(pool))[:count]]


def model_arms(pair: Pair, questions: Questions, *, examples: int, batch: int, seed: int, tell: Tell) -> list[Arm]:
    """Base, base with examples, tuned; the first and last also with their NLL."""
    limit = answer_room(pair.tokenizer, questions)
    plain = [row.prompt for row in questions.asked]
    plans: list[tuple[str, bool, list[Messages]]] = [("base", False, plain)]
    if questions.train and examples:
        task, mixed = (example_turns(questions, examples, seed, refusals=refusals) for refusals in (False, True))
        turns = [task] * len(questions.test) + [mixed] * len(questions.behaviour)
        plans.append(("base_examples", False, [some + prompt for some, prompt in zip(turns, plain, strict=True)]))
    plans.append(("tuned", True, plain))
    arms = []
    for at, plan in enumerate(plans):

        def progress(part: float, at: int = at, name: str = plan[0]) -> None:
            tell(LABELS[name], (at + part) / len(plans))

        arms.append(_model_arm(pair, questions, plan, limit, batch, progress))
    return arms


def _model_arm(
    pair: Pair,
    questions: Questions,
    plan: tuple[str, bool, list[Messages]],
    limit: int,
    batch: int,
    progress: Callable[[float], None],
) -> Arm:
    name, tuned, conversations = plan
    prompts = [encode_prompt(pair.tokenizer, messages) for messages in conversations]
    with pair.side(tuned) as model:
        writer = Writer(model, pair.tokenizer, limit, batch, questions.task.format)
        count = len(questions.test)  # the two parts are asked apart: each shares its own start
        share = count / len(prompts)
        answers = writer.answers(prompts[:count], lambda part: progress(0.8 * share * part))
        answers += writer.answers(prompts[count:], lambda part: progress(0.8 * (share + (1 - share) * part)))
        arm = scored(name, [answer.strip() for answer in answers], questions)
        if name != "base_examples":
            sums, counts = answer_nll(
                model,
                pair.tokenizer,
                prompts[:count],
                questions.expected,
                batch=batch,
                progress=lambda part: progress(0.8 + 0.2 * part),
            )
            arm.nll = sum(sums) / sum(counts)
            arm.extra = {"nll_items": [total / count for total, count in zip(sums, counts, strict=True)]}
    return arm


def answer_room(tokenizer: Any, questions: Questions) -> int:
    """Most word pieces an answer may have."""
    rows = [*questions.train, *questions.train_behaviour, *questions.asked]
    longest = max(len(tokenizer(row.answer, add_special_tokens=False)["input_ids"]) for row in rows)
    return int(ROOM * longest) + 8
