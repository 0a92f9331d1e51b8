"""What a kit looks like: its fit, its measured figures, its card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QWidget

from ui import words
from ui.language import tr
from ui.runwords import power_source
from ui.widgets.buttons import Button
from ui.widgets.text import Badge, Card, Label, Line, column, row
from ui.widgets.verdict import Interval, verdict_badge

FIT_BADGES = {"fits": ("Fits", "success", "check"), "tight": ("Tight", "warning", "triangle-alert"),
              "too_large": ("Too large", "danger", "x"), "missing": ("Not here", "neutral", "circle-help")}


MOST_WORDS = 140
"""Characters of a description that three lines of a card hold."""


def fit_badge(state: str, tooltip: str = "") -> Badge:
    """Icon and word; hidden until the machine was looked at."""
    text, kind, icon = FIT_BADGES.get(state, ("", "neutral", ""))
    badge = Badge(text, kind, icon, tooltip)
    badge.setVisible(bool(text))
    return badge


def fit_words(fit: Any) -> str:
    """What a Fit says: need and free memory, and for what it was judged."""
    return (f"Training needs about {words.size(fit.need)} of memory; {words.size(fit.free)} are free now. "
            f"Judged for {fit.context:,} word pieces at a time.")


def cannot_run(card: Any, fit: Any) -> str:
    """Why a kit cannot run here, "" where it can."""
    name = words.model_name(card.base_model)
    if fit is not None and fit.state == "too_large":
        return (f"{fit_words(fit)} Close other programs and look again, choose a smaller base model in the workflow, or use a computer "
                "with more memory or a graphics card.")
    if fit is not None and not fit.here:
        return f"{name} is not on this computer. Import its folder on the Models page, or choose another base model in the workflow."
    return ""


def kit_figures(card: Any, last: Any = None) -> QWidget:
    """What its newest run here measured, else what its author did; where nothing was measured it says so."""
    figures = run_figures(last) if last is not None else measured_figures(card.measured)
    area = QWidget()
    if not figures:
        area.setLayout(row(Label("Nothing has been measured for this kit yet. The run measures it.", "small", "tertiary"),
                           None))
        return area
    layout = row(gap=20)
    for value, what in figures:
        layout.addLayout(column(Label(value, "figure"), Label(what, "small", "tertiary", wrap=True), None), 1)
    area.setLayout(layout)
    return area


def run_figures(last: Any) -> list[tuple[str, str]]:
    """(value, what it is) pairs of the newest finished run on this computer (a RunLine)."""
    found = []
    if last.seconds is not None:
        found.append((words.duration(last.seconds), f"run {last.number}, measured here"))
    if last.cost is not None:
        found.append((words.money(last.cost.total, last.cost.currency),
                      f"power {power_source(last.cost.source)}, and wear"))
    if last.verdict is not None:
        one = last.verdict
        found.append((words.change(one.metric, one.difference), words.under_change(one.metric, one.low, one.high)))
        found.append((f"{one.items:,}", words.held_back(one.metric)))
    return found


def measured_figures(measured: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(value, what it is) pairs of what kit.yaml records as measured."""
    where, metric = str(measured.get("machine", "")) or "where it was measured", str(measured.get("metric", ""))
    found = []
    if "seconds" in measured:
        found.append((words.duration(float(measured["seconds"])), f"measured, {where}"))
    if "difference" in measured:
        low, high = measured.get("interval", (None, None))
        note = words.under_change(metric, low, high) if low is not None else "points"
        found.append((words.change(metric, float(measured["difference"])), note))
    if "items" in measured:
        found.append((f"{measured['items']:,}", words.held_back(metric)))
    return found


