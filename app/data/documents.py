"""Child process: the text of a PDF or Word file as JSON lines on standard output.  Run as ``python -m app.data.documents FILE``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MEMORY = 450 * 2**20
MOST_PAGES = 5000


def limit_memory() -> None:
    """Let a hostile file end this process and not the machine."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def pdf_pages(path: Path) -> Iterator[dict[str, Any]]:
    """The text of each page that has some."""
    from pypdf import PdfReader

    for number, page in enumerate(PdfReader(path).pages, start=1):
        if number > MOST_PAGES:
            raise ValueError(f"It has more than {MOST_PAGES:,} pages")
        text = page.extract_text().strip()
        if text:
            yield {"text": text, "page": number}


def word_paragraphs(path: Path) -> Iterator[dict[str, Any]]:
    """Paragraphs and table cells in order of their kind."""
    from docx import Document

    document = Document(str(path))
    texts = [paragraph.text for paragraph in document.paragraphs]
    texts += [cell.text for table in document.tables for line in table.rows for cell in line.cells]
    for number, text in enumerate((text.strip() for text in texts), start=1):
        if text:
            yield {"text": text, "paragraph": number}


def main() -> int:
    """Exit code 1 and one line on standard error where the file cannot be read."""
    limit_memory()
    path = Path(sys.argv[1])
    try:
        for record in (pdf_pages if path.suffix.lower() == ".pdf" else word_paragraphs)(path):
            print(json.dumps(record))
    except Exception as problem:  # the libraries raise many kinds; the parent turns the line into an error
        print(f"{type(problem).__name__}: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
