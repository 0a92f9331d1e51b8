"""From a keystroke in a workflow document of 2,000 lines to its annotations, and an editor without checking beside it.

    python tests/bench/editor_check.py [--lines 2000] [--each 10] [--keys 25] [--json]

Each keystroke lengthens a misspelt parameter on the last line, which its annotation quotes; the clock stops when the editor shows the
new one.  Part of it is a pause on purpose after the last key.  The baseline is the same editor, alone in a
window, from the keystroke to the empty event queue.  Off screen; the load of the machine is printed beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("NEUROWEAVER_KEYRING", "off")
BUDGET_MS, PATIENCE_S = 100.0, 20.0
WRONG = "thresold"


def document(lines: int, each: int) -> str:
    """A chain of steps with ``each`` lines, as many as there is room for; the last line is a misspelt parameter."""
    head = ["name: Bench", "base_model: smollm2-135m-instruct", "steps:", "  s0: {node: dataset.import, path: rows.jsonl}"]
    count = max((lines - len(head)) // each, 1)
    steps = [line for number in range(1, count + 1) for line in _step(number, each)]
    filler = ["# a remark"] * (lines - len(head) - len(steps))
    return "\n".join([*head, *filler, *steps[:-1], f"    near_duplicates: {{{WRONG}: 1}}"]) + "\n"


def _step(number: int, each: int) -> list[str]:
    """At least three lines: name, node, and what it needs; then remarks; the last is its parameter."""
    lines = [f"  s{number}:", "    node: data.refine", f"    needs: s{number - 1}"]
    return [*lines, *["    # a remark on what this step is for"] * (each - 4), "    near_duplicates: {threshold: 0.7}"]


def until(app: Any, done: Callable[[], bool]) -> float:
    """Milliseconds until something holds; the window lives meanwhile."""
    start = time.perf_counter()
    while not done():
        app.processEvents()
        time.sleep(0.0005)
        if time.perf_counter() - start > PATIENCE_S:
            raise SystemExit("The annotations did not come.")
    return 1000 * (time.perf_counter() - start)


def press(editor: Any, letter: str = "x") -> None:
    """A keystroke, as the window system sends it."""
    from PySide6.QtCore import QEvent, Qt
    from PySide6.QtGui import QKeyEvent
    from PySide6.QtWidgets import QApplication

    for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
        QApplication.sendEvent(editor, QKeyEvent(kind, Qt.Key.Key_X, Qt.KeyboardModifier.NoModifier, letter))


def checked(app: Any, text: str, keys: int) -> list[float]:
    """Milliseconds from each keystroke to the annotation of what was just typed, on the Workflow page."""
    from app.store.profile import Profile
    from ui.main import open_window

    with tempfile.TemporaryDirectory() as home:
        window = open_window(Profile(Path(home)), start_service=False)
        until(app, lambda: window.background.store is not None)
        window.go("workflow")
        page: Any = window.page()
        until(app, lambda: page._ready and window.background.quiet)
        page._edited(text, "Bench")
        until(app, lambda: bool(page.problems) and window.background.quiet)
        editor = page.editor
        field = typing_field(editor)
        last, end = text.count("\n"), len(text.rstrip("\n")) - len(": 1}")
        editor.select(end, end)
        took = []
        for number in range(1, keys + 1):
            wanted = WRONG + "x" * number
            start = time.perf_counter()
            press(field)
            until(app, lambda wanted=wanted: wanted in editor.annotation(last))  # type: ignore[misc]  # mypy cannot infer a default of its own
            took.append(1000 * (time.perf_counter() - start))
            until(app, lambda: window.background.quiet)
        window._settled = True
        window.close()
        window.deleteLater()
        app.processEvents()
    return took


def alone(app: Any, text: str, keys: int) -> list[float]:
    """The same keystrokes in the same editor, with nothing that checks."""
    from ui.editor.field import make_editor

    editor = make_editor("Bench")
    editor.resize(700, 700)
    editor.set_text(text)
    editor.show()
    app.processEvents()
    field, end, took = typing_field(editor), len(text.rstrip("\n")) - len(": 1}"), []
    editor.select(end, end)
    for number in range(1, keys + 1):
        start = time.perf_counter()
        press(field)
        app.processEvents()
        took.append(1000 * (time.perf_counter() - start))
        if not editor.text().rstrip("\n").endswith(f"{WRONG}{'x' * number}: 1}}"):
            raise SystemExit("The keystroke did not arrive.")
    editor.deleteLater()
    return took


def typing_field(editor: Any) -> Any:
    """The widget inside that takes the keys."""
    return editor.focusProxy() or editor


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=2000)
    parser.add_argument("--each", type=int, default=10, help="lines of a step, at least 4")
    parser.add_argument("--keys", type=int, default=25, help="at most 30: an annotation does not quote a longer word in full")
    parser.add_argument("--json", action="store_true")
    wish = parser.parse_args()
    from ui.main import make_application
    from ui.pages.workflow import CHECK_MS

    app, text = make_application(["bench"]), document(wish.lines, max(wish.each, 4))
    before = os.getloadavg()[0]
    found = {"with checking": checked(app, text, wish.keys), "editor alone": alone(app, text, wish.keys)}
    load = (before, os.getloadavg()[0])
    figures = {name: {"median": statistics.median(took), "p95": sorted(took)[int(0.95 * (len(took) - 1))]} for name, took in found.items()}
    if wish.json:
        print(json.dumps({"lines": wish.lines, "steps": text.count("node:"), "keys": wish.keys, "pause_ms": CHECK_MS, "load": load, "ms": figures}))
        return 0
    print(f"{wish.lines:,} lines, {text.count('node:'):,} steps, {wish.keys} keystrokes; budget {BUDGET_MS:.0f} ms, of which a pause of {CHECK_MS} ms; "
          f"load {load[0]:.1f} before, {load[1]:.1f} after, {os.cpu_count()} cores")
    for name, one in figures.items():
        print(f"{name:14} median {one['median']:8.2f} ms   p95 {one['p95']:8.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
