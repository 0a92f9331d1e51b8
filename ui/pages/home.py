"""Home: what this computer can do, and the one click that starts."""

from __future__ import annotations

import time
from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QWidget

from ui import words
from ui.background import query
from ui.dashboard import DashboardView
from ui.language import tr
from ui.pages.base import Page
from ui.widgets.buttons import Button
from ui.widgets.feedback import LoadingBar
from ui.widgets.kit import FIT_BADGES, fit_badge, kit_figures
from ui.widgets.text import Badge, Card, Icon, Label, Line, clear, column, row
from ui.widgets.verdict import Answers

STARTER = "legal"
BUTTON_WIDTH = 172
BUSY_MS, CALM_MS = 2000, 10_000
"""Between two looks at the figures, while something runs and else: a window that nobody works with must cost nothing."""
WHOLE_SECONDS = 60.0
"""After so long a look takes in all of it again: a drive fills up without a word in the store."""
COMPUTER_SECONDS = 30.0
_KEY_WORDS = {"keyring": ("key in the system keyring", "Readable only with your login", "success"),
              "passphrase": ("key made from your passphrase", "It is kept nowhere", "success"),
              "file": ("key in a file", "Only you can read it; no system keyring here", "warning")}


class HomePage(Page):
    """Verdict on the machine, starter kit, drop area; on the right what was found."""

    title = "Home"
    subtitle = "What this computer can do, and what to do next"
    watches = frozenset({"runs", "settings", "metrics", "deployments", "usage", "datasets", "dataset_versions"})
    margins = (28, 28, 28, 24)

    def build(self) -> None:
        self._verdict = Label("Looking at this computer", "display", wrap=True)
        self._detail = Label("", "body", "secondary", wrap=True)
        self._detail.setMaximumWidth(690)
        self._loading = LoadingBar()
        self._kit = Card()
        self._kit_room = column()
        self._kit.setLayout(self._kit_room)
        self._answers = Answers(size="card")
        self._answers.fill(_WHAT_YOU_WILL_KNOW)
        self._known: Any = None
        """What the panels of this computer show."""
        self._know = QWidget()
        self._know.setLayout(column(Label("What you will know at the end", "heading"), self._answers, gap=10))
        self._now, self._room = QWidget(), column()
        self._dashboard: DashboardView | None = None
        self._now.setLayout(self._room)
        self._now.hide()
        self._asked = self._asked_all = 0.0
        self._running = False
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(CALM_MS)
        self._again.timeout.connect(self._look)
        left = QWidget()
        left.setLayout(column(
            column(self._verdict, self._detail, self._loading, gap=6), self._now, self._kit, self._know, self._drop(), None, gap=22))
        left.setMinimumWidth(480)
        self._machine, self._fits = Card(), Card()
        self._machine_room, self._fits_room = column(), column()
        self._machine.setLayout(self._machine_room)
        self._fits.setLayout(self._fits_room)
        right = QWidget()
        right.setLayout(column(self._machine, self._fits, None, gap=20))
        layout = row(left, right, gap=32)
        layout.setStretch(0, 728)
        layout.setStretch(1, 416)
        self.body.addLayout(layout)
        self._cards: list[Any] = []
        self._last: dict[str, Any] = {}
        self.run_button: Button | None = None
        self.sample_button: Button | None = None

    def _drop(self) -> QWidget:
        area = Card("drop")
        text = column(Label("Or drop your own file anywhere in this window", "strong", elide=True),
                      Label("Excel, CSV, Word, PDF, JSONL, Parquet, text. Your file is copied, never changed.", "small",
                            "tertiary", wrap=True))
        choose = Button("Choose a file", clicked=self.shell.import_file, tooltip="Choose a file", keys="import")
        line = row(Icon("file-input", "textSecondary", 20), text, choose, gap=14, margins=(20, 14, 20, 14))
        line.setStretch(1, 1)
        area.setLayout(line)
        return area

    def refresh(self) -> None:
        from app.config import views as kits
        from app.training import views as training
        from app.workflow import views as workflow

        self._asked_all = time.monotonic()
        if self._asked_all - self._asked > COMPUTER_SECONDS:  # figures come all the time, the computer stays what it is
            self._asked = self._asked_all
            self._loading.begin()
            query(self, training.computer, done=self._show_computer, slow=True)
            query(self, kits.kits, done=self._show_kits)
        query(self, workflow.last_of_kits, done=self._show_last)
        query(self, _dashboard, done=self._show_dashboard, slow=True)

    def mark_stale(self) -> None:
        """Something changed that is not a figure of the machine: look at once."""
        self._again.stop()
        super().mark_stale()

    def store_changed(self, tables: set[str]) -> None:
        """Figures of the machine come all the time; they wait for their turn."""
        if self.watches & tables - {"metrics"}:
            self.mark_stale()
        elif "metrics" in tables and self._dashboard is not None and not self._again.isActive():
            self._again.start()

    def _look(self) -> None:
        """At the figures of the machine alone, while they are seen and nothing runs."""
        if self._running or not self.isVisible() or time.monotonic() - self._asked_all > WHOLE_SECONDS:
            self.mark_stale()
        elif self._dashboard is not None:
            query(self, _gauges, done=self._dashboard.show_gauges, slow=True)

    def _show_dashboard(self, found: Any) -> None:
        if not found.started:
            return
        if self._dashboard is None:
            self._dashboard = DashboardView(self.shell)
            self._room.addWidget(self._dashboard)
            self._now.show()
            self._know.hide()
        self._running = bool(found.running)
        self._again.setInterval(BUSY_MS if self._running else CALM_MS)
        self._dashboard.show_dashboard(found)

    def run_primary(self) -> None:
        if self.run_button is not None:
            self.run_button.click()

    # ---- the starter kit --------------------------------------------------------------------------------------

    def _show_last(self, last: dict[str, Any]) -> None:
        changed, self._last = last != self._last, last
        if self._cards and changed:
            self._show_kits(self._cards, anew=True)

    def _show_kits(self, cards: list[Any], *, anew: bool = False) -> None:
        if cards == self._cards and not anew:
            return
        self._cards = cards
        starter = next((card for card in cards if card.name == STARTER), cards[0] if cards else None)
        clear(self._kit_room)
        self._kit.setVisible(starter is not None)
        if starter is not None:
            self._fill_kit(starter)

    def _fill_kit(self, card: Any) -> None:
        self._fit = fit_badge("")
        domain = Badge(card.domain.capitalize() or "Kit", "neutral", words.DOMAIN_ICONS.get(card.domain.lower(), "box"))
        self.run_button = Button("Run this kit", "filled", "play", size="large", keys="run",
                                 clicked=lambda: self.shell.run(card.name, busy=self.run_button))
        self.run_button.setMinimumWidth(BUTTON_WIDTH)
        buttons = column(self.run_button, gap=8)
        self.sample_button = None
        if card.name == STARTER and card.name not in self._last:  # for the first time on this computer
            self.sample_button = Button("Sample in five minutes", "outline", clicked=self._run_sample, tooltip=(
                "The same way with fewer training steps and questions. Two cores without a graphics card take about five minutes."))
            self.sample_button.setMinimumWidth(BUTTON_WIDTH)
            buttons.addWidget(self.sample_button)
        if self.shell.has("kits"):
            inside = Button("See what is inside", "quiet", clicked=lambda: self.shell.go("kits", card.name))
            buttons.addWidget(inside, alignment=Qt.AlignmentFlag.AlignHCenter)
        buttons.addStretch(1)
        about = column(row(domain, self._fit, None, gap=8), 6, Label(card.title, "title"), 2,
                       Label(card.description, "body", "secondary", wrap=True), None)
        top = row(about, buttons, gap=20)
        top.setStretch(0, 1)
        inner = QWidget()
        inner.setLayout(column(top, 16, kit_figures(card, self._last.get(card.name)), margins=(20, 20, 20, 20)))
        self._kit_room.addWidget(inner)
        self._kit_room.addWidget(_steps(card))
        self._update_fit()

    def _run_sample(self) -> None:
        from app.config.templates import SAMPLE, file_of

        self.shell.run(str(file_of(SAMPLE)), busy=self.sample_button)

    def _update_fit(self) -> None:
        state = getattr(self, "_starter_fit", "")
        if state and hasattr(self, "_fit"):
            text, kind, icon = FIT_BADGES[state]
            self._fit.show_state(text, kind, icon)
            self._fit.show()

    # ---- this computer -----------------------------------------------------------------------------------------

    def _show_computer(self, found: Any) -> None:
        self._loading.end()
        self._verdict.say(found.verdict)
        self._detail.say(found.detail)
        lines = _machine_lines(found)
        if (lines, found.fits) == self._known:
            return
        self._known = (lines, found.fits)
        clear(self._machine_room)
        head = QWidget()
        copy = Button("Copy diagnostics", "link", "copy", size="small", clicked=self.shell.copy_diagnostics)
        head.setLayout(row(Label("This computer", "heading"), None, copy, margins=(16, 12, 8, 8)))
        self._machine_room.addWidget(head)
        for line in lines:
            self._machine_room.addWidget(Line())
            self._machine_room.addWidget(_machine_row(*line))
        self._show_fits(found)
        self._starter_fit = found.fits[0].state
        self._update_fit()

    def _show_fits(self, found: Any) -> None:
        clear(self._fits_room)
        head = QWidget()
        head.setLayout(row(Label("What fits here", "heading"), None, Label("training, estimated", "small", "tertiary"),
                           margins=(16, 12, 16, 6)))
        self._fits_room.addWidget(head)
        for fit in found.fits:
            line = QWidget()
            badge = fit_badge(fit.state)
            badge.setToolTip(tr(f"Needs about {words.size(fit.need)}, free now {words.size(fit.free)}"))
            line.setLayout(row(Label(fit.name, "strong"), Label(fit.note, "small", "tertiary"), None, badge, gap=6,
                               margins=(16, 0, 16, 0)))
            line.setFixedHeight(32)
            self._fits_room.addWidget(line)
        self._fits_room.addSpacing(8)


