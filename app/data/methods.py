"""How rows are made: what a model is asked, in which shape it answers, and what its answer becomes.

Sources: evolve: Evol-Instruct, Xu et al. 2023 (WizardLM, arXiv 2304.12244), one step in depth or breadth, question and answer in one
reply; invert: instruction back-translation, Li et al. 2023 (arXiv 2308.06259); vary: Self-Instruct, Wang et al. 2022
(arXiv 2212.10560), with one example.  Raise a method's version when its words change: it is kept with each row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from app.data.asking import Question, Shape
from app.data.closeness import asked
from app.data.passages import Passage, one_line, sentences
from app.store.records import Row

VERSIONS = {"questions": 1, "vary": 1, "evolve": 1, "invert": 1}
SEED_METHODS = ("vary", "evolve", "invert")
LEAST_WORDS = 6
EVOLUTIONS = (
    "Add one more condition or requirement.",
    "Ask for the reason or the consequence as well.",
    "Make it more specific: replace a general notion by a concrete one.",
    "Make it need one more step of thought.",
    "Ask about a rarer case of the same kind.",
)


class QuestionAnswer(Shape):
    """What is written from a row."""

    question: str = Field(min_length=1, max_length=4000)
    answer: str = Field(min_length=1, max_length=4000)


class OnlyAnswer(Shape):
    """What the model says when it is asked its own question."""

    answer: str = Field(min_length=1, max_length=2000)


class OnlyQuestion(Shape):
    """What is written from an answer."""

    question: str = Field(min_length=1, max_length=4000)


@dataclass(frozen=True, slots=True)
class Task:
    """One candidate that is asked for.  seed: of the sampling.

    passage: of a document, None for a row with question and answer; quote: (start, end) in it of the sentence that is asked about.
    """

    row: Row
    method: str
    seed: int
    passage: Passage | None = None
    quote: tuple[int, int] = (0, 0)

    @property
    def quoted(self) -> str:
        """The sentence that is asked about."""
        return self.passage.text[slice(*self.quote)] if self.passage is not None else ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What came back."""

    question: str
    answer: str


def question(task: Task, max_tokens: int, temperature: float) -> Question[Any]:
    """What the model is asked."""
    words, shape = _ASKED[task.method]
    return Question(words(task), shape, max_tokens=max_tokens, temperature=temperature, seed=task.seed)


def asked_back(task: Task, found: Candidate, max_tokens: int) -> Question[OnlyAnswer]:
    """The candidate's own question, with the passage at hand (round-trip consistency: Alberti et al. 2019, arXiv 1906.05416)."""
    assert task.passage is not None
    words = f"Context:\n{one_line(task.passage.text)}\n\nAnswer from the context, in its words: {found.question}"
    return Question(_user(words), OnlyAnswer, max_tokens=max_tokens, seed=task.seed)


def candidate(task: Task, value: Shape) -> Candidate:
    """What the model's answer holds; an inverted row keeps its answer."""
    if isinstance(value, QuestionAnswer):
        return Candidate(value.question.strip(), value.answer.strip())
    assert isinstance(value, OnlyQuestion)
    return Candidate(value.question.strip(), task.row.answer)


def made_row(task: Task, found: Candidate, facts: Mapping[str, Any]) -> Row:
    """The new row, in the split of the row it was made from, with that row's columns and where it comes from."""
    system = [message for message in task.row.prompt if message["role"] == "system"]
    messages = [*system, {"role": "user", "content": found.question}, {"role": "assistant", "content": found.answer}]
    return Row("chat", messages=messages, meta={**task.row.meta, **facts}, split=task.row.split)


def facts(passage: Passage) -> list[tuple[int, int]]:
    """(start, end) of the sentences of a passage that can state a fact; a heading of a few words does not."""
    return [span for span in sentences(passage.text) if len(passage.text[slice(*span)].split()) >= LEAST_WORDS]


_LESSON = (
    "Context:\n{context}\n\nFact:\n{fact}\n\nAsk one question that the fact answers, and answer it in the words of the fact. Name what the "
    "question is about, so that it can be understood alone. Use the language of the fact."
)
_SHOWN = (  # a small model follows one example better than any instruction
    {"role": "user", "content": _LESSON.format(
        context="The Vasa was a Swedish warship. The Vasa sank on her first voyage in August 1628, after sailing 1,300 metres.",
        fact="The Vasa sank on her first voyage in August 1628, after sailing 1,300 metres.")},
    {"role": "assistant", "content": '{"question": "When did the warship Vasa sink?", "answer": "The Vasa sank on her first voyage in '
                                     'August 1628."}'},
)


def _questions(task: Task) -> list[dict[str, str]]:
    assert task.passage is not None
    asked_for = _LESSON.format(context=one_line(task.passage.text), fact=one_line(task.quoted))
    return [*_SHOWN, {"role": "user", "content": asked_for}]


def _user(words: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": words}]


def _example(row: Row) -> str:
    return f"Question:\n{asked(row)}\n\nAnswer:\n{row.answer}"


def _vary(task: Task) -> list[dict[str, str]]:
    return _user(
        "Here is an example of a question with its answer. Write another question of the same kind about another case, and its answer. "
        "The answer has exactly the same form as in the example. Where it quotes the question, the words stand in the new question "
        f"letter by letter. Write in the language of the example.\n\n{_example(task.row)}"
    )


def _evolve(task: Task) -> list[dict[str, str]]:
    step = EVOLUTIONS[task.seed % len(EVOLUTIONS)]
    return _user(
        f"Here is a question with its answer. Rewrite the question so that it is harder. {step} It must still be answerable, and in "
        "the same language. Then answer the new question; the answer has exactly the same form as in the example.\n\n"
        f"{_example(task.row)}"
    )


def _invert(task: Task) -> list[dict[str, str]]:
    return _user(
        "Here is an answer, and a question that it answers. Write another question to which it is exactly the right answer. Whatever "
        "the answer quotes stands in the new question letter by letter. Write in the same language.\n\n"
        f"{_example(task.row)}"
    )


_ASKED: dict[str, tuple[Callable[[Task], list[dict[str, str]]], type[Shape]]] = {
    "questions": (_questions, QuestionAnswer),
    "vary": (_vary, QuestionAnswer),
    "evolve": (_evolve, QuestionAnswer),
    "invert": (_invert, OnlyQuestion),
}
