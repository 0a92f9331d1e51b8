"""Versions of workflow documents, kept in the store: saving an unchanged text makes no new version."""

from __future__ import annotations

import difflib
import hashlib
import time
from dataclasses import dataclass

from app.errors import UsageError
from app.store import Store


@dataclass(frozen=True, slots=True)
class DocumentVersion:
    """One saved version.  ``hash``: sha256 of the text."""

    name: str
    version: int
    hash: str
    created: float


def save(store: Store, name: str, text: str) -> int:
    """Keep a text as the newest version of a document; returns its number (the same as before if nothing changed)."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    with store.write() as db:
        newest = store.row("SELECT version, hash FROM documents WHERE name = ? ORDER BY version DESC LIMIT 1", (name,))
        if newest is not None and newest["hash"] == digest:
            return int(newest["version"])
        version = int(newest["version"]) + 1 if newest else 1
        db.execute("INSERT INTO documents (name, version, text, hash, created) VALUES (?, ?, ?, ?, ?)",
                   (name, version, text, digest, time.time()))
    return version


def versions(store: Store, name: str = "") -> list[DocumentVersion]:
    """All versions of a document, or of all documents; the newest first."""
    found = store.rows("SELECT name, version, hash, created FROM documents WHERE ? IN ('', name) ORDER BY id DESC", (name,))
    return [DocumentVersion(**row) for row in found]


def text_of(store: Store, name: str, version: int | None = None) -> str:
    """The text of a version, by default the newest.  Raises UsageError if there is none."""
    row = store.row("SELECT text FROM documents WHERE name = ? AND coalesce(?, version) = version ORDER BY version DESC LIMIT 1",
                    (name, version))
    if row is None:
        which = f"version {version} of " if version is not None else ""
        raise UsageError("document.unknown", f"There is no {which}document {name!r}.", remedy="Choose one of the saved versions.")
    return str(row["text"])


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line of a comparison.  kind: "same", "added", "removed", or "gap" for lines left out."""

    kind: str
    text: str


def compare(before: str, after: str, around: int = 3) -> list[DiffLine]:
    """What changed from one text to another, with some lines around each change; [] where nothing did."""
    found: list[DiffLine] = []
    kinds = {"+": "added", "-": "removed", " ": "same", "@": "gap"}
    for line in list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=around, lineterm=""))[2:]:
        kind = kinds[line[0]]
        if kind != "gap":
            found.append(DiffLine(kind, line[1:]))
        elif found:
            found.append(DiffLine("gap", ""))
    return found
