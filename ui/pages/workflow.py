"""Workflow: one document as a picture and as text, its faults in both, and the button that runs it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QKeyEvent, QTextCursor
from PySide6.QtWidgets import QFileDialog, QMenu, QPlainTextEdit, QSplitter, QWidget

from ui.background import command, query
from ui.canvas.history import History
from ui.canvas.pane import CanvasPane
from ui.editor.pane import TextPane
from ui.language import tr
from ui.pages.base import Page
from ui.shortcuts import WORKFLOW, shortcuts
from ui.widgets.buttons import Button, Segments

with contextlib.suppress(ImportError, OSError):  # here it is on the thread that loads pages; make_editor would hold up the window
    import lexilla.pyside6_scintilla  # noqa: F401
    import pyside6_scintilla  # noqa: F401

CHECK_MS = 20
"""After the last edit, before the document is checked again; a check that waits is not begun once there is a newer text."""
DRAW_MS = 120
"""After the last key in the text, before the picture follows."""
KEEP_MS = 1500
"""After the last edit, before it is kept as a draft."""
LOOK_MS = 1000
"""Between two looks at the newest run."""
NEW = "name: My workflow\nbase_model: smollm2-135m-instruct\nsteps: {}\n"


class WorkflowPage(Page):
    """Canvas on the left, text on the right: two views of one document with one undo stack."""

    title = "Workflow"
    subtitle = "What will happen, step by step"
    watches = frozenset({"documents", "runs", "steps"})
    margins = (0, 0, 0, 0)
    scrolls = False

    def build(self) -> None:
        self._path, self._name, self._saved = "", "", ""
        self._problems: list[Any] | None = None
        self._wanted = ""
        self._templates: list[Any] = []
        self._ready = self._writing = False
        """The nodes are known, so that a picture can be made without a wait."""
        self.history = History()
        self._head()
        self.split = QSplitter(Qt.Orientation.Horizontal)
        self.split.setHandleWidth(1)
        self.split.setChildrenCollapsible(False)
        self.body.addWidget(self.split)

    def parts(self) -> Iterator[None]:
        """The canvas and the text, each made in one turn and put in place in the next; then what joins them."""
        self.pane = CanvasPane()
        yield
        self.split.addWidget(self.pane)
        yield
        self._right_side = TextPane(self)
        self.editor = self._right_side.editor
        yield
        self.split.addWidget(self._right_side)
        yield
        self.split.setSizes(self.shell.splits.get("workflow") or [768, 464])
        self.split.setStretchFactor(0, 1)
        self._wire()
        self._show_state()

    def _head(self) -> None:
        self.views = Segments([("both", "Both"), ("canvas", "Canvas"), ("text", "Text")], name="Shown")
        self.views.chosen.connect(self.show_views)
        self._open_button = Button("Open", icon_name="folder-open", tooltip="Open a kit or a file", clicked=self._open_menu)
        self._save = Button("Save", icon_name="save", tooltip="Save to a file", keys="workflow.save", clicked=self.save)
        self.run_button = Button("Run", "filled", "play", keys="run", clicked=self.run_primary)
        for widget in (self.views, self._open_button, self._save, self.run_button):
            self.header.actions.addWidget(widget)

    def _wire(self) -> None:
        self.split.splitterMoved.connect(lambda *_: self.shell.splits.update(workflow=self.split.sizes()))
        self.pane.edited.connect(self._drawn)
        self.pane.undo_asked.connect(self.undo)
        self.pane.redo_asked.connect(self.redo)
        self.pane.line_asked.connect(self._show_line)
        self.pane.again_asked.connect(self._run_from)
        self.pane.show_history(self.history.undo_words, self.history.redo_words)
        self.editor.changed.connect(self._typed)
        self._right_side.edited.connect(self._edited)
        self._right_side.next.clicked.connect(self._go_to_first)
        for child in (self.editor, *self.editor.findChildren(QWidget)):
            child.installEventFilter(self)
        self._pause = self._timer(CHECK_MS, self.check)
        self._draw = self._timer(DRAW_MS, lambda: self._picture(self.history.text))
        self._keep = self._timer(KEEP_MS, self._keep_draft)
        self._look = self._timer(LOOK_MS, self.check)

    def _timer(self, pause: int, act: Any) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(pause)
        timer.timeout.connect(act)
        return timer

    # ---- documents -------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        if not self._ready:
            from app.config import views
            from app.workflow import canvas

            query(self, _nodes, canvas, key="nodes", slow=True, done=self._know_nodes)
            from app.config.templates import templates

            query(self, views.kits, done=self._know_kits)
            query(self, templates, done=self._know_templates)
        elif not self._look.isActive():
            self._look.start()

    def _know_nodes(self, entries: list[Any]) -> None:
        self._ready = True
        self.pane.show_palette(entries)
        if self._name:
            self.pane.load(self.history.text, self._path)
            self.check()

    def _know_templates(self, found: list[Any]) -> None:
        self._templates = found

    def _know_kits(self, cards: list[Any]) -> None:
        self._kits = [(card.name, card.title) for card in cards]
        if not self._name and (self._wanted or cards):
            self.open(self._wanted or cards[0].name)

    def _open_menu(self) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(tr("New workflow"), self.new)
        library = menu.addMenu(tr("New from a template"))
        for one in self._templates:
            library.addAction(tr(one.title), partial(self.new, one)).setToolTip(tr(one.description))
        library.setToolTipsVisible(True)
        menu.addAction(tr("Open a file"), self.choose_file)
        menu.addSeparator()
        for name, title in getattr(self, "_kits", []):
            menu.addAction(tr(f"Kit: {title}"), partial(self.open, name))
        menu.popup(self._open_button.mapToGlobal(self._open_button.rect().bottomLeft()))

    def open(self, argument: str) -> None:
        """Open a kit by name, or a file by path; a draft kept since counts as a change that can be undone."""
        from app.config import drafts

        self._wanted = argument  # also for the list of kits, which may arrive later and would open its first
        if self.background.store is None:
            return
        self._keep_draft()
        query(self, drafts.opened, argument, key="open", done=lambda found: self.show_document(*found))

    def new(self, template: Any = None) -> None:
        """Begin an empty workflow, or one of the template library."""
        from app.config.views import DocumentView

        self._keep_draft()
        name, text = (template.title, template.text()) if template else ("My workflow", NEW)
        self.show_document(DocumentView(name, "", text, saved=False))

    def show_document(self, found: Any, draft: str = "") -> None:
        """Show a document in both views."""
        self._path, self._name, self._saved = found.path, found.name, found.text
        self.history.begin(found.text)
        if draft:
            self.history.add(draft, "Changes kept from before")
            self.shell.toast("Your unsaved changes are here again.", action="Take the saved text", then=self.undo)
        self._write(self.history.text, self.history.text)
        _reveal(self.editor, 1)
        self.header.say(self.title, self._subtitle())
        if self._ready:
            self.pane.load(self.history.text, self._path)
        self._changed(keep=False)
        self._pause.stop()
        self.check()

    def choose_file(self) -> None:
        """Open a workflow file."""
        chosen, _ = QFileDialog.getOpenFileName(self, tr("Open a workflow"), "", tr("Workflows (*.yaml *.yml)"))
        if chosen:
            self.open(chosen)

    def save(self) -> None:
        """Write the text to its file, or to one that is asked for; a kit's own file is never written over."""
        from app.config import views

        own = self._path and Path(self._path).name != "kit.yaml" and not self._in_drafts()
        kinds = tr("Workflows (*.yaml)")
        chosen = self._path if own else QFileDialog.getSaveFileName(self, tr("Save the workflow"), "workflow.yaml", kinds)[0]
        if chosen:
            command(self, views.save_document, chosen, self.history.text, busy=self._save, done=self._was_saved)

    def _in_drafts(self) -> bool:
        """Whether it is a copy that lies among the drafts, where a user would not look for a file."""
        store = self.background.store
        return store is not None and Path(self._path).parent == store.profile.cache / "drafts"

    def _subtitle(self) -> str:
        """A kit by where it stands in the kits folder, any other document by its whole path."""
        file = Path(self._path)
        if self._in_drafts():
            return f"{' '.join(part for part in self._name.split('_') if part)}, not in a file of yours yet"
        kit = f"{self._name}, kits/{file.parent.name}/{file.name}"
        return self._name if not self._path else kit if file.name == "kit.yaml" else f"{self._name}, {self._path}"

    def _was_saved(self, found: Any) -> None:
        self._path, self._name, self._saved = found.path, found.name, found.text
        self.pane.deeds.path = found.path
        self.header.say(self.title, self._subtitle())
        self._show_state()

    def _keep_draft(self) -> None:
        """Keep what is not saved; what is saved again needs no draft."""
        from app.config import drafts, views

        self._keep.stop()
        if self.background.store is None or not self._name:
            return
        if self.history.text == self._saved:
            query(self, drafts.forget, self._name, slow=True, done=lambda _none: None)
        else:
            query(self, views.keep_draft, self.history.text, self._name, self._path, slow=True, key="draft", done=self._draft_kept)

    def _draft_kept(self, _path: str) -> None:
        if self.history.text != self._saved and not self._keep.isActive():
            self._right_side.saved_word.say("Changed, draft kept")

    # ---- one document, two views ---------------------------------------------------------------------------------------

    def _typed(self) -> None:
        """The text was edited by hand; the picture follows shortly."""
        text = self.history.text if self._writing else self.editor.text()
        if text != self.history.text:
            self.history.add(text, "Typing", joins=True)
            self._draw.start()
            self._changed()

    def _drawn(self, text: str, words: str) -> None:
        """The picture was edited; the text follows at once."""
        before = self.history.text
        self.history.add(text, words)
        self._write(text, before)
        self._changed()

    def _write(self, text: str, before: str) -> None:
        """Put another text into the editor and show where it differs, without taking the focus."""
        self._writing = True  # the editor tells of an empty text in between
        self.editor.set_text(text)
        self._writing = False
        pairs = zip(text.splitlines(), before.splitlines(), strict=False)
        line = next((number for number, (new, old) in enumerate(pairs, start=1) if new != old), text.count("\n") + 1)
        _reveal(self.editor, line)

    def _edited(self, text: str, words: str) -> None:
        """The text was changed in one go (a replacement, a mend); the picture follows at once."""
        if text != self.history.text:
            before = self.history.text
            self.history.add(text, words)
            self._write(text, before)
            self._picture(text)
            self._changed()

    @property
    def problems(self) -> list[Any] | None:
        """The faults of the text; None while it is being checked."""
        return self._problems

    @property
    def version_name(self) -> str:
        """What versions of this document are kept under."""
        return self._path or self._name

    def undo(self) -> None:
        """Take back the last change, in whichever view it was made."""
        self._go(self.history.undo())

    def redo(self) -> None:
        """Make it again."""
        self._go(self.history.redo())

    def _go(self, text: str) -> None:
        if (before := self.editor.text()) != text:
            self._write(text, before)
            self._picture(text)
            self._changed()

    def _picture(self, text: str) -> None:
        self._draw.stop()
        if self._ready:
            self.pane.show_text(text)

    def _changed(self, *, keep: bool = True) -> None:
        self._pause.start()
        if keep:
            self._keep.start()
        self._problems = None
        self._right_side.text_changed()
        self.pane.show_history(self.history.undo_words, self.history.redo_words)
        self._show_state()

    def show_views(self, which: str) -> None:
        """Both views, the canvas alone, or the text alone."""
        self.views.choose(which)
        self.pane.setVisible(which != "text")
        self._right_side.setVisible(which != "canvas")

    def _show_line(self, line: int) -> None:
        if self.views.choice() == "canvas":
            self.show_views("both")
        self.editor.go_to(line)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Undo and redo in the text are the document's, not the editor's own."""
        return shortcuts.obeyed(event, self._deed) or super().eventFilter(watched, event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Save, undo, redo."""
        deed = self._deed(event)
        if deed is not None:
            deed()
        else:
            super().keyPressEvent(event)

    def _deed(self, event: QKeyEvent) -> Any:
        return {"workflow.save": self.save, "workflow.undo": self.undo, "workflow.redo": self.redo}.get(shortcuts.deed(WORKFLOW, event))

    # ---- checking ----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Validate what is written and look at the newest run; the answer to an older text never arrives."""
        from app.workflow import canvas

        self._look.stop()
        if self.background.store is not None:
            query(self, canvas.status, self.history.text, self._path, done=self.show_status, slow=True, latest=True)

    def show_status(self, status: Any) -> None:
        """Faults on their lines and cards, states on cards, and the reason beside the button that cannot be pressed."""
        self._problems = list(status.faults)
        self._right_side.show_faults(self._problems)
        self.pane.show_status(status)
        self._show_state()

    def _show_state(self) -> None:
        found = self._problems
        count = len(found or [])
        plural = "problem" if count == 1 else "problems"
        self._right_side.state.say("Checking" if found is None else f"{count} {plural}" if count else "No problems")
        self._right_side.state.tone("secondary" if not count else "danger")
        self._right_side.state_icon.show_icon(*(("circle-dashed", "textTertiary") if found is None else ("circle-alert", "danger")
                                     if count else ("circle-check", "success")))
        self._right_side.next.setVisible(bool(count))
        self.run_button.setEnabled(found == [] and bool(self.history.text.strip()))
        self.run_button.say(f"Run: fix {count} {plural} first" if count else "Run")
        unsaved = self.history.text != self._saved
        self._right_side.saved_dot.colour("warning" if unsaved else "success")
        self._right_side.saved_word.say("Changed" if unsaved else "Saved")

    def _go_to_first(self) -> None:
        if self._problems:
            self._show_line(max(self._problems[0].line, 1))

    def _run_from(self, step: str) -> None:
        """Run the text; this step and what builds on it are not taken from the run before."""
        from app.workflow import runbook

        if self.run_button.isEnabled():
            command(self, runbook.forget_from, self.pane.status.run, step, busy=self.run_button, done=lambda _anew: self.run_primary())
        else:
            self.shell.toast(self.run_button.text().strip() + ".")

    def run_primary(self) -> None:
        """Run the text as it stands."""
        from app.config import views

        if self.run_button.isEnabled():
            text = self.history.text
            if text == self._saved and self._path:
                self.shell.run(self._name if Path(self._path).name == "kit.yaml" else self._path, busy=self.run_button)
            else:
                command(self, views.keep_for_run, text, self._name, self._path, busy=self.run_button,
                        done=lambda path: self.shell.run(path, busy=self.run_button))


def _nodes(_store: Any, canvas: Any) -> list[Any]:
    """The palette's entries; the first call imports every node."""
    entries: list[Any] = canvas.palette()
    return entries


def _reveal(editor: Any, line: int) -> None:
    """Bring a line into view; ``go_to`` would take the focus from the canvas or the form."""
    field = editor.field
    if isinstance(field, QPlainTextEdit):
        field.setTextCursor(QTextCursor(field.document().findBlockByNumber(line - 1)))
    else:
        field.gotoLine(line - 1)
