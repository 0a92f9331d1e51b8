"""Models: is a version better, is it safe, what did it cost; release it, roll back, import one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QFileDialog,
    QFrame,
    QMenu,
    QScrollArea,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.registry.views import recommended
from ui import words
from ui.background import command, query
from ui.language import tr
from ui.pages.base import Page
from ui.widgets.buttons import Button
from ui.widgets.feedback import EmptyState
from ui.widgets.kit import FIT_BADGES
from ui.widgets.lineage import LineagePane
from ui.widgets.listing import Panel, Table
from ui.widgets.sidelist import SideLine, SideList
from ui.widgets.text import Badge, Icon, Label, Line, clear, column, row
from ui.widgets.verdict import Answers, Interval, verdict_badge

if TYPE_CHECKING:
    from app.registry.exporting import Choices
    from app.registry.views import FileLine, VersionLine, VersionView

LIST_WIDTH, BESIDE = 192, 1120
"""Of the list; and from which width of the page on proof and gate stand side by side."""
BASE = "base:"
"""Before the name of a base model in the list's keys."""
BACK = "Serve the version before this one again"
STATES = {"registered": ("New", "accent"), "released": ("", "neutral"), "retired": ("Retired", "neutral"),
          "refused": ("Refused", "danger")}


class ModelsPage(Page):
    """Versions left, the chosen one right."""

    title = "Models"
    subtitle = "Each version with its evidence"
    watches = frozenset({"models", "model_versions", "deployments", "evaluations"})
    margins = (0, 0, 0, 0)
    scrolls = False

    def build(self) -> None:
        """Actions in the header, list, version."""
        self._id = ""
        self._view: VersionView | None = None
        self._lines: list[VersionLine] = []
        self._bases: list[Any] = []
        self._fits: dict[str, Any] = {}
        self._beside = Button("Compare", "quiet", "scale", tooltip="Lay another version beside this one", clicked=self._compare_menu)
        self._back = Button("Roll back", "quiet", "rotate-ccw", tooltip=BACK, clicked=self._roll_back)
        self._try = Button("Try it", "outline", "message-square", clicked=self._try_it)
        self._export = Button("Export", "quiet", "download", tooltip="Save a file of this version, or make another one",
                              clicked=self.export)
        self._release = Button("Approve and release", "filled", "check", clicked=self._promote)
        for button in (self._beside, self._export, self._back, self._try, self._release):
            self.header.actions.addWidget(button)
        self.list = SideList("Models")
        self.list.chosen.connect(self._choose)
        self._stack = QStackedWidget()
        self._empty = EmptyState("No model yet. A run makes one; or import a GGUF file or a safetensors folder.", "box",
                                 Button("Open kits", "outline", clicked=lambda: self.shell.go("kits")),
                                 Button("Import a model", "outline", clicked=self._import_model))
        self._stack.addWidget(self._empty)
        self._stack.addWidget(self._pane())
        self.body.addLayout(self._columns())
        self._show_buttons()

    def _columns(self) -> Any:
        self._import = Button("Import a model", "outline", "folder-open", size="small", clicked=self._import_model)
        self._find = Button("Find a model", "outline", "search", size="small", tooltip="Search the Hugging Face Hub; off in offline mode",
                            clicked=self.find_model)
        for button in (self._find, self._import):
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        side = QWidget()
        side.setFixedWidth(LIST_WIDTH)
        layout = column(self.list, column(self._find, self._import, gap=6, margins=(8, 8, 8, 12)), margins=(0, 8, 0, 0))
        layout.setStretch(0, 1)
        side.setLayout(layout)
        line = row(side, Line("v"), self._stack, gap=0)
        line.setStretch(2, 1)
        return line

    def _pane(self) -> QWidget:
        self.answers = Answers()
        self._evaluation = Table([("Test", "text"), ("Base", "figure"), ("Tuned", "figure"), ("0 to 100", "text"),
                                  ("Difference", "figure"), ("Verdict", "fit")], name="Base against tuned")
        self._evaluation_panel = Panel("Base against tuned", "the bar shows the 95 % margin of error")
        self._evaluation_panel.body.addWidget(self._evaluation)
        self._files = Table([("File", "text"), ("Size", "figure"), ("Quality lost", "figure"), ("Same answer", "figure"),
                             ("Chat format", "fit"), ("", "fit")], name="Export proof")
        self._proof_panel = Panel("Export proof", "each file was loaded and asked the same questions as the original")
        self._proof_panel.body.addWidget(self._files)
        self._missing = Label("", "small", "warning", wrap=True)
        self._again = Button("Make it again", "link", tooltip="Open the export of this version", clicked=self.export)
        missing = row(Icon("triangle-alert", "warning"), self._missing, self._again, gap=8, margins=(16, 4, 12, 10))
        missing.setStretch(1, 1)
        self._missing_line = QWidget()
        self._missing_line.setLayout(missing)
        self._missing_line.hide()
        self._proof_panel.body.addWidget(self._missing_line)
        self._gate = QVBoxLayout()
        self._gate.setContentsMargins(16, 8, 16, 12)
        gate_panel = Panel("Release gate")
        gate_panel.body.addLayout(self._gate)
        self.lineage = LineagePane()
        self.lineage.opened.connect(self._open_origin)
        origin = row(Label("Where it comes from", "heading"), Label("click a box to open it", "small", "tertiary"), None)
        lineage = column(origin, self.lineage, gap=8)
        inner = QWidget()
        inner.setObjectName("scrolled")
        self._proofs = row(column(self._proof_panel, None), column(gate_panel, None), gap=16)
        self._proofs.setStretch(0, 3)
        self._proofs.setStretch(1, 2)
        self._beside_note = Label("", "small", "secondary", wrap=True)
        self._beside_table = Table([("", "text"), ("", "text"), ("", "text")], name="Two versions")
        self._beside_panel = Panel("Two versions side by side")
        self._beside_panel.body.addLayout(column(self._beside_note, margins=(16, 4, 16, 4)))
        self._beside_panel.body.addWidget(self._beside_table)
        self._beside_panel.hide()
        parts = (self.answers, self._beside_panel, self._evaluation_panel, self._proofs, lineage, None)
        inner.setLayout(column(*parts, gap=16, margins=(24, 20, 24, 24)))
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidget(inner)
        self._area = area
        return area

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A narrow window has the gate below the proof."""
        super().resizeEvent(event)
        if hasattr(self, "_proofs"):
            narrow = self.width() < BESIDE
            self._proofs.setDirection(QBoxLayout.Direction.TopToBottom if narrow else QBoxLayout.Direction.LeftToRight)

    def refresh(self) -> None:
        """Ask for the list, then the chosen version."""
        from app.registry import views

        query(self, views.versions, done=self._show_list)
        if not self._bases:
            query(self, views.bases, done=self._know_bases, slow=True)

    def _know_bases(self, found: list[Any]) -> None:
        from app.training import views as training

        self._bases = found
        self._show_list(self._lines)
        query(self, training.fits, tuple((base.name, base.parameters) for base in found), done=self._know_fits, slow=True)

    def _know_fits(self, found: dict[str, Any]) -> None:
        self._fits = found
        self._show_list(self._lines)

    def open(self, argument: str) -> None:
        """Show a version by its id."""
        self._id = argument
        self.mark_stale()

    def _show_list(self, found: list[VersionLine]) -> None:
        self._lines = found
        ids = [line.id for line in found]
        if ids and self._id not in ids:  # without any, the versions are not read yet: what was opened waits for them
            self._id = ids[0]
        self.list.show_lines([*version_lines(found), *base_lines(self._bases, self._fits)], self._id)
        self._stack.setCurrentIndex(1 if ids else 0)
        if ids:
            self._ask_version()

    def _compare_menu(self) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for line in self._lines:
            if line.id != self._id:
                menu.addAction(tr(f"{line.model}, version {line.version}"), partial(self.compare_with, line.id))
        menu.popup(self._beside.mapToGlobal(self._beside.rect().bottomLeft()))

    def compare_with(self, other: str) -> None:
        """Lay another version beside the one shown."""
        from app.registry import views

        query(self, views.compare, self._id, other, done=self._show_comparison)

    def _show_comparison(self, found: Any) -> None:
        self._beside_panel.setVisible(found is not None)
        if found is not None:
            self._beside_note.say(SAME_QUESTIONS[found.same_questions])
            self._beside_table.retitle(["", *found.names])
            self._beside_table.show_rows([[Label(what, "strong"), *values] for what, values in comparison_rows(found)])
            self._area.verticalScrollBar().setValue(0)

    def _choose(self, identity: str) -> None:
        """A version is shown; a base model leads to the kits that can be run on it."""
        if identity.startswith(BASE):
            self.list.show_lines(self.list.lines(), self._id)
            self.shell.go("kits")
            return
        self._id = identity
        self.mark_stale()

    def _ask_version(self) -> None:
        from app.registry import views

        query(self, views.version, self._id, done=self._show)

    def _show(self, view: VersionView | None) -> None:
        if self._view is None or view is None or view.line.id != self._view.line.id:
            self._beside_panel.hide()
        self._view = view
        self._show_buttons()
        if view is None:
            return
        self.header.say("Models", f"{view.line.model}, version {view.line.version}")
        self.answers.fill(answers(view))
        self._show_evaluation(view)
        self._proof_panel.setVisible(bool(view.files))
        best = recommended(view.files)
        self._files.show_rows([file_cells(file, best=file.quantization == best) for file in view.files])
        self._ask_missing(view)
        self._show_gate(view)
        self.lineage.show_graph(view.lineage, self.shell.has)

    def _ask_missing(self, view: VersionView) -> None:
        """Say which files are not on this computer any more, and whether a run can make them again."""
        self._missing_line.hide()
        if not all(file.here for file in view.files):
            from ui.exportdialog import choices_of

            query(self, choices_of, view.line.id, done=partial(self._show_missing, view), slow=True)

    def _show_missing(self, view: VersionView, found: Choices) -> None:
        if view is not self._view:  # another version is shown by now
            return
        gone = [one for one in found.files if one.missing]
        names, faults = ", ".join(one.quantization for one in gone), [one.fault for one in gone if one.fault]
        again = f"The file {names} is missing on this computer. The run that exported it can make it again."
        self._missing.say(faults[0] if faults else again)
        self._again.setVisible(not faults)
        self._missing_line.setVisible(bool(gone))

    def _show_buttons(self) -> None:
        view = self._view
        for button in (self._beside, self._export, self._back, self._try, self._release):
            button.setVisible(view is not None)
        self._beside.setVisible(view is not None and len(self._lines) > 1)
        if view is None:
            return
        self._try.allow("" if view.served_as else "Try it: release it first", "Ask it in the Playground")
        self._back.setVisible(view.line.live)
        self._back.allow("" if view.before else "No version was released before this one", BACK)
        self._release.allow(release_fault(view), "Serve this version under its model's name")

    def _show_evaluation(self, view: VersionView) -> None:
        one = view.measured
        self._evaluation_panel.setVisible(one is not None)
        if one is None:
            return
        interval = Interval(one.base, one.tuned, None, (one.base + one.low, one.base + one.high), one.metric)
        name = Label(f"{words.metric_name(one.metric).capitalize()}, {words.counted(one.metric, one.items)}", "body", elide=True)
        scale = "Lower is better" if words.is_nll(one.metric) else "0 to 100"
        self._evaluation.retitle(["Test", "Base", "Tuned", scale, "Difference", "Verdict"])
        self._evaluation.show_rows([[name, words.score(one.metric, one.base), words.score(one.metric, one.tuned), interval,
                                     words.margin(one.metric, one.difference, one.low, one.high), verdict_badge(one.verdict)]])

    def _show_gate(self, view: VersionView) -> None:
        clear(self._gate)
        for passed, text, figure in gate(view):
            icon, token = (("circle-check", "success") if passed else ("circle-x", "danger") if passed is False
                           else ("circle-dashed", "warning"))
            self._gate.addLayout(row(Icon(icon, token), Label(text, "body"), None, Label(figure, "small", "secondary"), gap=8,
                                     margins=(0, 5, 0, 5)))

    def _open_origin(self, page: str, argument: str) -> None:
        if page == "models":
            self._choose(argument)
        else:
            self.shell.go(page, argument)

    def _promote(self) -> None:
        command(self, _promote, self._id, busy=self._release,
                done=lambda _n: self.shell.toast(f"{self._id} is released and served.", action="Try it", then=self._try_it))

    def _roll_back(self) -> None:
        if self._view is not None:
            command(self, _roll_back, self._view.line.model, busy=self._back, done=self._rolled_back)

    def _rolled_back(self, now: Any) -> None:
        """Show the version that is live now."""
        self.shell.toast(f"{now.id} is served again.")
        self.open(now.id)

    def _try_it(self) -> None:
        self.shell.go("playground", self._view.served_as if self._view else "")

    def export(self) -> None:
        """Choose a file of this version to save, or to make."""
        from ui.exportdialog import ExportDialog

        if self._view is not None:
            dialog = ExportDialog(self, self._id, f"{words.short(self._view.line.model)}, version {self._view.line.version}")
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.open()

    def find_model(self) -> None:
        """Search the Hub, while offline mode is off."""
        from ui.hubdialog import HubDialog

        dialog = HubDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def _import_model(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, tr("Import a model folder (safetensors)"), "")
        if not chosen:
            chosen, _ = QFileDialog.getOpenFileName(self, tr("Import a model file"), "", tr("Models (*.gguf)"))
        if chosen:
            self.import_path(Path(chosen))

    def import_path(self, path: Path) -> None:
        """Import a model; damaged and dangerous ones are refused with the reason."""
        self.shell.toast(f"Checking {path.name}", stays=True)
        command(self, _import_model, path, busy=self._import, done=self._imported)

    def _imported(self, done: Any) -> None:
        self.shell.toast("The model is imported.")
        identity = getattr(done, "id", None) or getattr(done, "version", None)
        if isinstance(identity, str):
            self.open(identity)


def _against(one: Any) -> str:
    tuned, base = (words.score(one.metric, value) for value in (one.tuned, one.base))
    if words.is_nll(one.metric):
        return f"{tuned} against {base} nats a word piece, on {one.items:,} texts held back from training."
    return f"{tuned} against {base}, on {one.items:,} questions held back from training."


def answers(view: VersionView) -> list[tuple[str, str]]:
    """Is it better, is it safe, what does it cost."""
    one = view.measured
    better = ("Not measured yet", "No run has compared it with the model it came from.") if one is None else (
        words.VERDICTS[one.verdict][0], _against(one))
    passed = view.proof.get("passed")
    safe = ("Not measured yet", "No export proof exists for this version.") if passed is None else (
        "Export proof passed", "The file answers like the model it was made from.") if passed else (
        "Export proof failed", "The file does not answer like the original, so it cannot be released.")
    cost = ("Not measured yet", "It was not made by a run here.") if not view.cost else (
        f"{words.money(view.cost, view.currency)} to make", "Electricity and wear of this computer.")
    return [better, safe, cost]


SAME_QUESTIONS = {True: "Both were measured on the same held-back questions.",
                  False: "They were measured on different questions: their figures do not compare.",
                  None: "It is not known whether they were measured on the same questions."}


def version_lines(found: list[VersionLine]) -> list[SideLine]:
    """Versions under their models' names."""
    lines: list[SideLine] = []
    model = ""
    for one in found:
        if one.model != model:
            lines.append(SideLine("", one.model, own=True))
            model = one.model
        mark, tone = ("Live", "success") if one.live else STATES.get(one.state, ("", "neutral"))
        name = f"Version {one.version}"
        lines.append(SideLine(one.id, name, words.day(one.created), mark, tone, tip=f"{one.model}, version {one.version}"))
    return lines


