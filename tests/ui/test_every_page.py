"""What holds for every page: one filled button, room on the smallest window.  Names and Tab: test_spoken.py."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QAbstractButton, QWidget

from ui.widgets.buttons import Button

PAGES = ["home", "kits", "datasets", "workflow", "runs", "models", "playground", "endpoint", "costs", "settings", "help"]


@pytest.fixture
def page(request, qtbot, window) -> QWidget:
    window.go(request.param)
    shown = window.page()
    qtbot.waitUntil(lambda: shown.isVisible(), timeout=10_000)
    qtbot.wait(300)
    return shown


@pytest.mark.parametrize("page", PAGES, indirect=True)
def test_at_most_one_button_is_filled(page):
    filled = [one.text() for one in page.findChildren(Button) if one.isVisible() and one.property("kind") == "filled"]
    assert len(filled) <= 1, filled


@pytest.mark.parametrize("page", PAGES, indirect=True)
def test_a_page_fits_the_smallest_window(page, window, qtbot):
    window.resize(1024, 680)
    qtbot.waitUntil(lambda: window.width() == 1024, timeout=5000)
    assert (window.width(), window.height()) == (1024, 680)
    qtbot.waitUntil(lambda: cut_off(page, window) == [], timeout=5000)


def cut_off(page, window) -> list[str]:
    """Buttons whose right edge lies outside the window."""
    return [one.text() for one in page.findChildren(QAbstractButton)
            if one.isVisible() and one.mapTo(window, one.rect().topRight()).x() > window.width()]