class KitCardWidget(Card):
    """One card of the gallery.

    run: called with the button and the user's file (None: the kit has its own rows, or asks).  why: called with the reason
    where the kit cannot run here.
    """

    def __init__(self, card: Any, fit: Any, last: Any, run: Callable[[Button, Path | None], object],
                 why: Callable[[str], object], details: Callable[[], object], *, first: bool) -> None:
        super().__init__()
        self.name, self._run = card.name, run
        self.setAccessibleName(tr(f"{card.title}. {card.description}"))
        self.setAcceptDrops(bool(card.needs_data))
        about = Label(words.first_sentence(tr(card.description), MOST_WORDS), "body", "secondary", wrap=True)
        about.setToolTip(tr(card.description))
        about.setMinimumHeight(40)
        about.setMaximumHeight(60)
        about.setAlignment(Qt.AlignmentFlag.AlignTop)
        reason = cannot_run(card, fit)
        self.run_button = self._main_button(card, reason, why, first=first)
        foot = row(Label(f"version {card.version}" if card.version else "", "small", "tertiary"), None,
                   Button("Details", "quiet", size="small", tooltip=f"Details of {card.title}", clicked=details),
                   self.run_button, gap=6)
        self.setLayout(column(
            row(*_badges(card), None, _fit(fit), gap=6), 10, Label(card.title, "card", elide=True), 2, about, 12, _facts(card, last), 16,
            Line(), 16, *_result(card, last), None, 6, foot, margins=(18, 16, 18, 12)))
        self.setMinimumHeight(336)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)  # columns are equally wide

    def _main_button(self, card: Any, reason: str, why: Callable[[str], object], *, first: bool) -> Button:
        if reason:
            return Button("Why not here?", "outline", size="small", tooltip=reason, clicked=lambda: why(reason))
        text, tip = ("Run on a file", f"Run {card.title} on your own file, or drop one here") if card.needs_data else (
            "Run", f"Run {card.title}")
        button = Button(text, "filled" if first else "outline", "play", size="small", tooltip=tip,
                        clicked=lambda: self._run(self.run_button, None))
        button.setEnabled(not card.problem)
        return button

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """One file: the data that this kit asks for."""
        urls = event.mimeData().urls()
        if len(urls) == 1 and urls[0].isLocalFile() and not urls[0].toLocalFile().endswith(".nwkit"):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Run the kit on the file."""
        event.acceptProposedAction()
        if self.run_button.isEnabled():
            self._run(self.run_button, Path(event.mimeData().urls()[0].toLocalFile()))


def _badges(card: Any) -> list[Badge]:
    domain = words.domain_name(card.domain)
    found = [Badge("My kit", "neutral", "folder-open", domain) if card.users else
             Badge(domain, "neutral", words.DOMAIN_ICONS.get(card.domain.lower(), "box"))]
    needs = "It carries no rows: it runs on a file of yours with the same columns."
    return found + ([Badge("Needs your data", "accent", "file-input", needs)] if card.needs_data else [])


def _fit(fit: Any) -> Badge:
    if fit is None:
        return fit_badge("")
    if not fit.here and fit.state != "too_large":
        return fit_badge("missing", "The base model is not on this computer")
    return fit_badge(fit.state, fit_words(fit))


def _facts(card: Any, last: Any) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(8)
    grid.setVerticalSpacing(3)
    rows = "yours" if card.needs_data else f"{card.rows:,}" if card.rows else "not counted"
    facts = [("Base", words.model_name(card.base_model)), ("Rows", rows), ("Takes", _takes(card, last)),
             ("Licence", words.licence_name(card.licence))]
    for number, (name, value) in enumerate(facts):
        line, place = divmod(number, 2)
        grid.addWidget(Label(name, "small", "tertiary"), line, 2 * place)
        grid.addWidget(Label(value, "smallstrong", elide=True), line, 2 * place + 1)
    grid.setColumnMinimumWidth(0, 40)
    grid.setColumnMinimumWidth(2, 48)
    grid.setColumnStretch(1, 4)
    grid.setColumnStretch(3, 5)
    return grid


def _takes(card: Any, last: Any) -> str:
    """Time and money of the newest run here, else the time that its author measured."""
    if last is not None and last.seconds is not None:
        money = [words.money(last.cost.total, last.cost.currency)] if last.cost else []
        return ", ".join(map(tr, [words.about(last.seconds), *money]))
    seconds = card.measured.get("seconds")
    return words.about(float(seconds)) if seconds else "not measured"


def older_kit(card: Any, last: Any) -> str:
    """What to know where the newest run used another version of the kit, or other content of the same version."""
    if last is None or last.kit_version is None:
        return ""
    if str(last.kit_version) != str(card.version):
        return f"Run {last.number} used version {last.kit_version} of this kit; this is version {card.version}."
    return f"This kit has changed since run {last.number}." if last.kit_hash != card.hash else ""


def _result(card: Any, last: Any) -> list[QWidget | Any]:
    """The newest result on this computer, else what the kit's author measured, else that nothing was."""
    if card.problem:
        return [row(Badge("Cannot be read", "danger", "x"), None), 6, Label(card.problem, "small", "tertiary", wrap=True)]
    found = last.verdict if last is not None else None
    if found is not None:
        older = older_kit(card, last)
        where = f"run {last.number} on this computer, {words.counted(found.metric, found.items)}"
        shown = _shown(found.verdict, found.metric, (found.base, found.tuned), (found.difference, found.low, found.high), where)
        note = Label(older, "small", "warning", elide=True)
        return [*shown, *([2, note] if older else []), *_refusals(words.refused_of_report(found.report))]
    m = card.measured
    if {"base", "tuned", "difference", "interval"} <= set(m):
        low, high = m["interval"]
        metric = str(m.get("metric", ""))
        verdict = m.get("verdict") or ("better" if low > 0 else "worse" if high < 0 else "no_difference")
        who = "its maker" if card.users else "the kit's author"
        where = f"measured by {who}{', ' + str(m['machine']) if m.get('machine') else ''}"
        return [*_shown(verdict, metric, (m["base"], m["tuned"]), (m["difference"], low, high), where), *_refusals(words.refused_of_kit(m))]
    return [row(verdict_badge(""), None), 8, Label("Measured when it runs on this computer.", "small", "tertiary")]


def _shown(verdict: str, metric: str, scores: tuple[float, float], interval: tuple[float, float, float], where: str) -> list[Any]:
    (base, tuned), (difference, low, high) = scores, interval
    return [row(verdict_badge(verdict), None, Label(words.margin(metric, difference, low, high), "small", "tertiary")), 10,
            Interval(base, tuned, None, (base + low, base + high), metric), 6, Label(where, "small", "tertiary", elide=True)]


def _refusals(sentence: str) -> list[Any]:
    return [2, Label(sentence, "small", "tertiary", elide=True)] if sentence else []
