"""Tokens are the only source of colours; they can be read; every icon that is named is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ui.theme import RESOURCES, theme, tokens

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [*sorted((ROOT / "ui").rglob("*.py")), RESOURCES / "themes" / "window.qss"]
_HEX = re.compile(r"#[0-9A-Fa-f]{3,8}\b")
_NAMED = re.compile(r"QColor\([\"'0-9]|Qt\.GlobalColor\.(?!transparent)|\brgba?\(")


def test_there_are_sources_to_look_at():
    assert len(SOURCES) > 25


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_no_colour_stands_outside_the_tokens(file):
    text = file.read_text(encoding="utf-8")
    assert [*_HEX.findall(text), *_NAMED.findall(text)] == []


def _luminance(colour: str) -> float:
    parts = [int(colour[start:start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


_GROUNDS = ("window", "surface", "sunken", "hover", "selected")
_PAIRS = [(text, ground, 4.5) for text in ("text", "textSecondary", "textTertiary", "accentText") for ground in _GROUNDS]
_PAIRS += [("onAccent", "accent", 4.5), ("success", "successTint", 4.5), ("warning", "warningTint", 4.5),
           ("danger", "dangerTint", 4.5), ("onDanger", "danger", 4.5), ("onTooltip", "tooltip", 4.5),
           ("focus", "surface", 3.0), ("borderStrong", "surface", 3.0)]


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize(("front", "ground", "least"), _PAIRS, ids=lambda value: str(value))
def test_text_can_be_read(mode, front, ground, least):
    colours = tokens()[mode]["color"]
    assert contrast(colours[front], colours[ground]) >= least


def test_both_themes_have_the_same_tokens():
    for group in ("color", "chart", "syntax", "port"):
        assert tokens()["light"][group].keys() == tokens()["dark"][group].keys()


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_style_sheet_is_filled_completely(qapp, mode):
    theme.apply(mode)
    assert "${" not in theme.style_sheet()
    assert tokens()[mode]["color"]["accent"] in theme.style_sheet()


def test_the_focus_ring_is_on_every_kind_of_button_and_field():
    text = (RESOURCES / "themes" / "window.qss").read_text(encoding="utf-8")
    for selector in ("QPushButton:focus", "QLineEdit:focus", 'QPushButton[kind="quiet"]:focus', "QTableView:focus"):
        assert selector in text


def test_every_icon_named_in_the_sources_exists():
    have = {path.stem for path in (RESOURCES / "icons").glob("*.svg")}
    pattern = re.compile(r"(?:Icon|icon|pixmap)\(\"([a-z0-9-]+)\"|icon_name=\"([a-z0-9-]+)\"")
    named = {a or b for file in SOURCES for a, b in pattern.findall(file.read_text(encoding="utf-8"))}
    assert len(named) > 8
    assert named <= have


def test_the_fonts_and_their_licences_are_small_and_there():
    files = list((RESOURCES / "fonts").iterdir())
    assert sum(file.stat().st_size for file in files) < 5_000_000
    assert {"LICENSE-Inter.txt", "LICENSE-JetBrainsMono.txt"} <= {file.name for file in files}


def test_figures_have_equal_widths(qapp):
    from PySide6.QtGui import QFontMetricsF

    from ui.theme import font

    metrics = QFontMetricsF(font("body"))
    assert metrics.horizontalAdvance("111111") == pytest.approx(metrics.horizontalAdvance("888888"))
