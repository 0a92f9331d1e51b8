"""What the window remembers between starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.store import Store


@dataclass(frozen=True, slots=True)
class Remembered:
    """Look, place and habits of the window."""

    theme: str
    geometry: str
    page: str
    shortcuts: Mapping[str, str]
    splits: Mapping[str, list[int]]
    notify: bool
    tour_seen: bool


def recall(store: Store) -> Remembered:
    """Read them from the settings."""
    from app.store import settings

    names = ("theme", "window.geometry", "window.page", "shortcuts", "window.splits", "notify", "tour_seen")
    return Remembered(*(settings.get(store, name) for name in names))
