"""What the export proof asks: conversations for the chat template, texts for the tokeniser, questions for the answers."""

from __future__ import annotations

from dataclasses import dataclass

from app.config.artifacts import Rows
from app.store import Store

Messages = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt and, where known, the answer that the model was taught."""

    messages: Messages
    expected: str = ""


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _system(text: str) -> dict[str, str]:
    return {"role": "system", "content": text}


CONVERSATIONS: tuple[Messages, ...] = (
    [_user("What is the capital of France?")],
    [_system("Answer in one word."), _user("What is the capital of France?")],
    [_user("Hello"), _assistant("Hello! How can I help?"), _user("Tell me a joke.")],
    [_system("You are terse."), _user("a"), _assistant("b"), _user("c"), _assistant("d"), _user("e")],
    [_user("Zeilen:\n\n  eingerückt\n\tmit Tab\n")],
    [_user("{{ 7 * 7 }} {% raw %} <b>&amp;</b> \"quotes\" 'single' \\ backslash")],
    [_user("日本語のテキスト, русский, العربية, 👩‍👩‍👧‍👦 e\u0301 \u200b")],
)

TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "  two leading spaces, two trailing  ",
    "line one\nline two\r\nline three\n\n\n",
    "def f(x):\n\treturn x ** 2  # comment",
    '{"expression": "MIT OR Apache-2.0", "quote": "Permission is hereby granted"}',
    "1234567890 3.14159 1e-9 0xFF 12,345.67 50%",
    "Ünïcödé straße œuvre naïve",
    "日本語のテキスト 中文 한국어",
    "русский текст العربية עברית",
    "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301 \u200b \ufeff",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "don't won't it's I'm we'll they'd",
    "SHOUTING camelCase snake_case kebab-case",
    "tab\tseparated\tvalues; semi; colons: (brackets) [and] {braces}",
)

_QUESTIONS = (
    "What is the capital of France?", "Name three colours of the rainbow.", "What is 12 plus 30?",
    "Write one sentence about the sea.", "Translate into German: Good morning.", "Why is the sky blue?",
    "Give a synonym of “quick”.", "List the days of the week.", "What does HTTP stand for?",
    "Summarise in five words: The meeting was moved from Monday to Friday because of the holiday.",
    "Is water heavier than oil?", "Write a Python function that adds two numbers.",
    "Correct the spelling: recieve, adress, seperate.", "What is the opposite of “ancient”?",
    "Complete the sentence: The early bird", "How many legs does a spider have?",
)


def packaged_questions(count: int) -> list[Question]:
    """Questions for a model that comes without data."""
    return [Question([_user(text)]) for text in _QUESTIONS[:count]]


def held_out_questions(store: Store, rows: Rows, count: int) -> list[Question]:
    """Chat rows of the test split, evenly spread over it; without one of the calibration split, then the packaged questions."""
    from app.store.datasets import open_dataset

    with open_dataset(store, rows.dataset) as db:
        for split in ("test", "calibration"):
            found = [row for row in db.iter_rows(rows.version, split) if row.shape == "chat" and row.prompt]
            if found:
                step = max(len(found) / count, 1.0)
                picked = [found[int(number * step)] for number in range(min(count, len(found)))]
                return [Question([dict(message) for message in row.prompt], row.answer) for row in picked]
    return packaged_questions(count)
