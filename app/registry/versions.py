"""Reading model versions from the store."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from app.errors import Place, UsageError
from app.store import Store

_QUERY = ("SELECT v.*, m.live AS live_version FROM model_versions v JOIN models m ON m.id = v.model ")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a model, as the registry keeps it.  ``id`` is "<model>@<version>"; sizes in bytes.

    ``files``: {quantization, path, size, sha256}, one of them at ``path`` (the one that is served).
    ``lineage``: {origin, dataset, dataset_version, document_hash, run, code, base, seed, packages}, what is known of it.
    """

    id: str
    model: str
    version: int
    state: str
    live: bool
    format: str
    path: str
    base: str | None
    size: int | None
    parameters: int | None
    context: int | None
    run: str | None
    content_hash: str
    created: float
    files: list[dict[str, Any]] = field(default_factory=list)
    proof: dict[str, Any] = field(default_factory=dict)
    lineage: dict[str, Any] = field(default_factory=dict)

    @property
    def imported(self) -> bool:
        """Whether it came from outside: then there is no original to prove it against."""
        return self.lineage.get("origin") == "import"


def read(row: dict[str, Any]) -> Version:
    """A version from its row (with ``live_version`` beside it)."""
    return Version(
        id=row["id"], model=row["model"], version=row["version"], state=row["state"], live=row["live_version"] == row["id"],
        format=row["format"], path=row["path"], base=row["base"], size=row["size"], parameters=row["parameters"],
        context=row["context"], run=row["run"], content_hash=row["content_hash"] or "", created=row["created"],
        files=orjson.loads(row["files"]), proof=orjson.loads(row["proof"]), lineage=orjson.loads(row["lineage"]))


def all_versions(store: Store) -> list[Version]:
    """Every version, newest model first, newest version first."""
    return [read(row) for row in store.rows(_QUERY + "ORDER BY m.created DESC, v.version DESC")]


def newest_version(store: Store, model: str) -> Version | None:
    """The newest version of a model, or None."""
    row = store.row(_QUERY + "WHERE v.model = ? ORDER BY v.version DESC", (model,))
    return read(row) if row else None


def find_version(store: Store, name: str) -> Version:
    """A version by its id, or by its model's name: then the live one, else the newest.  Raises UsageError model.unknown."""
    row = store.row(_QUERY + "WHERE v.id = :name OR v.model = :name ORDER BY v.id = :name DESC, m.live = v.id DESC, "
                    "v.version DESC", {"name": name})
    if row is not None:
        return read(row)
    known = [found["id"] for found in store.rows("SELECT id FROM model_versions UNION SELECT id FROM models")]
    near = difflib.get_close_matches(name, known, n=1)
    raise UsageError("model.unknown", f"There is no model {name!r}.", where=Place.of(field="model"),
                     remedy=f"Did you mean {near[0]!r}?" if near else "List them with: main.py models")


def slug(name: str) -> str:
    """A model's name as it goes into ids, folders and requests: small letters, digits, dot, hyphen, underscore."""
    cleaned = re.sub(r"[^a-z0-9._-]+", "-", Path(name).name.lower()).strip("-._")
    return cleaned[:80] or "model"
