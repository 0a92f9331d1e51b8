"""Mend text that was saved in one encoding and read in another ("Ã©" for "é")."""

from __future__ import annotations

import re

from app.store.records import Row

_SIGNS = re.compile("[\u00c2\u00c3][\u0080-\u00bf\u0192]|\u00e2\u20ac")

BROKEN = "\ufffd"


def damaged(text: str) -> bool:
    """Whether a text has unreadable letters or such of a wrong encoding."""
    return not text.isascii() and (BROKEN in text or _SIGNS.search(text) is not None)


def mend(text: str) -> str:
    """The text with its mojibake undone; anything else stays as it is (no change of quotes, ligatures or width)."""
    if text.isascii() or not _SIGNS.search(text):
        return text
    import ftfy

    return str(ftfy.fix_encoding(text))


def mend_row(row: Row) -> bool:
    """Mend question, answer and text of a row, never its metadata; True if something was."""
    changed = False
    for message in row.messages:
        mended = mend(message["content"])
        changed |= mended != message["content"]
        message["content"] = mended
    for name in ("text", "chosen", "rejected"):
        before = getattr(row, name)
        mended = mend(before)
        changed |= mended != before
        setattr(row, name, mended)
    return changed
