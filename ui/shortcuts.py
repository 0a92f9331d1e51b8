"""Every key that does something, with its default and where it is heard; a user may give any of them other keys.

Keys that belong to a widget's own nature (arrows, Tab, Enter, Esc, Space, typing) are not in the list.  Widgets ask the one object
``shortcuts`` what a key means to them, so that a change is in force at once, in tooltips and menus too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QWidget

from ui.language import tr
from ui.pages import pages

NUMBERED = 9
_RETURN = Qt.Key.Key_Return.value
WORKFLOW, CANVAS, TEXT, NOTE = "workflow", "workflow/canvas", "workflow/text", "workflow/note"
DATASETS, ROWS, ROW = "datasets", "datasets/rows", "datasets/row"
PLACES = {"": "Everywhere", WORKFLOW: "Workflow", CANVAS: "Workflow, canvas", TEXT: "Workflow, text", NOTE: "Workflow, note",
          DATASETS: "Datasets", ROWS: "Datasets, table", ROW: "Datasets, chosen row", "review": "Private data review",
          "playground": "Playground", "runs": "Runs, waiting"}
"""Where keys are heard.  A place hears the keys of those it lies in: the canvas its own, the page's and the window's."""
NAVIGATION = frozenset({"Tab", "Shift+Tab", "Esc", "Space", "Left", "Right", "Up", "Down"})
"""What moves through every window, so that no action may have it."""


@dataclass(frozen=True, slots=True)
class Key:
    """name: kept in the settings; words: what it does; default: portable text ("Ctrl+K"), several parted by "; "."""

    name: str
    words: str
    default: str
    place: str = ""


def keys() -> list[Key]:
    """All of them, by place."""
    numbered = [spec for spec in pages() if not spec.bottom][:NUMBERED]
    return [Key("find", "Find or do", "Ctrl+K"), Key("import", "Import a file", "Ctrl+O"), Key("run", "Run what is shown", "Ctrl+R"),
            Key("stop", "Stop and save", "Ctrl+."), Key("pane", "Next part of the window", "F6"), Key("help", "Help", "F1"),
            Key("settings", "Settings", "Ctrl+,"),
            *(Key(f"page.{spec.name}", f"Go to {spec.title}", f"Ctrl+{number}") for number, spec in enumerate(numbered, start=1)),
            *_workflow(), *_datasets(),
            Key("review.redact", "Redact", "A", "review"), Key("review.keep", "Keep as it is", "K", "review"),
            Key("review.edit", "Write another stand-in", "E", "review"), Key("review.next", "Next finding", "J", "review"),
            Key("review.undo", "Take the last decision back", "Ctrl+Z", "review"),
            Key("playground.ask", "Ask", "Ctrl+Return", "playground"),
            Key("queue.up", "Start earlier", "Alt+Up", "runs"), Key("queue.down", "Start later", "Alt+Down", "runs")]


def _workflow() -> list[Key]:
    return [Key("workflow.save", "Save to a file", "Ctrl+S", WORKFLOW), Key("workflow.undo", "Undo", "Ctrl+Z", WORKFLOW),
            Key("workflow.redo", "Redo", "Ctrl+Shift+Z; Ctrl+Y", WORKFLOW),
            Key("canvas.copy", "Copy steps", "Ctrl+C", CANVAS), Key("canvas.cut", "Cut steps", "Ctrl+X", CANVAS),
            Key("canvas.paste", "Paste steps", "Ctrl+V", CANVAS), Key("canvas.duplicate", "Duplicate steps", "Ctrl+D", CANVAS),
            Key("canvas.all", "Choose all steps", "Ctrl+A", CANVAS), Key("canvas.group", "Group steps", "Ctrl+G", CANVAS),
            Key("canvas.delete", "Remove what is chosen", "Del; Backspace", CANVAS), Key("canvas.rename", "Rename a step", "F2", CANVAS),
            Key("canvas.again", "Run again from a step", "Ctrl+Shift+R", CANVAS),
            Key("canvas.open", "Go to a step's settings", "Return", CANVAS), Key("canvas.link", "Link a step", "L", CANVAS),
            Key("canvas.note", "Add a note", "N", CANVAS), Key("canvas.add", "Add a step", "A", CANVAS),
            Key("canvas.fit", "Show all", "F", CANVAS), Key("canvas.full", "Show at 100 %", "0", CANVAS),
            Key("canvas.in", "Zoom in", "+", CANVAS), Key("canvas.out", "Zoom out", "-", CANVAS),
            Key("note.done", "Keep the note", "Ctrl+Return", NOTE),
            Key("text.find", "Find in the text", "Ctrl+F", TEXT), Key("text.next", "Find next", "F3", TEXT),
            Key("text.replace", "Find and replace", "Ctrl+H", TEXT), Key("text.complete", "Propose words", "Ctrl+Space", TEXT),
            Key("text.mend", "Mend a fault", "Alt+Return", TEXT), Key("text.format", "Lay out the text", "Alt+Shift+F", TEXT)]


def _datasets() -> list[Key]:
    return [Key("rows.search", "Search the rows", "Ctrl+F", DATASETS), Key("rows.goto", "Go to a row", "Ctrl+G", DATASETS),
            Key("rows.good", "Rate good", "1", ROWS), Key("rows.unsure", "Rate unsure", "2", ROWS),
            Key("rows.bad", "Rate bad", "3", ROWS), Key("rows.edit", "Edit the row", "E", ROWS),
            Key("rows.remove", "Remove the rows", "Del", ROWS), Key("rows.undo", "Rows as before", "U", ROWS),
            Key("row.keep", "Keep as a new version", "Ctrl+Return", ROW)]


class Shortcuts(QObject):
    """Which keys do what now.  own: the user's choices by name; an empty text switches a key off."""

    changed = Signal()

    def __init__(self, own: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.own: dict[str, str] = {}
        self.take(own or {})

    def take(self, own: Mapping[str, str]) -> None:
        """The user's choices, in force at once."""
        self.own = dict(own)
        self._keys = {key.name: key for key in keys()}
        self._sequences = {name: _read(self.of(name)) for name in self._keys}
        self._deeds = {(key.place, sequence): key.name for key in self._keys.values() for sequence in self.sequences(key.name)}
        self.changed.emit()

    def of(self, name: str) -> str:
        """The keys of an action as portable text, "" for none."""
        found = self._keys.get(name)
        return self.own.get(name, found.default if found else "")

    def sequences(self, name: str) -> list[QKeySequence]:
        """The same for Qt."""
        return self._sequences.get(name, [])

    def words(self, name: str) -> str:
        """The first of an action's keys as this system writes them, for tooltips and menus."""
        found = self.sequences(name)
        return key_words(found[0]) if found else ""

    def deed(self, place: str, event: QKeyEvent) -> str:
        """The action that a pressed key means in a place or one it lies in, the nearest first; "" for none."""
        pressed = _pressed(event)
        return next((found for near in _around(place) for sequence in pressed if (found := self._deeds.get((near, sequence)))), "")

    @staticmethod
    def obeyed(event: QEvent, deed_of: Callable[[QKeyEvent], Callable[[], object] | None]) -> bool:
        """For an event filter: do what a key means; True if it means something, so that nobody else takes it."""
        if not isinstance(event, QKeyEvent) or event.type() not in (QEvent.Type.KeyPress, QEvent.Type.ShortcutOverride):
            return False
        act = deed_of(event)
        if act is None:
            return False
        event.accept()
        if event.type() == QEvent.Type.KeyPress:
            act()
        return True

    def taken(self, name: str, wanted: str) -> Key | None:
        """Another action that is heard where this one is and has one of these keys already."""
        sequences, place = _read(wanted), self._keys[name].place
        return next((key for key in self._keys.values() if key.name != name and _meet(place, key.place)
                     and any(one in sequences for one in self.sequences(key.name))), None)

    def changed_by(self, name: str, wanted: str) -> dict[str, str]:
        """The user's choices with one more; a default is no choice."""
        rest = {known: value for known, value in self.own.items() if known != name}
        return rest if _read(wanted) == _read(self._keys[name].default) else rest | {name: wanted}


def key_words(sequence: QKeySequence) -> str:
    """Keys as this system writes them, with the name that stands on the key."""
    return sequence.toString(QKeySequence.SequenceFormat.NativeText).replace("Return", "Enter")


def _read(text: str) -> list[QKeySequence]:
    found = QKeySequence.listFromString(text, QKeySequence.SequenceFormat.PortableText)
    return [sequence for sequence in found if not sequence.isEmpty()]


def page_key(page: str) -> str:
    """The action that shows a page."""
    return page if page in ("settings", "help") else f"page.{page}"


def _around(place: str) -> list[str]:
    """A page's part, its page; the window's own keys are Qt's affair."""
    page, _, part = place.partition("/")
    return [place, page] if part else [place]


def _meet(one: str, other: str) -> bool:
    """Whether keys of both places can be heard at the same time."""
    return not one or not other or other in _around(one) or one in _around(other)


def _pressed(event: QKeyEvent) -> list[QKeySequence]:
    """What was pressed, whichever Enter or digit block it came from; a sign that needs Shift is also the sign alone."""
    key = _RETURN if event.key() == Qt.Key.Key_Enter else event.key()
    modifiers = (event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier).value
    found = [QKeySequence(modifiers | key)]
    if 0x20 < key < 0x7F and not chr(key).isalpha():
        found.append(QKeySequence(modifiers & ~Qt.KeyboardModifier.ShiftModifier.value | key))
    return found


shortcuts = Shortcuts()


class Heard(QShortcut):
    """Lets an action's keys call ``act`` while a widget has the focus, whatever keys they are at the time.

    tip: what shows them behind its tooltip.
    """

    def __init__(self, name: str, over: QWidget, act: Callable[[], object],
                 context: Qt.ShortcutContext = Qt.ShortcutContext.WidgetShortcut, *, tip: QWidget | None = None) -> None:
        super().__init__(over)
        self._name, self._tip, self._words = name, tip, tip.toolTip() if tip is not None else ""
        self.setContext(context)
        self.activated.connect(lambda: act())
        self._follow()
        shortcuts.changed.connect(self._follow)

    def _follow(self) -> None:
        self.setKeys(shortcuts.sequences(self._name))
        if self._tip is not None:
            self._tip.setToolTip(tr(f"{self._words}  {shortcuts.words(self._name)}".strip()))
