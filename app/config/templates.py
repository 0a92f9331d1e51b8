"""The template library: workflow documents to begin with, each a YAML file in resources/templates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.config.yaml_source import parse, read_text
from app.store.profile import project_dir

if TYPE_CHECKING:
    from app.store import Store

SAMPLE = "five-minute-sample"
"""The template that shows the whole way, from data to an answer, in the least time: the starter kit in short."""


@dataclass(frozen=True, slots=True)
class Template:
    """One template.  title and description are the document's own name and description."""

    name: str
    title: str
    description: str
    path: Path

    def text(self) -> str:
        """The document."""
        return read_text(self.path)


def _folder() -> Path:
    return project_dir() / "resources" / "templates"


def file_of(name: str) -> Path:
    """The file of a template by its name."""
    return _folder() / f"{name}.yaml"


def templates(_store: Store | None = None) -> list[Template]:
    """All templates, by title."""
    found = []
    for path in _folder().glob("*.yaml"):
        value = parse(read_text(path), path).value
        found.append(Template(path.stem, str(value["name"]), str(value.get("description", "")), path))
    return sorted(found, key=lambda one: one.title)
