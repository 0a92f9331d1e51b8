"""Drafts: what was edited and not saved, kept in the profile so that closing or a crash loses nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from app.config import views
from app.config.document import home_folder
from app.config.views import DocumentView
from app.config.yaml_source import read_text
from app.errors import NeuroWeaverError

if TYPE_CHECKING:
    from app.store import Store


def opened(store: Store, argument: str) -> tuple[DocumentView, str]:
    """A kit's document or a file's, and the draft kept for it since ("" if none)."""
    from_file = Path(argument).suffix in (".yaml", ".yml")
    found = views.read_document(store, argument) if from_file else views.kit_document(store, argument)
    return found, _draft(store, found)


def _draft(store: Store, found: DocumentView) -> str:
    """A draft counts if it belongs to the same folder, is newer than the file, and says something else."""
    file, own = views.draft_file(store, found.name), Path(found.path)
    try:
        newer = file.stat().st_mtime >= own.stat().st_mtime
        text = read_text(file) if newer and home_folder(file) == own.resolve().parent else ""
    except (OSError, NeuroWeaverError):
        return ""
    return "" if text == found.text else text


def forget(store: Store, name: str) -> None:
    """The draft of a document is no longer wanted."""
    views.draft_file(store, name).unlink(missing_ok=True)
