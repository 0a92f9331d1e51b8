"""The inspector: the chosen step's parameters as a form made from its node's model; every edit is an edit of the document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QLineEdit, QScrollArea, QStackedLayout, QWidget

from app.config import forms
from app.config.forms import FormField
from app.config.yaml_source import parse_value
from app.config.yaml_tree import written
from app.errors import NeuroWeaverError
from app.workflow.canvas import Card, Fault
from ui.canvas.items import icon_of
from ui.language import tr
from ui.widgets.buttons import Button, Choice
from ui.widgets.text import Icon, Label, clear, column, row

FOOT = 26
"""Height of the line under a field, with or without the button to reset it."""
_ABSENT = object()


class FieldRow(QWidget):
    """One parameter: label, field with its unit, and who set the value or what is wrong with it."""

    changed = Signal(object)
    reset = Signal()

    def __init__(self, field: FormField, check: Callable[[Any], str]) -> None:
        super().__init__()
        self.field, self._check = field, check
        self._shown: Any = _ABSENT
        self.label = Label(field.label, "smallstrong", "secondary")
        self.editor = self._editor()
        key = ".".join(field.path)
        self.setToolTip(tr(f"{field.help}\n{key}" if field.help else key))
        self.editor.setAccessibleName(tr(f"{field.label}, {field.unit}" if field.unit else field.label))
        self.editor.setAccessibleDescription(tr(field.help))
        self.said = Label("", "axis", "tertiary", elide=True)
        self.back = Button("Reset", "link", size="small", tooltip="Reset to default", clicked=self.reset.emit)
        unit = Label(field.unit, "small", "tertiary")
        unit.setVisible(bool(field.unit))
        self.said.setFixedHeight(FOOT)
        foot = row(self.said, self.back, gap=4)
        foot.setStretch(0, 1)
        self.setLayout(column(self.label, 3, row(self.editor, unit, gap=6), foot))

    def _editor(self) -> QLineEdit | Choice:
        options = {"bool": (tr("On"), tr("Off")), "choice": self.field.choices}.get(self.field.kind)
        if options is None:
            line = QLineEdit()
            line.setPlaceholderText(tr("" if self.field.required else "default"))
            line.textEdited.connect(self._typed)
            line.editingFinished.connect(self._commit)
            return line
        choice = Choice(self.field.label)
        choice.addItems(options)
        choice.activated.connect(lambda _index: self._commit())
        return choice

    def show_value(self, value: Any, origin: str, fault: str) -> None:
        """Show a value as the document has it.  origin: "here", "default", or what it is inherited from; fault: what the check says."""
        self._shown = value
        if isinstance(self.editor, Choice):
            place = (0 if value else 1) if self.field.kind == "bool" else self.editor.findText(str(value))
            self.editor.setCurrentIndex(place)
        elif not self.editor.hasFocus() or not self.editor.isModified():
            self.editor.setText(self._words(value))
            self.editor.setCursorPosition(0)  # a long list is read from its beginning
            self.editor.setModified(False)
        self.back.setVisible(origin == "here" and not self.field.required)
        self._say(fault, {"here": "set here", "default": self._default()}.get(origin, f"set by {origin}"))

    def _words(self, value: Any) -> str:
        if value is None or value == {} or value == []:
            return ""
        if isinstance(value, str) and self.field.kind in ("text", "path"):
            return value
        if isinstance(value, list) and self.field.kind == "list" and all(isinstance(part, str) and "," not in part for part in value):
            return ", ".join(value)
        return written(value)

    def _default(self) -> str:
        if self.field.required:
            return "needed, not set yet"
        return "default" if self.field.default not in (None, "", [], {}) else "default: none"

    def value(self) -> Any:
        """What stands in the field, as plain data.  Raises ConfigError for what cannot be read."""
        if isinstance(self.editor, Choice):
            return self.editor.currentIndex() == 0 if self.field.kind == "bool" else self.editor.currentText()
        text = self.editor.text().strip()
        if self.field.kind in ("text", "path"):
            return text
        if self.field.kind == "list" and not text.startswith("["):
            return [parse_value(part.strip()) for part in text.split(",") if part.strip()]
        return parse_value(text) if text else None

    def take(self) -> bool:
        """What was typed counts now; False if it cannot be set."""
        self._commit()
        return not (isinstance(self.editor, QLineEdit) and self.editor.isModified())

    def wrong(self) -> str:
        """Why what stands in the field cannot be set, or ""."""
        try:
            return self._check(self.value())
        except NeuroWeaverError as problem:
            return problem.why or problem.what

    def _typed(self, _text: str) -> None:
        empty = isinstance(self.editor, QLineEdit) and not self.editor.text().strip()
        self._say("" if empty else self.wrong(), "not set yet")

    def _say(self, fault: str, otherwise: str) -> None:
        self.said.say(fault or otherwise)
        self.said.tone("danger" if fault else "tertiary")
        self.editor.setProperty("error", bool(fault))
        self.editor.style().unpolish(self.editor)
        self.editor.style().polish(self.editor)

    def _commit(self) -> None:
        """Tell the value, if it can be set and is another; an emptied field goes back to the default."""
        if isinstance(self.editor, QLineEdit):
            if not self.editor.isModified():
                return
            if not self.editor.text().strip() and not self.field.required:
                self.editor.setModified(False)
                self.reset.emit()
                return
        if not self.wrong():
            value = self.value()
            if isinstance(self.editor, QLineEdit):
                self.editor.setModified(False)
            if value != self._shown or type(value) is not type(self._shown):
                self.changed.emit(value)


class Inspector(QWidget):
    """Header with name and deeds, and the form; or what to do where no single step is chosen."""

    set_value = Signal(str, object, object)
    """Step, path, value."""
    unset_value = Signal(str, object)
    renamed = Signal(str, str)
    asked = Signal(str)
    """duplicate or delete."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName(tr("Settings of the chosen step"))
        self.step, self._node = "", ""
        self.rows: dict[tuple[str, ...], FieldRow] = {}
        self._pages = QStackedLayout()
        self.empty = Label("Choose a step to see its settings.", "body", "tertiary")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._pages.addWidget(self.empty)
        self._pages.addWidget(self._form())
        self.setLayout(self._pages)

    def _form(self) -> QWidget:
        self._icon, self._about = Icon("workflow", "textSecondary"), Label("", "body", "tertiary", elide=True)
        self.name = QLineEdit()
        self.name.setProperty("soft", True)
        self.name.setFixedWidth(150)
        self.name.setAccessibleName(tr("Name of the step"))
        self.name.setToolTip(tr("Name of the step  F2"))
        self.name.editingFinished.connect(self._rename)
        self.name.installEventFilter(self)
        head = row(self._icon, self.name, self._about, gap=8)
        head.setStretch(2, 1)
        for icon_name, tip, deed in (("copy", "Duplicate  Ctrl+D", "duplicate"), ("trash-2", "Remove  Del", "delete")):
            head.addWidget(Button("", "outline", icon_name, size="small", tooltip=tip, clicked=partial(self.asked.emit, deed)))
        self._fault = Label("", "small", "danger", wrap=True)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(24)
        self._grid.setVerticalSpacing(2)
        inner = QWidget()
        inner.setObjectName("scrolled")
        inner.setLayout(column(self._fault, 4, self._grid, None, margins=(0, 0, 12, 0)))
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(inner)
        page = QWidget()
        page.setLayout(column(head, 8, area, margins=(20, 10, 8, 0)))
        return page

    def show_none(self, words: str = "Choose a step to see its settings.") -> None:
        """No single step is chosen."""
        self.step = self._node = ""
        self.empty.say(words)
        self._pages.setCurrentIndex(0)

    def show_step(self, card: Card, own: Mapping[str, Any], inherited: str, faults: list[Fault]) -> None:
        """Show a step's parameters.  own: what the text itself says of it; inherited: what the rest comes from."""
        if (card.id, card.node) != (self.step, self._node):
            self._build(card)
        self._pages.setCurrentIndex(1)
        self._about.say(card.about or card.trouble)
        if not self.name.hasFocus():
            self.name.setText(card.id)
        self.name.setEnabled(card.own)
        said = {fault.field: f"{fault.message} {fault.hint}".strip() for fault in reversed(faults)}
        general = [words for field, words in said.items() if tuple(field.split(".")) not in self.rows]
        self._fault.say("\n".join(filter(None, [card.trouble, *general])))
        self._fault.setVisible(bool(general or card.trouble))
        for path, shown in self.rows.items():
            value, origin = _found(own, path), "here"
            if value is _ABSENT:
                value, origin = _found(card.content, path), inherited
            if value is _ABSENT:
                value, origin = shown.field.default, "default"
            shown.show_value(value, origin, said.get(".".join(path), ""))

    def _build(self, card: Card) -> None:
        from app.workflow import registry

        clear(self._grid)
        self.rows = {}
        self.step, self._node = card.id, card.node
        self._icon.show_icon(icon_of(card.node), "textSecondary")
        node = registry.nodes().get(card.node)
        model = node.params_model if node else None
        section, place = "", 0
        for field in forms.fields(model) if model else ():
            if field.section != section:
                section, place = field.section, place + place % 2
                self._grid.addWidget(Label(section, "group", "tertiary"), place // 2, 0, 1, 2)
                place += 2
            made = FieldRow(field, partial(forms.wrong, model, field.path))  # type: ignore[arg-type]  # a field has a model
            made.changed.connect(partial(self._set, field.path))
            made.reset.connect(partial(self._unset, field.path))
            self._grid.addWidget(made, place // 2, place % 2, Qt.AlignmentFlag.AlignTop)
            self.rows[field.path] = made
            place += 1
        for number in (0, 1):
            self._grid.setColumnStretch(number, 1)

    def _set(self, path: tuple[str, ...], value: Any) -> None:
        self.set_value.emit(self.step, path, value)

    def _unset(self, path: tuple[str, ...]) -> None:
        self.unset_value.emit(self.step, path)

    def _rename(self) -> None:
        new = self.name.text().strip()
        if self.step and new and new != self.step:
            self.renamed.emit(self.step, new)

    def keep_name(self) -> None:
        """A new name was refused: the old one again."""
        self.name.setText(self.step)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Esc in the name leaves it as it was."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Escape:
            self.keep_name()
            return True
        return super().eventFilter(watched, event)


def _found(content: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = content
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return _ABSENT
        value = value[key]
    return value


