"""What the rows of a dataset have in common and what therefore says nothing about one of them: the instruction of the task, say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from app.data import quality
from app.data.rowtext import parts_of, text_with_borders
from app.data.spread import sample_rows
from app.store.datasets import DatasetDb
from app.store.records import Row

SAMPLE = 2000
LINE_SHARE, WORD_SHARE = 0.2, 0.3
FEWEST = 10
"""Rows below which nothing counts as common."""


@dataclass(frozen=True)
class Frame:
    """lines: in more than LINE_SHARE of the questions (system words too), numbered.  words: in more than WORD_SHARE of the answers:
    the names of JSON fields, say."""

    lines: Mapping[str, int] = field(default_factory=dict)
    words: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Self:
        """The frame of some rows; a handful has none."""
        if len(rows) < FEWEST:
            return cls()
        lines = Counter(line for row in rows for line in {line for part in _asked(row) for line in _lines(part)})
        words = Counter(word for row in rows for word in quality.words(row.answer))
        common = sorted(line for line, count in lines.items() if count > LINE_SHARE * len(rows))
        return cls({line: number for number, line in enumerate(common)},
                   frozenset(word for word, count in words.items() if count > WORD_SHARE * len(rows)))

    @classmethod
    def of_version(cls, db: DatasetDb, version: int) -> Self:
        """The frame of a version, learned from rows spread over it."""
        return cls.of(sample_rows(db, version, SAMPLE, seed=0))

    def question(self, row: Row) -> str:
        """The row's question without the common lines; whole if nothing would be left."""
        whole = quality.question_of(row)
        kept = "\n".join(line for line in whole.split("\n") if line.strip() not in self.lines).strip()
        return kept or whole

    def text_with_borders(self, row: Row) -> str:
        """All words of a row, each common line of its question as one word; whole if the question has no other line.

        Rows with long instructions before short questions are otherwise all alike.
        """
        if not self.lines or not row.prompt:
            return text_with_borders(row)
        asked = [[self._as_word(line) for line in part.split("\n")] for part in _asked(row)]
        if all(framed for lines in asked for framed, _ in lines):
            return text_with_borders(row)
        questions = ["\n".join(line for _, line in lines) for lines in asked]
        return "\0".join(part for part in [*questions, *parts_of(row)[len(asked):]] if part)

    def _as_word(self, line: str) -> tuple[bool, str]:
        """(whether the line says nothing about its row, what stands for it)."""
        number = self.lines.get(line.strip())
        return (True, f"line{number}") if number is not None else (not line.strip(), line)


def _asked(row: Row) -> list[str]:
    return [message["content"] for message in row.prompt]


def _lines(text: str) -> Iterator[str]:
    return (line.strip() for line in text.split("\n") if line.strip())