def base_lines(bases: list[Any], fits: dict[str, Any]) -> list[SideLine]:
    """Base models on this computer, and whether they fit."""
    lines = [SideLine("", "Base models")] if bases else []
    for base in bases:
        fit = fits.get(base.name)
        word = FIT_BADGES[fit.state][0].lower() if fit else ""
        note = ", ".join(part for part in (words.size(base.size), word) if part)
        lines.append(SideLine(f"{BASE}{base.name}", words.model_name(base.name), note, own=True, tip=base_words(base, fit)))
    return lines


def base_words(base: Any, fit: Any) -> str:
    """What a base model is, and what it needs here."""
    said = [f"{base.parameters / 1e6:,.0f} million parameters", f"context {base.context:,}" if base.context else "", base.licence]
    need = f"Training needs about {words.size(fit.need)}, free now {words.size(fit.free)}" if fit else ""
    return "\n".join(part for part in (", ".join(one for one in said if one), need) if part)


def comparison_rows(found: Any) -> list[tuple[str, tuple[str, str]]]:
    """What two versions have in figures, and where they differ in origin."""
    def both(make: Any, values: Any) -> tuple[str, str]:
        one, other = (make(value) if value is not None else "not measured" for value in values)
        return one, other

    measured = found.measured
    currency = found.currency
    rows = [("Result", both(lambda one: words.VERDICTS[one.verdict][0], measured)),
            ("Tuned", both(lambda one: words.score(one.metric, one.tuned), measured)),
            ("Base", both(lambda one: words.score(one.metric, one.base), measured)),
            ("Difference", both(lambda one: words.margin(one.metric, one.difference, one.low, one.high), measured)),
            ("File in use", both(lambda one: words.size(one) if one else "not known", found.sizes)),
            ("Cost to make", both(lambda one: words.money(one, currency), found.costs))]
    return rows + [(row.what, row.values) for row in found.origins]


