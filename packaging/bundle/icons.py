"""Draw the application's icon in the sizes and files that packages need.

Usage: icons.py TARGET_FOLDER    (needs PySide6; writes N.png for each size, neuroweaver.ico and neuroweaver.icns)
Both containers hold PNG pictures as they are: Windows reads that since Vista, macOS since 10.7.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Mapping
from pathlib import Path

DRAWING = Path(__file__).resolve().parents[2] / "resources" / "icons" / "neuroweaver.svg"
SIZES = (16, 24, 32, 48, 64, 128, 256, 512)
_ICO = (16, 24, 32, 48, 64, 128, 256)
_ICNS = {16: b"icp4", 32: b"icp5", 64: b"icp6", 128: b"ic07", 256: b"ic08", 512: b"ic09"}


def draw(size: int, drawing: Path = DRAWING) -> bytes:
    """The icon as a PNG of ``size`` pixels on each side."""
    from PySide6.QtCore import QBuffer, QRectF
    from PySide6.QtGui import QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    image = QImage(size, size, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(0)
    painter = QPainter(image)
    QSvgRenderer(str(drawing)).render(painter, QRectF(0, 0, size, size))
    painter.end()
    buffer = QBuffer()
    buffer.open(QBuffer.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")
    return bytes(buffer.data().data())


def ico(pictures: Mapping[int, bytes]) -> bytes:
    """A Windows icon of these pictures (size: PNG)."""
    at = 6 + 16 * len(pictures)
    entries, data = b"", b""
    for size, picture in pictures.items():
        entries += struct.pack("<BBBBHHII", size % 256, size % 256, 0, 0, 1, 32, len(picture), at + len(data))
        data += picture
    return struct.pack("<HHH", 0, 1, len(pictures)) + entries + data


def icns(pictures: Mapping[int, bytes]) -> bytes:
    """A macOS icon of these pictures (size: PNG)."""
    data = b"".join(_ICNS[size] + struct.pack(">I", 8 + len(picture)) + picture for size, picture in pictures.items())
    return b"icns" + struct.pack(">I", 8 + len(data)) + data


def write(target: Path) -> None:
    """All files, into ``target``."""
    target.mkdir(parents=True, exist_ok=True)
    pictures = {size: draw(size) for size in SIZES}
    for size, picture in pictures.items():
        (target / f"{size}.png").write_bytes(picture)
    (target / "neuroweaver.ico").write_bytes(ico({size: pictures[size] for size in _ICO}))
    (target / "neuroweaver.icns").write_bytes(icns({size: pictures[size] for size in _ICNS}))


if __name__ == "__main__":
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtGui import QGuiApplication

    application = QGuiApplication(sys.argv[:1])
    write(Path(sys.argv[1]))
