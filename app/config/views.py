"""What the Kits, Home and Workflow pages read about kits and documents, without pydantic at import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.errors import ConfigError, Place
from app.store import Store
from app.store.profile import project_dir


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
    measured: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    problem: str = ""


def kits(_store: Store) -> list[KitCard]:
    """All kits in the kits folder, by title; one that cannot be read says why and hides none."""
    folder = project_dir() / "kits"
    return sorted((_card(file) for file in folder.glob("*/kit.yaml")), key=lambda card: card.title)


def _card(file: Path) -> KitCard:
    name = file.parent.name
    try:
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=loader)  # both are safe loaders
        about = content.get("kit") or {}
    except Exception as problem:  # whatever is wrong with one kit costs that kit alone
        return KitCard(name, name, "", "", "", None, "", "", str(file), problem=f"{type(problem).__name__}: {problem}")
    return KitCard(
        name=name, title=str(about.get("title") or content.get("name") or name), domain=str(about.get("domain", "")),
        description=str(about.get("summary") or about.get("description") or content.get("description") or ""),
        base_model=str(content.get("base_model", "")), rows=_rows(about),
        licence=str(about.get("licence") or about.get("license") or ""), version=str(about.get("version", "")),
        source=str(file), measured=about.get("measured") or {}, steps=_nodes(content.get("steps")))


def _nodes(steps: Any) -> tuple[str, ...]:
    found = steps.values() if isinstance(steps, dict) else ()
    return tuple(str(step.get("node", "")) for step in found if isinstance(step, dict))


def _rows(about: Mapping[str, Any]) -> int | None:
    rows = about.get("rows")
    return sum(rows.values()) if isinstance(rows, dict) else rows if isinstance(rows, int) else None


@dataclass(frozen=True, slots=True)
class DocumentView:
    """A text for the editor.  ``path``: where it was read from, or ""."""

    name: str
    path: str
    text: str
    saved: bool


def kit_document(_store: Store, kit: str) -> DocumentView:
    """The document of a kit."""
    file = project_dir() / "kits" / kit / "kit.yaml"
    return DocumentView(kit, str(file), file.read_text(encoding="utf-8"), saved=True)


def read_document(_store: Store, path: str) -> DocumentView:
    """The document in a file.  Raises ConfigError config.unreadable."""
    file = Path(path)
    try:
        return DocumentView(file.stem, str(file), file.read_text(encoding="utf-8"), saved=True)
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError("config.unreadable", "The document cannot be read.", where=Place.of(file), why=f"{problem}.",
                          remedy="Check that the file exists and is UTF-8 text.") from problem


def save_document(_store: Store, path: str, text: str) -> DocumentView:
    """Write a document, whole or not at all.  Raises ConfigError config.unwritable."""
    file = Path(path)
    beside = file.with_name(f".{file.name}.new")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)
    except OSError as problem:
        raise ConfigError("config.unwritable", "The document was not saved.", where=Place.of(file), why=f"{problem}.",
                          remedy="Choose another folder.") from problem
    return DocumentView(file.stem, str(file), text, saved=True)


def keep_draft(store: Store, text: str, name: str) -> str:
    """Keep an edited text that was not saved, so that it can be run; its path."""
    folder = store.profile.cache / "drafts"
    folder.mkdir(parents=True, exist_ok=True)
    return save_document(store, str(folder / f"{name or 'workflow'}.yaml"), text).path
