"""One undo stack for both views of a document: its texts, each with the words of the change that led to it."""

from __future__ import annotations

import time

MOST = 400
BURST = 1.0
"""Seconds within which keystrokes count as one change."""


class History:
    """Texts in the order they were; ``at`` points to the present one."""

    def __init__(self, text: str = "") -> None:
        self.begin(text)

    def begin(self, text: str) -> None:
        """Another document: nothing can be undone."""
        self._states: list[tuple[str, str, float]] = [(text, "", 0.0)]
        self._at = 0

    def add(self, text: str, words: str, *, joins: bool = False) -> None:
        """Note a change.  joins: one of many small ones (typing), which are undone together."""
        if text == self.text:
            return
        now = time.monotonic()
        before = self._states[self._at]
        burst = joins and self._at > 0 and before[1] == words and now - before[2] < BURST and self._at == len(self._states) - 1
        del self._states[self._at + (0 if burst else 1) :]
        self._states.append((text, words, now))
        del self._states[: max(len(self._states) - MOST, 0)]
        self._at = len(self._states) - 1

    @property
    def text(self) -> str:
        """The present text."""
        return self._states[self._at][0]

    @property
    def undo_words(self) -> str:
        """What would be undone, or ""."""
        return self._states[self._at][1] if self._at else ""

    @property
    def redo_words(self) -> str:
        """What would be done again, or ""."""
        return self._states[self._at + 1][1] if self._at + 1 < len(self._states) else ""

    def undo(self) -> str:
        """Go back one change; the text then."""
        self._at = max(self._at - 1, 0)
        return self.text

    def redo(self) -> str:
        """Go forward one change; the text then."""
        self._at = min(self._at + 1, len(self._states) - 1)
        return self.text
