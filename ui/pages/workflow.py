"""Workflow: the document, its faults on their lines, and the button that runs it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QFileDialog, QScrollArea, QWidget

from ui.background import command, query
from ui.pages.base import Page
from ui.widgets.buttons import Button
from ui.widgets.code import make_editor
from ui.widgets.text import Dot, Icon, Label, Line, clear, column, row

CHECK_MS = 400
"""After the last key, before the document is checked again."""


class WorkflowPage(Page):
    """A list of documents on the left, the editor on the right."""

    title = "Workflow"
    subtitle = "What will happen, step by step"
    watches = frozenset({"documents"})
    margins = (0, 0, 0, 0)
    scrolls = False

    def build(self) -> None:
        self._path, self._name, self._saved = "", "", ""
        self._problems: list[Any] | None = None
        self._wanted = ""
        self.header.actions.addWidget(Button("Open a file", icon_name="folder-open", clicked=self.choose_file))
        self._save = Button("Save", icon_name="save", tooltip="Save to a file", clicked=self.save)
        self.run_button = Button("Run", "filled", "play", tooltip="Run  Ctrl+R", clicked=self.run_primary)
        for button in (self._save, self.run_button):
            self.header.actions.addWidget(button)
        self.editor = make_editor("The workflow document")
        self.editor.changed.connect(self._edited)
        self.editor.moved.connect(lambda line, col: self._place.say(f"Line {line}, column {col}   YAML"))
        layout = row(self._left(), Line("v"), self._right(), gap=0)
        layout.setStretch(2, 1)
        self.body.addLayout(layout)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(CHECK_MS)
        self._pause.timeout.connect(self.check)
        self._show_state()

    def _left(self) -> QWidget:
        self._list = column(gap=2, margins=(8, 12, 8, 12))
        panel = QWidget()
        panel.setObjectName("panel")
        panel.setLayout(self._list)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setWidget(panel)
        area.setFixedWidth(216)
        area.setAccessibleName("Documents")
        return area

    def _right(self) -> QWidget:
        self._state_icon, self._state = Icon("circle-dashed", "textTertiary"), Label("", "small", "secondary")
        self._place = Label("", "small", "tertiary")
        self._saved_dot, self._saved_word = Dot("success"), Label("", "small", "tertiary")
        foot = QWidget()
        foot.setLayout(row(self._state_icon, self._state, None, self._saved_dot, self._saved_word, self._place, gap=8,
                           margins=(16, 6, 16, 6)))
        self._next = Button("Go to it", "link", size="small", clicked=self._go_to_first)
        foot.layout().insertWidget(2, self._next)  # type: ignore[union-attr]
        right = QWidget()
        layout = column(8, self.editor, Line(), foot)
        layout.setStretch(1, 1)
        right.setLayout(layout)
        return right

    # ---- documents -------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        from app.config import views

        query(self, views.kits, done=self._show_kits)

    def _show_kits(self, cards: list[Any]) -> None:
        clear(self._list)
        self._list.addLayout(row(Label("Kits", "group", "tertiary"), margins=(12, 4, 0, 4)))
        for card in cards:
            button = Button(card.title, "quiet", tooltip=f"Open the kit {card.title}",
                            clicked=partial(self.open, card.name))
            button.setProperty("row", True)
            self._list.addWidget(button)
        self._list.addStretch(1)
        if not self._name and (self._wanted or cards):
            self.open(self._wanted or cards[0].name)

    def open(self, argument: str) -> None:
        """Open a kit by name, or a file by path."""
        from app.config import views

        if self.background.store is None:
            self._wanted = argument
            return
        reader = views.read_document if Path(argument).suffix in (".yaml", ".yml") else views.kit_document
        query(self, reader, argument, key="open", done=self.show_document)

    def show_document(self, found: Any) -> None:
        """Put a document into the editor."""
        self._path, self._name, self._saved = found.path, found.name, found.text
        self._problems = None
        self.editor.set_text(found.text)
        self.header.say(self.title, f"{found.name}, {found.path}")
        self.check()

    def choose_file(self) -> None:
        """Open a workflow file."""
        chosen, _ = QFileDialog.getOpenFileName(self, "Open a workflow", "", "Workflows (*.yaml *.yml)")
        if chosen:
            self.open(chosen)

    def save(self) -> None:
        """Write the text to a file; a kit's own file is never written over."""
        from app.config import views

        start = "" if Path(self._path).name == "kit.yaml" else self._path
        chosen, _ = QFileDialog.getSaveFileName(self, "Save the workflow", start or "workflow.yaml", "Workflows (*.yaml)")
        if chosen:
            command(self, views.save_document, chosen, self.editor.text(), busy=self._save, done=self._was_saved)

    def _was_saved(self, found: Any) -> None:
        self._path, self._name, self._saved = found.path, found.name, found.text
        self.header.say(self.title, f"{found.name}, {found.path}")
        self._show_state()

    # ---- checking ----------------------------------------------------------------------------------------------------

    def _edited(self) -> None:
        self._pause.start()
        self._problems = None
        self._show_state()

    def check(self) -> None:
        """Validate what is written; the answer to an older text never arrives."""
        from app.workflow import views

        if self.background.store is not None:
            query(self, views.problems, self.editor.text(), self._path, done=self.show_problems, slow=True)

    def show_problems(self, problems: list[Any]) -> None:
        """Faults on their lines, and the reason beside the button that cannot be pressed."""
        self._problems = problems
        self.editor.show_problems(problems)
        self._show_state()

    def _show_state(self) -> None:
        found = self._problems
        count = len(found or [])
        plural = "problem" if count == 1 else "problems"
        self._state.say("Checking" if found is None else f"{count} {plural}" if count else "No problems")
        self._state.tone("secondary" if not count else "danger")
        self._state_icon.show_icon(*(("circle-dashed", "textTertiary") if found is None else ("circle-alert", "danger")
                                     if count else ("circle-check", "success")))
        self._next.setVisible(bool(count))
        self.run_button.setEnabled(found == [] and bool(self.editor.text().strip()))
        self.run_button.say(f"Run: fix {count} {plural} first" if count else "Run")
        unsaved = self.editor.text() != self._saved
        self._saved_dot.colour("warning" if unsaved else "success")
        self._saved_word.say("Changed" if unsaved else "Saved")

    def _go_to_first(self) -> None:
        if self._problems:
            self.editor.go_to(max(self._problems[0].line, 1))

    def run_primary(self) -> None:
        """Run the text as it stands in the editor."""
        from app.config import views

        if self.run_button.isEnabled():
            text = self.editor.text()
            if text == self._saved and self._path:
                self.shell.run(self._name if Path(self._path).name == "kit.yaml" else self._path, busy=self.run_button)
            else:
                command(self, views.keep_draft, text, self._name, self._path, busy=self.run_button,
                        done=lambda path: self.shell.run(path, busy=self.run_button))
