"""The program as a user starts it: a real window on a virtual screen, moved by a real mouse and keyboard, with its service."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.config.yaml_source import parse
from app.store import Profile, Store, settings
from app.store.profile import project_dir

pytestmark = pytest.mark.skipif(not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs Xvfb and xdotool")
WORKFLOW, FIRST_STEP, FREE = (100, 256), (268, 150), (560, 560)
"""Places in a window of 1440 x 900: the rail's Workflow, the first step of the palette, free ground of the canvas."""


class Screen:
    """A virtual screen with a mouse and a keyboard."""

    def __init__(self) -> None:
        read, write = os.pipe()
        self._server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "1440x900x24", "-nolisten", "tcp"],
                                        pass_fds=(write,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as pipe:
            self.display = f":{pipe.readline().strip()}"

    def do(self, *words: str | int) -> None:
        subprocess.run(["xdotool", *map(str, words)], env={**os.environ, "DISPLAY": self.display}, check=True, timeout=30)

    def click(self, at: tuple[int, int]) -> None:
        self.do("mousemove", *at, "click", 1)

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        self.do("mousemove", *start, "mousedown", 1)
        for part in range(1, 11):
            spot = [round(a + (b - a) * part / 10) for a, b in zip(start, end, strict=True)]
            self.do("mousemove", *spot, "sleep", "0.05")
        self.do("mouseup", 1)

    def close(self) -> None:
        self._server.terminate()
        self._server.wait(10)


@pytest.fixture
def screen() -> Iterator[Screen]:
    made = Screen()
    yield made
    made.close()


def until(reached: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, f"not in {seconds:g} s: {what}"
        time.sleep(0.1)


def test_a_user_skips_the_tour_drags_a_step_onto_the_canvas_and_closes(screen: Screen, profile: Profile, tmp_path: Path) -> None:
    environment = {**os.environ, "DISPLAY": screen.display, "QT_QPA_PLATFORM": "xcb", "NEUROWEAVER_HOME": str(profile.home),
                   "NEUROWEAVER_KEYRING": "off"}
    log = tmp_path / "window.log"
    with log.open("wb") as output:
        program = subprocess.Popen([sys.executable, "main.py"], cwd=project_dir(), env=environment, stdout=output, stderr=output)
    try:
        until(lambda: profile.service_file.exists(), 60, "the service runs")
        with Store.open(profile) as store:
            until(lambda: _esc(screen) or settings.get(store, "tour_seen") is True, 40, "the tour was left with Esc")
            screen.click(WORKFLOW)
            drafts = profile.cache / "drafts"
            until(lambda: _dragged(screen, drafts), 90, "the step that was dragged stands in the document")
            (draft,) = drafts.glob("*.yaml")  # of the kit that the page opens first, whichever that is
            made = steps_of(draft)
            added = [name for name in made if name not in steps_of(project_dir() / "kits" / draft.stem / "kit.yaml")]
            assert [("node" in made[name], len(made[name]["position"])) for name in added] == [(True, 2)]
            program.send_signal(signal.SIGTERM)
            assert program.wait(60) == 0, log.read_text()
            assert settings.get(store, "window.page") == "workflow"
        assert "Traceback" not in log.read_text()
        assert not profile.service_file.exists(), "the service ended with the window"
    finally:
        program.kill()


def steps_of(file: Path) -> dict[str, Any]:
    steps: dict[str, Any] = parse(file.read_text(encoding="utf-8")).value["steps"]
    return steps


def _esc(screen: Screen) -> bool:
    screen.do("key", "Escape")
    time.sleep(0.5)
    return False


def _dragged(screen: Screen, drafts: Path) -> bool:
    if list(drafts.glob("*.yaml")):
        return True
    screen.drag(FIRST_STEP, FREE)
    for _ in range(40):  # an edit is kept after a moment
        if list(drafts.glob("*.yaml")):
            return True
        time.sleep(0.1)
    return False
