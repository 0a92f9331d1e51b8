"""The keys that work everywhere, each with its default; a user may give any of them other keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PySide6.QtGui import QKeySequence

from ui.pages import pages

NUMBERED = 9


@dataclass(frozen=True, slots=True)
class Key:
    """name: kept in the settings; words: what it does; default: portable text ("Ctrl+K")."""

    name: str
    words: str
    default: str


def keys() -> list[Key]:
    """All of them, pages last."""
    found = [Key("find", "Find or do", "Ctrl+K"), Key("import", "Import a file", "Ctrl+O"), Key("run", "Run what is shown", "Ctrl+R"),
             Key("stop", "Stop and save", "Ctrl+."), Key("pane", "Next part of the window", "F6"), Key("help", "Help", "F1"),
             Key("settings", "Settings", "Ctrl+,")]
    numbered = [spec for spec in pages() if not spec.bottom][:NUMBERED]
    return found + [Key(f"page.{spec.name}", f"Go to {spec.title}", f"Ctrl+{number}") for number, spec in enumerate(numbered, start=1)]


class Shortcuts:
    """Which keys do what now.  own: the user's choices by name; an empty text switches a key off."""

    def __init__(self, own: Mapping[str, str] | None = None) -> None:
        self.own = dict(own or {})

    def of(self, name: str) -> str:
        """The keys of an action, "" for none."""
        found = next((key for key in keys() if key.name == name), None)
        return self.own.get(name, found.default if found else "")

    def taken(self, name: str, wanted: str) -> Key | None:
        """Another action that has these keys already."""
        sequence = QKeySequence(wanted)
        if sequence.isEmpty():
            return None
        return next((key for key in keys() if key.name != name and QKeySequence(self.of(key.name)) == sequence), None)

    def changed(self, name: str, wanted: str) -> dict[str, str]:
        """The user's choices with one more; a default is no choice."""
        default = next(key.default for key in keys() if key.name == name)
        rest = {known: value for known, value in self.own.items() if known != name}
        return rest if QKeySequence(wanted) == QKeySequence(default) else rest | {name: wanted}
