"""The bottom line: network, processor or graphics card, memory.  28 px; measured every two to five seconds, connections every ten."""

from __future__ import annotations

import contextlib
import ipaddress
import time
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QWidget

from ui.background import Background
from ui.language import tr
from ui.widgets.text import Icon, Label, row

EVERY_MS, REST_MS = 2000, 5000
"""Between two looks at a machine that works, and at one that rests."""
WORK_PERCENT = 20.0
CALLS_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the line shows.

    calls: connections from our processes to other computers, open at this moment; refused: attempts at one, so far.
    """

    offline: bool
    calls: int
    refused: int
    load: float
    cores: int
    used_gb: float
    total_gb: float
    service: bool
    address: str


class StatusLine(QWidget):
    """Asks on the slow lane and shows the newest answer."""

    service_changed = Signal()
    """The endpoint answers now, or no longer, or at another address."""

    def __init__(self, background: Background) -> None:
        super().__init__()
        self.setObjectName("statusline")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName(tr("State of this computer"))
        self.setFixedHeight(28)
        self._background = background
        self._network, self._network_icon = Label("", "small", "secondary"), Icon("wifi-off", "textSecondary")
        self._load, self._memory = Label("", "small", "secondary"), Label("", "small", "secondary")
        self._icons = [Icon("cpu", "textSecondary"), Icon("memory-stick", "textSecondary")]
        self._right = Label("", "small", "tertiary")
        pairs = [(self._network_icon, self._network), (self._icons[0], self._load), (self._icons[1], self._memory)]
        rows = [row(icon, label, gap=6) for icon, label in pairs]
        for icon, _ in pairs:
            icon.hide()
        self.setLayout(row(*rows, None, self._right, gap=20, margins=(16, 0, 16, 0)))
        self._address = ""
        self._calls, self._counted = 0, -CALLS_SECONDS
        self._timer = QTimer(self)
        self._timer.setInterval(EVERY_MS)
        self._timer.timeout.connect(self.ask)

    def begin(self) -> None:
        """The store is open: start measuring."""
        self._timer.start()
        self.ask()

    def end(self) -> None:
        """The window closes."""
        self._timer.stop()

    def ask(self) -> None:
        """Measure once."""
        now = time.monotonic()
        counted = now - self._counted >= CALLS_SECONDS
        if counted:
            self._counted = now
        self._background.submit(self, measure, self._calls, counted, lane="slow", done=self.show_vitals)

    def show_vitals(self, now: Vitals) -> None:
        """Fill the line."""
        self._calls = now.calls
        self._timer.setInterval(EVERY_MS if now.load > WORK_PERCENT else REST_MS)
        calls = "no connection to other computers" if now.calls == 0 else f"{now.calls} connections to other computers"
        tried = f", {now.refused:,} refused" if now.refused else ""
        self._network.say(f"Offline mode on: {calls}{tried}" if now.offline else f"Offline mode off: {calls}")
        self._network_icon.show_icon("wifi-off" if now.offline else "wifi", "textSecondary")
        self._load.say(f"Processor {now.load:.0f} % of {now.cores} core{'s' if now.cores != 1 else ''}")
        self._memory.say(f"Memory {now.used_gb:.1f} of {now.total_gb:.0f} GB")
        self._right.say("" if now.service else "The service is not running")
        if now.address != self._address:
            self._address = now.address
            self.service_changed.emit()
        for icon in (self._network_icon, *self._icons):
            icon.show()


def measure(store: Any, calls: int = 0, count: bool = True) -> Vitals:
    """Read the machine's vitals.  calls: connections of ours that leave it, as they were; count: count them anew, which takes 10 ms."""
    import psutil

    from app.config.offline import refused
    from app.config.presence import find_service
    from app.store import settings

    found = find_service(store.profile)
    memory = psutil.virtual_memory()
    return Vitals(
        offline=bool(settings.get(store, "offline")), calls=_calls_out(found.pid if found else None) if count else calls,
        refused=refused(store.profile.logs, 0)[0],
        load=psutil.cpu_percent(None), cores=psutil.cpu_count() or 1, used_gb=(memory.total - memory.available) / 1e9,
        total_gb=memory.total / 1e9, service=found is not None, address=found.base_url or "" if found else "")


def _calls_out(service: int | None) -> int:
    """Connections of the window, the service and their children whose other end is another computer."""
    import psutil

    count = 0
    for pid in [None, service] if service else [None]:
        with contextlib.suppress(psutil.Error, OSError):
            root = psutil.Process(pid)
            for process in [root, *root.children(recursive=True)]:
                for link in process.net_connections("inet"):
                    count += bool(link.raddr) and not ipaddress.ip_address(link.raddr.ip).is_loopback
    return count
