"""What the Kits, Home and Workflow pages read about kits and documents, without pydantic at import."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.config.kit_folders import identity, is_users, kit_files, needs_data
from app.config.merging import HOME_NOTE, find_document
from app.config.yaml_source import parse, read_text
from app.errors import ConfigError, NeuroWeaverError, Place

if TYPE_CHECKING:
    from app.store import Store


@dataclass(frozen=True, slots=True)
class KitCard:
    """A kit as its kit.yaml describes it.  ``measured``: figures somebody measured and wrote down, or {}."""

    name: str
    title: str
    domain: str
    description: str
    base_model: str
    rows: int | None
    licence: str
    version: str
    source: str
    hash: str = ""
    users: bool = False
    """The user opened it from a file; it does not ship with the product."""
    needs_data: tuple[str, ...] = ()
    """Parameters that name the user's own file: the kit carries no rows."""
    parameters: int | None = None
    """Parameters of the base model, where the kit states them."""
    measured: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    problem: str = ""


def kits(_store: Store) -> list[KitCard]:
    """All kits, by title: those that ship with the product and the user's; one that cannot be read says why and hides none."""
    return sorted((_card(file) for file in kit_files().values()), key=lambda card: card.title)


def _card(file: Path) -> KitCard:
    name = file.parent.name
    try:
        content = parse(read_text(file), file).value
        if not isinstance(content, dict) or not isinstance(content.get("kit"), dict):
            raise ConfigError("config.no_kit", "kit.yaml does not say what the kit is.", where=Place.of(file),
                              remedy="Add kit: with title, domain, summary, licence and sources.")
    except NeuroWeaverError as problem:  # a broken kit costs that kit alone
        return KitCard(name, name, "", "", "", None, "", "", str(file), problem=str(problem))
    about = content["kit"]
    measured = about.get("measured")
    return KitCard(
        name=name, title=str(about.get("title") or content.get("name") or name), domain=str(about.get("domain") or ""),
        description=str(about.get("summary") or content.get("description") or ""),
        base_model=str(content.get("base_model") or ""), rows=_rows(about), licence=str(about.get("licence") or ""),
        version=str(about.get("version") or ""), source=str(file), hash=identity(file, content).hash, users=is_users(file),
        needs_data=needs_data(content), parameters=_count(about.get("base_parameters")),
        measured=measured if isinstance(measured, dict) else {}, steps=_nodes(content.get("steps")))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _nodes(steps: Any) -> tuple[str, ...]:
    found = steps.values() if isinstance(steps, dict) else ()
    return tuple(str(step.get("node", "")) for step in found if isinstance(step, dict))


def _rows(about: Mapping[str, Any]) -> int | None:
    rows = about.get("rows")
    if isinstance(rows, dict):
        return sum(count for count in rows.values() if isinstance(count, int))
    return rows if isinstance(rows, int) else None


@dataclass(frozen=True, slots=True)
class DocumentView:
    """A text for the editor.  ``path``: where it was read from, or ""."""

    name: str
    path: str
    text: str
    saved: bool


def kit_document(_store: Store, kit: str) -> DocumentView:
    """The document of a kit.  Raises ConfigError if it cannot be read, UsageError if there is none of that name."""
    file = find_document(kit)
    return DocumentView(kit, str(file), read_text(file), saved=True)


def kit_card(_store: Store, kit: str) -> str:
    """What a kit says of itself in words: its model card, else its README, else nothing."""
    folder = find_document(kit).parent
    file = next((folder / name for name in ("model-card.md", "README.md") if (folder / name).is_file()), None)
    return read_text(file) if file is not None else ""


def read_document(_store: Store, path: str) -> DocumentView:
    """The document in a file.  Raises ConfigError config.unreadable or config.too_large."""
    return DocumentView(Path(path).stem, path, read_text(Path(path)), saved=True)


def save_document(store: Store, path: str, text: str) -> DocumentView:
    """Write a document, whole or not at all, and keep it as a version.  Raises ConfigError config.unwritable."""
    from app.config import versions

    write_whole(Path(path), text)
    versions.save(store, path, text)
    return DocumentView(Path(path).stem, path, text, saved=True)


def keep_draft(store: Store, text: str, name: str, path: str = "") -> str:
    """Keep an edited text that was not saved, so that it can be run; its path.

    path: where the text belongs; relative paths in it go on starting there.
    """
    file = draft_file(store, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    note = file.with_name(file.name + HOME_NOTE)
    if path:
        write_whole(note, json.dumps({"folder": str(Path(path).resolve().parent)}))
    else:
        note.unlink(missing_ok=True)
    write_whole(file, text)
    return str(file)


def keep_for_run(store: Store, text: str, name: str, path: str = "") -> str:
    """Keep a text that is about to run as a draft and as a version; the draft's path."""
    from app.config import versions

    versions.save(store, path or name, text)
    return keep_draft(store, text, name, path)


def draft_file(store: Store, name: str) -> Path:
    """Where the draft of a document stands, if there is one."""
    return store.profile.cache / "drafts" / f"{re.sub(r'[^A-Za-z0-9._-]', '_', name).lstrip('.') or 'workflow'}.yaml"


def write_whole(file: Path, content: str | bytes) -> None:
    """Write a file, whole or not at all.  Raises ConfigError config.unwritable."""
    beside = file.with_name(f".{file.name}.new")
    try:
        with beside.open("wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(file)
    except (OSError, UnicodeEncodeError) as problem:
        raise ConfigError("config.unwritable", "The file was not saved.", where=Place.of(file), why=f"{problem}.",
                          remedy="Choose another folder.") from problem