def _dashboard(store: Any) -> Any:
    from app.workflow.dashboard import dashboard

    return dashboard(store)


def _gauges(store: Any) -> Any:
    from app.workflow.dashboard import gauges

    return gauges(store)


_WHAT_YOU_WILL_KNOW = (
    ("Base against tuned", "Questions neither has seen, with the margin of error. The word is better, worse, or no "
                           "difference shown."),
    ("Export proof", "The exported file is loaded again and must answer like the original before it can be served."),
    ("Time, power, money", "For each run and each answer, with the tariff and hardware price from Settings."))


def _steps(card: Any) -> QWidget:
    foot = Card("foot")
    layout = row(gap=8, margins=(20, 14, 12, 14))
    for number, node in enumerate(card.steps, start=1):
        name, what = words.STEP_WORDS.get(node, (node.rpartition(".")[2].capitalize(), ""))
        layout.addLayout(column(Label(str(number), "small", "tertiary"), Label(name, "strong", elide=True),
                                Label(what, "small", "tertiary", wrap=True), None), 4 + len(tr(name)))  # more room for a longer word
    foot.setLayout(layout)
    return foot


def _machine_lines(found: Any) -> list[tuple[str, str, str, str, str]]:
    """(icon, name, value, note, state) of each thing that was looked at."""
    cores = f"{found.cores} core{'s' if found.cores != 1 else ''}"
    card = found.gpu or "none found"
    key, key_note, key_state = _KEY_WORDS[found.key_storage]
    return [
        ("cpu", "Processor", cores, "Prepares data while the card trains" if found.gpu else "Enough for the starter model",
         "success"),
        ("gauge", "Graphics card", card,
         f"{words.size(found.gpu_free)} free for training" if found.gpu else "Not needed for the starter kit",
         "success" if found.gpu else "info"),
        ("memory-stick", "Memory", words.size(found.memory_total), f"{words.size(found.memory_free)} free",
         "success" if found.memory_free > 2e9 else "warning"),
        ("hard-drive", "Storage", f"{words.size(found.disk_free)} free", found.data_folder,
         "success" if found.disk_free > 5e9 else "warning"),
        ("lock", "Encrypted store", key, key_note, key_state),
        ("wifi-off" if found.offline else "wifi", "Offline mode", "on" if found.offline else "off",
         "Nothing is fetched from the internet" if found.offline else "Downloads happen only when you ask", "success"),
        ("eye-off", "Telemetry", "none", "There is no code that sends any", "success")]


def _machine_row(icon: str, name: str, value: str, note: str, state: str) -> QWidget:
    line = QWidget()
    first = row(Label(name, "strong"), Label(value, "body", "secondary", elide=True), gap=6)
    first.setStretch(1, 1)
    text = column(first, Label(note, "small", "tertiary", elide=True))
    sign = {"success": ("circle-check", "success"), "warning": ("triangle-alert", "warning"),
            "info": ("info", "textTertiary")}[state]
    layout = row(Icon(icon, "textSecondary"), text, Icon(*sign), gap=12, margins=(16, 7, 16, 7))
    layout.setStretch(1, 1)
    line.setLayout(layout)
    line.setAccessibleName(tr(f"{name}: {value}. {note}"))
    return line
