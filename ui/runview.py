"""One run on the Runs page: time left, steps, three answers, curves, result, events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from ui import words
from ui.background import command, query
from ui.runcharts import RunCharts
from ui.runnotes import RunNotes
from ui.runresult import RunResult
from ui.runsamples import RunSamples, samples
from ui.runside import RunSide
from ui.runwords import answers, subtitle, time_left
from ui.turns import Turns
from ui.widgets.buttons import Button
from ui.widgets.feedback import ErrorBanner
from ui.widgets.steps import StepStrip
from ui.widgets.text import Label, column, row
from ui.widgets.verdict import Answers

if TYPE_CHECKING:
    from ui.pages.base import Page

GOING = ("queued", "running")
CAN_RESUME = ("paused", "failed", "cancelled")


class RunPane(QScrollArea):
    """Asks for one run at a time; ``buttons`` stand in the page's header."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page, self._id = page, ""
        self._found: dict[str, Any] = {}
        self._view: Any = None
        self._turns = Turns(self)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._left, self._until = Label("", "display"), Label("", "small", "tertiary")
        self.strip, self.answers = StepStrip(), Answers()
        self.problem = ErrorBanner()
        self.problem.closed.connect(self.problem.hide)
        self.problem.hide()
        self.result, self.charts, self.side = RunResult(), RunCharts(), RunSide()
        self.result.hide()
        self.charts.looked.connect(self._look)
        self.samples = RunSamples()
        self.notes = RunNotes(self._page)
        self._lay_out()
        self._make_buttons()

    def _lay_out(self) -> None:
        time = QWidget()
        time.setLayout(column(self._left, self._until))
        time.setFixedWidth(230)
        top = row(time, self.strip, gap=28)
        top.setStretch(1, 1)
        below = row(self.charts, self.side, gap=16)
        below.setStretch(0, 866)
        below.setStretch(1, 294)
        inner = QWidget()
        inner.setObjectName("scrolled")
        layout = column(top, self.problem, self.answers, self.result, self.samples, below, self.notes, gap=16, margins=(28, 18, 28, 24))
        layout.setStretch(5, 1)
        inner.setLayout(layout)
        self.setWidget(inner)

    def _make_buttons(self) -> None:
        shell = self._page.shell
        self._pause = Button("Pause", icon_name="pause", tooltip="Save and wait; resume later",
                             clicked=lambda: self.stop("pause"))
        self._save = Button("Stop and save", icon_name="download", keys="stop",
                            clicked=lambda: self.stop("save"))
        self._discard = Button("Stop and discard", "danger", clicked=self._ask_discard)
        self._resume = Button("Resume", "filled", "play", tooltip="Go on where it stopped", keys="run", clicked=self.resume)
        self._try = Button("Compare answers", "filled", "message-square", clicked=lambda: shell.go("playground", served_name(self._view)))
        self._kit = Button("Make a kit", "outline", "library-big", tooltip="One file without a row, for others to run on their data",
                           clicked=self._make_kit)
        self._use = Button("Use it", "outline", "plug", clicked=lambda: shell.go("endpoint"))
        self._rows = Button("Show the rows", "filled", "table-2", tooltip="The version that this run made, on the Datasets page",
                            clicked=lambda: shell.go("datasets", made_rows(self._view)))
        self.buttons = [self._kit, self._use, self._pause, self._save, self._discard, self._resume, self._try, self._rows]
        self.leave()

    def begin(self) -> None:
        """Another run is about to be shown."""
        self._turns.begin()
        self.charts.begin()
        self._view, self._found = None, {}
        self.verticalScrollBar().setValue(0)
        self.leave()

    def leave(self) -> None:
        """No buttons of a run: the list is shown, or a run whose state is not known yet."""
        self._id = ""
        for button in self.buttons:
            button.hide()

    def ask(self, identity: str) -> None:
        """Ask for everything about a run."""
        from app.workflow import views
        from app.workflow.curves import curves

        self._id = identity
        query(self._page, views.run, identity, done=self.show_run)
        query(self._page, curves, identity, done=self._show_curves, slow=True, latest=True)
        query(self._page, samples, identity, done=self.samples.show_samples)
        query(self._page, views.events, identity, done=self.side.show_events)
        query(self._page, views.log, identity, done=self.side.show_log, slow=True)

    def show_run(self, view: Any) -> None:
        """Fill all but the curves."""
        if view is None or view.line.id != self._id:
            return
        self._view = view
        line = view.line
        self._page.header.say(f"{words.short(line.name)}, run {line.number}", subtitle(view))
        self._left.say(time_left(view)[0])
        self._until.say(time_left(view)[1])
        self._show_problem(view)
        self.notes.show_line(line)
        self._show_buttons(view)
        self._turns.begin(lambda: self.strip.show_steps(view.steps), lambda: self.answers.fill(answers(view, self._found)),
                          lambda: self.result.show_result(line.verdict), lambda: self.side.show_settings(view.settings),
                          lambda: self._show_curves(self._found))

    def _show_problem(self, view: Any) -> None:
        why = view.why or next((step.why for step in view.steps if step.why is not None), None)
        if why is not None and view.line.state in ("failed", "paused"):
            self.problem.show_problem(why)
        else:
            self.problem.hide()

    def _show_buttons(self, view: Any) -> None:
        state, stopping = view.line.state, bool(view.cancel)
        rows_alone = bool(made_rows(view)) and not any(step.node.startswith(("train.", "model.")) for step in view.steps)
        for button in (self._pause, self._save, self._discard):
            button.setVisible(state in GOING)
            button.setEnabled(not stopping)
        self._resume.setVisible(state in CAN_RESUME)
        self._rows.setVisible(state == "done" and rows_alone)
        self._try.setVisible(state == "done" and not rows_alone and self._page.shell.has("playground"))
        self._kit.setVisible(state == "done")
        self._use.setVisible(state == "done" and not rows_alone and self._page.shell.has("endpoint"))

    def _look(self, key: str, names: list[str], low: float, high: float) -> None:
        """A curve is looked at closely: its points of that part, if the same run is still shown when they come."""
        from app.workflow.curves import curves

        identity = self._id
        query(self._page, curves, identity, names, (low, high), slow=True, key=f"part {key}", latest=True,
              done=lambda found: self.charts.show_part(key, (low, high), found) if identity == self._id else None)

    def _show_curves(self, found: dict[str, Any]) -> None:
        self._found = found
        if self._view is not None and self._view.line.id == self._id:
            self.charts.show_curves(found, self._view)
            self.answers.fill(answers(self._view, found))

    # ---- commands ------------------------------------------------------------------------------------------------

    def stop(self, mode: str) -> None:
        """Pause, save or discard."""
        from app.workflow import runs

        if self._view is None or self._view.line.state not in GOING:
            return
        said = {"pause": "Pausing: saving what it has reached.", "save": "Stopping: saving what it has reached.",
                "discard": "Stopping. Nothing of this run is kept."}[mode]
        button = {"pause": self._pause, "save": self._save, "discard": self._discard}[mode]
        command(self._page, runs.cancel, self._id, mode, busy=button, done=lambda _n: self._page.shell.toast(said))

    def _make_kit(self) -> None:
        from ui.kitmaking import MakeKitDialog

        dialog = MakeKitDialog(self._page, self._id)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def _ask_discard(self) -> None:
        from ui.dialogs import ask

        if ask(self, "Stop and discard this run?", "What it has learned so far is deleted. This cannot be undone.",
               "Stop and discard", safe="Keep running"):
            self.stop("discard")

    def resume(self) -> None:
        """Go on where it stopped."""
        from app.workflow import runs

        if self._view is not None and self._view.line.state in CAN_RESUME:
            command(self._page, runs.resume, self._id, busy=self._resume,
                    done=lambda _n: self._page.shell.toast(f"Run {self._view.line.number} goes on."))


def made_rows(view: Any) -> str:
    """The last version of a dataset that a run made, as the Datasets page opens it, or nothing."""
    made = [artifact for step in view.steps for artifact in step.outputs.values() if artifact.get("kind") == "rows"] if view else []
    return f"{made[-1]['dataset']}@{made[-1]['version']}" if made else ""


def served_name(view: Any) -> str:
    """The name under which a run's model is served, as its last step says, or nothing."""
    names = [artifact.get("summary", {}).get("alias", "") for step in view.steps for artifact in step.outputs.values()]
    return next((name for name in reversed(names) if name), "")
