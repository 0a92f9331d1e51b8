"""Pictures of every page and dialog, to be looked at:

    python tests/ui/screenshots.py FOLDER [STATE ...] [--modes light,dark,contrast] [--scales 1,1.5,2] [--language de]

FOLDER/SCALE-MODE/STATE.png; the states stand in tests/ui/states.py, without names all of them.  A larger scale has a smaller window,
as a screen of the same size would.  Their store has sample rows; its figures are no measurements.

    python tests/ui/screenshots.py resources/screenshots --readme HOME

draws the README's pictures instead, of what the runs of that profile measured; it starts the service and asks both models a question.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PySide6.QtGui import QImage

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("NEUROWEAVER_KEYRING", "off")
SIZES = {"1": (1440, 900), "1.5": (1280, 800), "2": (1024, 680)}
"""Logical px of the window by scale."""
README = (("home", "light"), ("run", "light"), ("playground", "light"), ("costs", "light"), ("workflow", "dark"))
QUESTION = ("Read the licence notice. Answer with JSON: the SPDX expression, the category, and the deciding words quoted verbatim."
            "\n\nThis library is free software; you can redistribute it and/or modify it under the terms of the GNU Lesser General "
            "Public License as published by the Free Software Foundation; either version 2.1 of the License, or (at your option) "
            "any later version.")
PATIENCE, STILL, LONGEST = 60.0, 0.12, 2.0


def main() -> int:
    """Draw what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("states", nargs="*")
    parser.add_argument("--modes", default="light,dark,contrast")
    parser.add_argument("--scales", default="1,1.5,2")
    parser.add_argument("--language", default="en")
    parser.add_argument("--readme", type=Path, metavar="HOME")
    wish = parser.parse_args()
    wish.folder.mkdir(parents=True, exist_ok=True)
    if wish.readme:
        return _readme(wish.folder, wish.readme)
    scales = wish.scales.split(",")
    if len(scales) == 1:
        return _one_scale(wish, scales[0])
    for scale in scales:  # Qt reads the scale once, so each has a process
        again = [sys.executable, __file__, str(wish.folder), *wish.states, "--modes", wish.modes, "--language", wish.language, "--scales", scale]
        subprocess.run(again, env={**os.environ, "QT_SCALE_FACTOR": scale}, check=True)
    return 0


def _one_scale(wish: Any, scale: str) -> int:
    if os.environ.get("QT_SCALE_FACTOR", "1") != scale:
        return subprocess.run([sys.executable, *sys.argv], env={**os.environ, "QT_SCALE_FACTOR": scale}, check=False).returncode
    from ui import language

    language.use(wish.language)
    with tempfile.TemporaryDirectory(prefix="neuroweaver-shots-") as folder:
        draw(wish.folder, Path(folder), wish.states, wish.modes.split(","), scale)
    return 0


def draw(folder: Path, work: Path, names: Iterable[str] = (), modes: Iterable[str] = ("light", "dark"), scale: str = "1") -> list[Path]:
    """A picture of each state in each mode; work: an empty folder for the stores.  Returns the files."""
    from tests.ui.states import STATES, fill_all

    wanted = [state for state in STATES if not names or state.name in names]
    written = []
    for empty in (True, False):
        part = [state for state in wanted if state.empty == empty]
        home = work / ("empty" if empty else "filled")
        if part:
            written += _draw_on(home, {} if empty else fill_all, part, folder, list(modes), scale)
    return written


def _draw_on(home: Path, fill: Any, states: Any, folder: Path, modes: list[str], scale: str) -> list[Path]:
    from PySide6.QtWidgets import QApplication

    from app.store import Profile, Store
    from tests.ui.states import Stage
    from ui.main import make_application, open_window
    from ui.theme import theme

    profile, there = Profile(home), {}
    with Store.open(profile) as store:
        if fill:
            there = fill(store, home / "made")
    app = make_application(["screenshots"])
    window = open_window(profile, start_service=False)
    written = []
    try:
        window.resize(*SIZES[scale])
        stage = Stage(window, lambda reached: _until(app, reached), there, home)
        stage.wait(lambda: window.tray is not None)
        for state in states:
            shown = state.show(stage)
            for mode in modes:
                theme.apply("light contrast" if mode == "contrast" else mode)
                image = _still(app, window, shown)
                file = folder / f"{scale}-{mode}" / f"{state.name}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                image.save(str(file))
                written.append(file)
            stage.leave(shown)
    finally:
        _end(window)
        QApplication.sendPostedEvents(None, 52)  # QEvent.DeferredDelete
    return written


def _still(app: Any, window: Any, shown: Any) -> QImage:
    """The picture once all is answered and nothing moves in it any more."""
    _spin(app, 0.02)
    _until(app, lambda: window.background.quiet)
    image, end = shown.grab().toImage(), time.monotonic() + LONGEST
    while time.monotonic() < end:
        _spin(app, STILL)
        before, image = image, shown.grab().toImage()
        if image == before:
            break
    return image  # type: ignore[no-any-return]


def _end(window: Any) -> None:
    window.status.end()
    window.background.close()
    window._settled = True
    window.close()
    window.deleteLater()


# ---- the README's --------------------------------------------------------------------------------------------------------


def _readme(folder: Path, home: Path) -> int:
    os.environ["NEUROWEAVER_HOME"] = str(home.resolve())  # the service is told by it
    from app.store import Profile, Store, settings
    from app.workflow.views import runs
    from ui.main import make_application, open_window
    from ui.service_link import stop
    from ui.theme import theme

    with Store.open(Profile.default()) as store:
        settings.put(store, "tour_seen", True)
    app = make_application(["screenshots"])
    window = open_window(Profile.default(), start_service=True)
    try:
        _until(app, lambda: window.tray is not None)
        window._notify = False
        window.resize(*SIZES["1"])
        done = next(line.id for line in runs(window.background.store) if line.state == "done")
        _answer(app, window)
        for name, mode in README:
            theme.apply(mode)
            window.go("runs" if name == "run" else name, {"run": done, "workflow": "legal"}.get(name, ""))
            window.page()  # builds it to its end: a page that is not there yet leaves the one before in the picture
            _spin(app, 1.0)
            slim(_still(app, window, window)).save(str(folder / f"{name}-{mode}.png"), "PNG", 0)  # type: ignore[call-overload]
    finally:
        stop(window.background.store)
        _end(window)
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
            raise TimeoutError("the window did not get that far; see service.log in the profile")
        _spin(app, 0.02)


def _spin(app: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        app.processEvents()
        time.sleep(0.005)


if __name__ == "__main__":
    sys.exit(main())
