"""Cells of a CSV file that a spreadsheet would run as formulas: guarded at export, exactly undone at our own import.

A cell that begins like a formula gets an apostrophe before it; so does one that already begins with apostrophes and then
like a formula, which makes the change reversible.  A file with such cells has one more column, last and empty, called
MARK: only there does an import take the apostrophes off, so that the cells of other programs' files stay as they are.
"""

from __future__ import annotations

import re
from typing import Any

MARK = "neuroweaver_guard"
_FORMULA = re.compile(rf"'*(\n*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]|{MARK}\Z)")
"""The full-width signs too, and behind empty lines: some spreadsheets take them for the same."""
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z")


def is_guarded(value: Any) -> bool:
    """Whether a value gets an apostrophe.  A plain negative number does not: it runs nothing."""
    return isinstance(value, str) and _FORMULA.match(value) is not None and _NUMBER.match(value) is None


def guarded(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if is_guarded(text) else text


def unguarded(cell: str) -> str:
    """The text that :func:`guarded` turned into this cell."""
    return cell[1:] if cell.startswith("'") and is_guarded(cell) else cell
