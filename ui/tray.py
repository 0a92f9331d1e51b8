"""The sign in the system's tray while the endpoint goes on, and the notice when long work ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QGuiApplication, QIcon
from PySide6.QtWidgets import QMenu, QSystemTrayIcon

from ui.language import tr
from ui.theme import RESOURCES, theme

NOTICE_MS = 8000


def app_icon() -> QIcon:
    """The product's icon."""
    return QIcon(str(RESOURCES / "icons" / "neuroweaver.svg"))


class Tray(QObject):
    """``show_window`` and ``quit`` are the window's; nothing is shown where the system has no tray."""

    def __init__(self, parent: Any, show_window: Callable[[], object], quit_all: Callable[[], object]) -> None:
        super().__init__(parent)
        self.sign: QSystemTrayIcon | None = None
        self._then: Callable[[], object] | None = None
        self._show, self._quit = show_window, quit_all
        if QSystemTrayIcon.isSystemTrayAvailable():
            self.sign = QSystemTrayIcon(app_icon(), self)
            self.sign.setToolTip("NeuroWeaver")
            self.menu = QMenu()
            self.menu.addAction(tr("Open NeuroWeaver"), self._show)
            self.menu.addSeparator()
            self.menu.addAction(tr("Stop serving and quit"), self._quit)
            theme.dress(self.menu)
            self.sign.setContextMenu(self.menu)
            self.sign.activated.connect(self._activated)
            self.sign.messageClicked.connect(self._clicked)
            QTimer.singleShot(0, self.sign, self.sign.show)

    @property
    def there(self) -> bool:
        """Whether the window can go into the tray."""
        return self.sign is not None

    def tell(self, title: str, text: str, then: Callable[[], object]) -> bool:
        """A notice of the system's; a click on it does ``then``.  False where there is no tray."""
        if self.sign is None:
            return False
        self._then = then
        self.sign.showMessage(title, tr(text), app_icon(), NOTICE_MS)
        return True

    def _activated(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason in (QSystemTrayIcon.ActivationReason.Trigger, QSystemTrayIcon.ActivationReason.DoubleClick):
            self._show()

    def _clicked(self) -> None:
        self._show()
        if self._then is not None:
            self._then()

    def end(self) -> None:
        """Take the sign away."""
        if self.sign is not None:
            self.sign.hide()


def window_is_seen() -> bool:
    """Whether the user looks at the window now."""
    return QGuiApplication.focusWindow() is not None
