"""Names of columns, as the first row of a table gives them."""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST_NAME, MOST_NAME_WORDS = 60, 6
"""Characters and words that a column's name has; more is a value in its place."""
_VALUE = re.compile(r"@|\d{5}")


def is_column_name(text: str) -> bool:
    """Whether a text can be the name of a column: no sentence, no address, no long number."""
    return len(text) <= LONGEST_NAME and len(text.split()) <= MOST_NAME_WORDS and not _VALUE.search(text)


def missing_header(names: Iterable[str]) -> list[str]:
    """A warning where a file's first row seems to stand in the place of its columns' names."""
    value = next((name for name in names if not is_column_name(name)), "")
    return [f"The first line is taken for the names of the columns, but “{value[:40]}” looks like a value. If the file has no such line, "
            "put one before the first row."] if value else []
