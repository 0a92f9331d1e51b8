"""What the window remembers between starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.store import Store


@dataclass(frozen=True, slots=True)
class Remembered:
    """Theme choice and the window's place."""

    theme: str
    geometry: str


def recall(store: Store) -> Remembered:
    """Read both from the settings."""
    from app.store import settings

    return Remembered(str(settings.get(store, "theme")), str(settings.get(store, "window.geometry")))
