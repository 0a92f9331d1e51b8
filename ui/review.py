"""The review of private data: one row at a time, each finding redacted, kept or edited, by keys.

What is decided is kept at once; "Make the reviewed version" puts it into the rows.  The Datasets page opens it with
:func:`open_review` and asks :func:`review_words` what its button says.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import floor
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QDialog, QFrame, QGridLayout, QLineEdit, QMenu, QScrollArea, QWidget

from ui.background import command, query
from ui.language import tr
from ui.reviewparts import FindingLine, MarkedText, cut
from ui.shortcuts import shortcuts
from ui.widgets.buttons import Button, Segments
from ui.widgets.feedback import Bar, EmptyState, ErrorBanner
from ui.widgets.text import Icon, KeyCap, Label, Line, clear, column, row

if TYPE_CHECKING:
    from app.data.redaction.rules import Rule
    from app.data.redaction.views import EntityLine, FindingView, ReviewRow, Summary
    from app.errors import NeuroWeaverError

SIDE = 312
SHOWN = 20
"""Findings of a row shown at a time."""
_COUNTS = {1: "one finding", 2: "two findings", 3: "three findings", 4: "four findings", 5: "five findings"}
_HEADINGS = (("Kind", ""), ("Found", "In this version"),
             ("Finds", "Of planted ones, how many are found, in sentences made for this measure"),
             ("Correct", "Of what is found in such sentences, how much is private data"))


def review_words(waiting: int) -> str:
    """What a button that opens the review says."""
    return f"Review private data ({waiting:,} open)" if waiting else "Review private data"


def open_review(page: Any, dataset: str, version: int) -> ReviewDialog:
    """Open the review of a version over a page; the page is stale when a reviewed version was made."""
    dialog = ReviewDialog(page, dataset, version)
    dialog.applied.connect(lambda made: _tell(page, made))
    dialog.open()
    return dialog


def _tell(page: Any, made: int) -> None:
    page.mark_stale()
    page.shell.toast(f"Version {made} holds what you decided.")


class ReviewDialog(QDialog):
    """Findings of one version.  applied: the number of the reviewed version."""

    applied = Signal(int)

    def __init__(self, page: Any, dataset: str, version: int) -> None:
        super().__init__(page)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(tr("Private data review"))
        self.setModal(True)
        self.resize(1000, 664)
        self.background = page.background
        self._dataset, self._version = dataset, version
        self.rows: list[ReviewRow] = []
        self.at, self.chosen = 0, 0
        self._decided: list[tuple[FindingView, str]] = []
        self._here: dict[int, tuple[str, str]] = {}
        """Decisions and stand-ins made here, by the finding's id."""
        self._after, self._wrapped = 0, False
        self.summary: Summary | None = None
        self._make()
        self._lay_out()
        self._ask_rows(0)
        self._ask_summary()

    # ---- widgets -----------------------------------------------------------------------------------------------------

    def _make(self) -> None:
        self.count, self.bar = Label("", "body", "tertiary"), Bar()
        self.filter = Segments([("open", "Waiting"), ("all", "All findings")], size="small", name="Which findings")
        self.filter.chosen.connect(lambda _key: self._restart())
        self.where = Label("", "small", "tertiary")
        self.text = MarkedText()
        self.lines = column()
        self.redact = Button("Redact", "filled", "check", keys="review.redact", clicked=lambda: self.decide("accepted"))
        self.keep = Button("Keep", "outline", tooltip="Keep as it is", keys="review.keep", clicked=lambda: self.decide("rejected"))
        self.edit = Button("Edit", "outline", "pen-line", tooltip="Write another stand-in", keys="review.edit", clicked=self.begin_edit)
        self.skip = Button("Next", "quiet", "arrow-right", tooltip="Next finding, decide later", keys="review.next", clicked=self.next)
        self.always = Button("Always", "quiet", "repeat", tooltip="Rules for this dataset", clicked=self._open_rules)
        self.field = QLineEdit()
        self.field.setAccessibleName(tr("Stand-in"))
        self.field.returnPressed.connect(self._end_edit)
        self.field.hide()
        self.apply = Button("Make the reviewed version", "outline", "save", clicked=self._apply)
        self.undo = Button("Undo", "quiet", "undo-2", tooltip="Take the last decision back", keys="review.undo", clicked=self.take_back)
        self.grid = QGridLayout()
        self.note = Label("", "small", "tertiary", wrap=True)
        self.banner = ErrorBanner()
        self.banner.closed.connect(self.banner.hide)
        self.banner.hide()
        self.empty = EmptyState("Nothing waits. What is uncertain was decided, and the rest was certain enough.", "shield-check")

    def _lay_out(self) -> None:
        self._inner = inner = QWidget()
        inner.setObjectName("scrolled")
        inner.setLayout(column(column(self.where, 6, self.text, margins=(24, 12, 20, 12)), Line(), self.lines, None))
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area.setWidget(inner)
        self.area.setAccessibleName(tr("The row and its findings"))
        top = row(Label("Private data review", "title"), None, self.filter, 8, self.count, gap=8)
        head = column(top, 10, self.bar, margins=(24, 18, 24, 12))
        keyed = ((self.redact, "redact"), (self.keep, "keep"), (self.edit, "edit"), (self.skip, "next"))
        deeds = row(*(row(button, KeyCap(f"review.{name}"), gap=5) for button, name in keyed), None, self.always, gap=14,
                    margins=(24, 10, 20, 10))
        left = column(self.area, self.empty, Line(), column(self.field, margins=(24, 8, 20, 0)), deeds)
        left.setStretch(0, 1)
        left.setStretch(1, 1)
        side = QWidget()
        side.setFixedWidth(SIDE)
        sign = Icon("info", "textTertiary", 14)
        note = row(sign, self.note, gap=8)
        note.setStretch(1, 1)
        note.setAlignment(sign, Qt.AlignmentFlag.AlignTop)
        side.setLayout(column(Label("Found so far", "heading"), 8, self.grid, None, note, margins=(18, 14, 20, 14)))
        middle = row(left, Line("v"), side, gap=0)
        middle.setStretch(0, 1)
        foot = row(self.undo, None, Button("Close", "quiet", clicked=self.reject), self.apply, gap=8, margins=(24, 10, 20, 14))
        whole = column(head, Line(), column(self.banner, margins=(24, 8, 24, 0)), middle, Line(), foot)
        whole.setStretch(3, 1)
        self.setLayout(whole)
        self.grid.setHorizontalSpacing(14)
        self.grid.setVerticalSpacing(4)
        self.grid.setColumnStretch(0, 1)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Redact, keep, edit, go on, take back.  A field that is written in keeps its letters."""
        deeds: dict[str, Callable[[], object]] = {
            "review.redact": lambda: self.decide("accepted"), "review.keep": lambda: self.decide("rejected"),
            "review.edit": self.begin_edit, "review.next": self.next, "review.undo": self.take_back}
        deed = deeds.get(shortcuts.deed("review", event))
        if deed is None:
            super().keyPressEvent(event)
        else:
            deed()

    # ---- asking ------------------------------------------------------------------------------------------------------

    def _restart(self) -> None:
        self.rows, self.at, self.chosen, self._wrapped = [], 0, 0, False
        self._here.clear()
        self._ask_rows(0)

    def _ask_rows(self, after: int) -> None:
        self._after = after
        waiting = self.filter.choice() != "all"
        query(self, _page, self._dataset, self._version, after, waiting, done=self._show_rows, key="rows")

    def _ask_summary(self) -> None:
        query(self, _summary, self._dataset, self._version, done=self._show_summary, key="summary")

    def show_error(self, problem: NeuroWeaverError) -> None:
        """Say what failed."""
        self.banner.show_problem(problem)

    def _show_rows(self, found: list[ReviewRow]) -> None:
        if self.filter.choice() != "all":  # what was decided here may not be written yet
            self.rows = [one for one in found if any(self._decision(finding) == "open" for finding in one.findings)]
        else:
            self.rows = found
        if not self.rows and found:
            self._ask_rows(found[-1].position)
        elif not self.rows and self._after and not self._wrapped:
            self._wrapped = True  # some may have been left for later
            self._ask_rows(0)
        else:
            self.at, self._wrapped = 0, self._wrapped and not self.rows
            self.chosen = self._first_waiting()
            self._show_row()

    def _show_summary(self, found: Summary) -> None:
        if self.summary is None:
            self._total = max(found.open, 1)
        self.summary = found
        done = max(self._total - found.open, 0)
        self.count.say(f"{done:,} of {self._total:,}" if found.open or done else "Nothing waits")
        self.bar.show_fraction(done / self._total if found.open else 1.0)
        self.note.say(found.statement)
        why = "" if found.changed else "Make the reviewed version: nothing was decided yet"
        self.apply.allow(why, f"{found.changed:,} decisions go into the rows")
        self._show_lines_of(found.lines)

    def _show_lines_of(self, lines: list[EntityLine]) -> None:
        clear(self.grid)
        for place, (heading, about) in enumerate(_HEADINGS):
            label = Label(heading, "small", "tertiary")
            label.setAlignment(_side(place))
            label.setToolTip(tr(about))
            self.grid.addWidget(label, 0, place)
        for number, line in enumerate(lines[:14], start=1):
            finds, right = (f"{_percent(share[0])} %" if share else "–" for share in (line.recall, line.precision))
            for place, text in enumerate((line.label, f"{line.found:,}", finds, right)):
                label = Label(text, "body" if place < 2 else "small", "" if place < 2 else "secondary", elide=not place)
                label.setAlignment(_side(place))
                label.setToolTip(tr(_tooltip(line)))
                self.grid.addWidget(label, number, place)

    # ---- showing a row -----------------------------------------------------------------------------------------------

    def row_now(self) -> ReviewRow | None:
        """The row that is shown."""
        return self.rows[self.at] if self.at < len(self.rows) else None

    def finding(self) -> FindingView | None:
        """The finding that a key would decide."""
        now = self.row_now()
        return now.findings[self.chosen] if now is not None and self.chosen < len(now.findings) else None

    def _show_row(self) -> None:
        now = self.row_now()
        self.area.setVisible(now is not None)
        self.empty.setVisible(now is None)
        for button in (self.redact, self.keep, self.edit, self.skip):
            button.setEnabled(now is not None)
        self.field.hide()
        self.undo.setEnabled(bool(self._decided))
        clear(self.lines)
        if now is None:
            return
        found = now.findings
        first = self.chosen // SHOWN * SHOWN
        part = f", {first + 1:,} to {min(first + SHOWN, len(found)):,} shown" if len(found) > SHOWN else ""
        self.where.say(f"Row {now.position:,}, {_COUNTS.get(len(found), f'{len(found):,} findings')}{part}")
        chosen = self.finding()
        text = next((one for one in now.texts if chosen in one.findings), now.texts[0])
        self.text.show_text(text, chosen)
        for number, one in enumerate(found[first : first + SHOWN], start=first):
            decision, replacement = self._here.get(one.id, (one.decision, one.replacement))
            line = FindingLine(one, decision, replacement, chosen=number == self.chosen)
            line.picked.connect(lambda number=number: self._choose(number))
            self.lines.addWidget(line)
            self.lines.addWidget(Line())
            if number == self.chosen:
                self._see(line)

    def _see(self, line: QWidget) -> None:
        """Scroll to the chosen finding; its place is known only after the layout has worked."""
        line.show()
        self._inner.adjustSize()
        self.area.ensureWidgetVisible(line, 0, 12)

    def _choose(self, number: int) -> None:
        self.chosen = number
        self._show_row()

    def _decision(self, one: FindingView) -> str:
        return self._here.get(one.id, (one.decision, ""))[0]

    def _first_waiting(self) -> int:
        now = self.row_now()
        found = now.findings if now is not None else []
        return next((number for number, one in enumerate(found) if self._decision(one) == "open"), 0)

    # ---- deeds -------------------------------------------------------------------------------------------------------

    def decide(self, decision: str) -> None:
        """Redact ("accepted") or keep ("rejected") the chosen finding, then go on to the next one that waits."""
        one = self.finding()
        if one is None or not self.field.isHidden():
            return
        self._decided.append((one, self._decision(one)))
        self._here[one.id] = (decision, one.replacement)
        command(self, _decide, self._dataset, one.id, decision, done=lambda _count: self._ask_summary())
        self._go_on()

    def take_back(self) -> None:
        """Undo the last decision."""
        if not self._decided:
            return
        one, before = self._decided.pop()
        self._here[one.id] = (before, one.replacement)
        command(self, _decide, self._dataset, one.id, "open" if before == "open" else before, done=lambda _count: self._ask_summary())
        for at, known in enumerate(self.rows):
            if one in known.findings:
                self.at, self.chosen = at, known.findings.index(one)
        self._show_row()

    def _go_on(self) -> None:
        now = self.row_now()
        later = [number for number, one in enumerate(now.findings) if self._decision(one) == "open"] if now is not None else []
        if later:
            self.chosen = next((number for number in later if number > self.chosen), later[0])
            self._show_row()
        else:
            self._next_row()

    def next(self) -> None:
        """The next finding, whatever it is; behind the last one the next row."""
        now = self.row_now()
        if now is None or not self.field.isHidden():
            return
        if self.chosen + 1 < len(now.findings):
            self._choose(self.chosen + 1)
        else:
            self._next_row()

    def _next_row(self) -> None:
        now = self.row_now()
        self.at += 1
        if self.at < len(self.rows):
            self.chosen = self._first_waiting()
            self._show_row()
        elif now is not None:
            self._ask_rows(now.position)

    def begin_edit(self) -> None:
        """Write another stand-in for the chosen finding; Enter takes it, Esc leaves it."""
        one = self.finding()
        if one is not None:
            self.field.setText(one.replacement)
            self.field.show()
            self.field.selectAll()
            self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _end_edit(self) -> None:
        one, words = self.finding(), self.field.text()
        self.field.hide()
        if one is None or not words.strip():
            return
        self._decided.append((one, self._decision(one)))
        self._here[one.id] = ("accepted", words)
        command(self, _edit, self._dataset, one.id, words, done=lambda _none: self._ask_summary())
        self._go_on()

    def reject(self) -> None:
        """Esc ends an edit first; what was decided stays decided."""
        if self.field.isVisible():
            self.field.hide()
            return
        super().reject()

    def _open_rules(self) -> None:
        query(self, _rules, self._dataset, done=self._show_rules_menu, key="rules")

    def _show_rules_menu(self, known: list[Rule]) -> None:
        self.rules_menu(known).popup(self.always.mapToGlobal(self.always.rect().bottomLeft()))

    def rules_menu(self, known: list[Rule]) -> QMenu:
        """New rules from the chosen finding, and those there are, to be taken back."""
        menu, one = QMenu(self), self.finding()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if one is not None:
            menu.addAction(tr("Always redact this text"), lambda: self.add_rule("redact", whole=False))
            menu.addAction(tr("Always keep this text"), lambda: self.add_rule("keep", whole=False))
            menu.addSeparator()
            menu.addAction(f"{tr('Always keep')}: {tr(one.label)}", lambda: self.add_rule("keep", whole=True))
        if one is None and not known:
            menu.addAction(tr("No rule yet")).setEnabled(False)
        if known:
            menu.addSeparator()
            listed = menu.addMenu(tr("Take a rule back"))
            for rule in known:
                listed.addAction(_rule_words(rule), partial(self.forget_rule, rule))
        return menu

    def forget_rule(self, rule: Rule) -> None:
        """A rule goes; what it decided here waits again."""
        now = self.row_now()
        command(self, _forget, self._dataset, self._version, rule, busy=self.always,
                done=lambda _count: self._after_rule(now.position if now is not None else 1))

    def add_rule(self, decision: str, *, whole: bool) -> None:
        """Decide the chosen finding, all others of the same text (or entity), and those of later redactions."""
        one, now = self.finding(), self.row_now()
        if one is not None and now is not None:
            command(self, _rule, self._dataset, one.id, decision, whole, busy=self.always,
                    done=lambda _count: self._after_rule(now.position))

    def _after_rule(self, position: int) -> None:
        self._here.clear()
        self._decided.clear()  # a rule decided many: taking back one of them would mislead
        self._ask_summary()
        self._ask_rows(position - 1)

    def _apply(self) -> None:
        command(self, _apply, self._dataset, self._version, busy=self.apply, done=self._made)

    def _made(self, version: int) -> None:
        self.applied.emit(version)
        self.accept()


def _side(place: int) -> Qt.AlignmentFlag:
    return (Qt.AlignmentFlag.AlignRight if place else Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter


def _percent(share: float) -> str:
    """Rounded down: 99.96 is not 100.0."""
    return f"{floor(1000 * share) / 10:.1f}"


def _rule_words(rule: Rule) -> str:
    """"Keep “anna meier”", or "Keep: Person"."""
    from app.data.redaction.entities import label

    verb = tr("Redact" if rule.decision == "redact" else "Keep")
    return f"{verb} “{cut(rule.folded)}”" if rule.folded else f"{verb}: {tr(label(rule.entity))}"


def _tooltip(line: EntityLine) -> str:
    said = f"{line.redacted:,} redacted, {line.kept:,} kept, {line.open:,} wait"
    if line.recall is None or line.precision is None:
        return f"{said}. How well it finds these was not measured."
    return f"{said}. {_measured(line.recall)} of planted ones are found, {_measured(line.precision)} of what is found is right"


def _measured(share: tuple[float, float, float]) -> str:
    value, low, high = map(_percent, share)
    return f"{value} % (95 % interval {low} to {high})"


# ---- off the main thread -----------------------------------------------------------------------------------------------------


def _page(store: Any, dataset: str, version: int, after: int, only_open: bool) -> list[ReviewRow]:
    from app.data.redaction import views

    return views.review_page(store, dataset, version, after, only_open=only_open)


def _summary(store: Any, dataset: str, version: int) -> Summary:
    from app.data.redaction import views

    return views.summary(store, dataset, version)


def _decide(store: Any, dataset: str, finding: int, decision: Any) -> int:
    from app.data.redaction import views

    return views.decide(store, dataset, [finding], decision)


def _edit(store: Any, dataset: str, finding: int, words: str) -> None:
    from app.data.redaction import views

    views.edit(store, dataset, finding, words)


def _rule(store: Any, dataset: str, finding: int, decision: Any, whole: bool) -> int:
    from app.data.redaction import views

    return views.add_rule(store, dataset, finding, decision, whole_entity=whole)


def _rules(store: Any, dataset: str) -> list[Rule]:
    from app.data.redaction import views

    return views.rules_of(store, dataset)


def _forget(store: Any, dataset: str, version: int, rule: Rule) -> int:
    from app.data.redaction import views

    return views.forget_rule(store, dataset, version, rule)


def _apply(store: Any, dataset: str, version: int) -> int:
    from app.data.redaction import views

    return views.apply_decisions(store, dataset, version).version
