"""A window on a filled store; it must leave no thread and no running timer behind."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from app.store import Profile, Store
from app.workflow import canvas
from tests.ui.filled import fill
from ui.canvas.pane import CanvasPane
from ui.main import make_application, open_window
from ui.window import Window

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before the application, which lives longer than any test
CANVAS = """# mine
name: Sample
steps:
  source: {node: dataset.import, path: rows.jsonl}
  refine:
    node: data.refine   # clean
    needs: source
  train: {node: train.qlora, needs: refine, epochs: 2}
  evaluate: {node: evaluate.compare, needs: train}
"""
"""A document for the canvas."""
LANES = ("quick", "slow", "scan", "watch")


@pytest.fixture(scope="session")
def qapp() -> QApplication:
    return make_application(["test"])


@pytest.fixture
def runs(profile: Profile) -> dict[str, str]:
    with Store.open(profile) as store:
        return fill(store)


@pytest.fixture
def window(qtbot, profile: Profile, runs: dict[str, str]) -> Iterator[Window]:
    opened = open_window(profile, start_service=False)
    opened.resize(1440, 900)  # the screen of the offscreen platform is smaller
    qtbot.waitUntil(lambda: opened.background.store is not None, timeout=10_000)
    yield opened
    shut(qtbot, opened)


@pytest.fixture(scope="module")
def nodes() -> None:
    """They are imported, so that a picture of a document can be made."""
    canvas.palette()


@pytest.fixture
def pane(qtbot, qapp, nodes) -> CanvasPane:
    made = CanvasPane()
    qtbot.addWidget(made)
    made.resize(1000, 900)
    made.show()
    made.show_palette(canvas.palette())
    made.load(CANVAS, "")
    made.view.setFocus()
    qtbot.waitUntil(lambda: made.view.viewport().width() > 200, timeout=5000)
    made.view.fit()
    return made


def shut(qtbot, window: Window) -> None:
    """Close without a question, delete, and look for what is left."""
    window._settled = True
    window.close()
    timers = window.findChildren(QTimer)
    assert not [timer for timer in timers if timer.isActive() and timer.parent().objectName() == "statusline"]
    window.deleteLater()
    qtbot.waitUntil(lambda: not lanes(), timeout=5000)
    QApplication.sendPostedEvents(None, 52)  # QEvent.DeferredDelete
    gc.collect()


def lanes() -> list[str]:
    """Names of the window's threads that live."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(LANES)]
