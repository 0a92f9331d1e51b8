"""Frame times of the workflow canvas: 200 steps, panned and zoomed, drawn off screen.

    python tests/bench/canvas_frames.py [--steps 200] [--frames 240] [--json]

Each frame moves the view and draws all that must be drawn anew into a picture, as the window system would ask.  Printed are the
median and the 95th percentile beside the 16.7 ms of a screen with 60 frames a second; processor drawing, no graphics card.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ui.canvas.view import CanvasView

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
BUDGET_MS = 1000 / 60


def document(steps: int) -> str:
    """A document of chains that branch and meet."""
    lines = ["name: Bench", "steps:", "  s0: {node: dataset.import, path: rows.jsonl}"]
    for number in range(1, steps):
        before = max(number - 1 - number % 3, 0)
        lines.append(f"  s{number}: {{node: data.refine, needs: s{before}}}")
    return "\n".join(lines) + "\n"


def measure(steps: int, frames: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each kind of frame: median, p95, worst."""
    from app.workflow.canvas import palette, picture
    from ui.canvas.scene import CanvasScene
    from ui.canvas.view import CanvasView
    from ui.main import make_application

    app = make_application(["bench"])
    palette()
    scene = CanvasScene()
    view = CanvasView(scene)
    view.resize(1100, 760)
    scene.show_picture(picture(document(steps)), {}, set())
    view.show()
    view.fit()
    app.processEvents()

    def pan(number: int) -> None:
        view.pan(9 * math.cos(number / 20), 7 * math.sin(number / 13))

    def zoom(number: int) -> None:
        view.zoom(1.03 if number % 60 < 30 else 1 / 1.03)

    found = {}
    for scale in (view.scale_now(), 0.5, 1.0):
        view.zoom(scale / view.scale_now())
        view.settle()
        app.processEvents()
        found[f"pan at {100 * scale:.0f} %"] = _frames(app, view, pan, frames)
    view.fit()
    found["zoom, all in view"] = _frames(app, view, zoom, frames)
    view.zoom(1 / view.scale_now())
    found["zoom around 100 %"] = _frames(app, view, zoom, frames)
    view.fit()
    found["frames after a zoom"] = _frames(app, view, lambda number: _settle(view, number), frames)
    view.deleteLater()
    return found


def _settle(view: CanvasView, number: int) -> None:
    if number % 30 == 0:  # the cards are drawn at the new scale in the frames that follow
        view.zoom(1.1 if number % 60 else 1 / 1.1)
        view.settle()


def _frames(app: Any, view: CanvasView, move: Callable[[int], object], count: int) -> dict[str, float]:
    took = []
    for number in range(count):
        start = time.perf_counter()
        move(number)
        app.processEvents()  # the view draws what became visible
        took.append(1000 * (time.perf_counter() - start))
    took.sort()
    return {"median": statistics.median(took), "p95": took[int(0.95 * (len(took) - 1))], "worst": took[-1]}


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--json", action="store_true")
    wish = parser.parse_args()
    found = measure(wish.steps, wish.frames)
    if wish.json:
        print(json.dumps({"steps": wish.steps, "budget_ms": BUDGET_MS, "frames": found}))
        return 0
    print(f"{wish.steps} steps, {wish.frames} frames each; a frame may take {BUDGET_MS:.1f} ms")
    for name, figures in found.items():
        word = "within" if figures["p95"] <= BUDGET_MS else "over"
        print(f"{name:22} median {figures['median']:6.2f} ms   p95 {figures['p95']:6.2f} ms   worst {figures['worst']:6.2f} ms   {word}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
