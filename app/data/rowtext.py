"""The words of a row, for what compares rows; and rows in blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.store.records import Row

MOST_CHARACTERS = 4_000_000
"""Of a block, and one more row."""


def parts_of(row: Row) -> list[str]:
    """Every text of a row."""
    return [*(message["content"] for message in row.messages), row.text, row.chosen, row.rejected]


def text_of(row: Row) -> str:
    """All words of a row."""
    return "\n".join(parts_of(row)).strip()


def text_with_borders(row: Row) -> str:
    """All words of a row with a sign between its parts, so that moving words from the question to the answer is a change."""
    return "\0".join(part for part in parts_of(row) if part)


def question_and_answer(row: Row) -> tuple[str, str]:
    """What a chat row asks (all messages before the answer) and what it answers; ("", "") for other rows."""
    return ("\0".join(message["content"] for message in row.prompt), row.answer) if row.shape == "chat" else ("", "")


def in_blocks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """The rows, so many at once, or fewer where they are long."""
    block, held = list[Row](), 0
    for row in rows:
        block.append(row)
        held += sum(map(len, parts_of(row)))
        if len(block) == size or held >= MOST_CHARACTERS:
            yield block
            block, held = [], 0
    if block:
        yield block
