"""What tests/bench/window.py measures inside a process of its own:  python tests/bench/window_child.py MODE STARTED [ARGUMENT ...]

STARTED: time.time() of the moment before this process was started.  The last line printed is one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100, PTH120  # pathlib is not free
MODE, STARTED, ARGUMENTS = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
SETTLE_SECONDS, TICK_MS, PAGE_MS = 4.0, 5, 1500
PAGES = ("home", "datasets", "workflow", "runs", "models", "costs", "settings")


def empty() -> tuple[Any, Any, list[float]]:
    """The baseline: PySide6 with one window that has nothing in it."""
    from PySide6.QtWidgets import QApplication, QMainWindow

    app = QApplication(["empty"])
    painted: list[float] = []

    class Window(QMainWindow):
        def paintEvent(self, event: Any) -> None:
            super().paintEvent(event)
            painted.append(time.time())

    window = Window()
    window.resize(1440, 900)
    window.show()
    return app, window, painted


def real(service: bool = False) -> tuple[Any, Any, list[float]]:
    """Our window, as main.py opens it."""
    from app.store.profile import Profile
    from ui import main
    from ui.window import Window

    sys.setswitchinterval(main.SWITCH_SECONDS)
    painted: list[float] = []
    paint = Window.paintEvent

    def painting(self: Any, event: Any) -> None:
        paint(self, event)
        painted.append(time.time())

    Window.paintEvent = painting  # type: ignore[method-assign]
    app = main.make_application(["bench"])
    return app, main.open_window(Profile.default(), start_service=service), painted


def spin(app: Any, seconds: float) -> None:
    """Let the window live as it does under app.exec()."""
    from PySide6.QtCore import QTimer

    QTimer.singleShot(round(1000 * seconds), lambda: app.exit(0))  # quit() would ask the window to close
    app.exec()


def frame(app: Any, _window: Any, painted: list[float]) -> dict[str, Any]:
    """Seconds to the first paint."""
    while not painted:
        app.processEvents()
    return {"frame": painted[0] - STARTED}


def files(app: Any, _window: Any, _painted: list[float]) -> dict[str, Any]:
    """What a start reads: modules with their compiled files, libraries, our resources."""
    spin(app, 1.0)
    modules = [path for module in list(sys.modules.values()) for path in (getattr(module, "__file__", None), getattr(module, "__cached__", None))]
    with open("/proc/self/maps", encoding="utf-8") as maps:  # noqa: PTH123
        mapped = [line.split(maxsplit=5)[5].strip() for line in maps if "/" in line]
    return {"files": sorted({path for path in [*modules, *mapped] if path and os.path.isfile(path)})}  # noqa: PTH113


def idle(app: Any, window: Any, _painted: list[float]) -> dict[str, Any]:
    """Memory once it is still, then the share of one core on each page."""
    import psutil

    seconds = float(ARGUMENTS[1])
    spin(app, SETTLE_SECONDS)
    process = psutil.Process()
    result: dict[str, Any] = {"rss": process.memory_info().rss / 1e6, "pages": {}}
    if not hasattr(window, "go"):
        return result
    from app.config.presence import find_service

    for page in PAGES:
        window.go(page)
        spin(app, SETTLE_SECONDS)
        found = find_service(window.background.store.profile)
        others = _family(found.pid) if found else []
        before, theirs = sum(process.cpu_times()[:2]), _seconds(others)
        start = time.monotonic()
        spin(app, seconds)
        took = time.monotonic() - start
        result["pages"][page] = [100 * (sum(process.cpu_times()[:2]) - before) / took, 100 * (_seconds(others) - theirs) / took]
    result["rss_after"] = process.memory_info().rss / 1e6
    from ui.service_link import stop

    stop(window.background.store)
    return result


def _family(pid: int) -> list[Any]:
    import psutil

    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _seconds(processes: list[Any]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes if process.is_running())


def stall(app: Any, window: Any, _painted: list[float]) -> dict[str, Any]:
    """The longest pause of a timer while the window walks through all pages, and the run under way twice."""
    from PySide6.QtCore import QTimer

    spin(app, SETTLE_SECONDS)
    place, last, worst = ["waiting"], [time.monotonic()], {"waiting": 0.0}

    def tick() -> None:
        now = time.monotonic()
        worst[place[0]] = max(worst.get(place[0], 0.0), 1000 * (now - last[0]))
        last[0] = now

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(TICK_MS)
    steps = [("", "")] * 8 if not hasattr(window, "go") else [
        *((name, "") for name in window.rail.buttons), ("runs", ARGUMENTS[1]), ("home", ""), ("runs", ARGUMENTS[1]), ("workflow", "")]
    for page, argument in steps:
        if page:
            place[0] = f"{page} {argument[:4]}".strip()
            window.go(page, argument)
        spin(app, PAGE_MS / 1000)
    return {"stall": max(worst.values()), "places": {name: round(value) for name, value in worst.items()}}


def plot(app: Any, window: Any, _painted: list[float]) -> dict[str, Any]:
    """Frames of a curve with a million points, zoomed and moved, and how long the finer points of a part take to come."""
    spin(app, SETTLE_SECONDS)
    started = time.monotonic()
    window.go("runs", ARGUMENTS[1])
    pane = window.page().pane
    _until(app, lambda: "loss" in pane.charts.cards and bool(pane.charts.cards["loss"].chart._series))
    chart = pane.charts.cards["loss"].chart
    _until(app, lambda: bool(chart._series[0].points))
    shown = time.monotonic() - started
    pane.ensureWidgetVisible(chart)  # what is out of sight is not painted
    spin(app, 1.0)
    drawn = paints_of(chart)
    moves: dict[str, Callable[[int], None]] = {
        "zoom": lambda number: chart.zoom(1.09 if number % 60 < 30 else 1 / 1.09, 1e6 * 0.37),
        "move": lambda number: chart.move_by(0.02 if number % 60 < 30 else -0.02)}
    result: dict[str, Any] = {"shown": shown}
    for name, move in moves.items():
        chart.look_at((3.5e5, 4.5e5) if name == "move" else None)
        spin(app, 2.0)
        took, busy = [], time.thread_time()
        for number in range(240):
            start = time.perf_counter()
            move(number)
            chart.repaint()
            app.processEvents()
            took.append(1000 * (time.perf_counter() - start))
        busy = 1000 * (time.thread_time() - busy) / 240
        if drawn[0] < 240:
            sys.exit(f"the curve was painted {drawn[0]} times only")
        drawn[0] = 0
        took.sort()
        result[name] = [took[len(took) // 2], took[int(0.95 * len(took))], took[-1], busy]
    chart.show_all()
    chart.look_at((500_000.0, 500_100.0))
    asked = time.monotonic()
    _until(app, lambda: len(chart._drawn()[0].points) >= 100)
    result["part"] = time.monotonic() - asked
    return result


def paints_of(widget: Any) -> list[int]:
    """A counter of a widget's paints."""
    from PySide6.QtCore import QEvent, QObject

    count = [0]

    class Counter(QObject):
        def eventFilter(self, _watched: Any, event: Any) -> bool:
            count[0] += event.type() == QEvent.Type.Paint
            return False

    widget.installEventFilter(Counter(widget))
    return count


def _until(app: Any, reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not reached():
        if time.monotonic() > end:
            sys.exit("the window did not get that far")
        spin(app, 0.02)


def main() -> None:
    """Measure and print."""
    kind = ARGUMENTS[0] if ARGUMENTS else "window"
    app, window, painted = empty() if kind == "empty" else real(service=MODE == "idle")
    modes: dict[str, Callable[..., dict[str, Any]]] = {"frame": frame, "files": files, "idle": idle, "stall": stall, "plot": plot}
    result = modes[MODE](app, window, painted)
    if hasattr(window, "background"):
        window.status.end()
        window.background.close()
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
