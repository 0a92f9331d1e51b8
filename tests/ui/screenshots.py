"""Write pictures of pages as PNG files at 1440 x 900, or at another size:

    python tests/ui/screenshots.py FOLDER [PAGE[:ARGUMENT] ...] [--profile HOME] [--answer] [--modes light,dark] [--size 1024x680]

QT_SCALE_FACTOR=2 draws them twice as large.

Without ``--profile`` the store is a fresh one with sample rows (tests/ui/filled.py); its figures are no measurements.  With it,
the pictures show what that profile's own runs measured: the README's come from a finished run of the legal kit.  ``--answer``
starts the service and has both models answer a question first, for the Playground.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PySide6.QtGui import QImage

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("NEUROWEAVER_KEYRING", "off")
QUESTION = ("Read the licence notice. Answer with JSON: the SPDX expression, the category, and the deciding words quoted verbatim."
            "\n\nThis library is free software; you can redistribute it and/or modify it under the terms of the GNU Lesser General "
            "Public License as published by the Free Software Foundation; either version 2.1 of the License, or (at your option) "
            "any later version.")
PATIENCE = 120.0


def main() -> int:
    """Grab each page asked for, in each mode."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pages", nargs="*")
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--answer", action="store_true")
    parser.add_argument("--modes", default="light,dark")
    parser.add_argument("--size", default="1440x900")
    wish = parser.parse_args()
    wish.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="neuroweaver-shots-") as sample:
        return _grab(wish, wish.profile or _sample(Path(sample)))


def _sample(home: Path) -> Path:
    from app.store import Profile, Store
    from tests.ui.filled import fill
    from tests.ui.filled_datasets import fill_datasets

    with Store.open(Profile(home)) as store:
        fill(store)
        fill_datasets(store, home / "step")
    return home


def _grab(wish: Any, home: Path) -> int:
    os.environ["NEUROWEAVER_HOME"] = str(home.resolve())  # the service is told by it
    from app.store import Profile
    from ui.main import make_application, open_window
    from ui.theme import theme

    app = make_application(["screenshots"])
    window = open_window(Profile.default(), start_service=wish.answer)
    try:
        _until(app, lambda: window.background.store is not None)
        window.resize(*map(int, wish.size.split("x")))
        if wish.answer:
            _answer(app, window)
        for mode in wish.modes.split(","):
            theme.apply(mode)
            for name in wish.pages or list(window.rail.buttons):
                page, _, argument = name.partition(":")
                window.go(page, argument)
                _spin(app, 1.5)
                slim(window.grab().toImage()).save(str(wish.folder / f"{page}-{mode}.png"), "PNG", 0)  # type: ignore[call-overload]
    finally:
        if wish.answer:
            from ui.service_link import stop

            stop(window.background.store)
        window.status.end()
        window.background.close()
    return 0


def slim(image: QImage) -> QImage:
    """The same picture in its 256 most frequent colours; a rarer one (an edge of a letter) becomes the nearest of them."""
    import numpy as np
    from PySide6.QtGui import QImage

    image = image.convertToFormat(QImage.Format.Format_RGB32)
    pixels = np.frombuffer(image.constBits(), np.uint32).reshape(image.height(), image.width())
    colours, place, counts = np.unique(pixels, return_inverse=True, return_counts=True)
    kept = colours[np.argsort(-counts)[:256]]
    parts = [np.stack([(some >> shift & 255).astype(int) for shift in (16, 8, 0)], axis=-1) for some in (colours, kept)]
    nearest = ((parts[0][:, None] - parts[1][None]) ** 2).sum(axis=2).argmin(axis=1).astype(np.uint8)
    small = np.ascontiguousarray(nearest[place].reshape(pixels.shape))
    made = QImage(small.data, image.width(), image.height(), image.width(), QImage.Format.Format_Indexed8)
    made.setColorTable([int(colour) for colour in kept])
    return made.copy()


def _answer(app: Any, window: Any) -> None:
    """Ask both models, twice: the second answer's speed is without loading."""
    window.go("playground")
    page = window.page()
    _until(app, lambda: page._view is not None and page._button.isEnabled())
    page._length.setValue(96)
    page._question.setPlainText(QUESTION)
    for _ in range(2):
        page._ask()
        _until(app, lambda: not page.base.busy and not page.tuned.busy)
        _spin(app, 0.5)


def _until(app: Any, reached: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not reached():
        if time.monotonic() > end:
            sys.exit("the window did not get that far; see service.log in the profile")
        _spin(app, 0.05)


def _spin(app: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        app.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
