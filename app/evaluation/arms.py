"""The five answers to the same held-out questions: constant, classic, base, base with examples, tuned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.evaluation.checks import Task, headline, score
from app.evaluation.classic import classic_answers, constant_answer
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
    """The answers of one arm, their field scores, and one headline figure an item."""

    name: str
    answers: list[str]
    scores: list[dict[str, float]]
    items: np.ndarray[Any, np.dtype[np.float64]]
    nll: float | None = None
    """Mean negative log-likelihood of the expected answers, nats a token; None where the arm has no such thing."""
    extra: dict[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, float]:
        """Mean score of each field."""
        return {name: float(np.mean([one[name] for one in self.scores])) for name in self.scores[0]}


@dataclass
class Questions:
    """The held-out rows and the training rows they are compared with."""

    task: Task
    train: Sequence[Row]
    test: Sequence[Row]

    @property
    def expected(self) -> list[str]:
        return [row.answer for row in self.test]

    def text(self, row: Row) -> str:
        """What a quote must stand in."""
        return "\n".join(message["content"] for message in row.prompt)


def scored(name: str, answers: list[str], questions: Questions) -> Arm:
    """Score one arm."""
    scores = [
        score(questions.task, answer, row.answer, questions.text(row))
        for answer, row in zip(answers, questions.test, strict=True)
    ]
    return Arm(name, answers, scores, np.array([headline(questions.task, one) for one in scores]))


def cheap_arms(questions: Questions, seed: int) -> list[Arm]:
    """Constant and classic, where the training rows allow them."""
    if not questions.train:
        return []
    answers = [row.answer for row in questions.train]
    arms = [scored("constant", [constant_answer(questions.task, answers)] * len(questions.test), questions)]
    asked = [questions.text(row) for row in questions.test]
    found = classic_answers(questions.task, [questions.text(row) for row in questions.train], answers, asked, seed)
    if found is not None:
        arms.append(scored("classic", found, questions))
    return arms


def example_turns(questions: Questions, count: int, seed: int) -> Messages:
    """Training rows as earlier turns of the conversation: short ones, drawn with the seed."""
    short = sorted(questions.train, key=lambda row: len(row.answer) + len(questions.text(row)))
    pool = short[: max(len(short) // 2, count)]
    chosen = np.random.default_rng(seed).permutation(len(pool))[:count]
    return [message for number in chosen for message in pool[int(number)].messages]


def model_arms(pair: Pair, questions: Questions, *, examples: int, batch: int, seed: int, tell: Tell) -> list[Arm]:
    """Base, base with examples, tuned; the first and last also with their NLL."""
    limit = answer_room(pair.tokenizer, questions)
    plain = [row.prompt for row in questions.test]
    plans: list[tuple[str, bool, list[Messages]]] = [("base", False, plain)]
    turns = example_turns(questions, examples, seed) if questions.train and examples else []
    if turns:
        plans.append(("base_examples", False, [turns + prompt for prompt in plain]))
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
        answers = writer.answers(prompts, lambda part: progress(0.8 * part))
        arm = scored(name, [answer.strip() for answer in answers], questions)
        if name != "base_examples":
            sums, counts = answer_nll(
                model, pair.tokenizer, prompts, questions.expected, batch=batch, progress=lambda part: progress(0.8 + 0.2 * part)
            )
            arm.nll = sum(sums) / sum(counts)
            arm.extra = {"nll_items": [total / count for total, count in zip(sums, counts, strict=True)]}
    return arm


def answer_room(tokenizer: Any, questions: Questions) -> int:
    """Most word pieces an answer may have."""
    rows = [*questions.train, *questions.test]
    longest = max(len(tokenizer(row.answer, add_special_tokens=False)["input_ids"]) for row in rows)
    return int(ROOM * longest) + 8
