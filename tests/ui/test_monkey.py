"""Ten thousand random clicks, keys, wheels and drags over every page and dialog: nothing raises, and the window answers afterwards.

The seed is printed with a failure; NEUROWEAVER_MONKEY=SEED:COUNT repeats or lengthens a walk.
"""

from __future__ import annotations

import os
import random
import time

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt, QTimer
from PySide6.QtGui import QDesktopServices, QKeyEvent, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QFileDialog, QWidget

SEED, COUNT = (int(part) for part in os.environ.get("NEUROWEAVER_MONKEY", "7:10000").split(":"))
BATCH = 20
PAGES = ("home", "kits", "datasets", "workflow", "runs", "models", "playground", "endpoint", "costs", "settings", "help")
KEYS = [Qt.Key.Key_Tab, Qt.Key.Key_Return, Qt.Key.Key_Escape, Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Delete,
        Qt.Key.Key_Space, Qt.Key.Key_Home, Qt.Key.Key_End, Qt.Key.Key_PageDown, Qt.Key.Key_A, Qt.Key.Key_N, Qt.Key.Key_F, Qt.Key.Key_Z, Qt.Key.Key_7]


class Monkey:
    """Acts from a timer, so that it goes on inside dialogs that wait for an answer."""

    def __init__(self, window: QWidget, seed: int, count: int) -> None:
        self._window, self._random, self._left, self.done = window, random.Random(seed), count, 0
        self._since_page = 0
        self._timer = QTimer(window)
        self._timer.timeout.connect(self._batch)
        self._timer.start(0)

    @property
    def over(self) -> bool:
        return self._left <= 0

    def _batch(self) -> None:
        for _ in range(BATCH):
            if self.over:
                self._timer.stop()
                return
            self._left -= 1
            self.done += 1
            self._act()

    def _act(self) -> None:
        self._since_page += 1
        dialog = QApplication.activePopupWidget() or QApplication.activeModalWidget()
        if dialog is not None and self._since_page % 40 == 0:
            dialog.close()
            return
        if dialog is None and self._since_page > self._random.randint(60, 400):
            self._since_page = 0
            self._window.go(self._random.choice(PAGES))
            return
        root = dialog or self._window
        spot = QPoint(self._random.randrange(max(root.width(), 1)), self._random.randrange(max(root.height(), 1)))
        target = root.childAt(spot) or root
        local = target.mapFrom(root, spot) if target is not root else spot
        self._random.choice((self._click, self._click, self._click, self._key, self._wheel, self._drag, self._move))(target, QPointF(local))

    def _mouse(self, target: QWidget, kind: QEvent.Type, at: QPointF, button: Qt.MouseButton) -> None:
        buttons = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseButtonRelease else button
        QApplication.postEvent(target, QMouseEvent(kind, at, target.mapToGlobal(at), button, buttons, self._modifiers()))

    def _modifiers(self) -> Qt.KeyboardModifier:
        return self._random.choice([Qt.KeyboardModifier.NoModifier] * 6 + [Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier])

    def _click(self, target: QWidget, at: QPointF) -> None:
        button = self._random.choice([Qt.MouseButton.LeftButton] * 8 + [Qt.MouseButton.RightButton])
        kinds = [QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease]
        if self._random.random() < 0.1:
            kinds += [QEvent.Type.MouseButtonDblClick, QEvent.Type.MouseButtonRelease]
        for kind in kinds:
            self._mouse(target, kind, at, button)

    def _drag(self, target: QWidget, at: QPointF) -> None:
        self._mouse(target, QEvent.Type.MouseButtonPress, at, Qt.MouseButton.LeftButton)
        for _ in range(3):
            at += QPointF(self._random.randint(-60, 60), self._random.randint(-60, 60))
            self._mouse(target, QEvent.Type.MouseMove, at, Qt.MouseButton.LeftButton)
        self._mouse(target, QEvent.Type.MouseButtonRelease, at, Qt.MouseButton.LeftButton)

    def _move(self, target: QWidget, at: QPointF) -> None:
        self._mouse(target, QEvent.Type.MouseMove, at, Qt.MouseButton.NoButton)

    def _wheel(self, target: QWidget, at: QPointF) -> None:
        turn = QPoint(0, self._random.choice([-240, -120, 120, 240]))
        QApplication.postEvent(target, QWheelEvent(at, target.mapToGlobal(at), QPoint(), turn, Qt.MouseButton.NoButton, self._modifiers(),
                                                   Qt.ScrollPhase.NoScrollPhase, False))

    def _key(self, target: QWidget, _at: QPointF) -> None:
        holder = QApplication.focusWidget() or target
        key, modifiers = self._random.choice(KEYS), self._modifiers()
        text = chr(key.value).lower() if key.value < 128 else ""
        for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
            QApplication.postEvent(holder, QKeyEvent(kind, key, modifiers, text))


@pytest.fixture
def harmless(window, monkeypatch):
    """What would leave the window: nothing is started, no file is chosen, no folder opened."""
    for name in ("run", "attach_service", "_quit_all", "_run_with_data"):
        if hasattr(window, name):
            monkeypatch.setattr(window, name, lambda *_a, **_k: None)
    for name in ("getOpenFileName", "getSaveFileName", "getOpenFileNames"):
        monkeypatch.setattr(QFileDialog, name, staticmethod(lambda *_a, **_k: ("", "")))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", staticmethod(lambda *_a, **_k: ""))
    monkeypatch.setattr(QDesktopServices, "openUrl", staticmethod(lambda *_a: True))
    monkeypatch.setattr("app.workflow.runs.resume", lambda *_a, **_k: None)
    return window


def test_ten_thousand_random_events_raise_nothing(qtbot, harmless):
    window = harmless
    window.show()
    print(f"NEUROWEAVER_MONKEY={SEED}:{COUNT}")
    monkey = Monkey(window, SEED, COUNT)
    qtbot.waitUntil(lambda: monkey.over, timeout=600_000)
    deadline = time.monotonic() + 20
    while (dialog := QApplication.activePopupWidget() or QApplication.activeModalWidget()) is not None and time.monotonic() < deadline:
        dialog.close()
        qtbot.wait(20)
    assert monkey.done == COUNT
    window.go("help")
    qtbot.waitUntil(lambda: window.page().title == "Help", timeout=30_000)
