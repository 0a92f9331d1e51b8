"""What a kit looks like: its fit, its measured figures, its card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QWidget

from ui import words
from ui.runwords import power_source
from ui.widgets.buttons import Button
from ui.widgets.text import Badge, Card, Label, Line, column, row
from ui.widgets.verdict import Interval, verdict_badge

FIT_BADGES = {"fits": ("Fits", "success", "check"), "tight": ("Tight", "warning", "triangle-alert"),
              "too_large": ("Too large", "danger", "x")}


def fit_badge(state: str) -> Badge:
    """Icon and word; hidden until the machine was looked at."""
    text, kind, icon = FIT_BADGES.get(state, ("", "neutral", ""))
    badge = Badge(text, kind, icon)
    badge.setVisible(bool(text))
    return badge


def kit_figures(card: Any, last: Any = None) -> QWidget:
    """What its newest run here measured, else what its author did; where nothing was measured it says so."""
    figures = run_figures(last) if last is not None else measured_figures(card.measured)
    area = QWidget()
    if not figures:
        area.setLayout(row(Label("Nothing has been measured for this kit yet. The run measures it.", "small", "tertiary"),
                           None))
        return area
    layout = row(gap=36)
    for value, what in figures:
        layout.addLayout(column(Label(value, "figure"), Label(what, "small", "tertiary")))
    layout.addStretch(1)
    area.setLayout(layout)
    return area


def run_figures(last: Any) -> list[tuple[str, str]]:
    """(value, what it is) pairs of the newest finished run on this computer (a RunLine)."""
    found = []
    if last.started is not None and last.ended is not None:
        found.append((words.duration(last.ended - last.started), f"run {last.number}, measured here"))
    if last.cost is not None:
        found.append((words.money(last.cost.total, last.cost.currency),
                      f"power {power_source(last.cost.source)}, and wear"))
    if last.verdict is not None:
        one = last.verdict
        found.append((words.signed(100 * one.difference), f"points, {100 * one.low:.1f} to {100 * one.high:.1f}"))
        found.append((f"{one.items:,}", "held-back questions"))
    return found


def measured_figures(measured: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(value, what it is) pairs of what kit.yaml records as measured."""
    where = str(measured.get("machine", "")) or "where it was measured"
    found = []
    if "seconds" in measured:
        found.append((words.duration(float(measured["seconds"])), f"measured, {where}"))
    if "difference" in measured:
        low, high = measured.get("interval", (None, None))
        note = f"points, {100 * low:.1f} to {100 * high:.1f}" if low is not None else "points"
        found.append((words.signed(100 * float(measured["difference"])), note))
    if "items" in measured:
        found.append((f"{measured['items']:,}", "held-back questions"))
    return found


class KitCardWidget(Card):
    """One card of the gallery."""

    def __init__(self, card: Any, fit: str, last: Any, run: Callable[[Button], object],
                 details: Callable[[], object], *, first: bool) -> None:
        super().__init__()
        self.name = card.name
        self.setAccessibleName(f"{card.title}. {card.description}")
        domain = Badge(card.domain.capitalize() or "Kit", "neutral", words.DOMAIN_ICONS.get(card.domain.lower(), "box"))
        about = Label(card.description, "body", "secondary", wrap=True)
        about.setMinimumHeight(40)
        about.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.run_button = Button("Run", "filled" if first else "outline", "play", size="small", tooltip=f"Run {card.title}",
                                 clicked=lambda: run(self.run_button))
        self.run_button.setEnabled(not card.problem)
        foot = row(Label(f"version {card.version}" if card.version else "", "small", "tertiary"), None,
                   Button("Details", "quiet", size="small", tooltip=f"Details of {card.title}", clicked=details),
                   self.run_button, gap=6)
        self.setLayout(column(
            row(domain, None, fit_badge(fit)), 10, Label(card.title, "card"), 2, about, 12, _facts(card, last), 16, Line(), 16,
            *_result(card, last), None, 6, foot, margins=(18, 16, 18, 12)))
        self.setMinimumHeight(336)


def _facts(card: Any, last: Any) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(8)
    grid.setVerticalSpacing(3)
    facts = [("Base", words.model_name(card.base_model)), ("Rows", f"{card.rows:,}" if card.rows else "not counted"),
             ("Takes", _takes(card, last)), ("Licence", card.licence or "see kit")]
    for number, (name, value) in enumerate(facts):
        line, place = divmod(number, 2)
        grid.addWidget(Label(name, "small", "tertiary"), line, 2 * place)
        grid.addWidget(Label(value, "smallstrong", elide=True), line, 2 * place + 1)
    grid.setColumnMinimumWidth(0, 40)
    grid.setColumnMinimumWidth(2, 48)
    grid.setColumnStretch(1, 1)
    grid.setColumnStretch(3, 1)
    return grid


def _takes(card: Any, last: Any) -> str:
    """Time and money of the newest run here, else the time that its author measured."""
    if last is not None and last.started is not None and last.ended is not None:
        money = f", {words.money(last.cost.total, last.cost.currency)}" if last.cost else ""
        return f"{words.duration(last.ended - last.started)}{money}"
    seconds = card.measured.get("seconds")
    return words.duration(float(seconds)) if seconds else "not measured"


def _result(card: Any, last: Any) -> list[QWidget | Any]:
    """The newest result on this computer, else what the kit's author measured, else that nothing was."""
    if card.problem:
        return [row(Badge("Cannot be read", "danger", "x"), None), 6, Label(card.problem, "small", "tertiary", wrap=True)]
    found = last.verdict if last is not None else None
    if found is not None:
        where, got = f"run {last.number} on this computer, {found.items:,} questions", found
        return _shown(got.verdict, got.base, got.tuned, got.difference, got.low, got.high, where)
    m = card.measured
    if {"base", "tuned", "difference", "interval"} <= set(m):
        low, high = m["interval"]
        verdict = m.get("verdict") or ("better" if low > 0 else "worse" if high < 0 else "no_difference")
        where = f"measured by the kit's author{', ' + str(m['machine']) if m.get('machine') else ''}"
        return _shown(verdict, m["base"], m["tuned"], m["difference"], low, high, where)
    return [row(verdict_badge(""), None), 8, Label("Measured when it runs on this computer.", "small", "tertiary")]


def _shown(verdict: str, base: float, tuned: float, difference: float, low: float, high: float, where: str) -> list[Any]:
    return [row(verdict_badge(verdict), None, Label(words.points(difference, low, high), "small", "tertiary")), 10,
            Interval(base, tuned, None, (base + low, base + high)), 6, Label(where, "small", "tertiary", elide=True)]
