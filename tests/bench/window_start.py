"""Print the window's start time, idle memory and longest stall, each beside a named baseline.

    python tests/bench/window_start.py [--rounds N]

Baseline: a PySide6 program that shows one empty QMainWindow.  "First frame" is the time from starting the process to
the first paint of the window.  The stall is the longest pause of a 5 ms timer while two other processes keep both
cores busy (at the lower priority that step workers take), a run writes figures, and the window walks through its pages.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FRAME_BUDGET, MEMORY_BUDGET, STALL_BUDGET = 0.6, 120.0, 100.0

_EMPTY = """
import sys, time, json
from PySide6.QtWidgets import QApplication, QMainWindow
app = QApplication(["empty"])
class Window(QMainWindow):
    def paintEvent(self, event):
        super().paintEvent(event)
        first.append(time.time())
first = []
window = Window()
window.resize(1440, 900)
"""
_REAL = """
import sys, time, json
from app.store.profile import Profile
from ui.main import make_application, open_window
from ui.window import Window
import ui.main
sys.setswitchinterval(ui.main.SWITCH_SECONDS)
first = []
paint = Window.paintEvent
def painted(self, event):
    paint(self, event)
    first.append(time.time())
Window.paintEvent = painted
app = make_application(["bench"])
window = open_window(Profile.default(), start_service=False)
"""
_MEASURE = """
window.show()
started = float(sys.argv[1])
mode = sys.argv[2]
import gc
def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        app.processEvents()
        time.sleep(0.002)
while not first:
    app.processEvents()
result = {"frame": first[0] - started}
if mode == "idle":
    spin(4.0)
    import psutil
    result["rss"] = psutil.Process().memory_info().rss / 1e6
if mode == "stall":
    from PySide6.QtCore import QTimer
    spin(3.0)
    worst, last, where, places = [0.0], [time.monotonic()], [""], {}
    def tick():
        now = time.monotonic()
        places[place] = max(places.get(place, 0.0), round(1000 * (now - last[0])))
        if now - last[0] > worst[0]:
            worst[0], where[0] = now - last[0], place
        last[0] = now
    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(5)
    place = "waiting"
    steps = []
    if hasattr(window, "go"):
        for name in window.rail.buttons:
            steps.append((name, ""))
        steps += [("runs", "run_live"), ("runs", "run_done"), ("home", ""), ("runs", "run_live")]
    def next_step():
        global place
        if steps:
            name, argument = steps.pop(0)
            place = f"{name} {argument}"
            window.go(name, argument)
    walk = QTimer()
    walk.timeout.connect(next_step)
    walk.start(1000)
    QTimer.singleShot(1000 * (len(steps) + 3), lambda: app.exit(0))
    app.exec()
    result["stall"], result["where"], result["places"] = 1000 * worst[0], where[0], places
if hasattr(window, "background"):
    window.status.end()
    window.background.close()
print(json.dumps(result), flush=True)
"""
_BUSY = "import os; os.nice(5)\nwhile True: sum(range(10000))"
"""Like a step worker, which steps back for the window by the same amount (app/workflow/worker.py)."""
_WRITER = """
import sys, time
from app.store import Profile, Store
from app.store.series import SeriesWriter
with Store.open(Profile.default()) as store, SeriesWriter(store, "run_live", "train") as series:
    step = 147
    while True:
        series.metric("train.loss", 1.5, x=step)
        series.metric("train.grad_norm", 0.5, x=step)
        step += 1
        time.sleep(0.1)
"""


def _once(program: str, mode: str, home: str) -> dict[str, Any]:
    import time

    done = subprocess.run([sys.executable, "-c", program + _MEASURE, str(time.time()), mode], capture_output=True, text=True,
                          cwd=ROOT, env=_environment(home), timeout=180, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _environment(home: str) -> dict[str, str]:
    chosen = {"PYTHONPATH": str(ROOT), "NEUROWEAVER_HOME": home, "NEUROWEAVER_KEYRING": "off"}
    if not os.environ.get("DISPLAY") and "QT_QPA_PLATFORM" not in os.environ:
        chosen["QT_QPA_PLATFORM"] = "offscreen"
    return {**os.environ, **chosen}


def _stall(program: str, home: str) -> dict[str, Any]:
    """The longest pause while both cores are busy and a run writes."""
    children = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(2)]
    children.append(subprocess.Popen([sys.executable, "-c", _WRITER], cwd=ROOT, env=_environment(home)))
    try:
        return _once(program, "stall", home)
    finally:
        for child in children:
            child.kill()
            child.wait()


def _prepare(home: str) -> None:
    sys.path.insert(0, str(ROOT))
    os.environ["NEUROWEAVER_KEYRING"] = "off"
    from app.store import Profile, Store
    from tests.ui.filled import fill

    with Store.open(Profile(Path(home))) as store:
        fill(store)


def main() -> int:
    """Measure and print; 1 if a budget is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="neuroweaver-bench-") as home:
        _prepare(home)
        frames = {name: [_once(program, "frame", home)["frame"] for _ in range(rounds + 1)][1:]
                  for name, program in (("empty", _EMPTY), ("window", _REAL))}
        memory = {name: _once(program, "idle", home)["rss"] for name, program in (("empty", _EMPTY), ("window", _REAL))}
        stall = {name: _stall(program, home) for name, program in (("empty", _EMPTY), ("window", _REAL))}
    frame = {name: statistics.median(values) for name, values in frames.items()}
    print(f"first frame, warm, median of {rounds}: window {frame['window']:.2f} s, empty PySide6 window "
          f"{frame['empty']:.2f} s (budget {FRAME_BUDGET} s)")
    print(f"idle memory: window {memory['window']:.0f} MB, empty PySide6 window {memory['empty']:.0f} MB "
          f"(budget {MEMORY_BUDGET:.0f} MB)")
    print(f"longest stall, both cores busy: window {stall['window']['stall']:.0f} ms (at: {stall['window']['where']}), "
          f"empty PySide6 window {stall['empty']['stall']:.0f} ms (budget {STALL_BUDGET:.0f} ms)")
    print("  by page, ms: " + ", ".join(f"{name.strip()} {ms}" for name, ms in stall["window"]["places"].items()))
    kept = (frame["window"] <= FRAME_BUDGET and memory["window"] <= MEMORY_BUDGET
            and stall["window"]["stall"] <= STALL_BUDGET)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