def file_cells(file: FileLine, *, best: bool = False) -> list[str | QWidget]:
    """One exported file as table cells."""
    chat: str | QWidget = "–"
    if file.template_identical is not None:
        chat = Badge("identical", "success", "check") if file.template_identical else Badge("differs", "danger", "x")
    use = (Badge("Missing", "danger", "circle-x") if not file.here else Badge("In use", "accent") if file.in_use
           else Badge("Recommended", "success", "check") if best else Label("", "small"))
    shares = [_share(file.quality_lost), _share(file.same_answers)]
    return [Label(file.quantization, "code"), words.size(file.size), *shares, chat, use]


def _promote(store: Any, version: str) -> Any:  # what changes the registry is imported on the lane: it takes a tenth of a second
    from app.registry import api

    return api.promote(store, version)


def _roll_back(store: Any, model: str) -> Any:
    from app.registry import api

    return api.roll_back(store, model)


def _import_model(store: Any, path: Path) -> Any:
    from app.registry import api

    return api.import_model(store, path)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def release_fault(view: VersionView) -> str:
    """Why a version cannot be released, or nothing."""
    if view.line.live:
        return "Approve and release: this version is live already"
    if view.proof.get("passed") is False:
        return "Approve and release: the export proof failed, so the file does not answer like the original"
    return ""


def gate(view: VersionView) -> list[tuple[bool | None, str, str]]:
    """The checks before a release: passed (None: waits), words, figure."""
    one = view.measured
    better: tuple[bool | None, str, str] = (None, "Better on the held-back questions", "not measured")
    if one is not None:
        what = "Better on the held-back texts" if words.is_nll(one.metric) else "Better on the held-back questions"
        better = (one.verdict == "better", what, words.change(one.metric, one.difference))
    same = next((file.same_answers for file in view.files if file.in_use), None)
    return [better, (view.proof.get("passed"), "File answers like the original", _share(same)),
            (True if view.line.live else None, "Approval by a person", "yours" if not view.line.live else
             "released")]
