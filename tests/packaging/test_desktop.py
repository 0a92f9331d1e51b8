"""The application's icon and its entry in the desktop's menu."""

from __future__ import annotations

import configparser
import re
import struct
from pathlib import Path

import pytest
from PySide6.QtGui import QImage

from app.store.profile import project_dir
from tests.packaging.recipes import BUNDLE, load

pytestmark = pytest.mark.usefixtures("qapp")


@pytest.mark.parametrize("size", [16, 32, 64, 256])
def test_the_icon_shows_its_three_colours_on_a_tile_with_round_corners(size: int) -> None:
    image = QImage.fromData(load("icons").draw(size))
    assert (image.width(), image.height()) == (size, size)
    assert image.pixelColor(0, 0).alpha() < 128
    share = dict.fromkeys(("#2a56c6", "#ffffff", "#8aabff"), 0)
    for x in range(size):
        for y in range(size):
            if (name := image.pixelColor(x, y).name()) in share:
                share[name] += 1
    parts = {name: count / size**2 for name, count in share.items()}
    assert parts["#2a56c6"] > 0.5
    assert min(parts["#ffffff"], parts["#8aabff"]) > 0.1  # threads stay sharp: their edges lie on whole pixels


def test_the_window_and_the_tray_show_it() -> None:
    from ui.tray import app_icon

    image = app_icon().pixmap(64, 64).toImage()
    assert image.pixelColor(32, 4).name() == "#2a56c6"


def test_icon_files_hold_every_picture_where_their_tables_say(tmp_path: Path) -> None:
    load("icons").write(tmp_path)
    ico = (tmp_path / "neuroweaver.ico").read_bytes()
    for number in range(struct.unpack_from("<H", ico, 4)[0]):
        width, length, at = *struct.unpack_from("<B", ico, 6 + 16 * number), *struct.unpack_from("<II", ico, 14 + 16 * number)
        assert QImage.fromData(ico[at:at + length]).width() == (width or 256)
    icns = (tmp_path / "neuroweaver.icns").read_bytes()
    assert struct.unpack_from(">4sI", icns) == (b"icns", len(icns))
    at, widths = 8, []
    while at < len(icns):
        length = struct.unpack_from(">I", icns, at + 4)[0]
        widths.append(QImage.fromData(icns[at + 8:at + length]).width())
        at += length
    assert widths == [16, 32, 64, 128, 256, 512]


@pytest.fixture
def entry() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((BUNDLE / "neuroweaver.desktop").read_text(encoding="utf-8"))
    return parser["Desktop Entry"]


def test_the_desktop_entry_keeps_the_standards_rules(entry: configparser.SectionProxy) -> None:
    known = {"Type", "Name", "GenericName", "Comment", "Exec", "Icon", "Terminal", "Categories", "Keywords", "MimeType",
             "StartupNotify", "StartupWMClass"}
    assert set(entry) <= known
    assert entry["Type"] == "Application"
    assert (entry["Terminal"], entry["StartupNotify"]) == ("false", "true")
    assert all(entry[key].endswith(";") for key in ("Categories", "Keywords", "MimeType"))
    assert set(entry["Categories"].strip(";").split(";")) == {"Science", "ArtificialIntelligence"}
    assert all(re.fullmatch(r"[a-z]+/[\w.+-]+", kind) for kind in entry["MimeType"].strip(";").split(";"))


def test_the_desktop_entry_names_what_the_package_and_the_window_name(entry: configparser.SectionProxy) -> None:
    script = (BUNDLE / "deb.sh").read_text(encoding="utf-8")
    assert entry["Exec"].split()[0] == "neuroweaver"
    assert "$STAGE/usr/bin/neuroweaver" in script
    assert f"apps/{entry['Icon']}.png" in script
    window = (project_dir() / "ui" / "main.py").read_text(encoding="utf-8")
    assert f'setApplicationName("{entry["StartupWMClass"]}")' in window
    assert 'setDesktopFileName("neuroweaver")' in window
