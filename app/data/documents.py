"""The text of PDF and Word files, with where it stands.  Runs in the child of parsing.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST_PAGES = 5000
PASSAGE = 1600
"""Characters up to which paragraphs of a Word file are joined to one row."""


def pdf_pages(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(page from 1, text of the page) for each page that has some."""
    import logging

    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.ERROR)
    reader = PdfReader(path)
    if len(reader.pages) > MOST_PAGES:
        raise ValueError(f"It has more than {MOST_PAGES:,} pages")
    for number, page in enumerate(reader.pages, start=1):
        text = page.extract_text().strip()
        if text:
            yield number, {"text": text, "document": path.name, "page": number}


def word_passages(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(passage from 1, paragraphs and table rows in their order, with the heading above them)."""
    kept: list[str] = []
    heading, number = "", 0
    for text, is_heading in (*_blocks(path), ("", True)):
        if kept and (is_heading or sum(len(one) for one in kept) >= PASSAGE):
            number += 1
            yield number, {"text": "\n\n".join(kept), "document": path.name, "heading": heading}
            kept = []
        heading = text if is_heading else heading
        if text:
            kept.append(text)


def _blocks(path: Path) -> Iterator[tuple[str, bool]]:
    """(text, whether it is a heading) of each paragraph and table row."""
    from docx import Document
    from docx.table import Table

    for block in Document(str(path)).iter_inner_content():
        if isinstance(block, Table):
            for row in block.rows:
                text = " | ".join(cell.text.strip() for cell in row.cells)
                if text.strip(" |"):
                    yield text, False
        elif block.text.strip():
            style = block.style.name if block.style is not None else ""
            yield block.text.strip(), str(style).startswith(("Heading", "Title"))
