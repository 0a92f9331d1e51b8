"""Texts to be read whole: several under headings, with what went and what came marked, or a part greyed."""

from __future__ import annotations

import html
from collections.abc import Sequence

from PySide6.QtCore import QEvent
from PySide6.QtGui import QFont, QTextBlockFormat, QTextCursor
from PySide6.QtWidgets import QFrame, QTextBrowser

from ui.language import tr
from ui.theme import font, theme

Piece = tuple[str, str]
"""(kind, text).  kind: heading, same, out, in, muted, note."""
LONGEST = 40_000
"""Characters of one piece that are shown."""
_COLOURS = {"heading": "textTertiary", "same": "text", "out": "danger", "in": "success", "muted": "textTertiary", "note": "textTertiary"}


class RichText(QTextBrowser):
    """Read-only text in pieces; selectable, by keyboard too."""

    def __init__(self, name: str, *, mono: bool = False) -> None:
        super().__init__()
        self._name, self._mono = name, mono
        self._pieces: Sequence[Piece] = ()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.setProperty("code", mono)
        self.setProperty("plain", not mono)
        self.setAccessibleName(tr(name))

    def show_pieces(self, pieces: Sequence[Piece]) -> None:
        """Show these from the top."""
        self._pieces = pieces
        self._fill()
        self.verticalScrollBar().setValue(0)

    def pieces(self) -> list[Piece]:
        """What is shown."""
        return list(self._pieces)

    def _fill(self) -> None:
        letters = font("code" if self._mono else "body")
        letters.setFeature(QFont.Tag("calt"), 0)  # "<|" is two characters here, not an arrow
        self.document().setDefaultFont(letters)
        self.setHtml("<div>" + "".join(_html(kind, text) for kind, text in self._pieces) + "</div>")

    def changeEvent(self, event: QEvent) -> None:
        """Colours of the new theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self._fill()


def _html(kind: str, text: str) -> str:
    over = len(text) - LONGEST
    text = tr(text) if kind in ("heading", "note") else text  # the rest is the user's
    shown = html.escape(text[:LONGEST]).replace("\n", "<br>").replace("  ", " &nbsp;")
    if over > 0:
        shown += f"<br>… {tr(f'{over:,} more characters')}"
    colour = theme.name(_COLOURS[kind])
    if kind in ("heading", "note"):
        return f'<p style="margin:10px 0 2px 0;color:{colour};font-size:12px">{shown}</p>'
    tint = {"out": "dangerTint", "in": "successTint"}.get(kind)
    style = f"color:{colour}" + (f";background-color:{theme.name(tint)}" if tint else "")
    if kind == "out":
        style += ";text-decoration:line-through"
    return f'<span style="{style}">{shown}</span>'


def show_markdown(browser: QTextBrowser, text: str) -> None:
    """Markdown with room between lines and paragraphs, which it has no word for."""
    browser.setMarkdown(text)
    block = browser.document().begin()
    while block.isValid():
        room = block.blockFormat()
        room.setLineHeight(140, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
        room.setBottomMargin(max(room.bottomMargin(), 6))
        QTextCursor(block).setBlockFormat(room)
        block = block.next()
