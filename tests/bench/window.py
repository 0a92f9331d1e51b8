"""Print how quick and how calm the window is, each figure beside a baseline or its limit, with the machine's load at that time.

    python tests/bench/window.py [PART ...] [--rounds 5] [--idle-seconds 30] [--drop-caches]

Parts, by default all (about 8 minutes on two cores, most of it idling and training):
start   from starting the process to the first paint, warm and cold, beside a PySide6 program with one empty window.  Cold: what a start
        reads (modules, libraries, our resources) is put out of the page cache by posix_fadvise; what share of it was out is printed,
        since pages that another process uses stay.  --drop-caches, as root, empties the whole machine's cache instead.
idle    memory when still, and the share of one core that the window and its service take on each page while nothing is done
stall   the longest pause of a 5 ms timer while `main.py run legal` trains with a thread for each core and the window walks its pages
plot    frames of a curve of a million stored points while it is zoomed and moved
canvas  frames of a workflow with 200 steps (tests/bench/canvas_frames.py)

A figure is disturbed by any other work on the machine: the load average of that moment stands beside it.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import mmap
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
WARM_SECONDS, COLD_SECONDS, MEMORY_MB, IDLE_PERCENT, STALL_MS, FRAME_MS = 0.6, 1.2, 120.0, 0.5, 100.0, 16.0
POINTS = 1_000_000
TRAINING_PATIENCE = 300.0


def load() -> str:
    """The machine's load of the last minute; above a half it disturbs the figure beside it."""
    return f"load {os.getloadavg()[0]:.1f}"


def verdict(value: float, limit: float, unit: str) -> str:
    """Whether a limit is kept."""
    return f"limit {limit:g} {unit}{'' if value <= limit else ', MISSED'}"


class Bench:
    """Runs child processes on one profile with sample rows."""

    def __init__(self, home: Path, wish: argparse.Namespace) -> None:
        self._wish = wish
        chosen = {"NEUROWEAVER_HOME": str(home), "NEUROWEAVER_KEYRING": "off"}
        if not os.environ.get("DISPLAY") and "QT_QPA_PLATFORM" not in os.environ:
            chosen["QT_QPA_PLATFORM"] = "offscreen"
        self._environment = {**os.environ, **chosen}
        os.environ["NEUROWEAVER_KEYRING"] = "off"
        self.home = home
        from app.store import Profile, Store
        from tests.ui.filled import fill
        from tests.ui.filled_datasets import fill_datasets

        with Store.open(Profile(home)) as store:
            fill(store)
            fill_datasets(store, home / "step")
            store.db.execute("UPDATE runs SET state = 'failed' WHERE state = 'running'")  # nothing that the service would take up

    def child(self, mode: str, kind: str, *arguments: str) -> dict[str, Any]:
        """What a child measured."""
        done = subprocess.run([sys.executable, "tests/bench/window_child.py", mode, str(time.time()), kind, *arguments],
                              capture_output=True, text=True, cwd=ROOT, env=self._environment, timeout=900, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return found

    # ---- start -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Warm and cold."""
        rounds = self._wish.rounds
        for kind in ("empty", "window"):
            self.child("frame", kind)
        warm: dict[str, list[float]] = {"window": [], "empty": []}
        for _ in range(rounds):
            for kind, times in warm.items():
                times.append(self.child("frame", kind)["frame"])
        self._say_start(f"warm, median of {rounds}", warm, WARM_SECONDS)
        read = [Path(name) for name in self.child("files", "window")["files"]]
        read += [path for folder in (ROOT / "resources", self.home) for path in folder.rglob("*")]
        read = [path for path in read if path.is_file() and not path.name.endswith(("-shm", "-wal"))]  # those come and go
        cold: dict[str, list[float]] = {"window": [], "empty": []}
        out = []
        for _ in range(rounds):
            for kind, times in cold.items():
                out.append(self._forget(read))
                times.append(self.child("frame", kind)["frame"])
        how = "drop_caches" if self._wish.drop_caches else "posix_fadvise"
        size = sum(path.stat().st_size for path in read) / 1e6
        self._say_start(f"cold, median of {rounds}; {how}, {100 * statistics.median(out):.0f} % of {size:.0f} MB out", cold, COLD_SECONDS)

    @staticmethod
    def _say_start(what: str, found: dict[str, list[float]], limit: float) -> None:
        ours, beside = statistics.median(found["window"]), statistics.median(found["empty"])
        print(f"first frame, {what}: window {ours:.2f} s, empty PySide6 window {beside:.2f} s ({verdict(ours, limit, 's')}; {load()})", flush=True)

    def _forget(self, files: list[Path]) -> float:
        """Put files out of the page cache; the share of their bytes that is out."""
        if self._wish.drop_caches:
            os.sync()
            Path("/proc/sys/vm/drop_caches").write_text("1")
        for file in files:
            with file.open("rb") as stream:
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        sizes = [file.stat().st_size for file in files]
        inside = sum(resident(file) * size for file, size in zip(files, sizes, strict=True))
        return 1 - inside / sum(sizes)

    # ---- calm ------------------------------------------------------------------------------------------------------

    def idle(self) -> None:
        """Memory and processor when nothing is done."""
        beside = self.child("idle", "empty", "0")["rss"]
        found = self.child("idle", "window", str(self._wish.idle_seconds))
        print(f"idle memory: window {found['rss']:.0f} MB, empty PySide6 window {beside:.0f} MB "
              f"({verdict(found['rss'], MEMORY_MB, 'MB')}; {load()}); after showing {len(found['pages'])} pages {found['rss_after']:.0f} MB", flush=True)
        worst = max(percent for percent, _ in found["pages"].values())
        pages = ", ".join(f"{page} {ours:.2f} (service {theirs:.2f})" for page, (ours, theirs) in found["pages"].items())
        print(f"idle, % of one core over {self._wish.idle_seconds:g} s: {pages} ({verdict(worst, IDLE_PERCENT, '%')} for the window; {load()})", flush=True)

    def stall(self) -> None:
        """While a real training run has every core."""
        with (self.home / "run.log").open("wb") as log:
            program = subprocess.Popen([sys.executable, "main.py", "run", "legal"], cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        try:
            run = self._training(program)
            found = {kind: self.child("stall", kind, run) for kind in ("window", "empty")}
        finally:
            program.send_signal(signal.SIGINT)
            try:
                program.wait(60)
            except subprocess.TimeoutExpired:
                program.kill()
            self._end_service()
        ours, beside = found["window"]["stall"], found["empty"]["stall"]
        print(f"longest stall while a run trains: window {ours:.0f} ms, empty PySide6 window {beside:.0f} ms "
              f"({verdict(ours, STALL_MS, 'ms')}; {load()}, the run's own included)")
        print("  by page, ms: " + ", ".join(f"{name} {ms}" for name, ms in found["window"]["places"].items()), flush=True)

    def _training(self, program: subprocess.Popen[bytes]) -> str:
        """The run, once it trains."""
        from app.store import Profile, Store

        end = time.monotonic() + TRAINING_PATIENCE
        with Store.open(Profile(self.home)) as store:
            while time.monotonic() < end and program.poll() is None:
                row = store.row("SELECT run FROM metrics WHERE name = 'train.loss' AND at > ?", (time.time() - 30,))
                if row is not None:
                    return str(row["run"])
                time.sleep(0.5)
        sys.exit((self.home / "run.log").read_text(encoding="utf-8")[-2000:] or "the run did not come to training")

    def _end_service(self) -> None:
        from app.store import Profile, Store
        from ui.service_link import stop

        with Store.open(Profile(self.home)) as store:
            stop(store)

    # ---- frames ----------------------------------------------------------------------------------------------------

    def plot(self) -> None:
        """A million points behind one curve."""
        from app.store import Profile, Store

        with Store.open(Profile(self.home)) as store:
            store.db.execute("DELETE FROM metrics WHERE run = 'run_done' AND name = 'train.loss'")
            with store.write() as db:
                db.conn.executemany(
                    "INSERT INTO metrics (run, step, name, at, x, value) VALUES ('run_done', 'train', 'train.loss', ?, ?, ?)",
                    ((1.7e9 + n, n, 1.5 + (n * 7919 % 1000) / 1000) for n in range(POINTS)))
        found = self.child("plot", "window", "run_done")
        for name in ("zoom", "move"):
            median, late, worst, busy = found[name]
            print(f"plot of {POINTS:,} points, {name}: median {median:.1f} ms a frame, p95 {late:.1f}, worst {worst:.1f}, of the processor "
                  f"{busy:.1f} ({verdict(late, FRAME_MS, 'ms')} at p95; {load()})")
        print(f"  on the page after {found['shown']:.1f} s, the points of a part after {found['part']:.1f} s", flush=True)

    def canvas(self) -> None:
        """200 steps."""
        done = subprocess.run([sys.executable, "tests/bench/canvas_frames.py", "--json"], cwd=ROOT, env=self._environment, capture_output=True,
                              text=True, check=True)
        found = json.loads(done.stdout)
        for name, figures in found["frames"].items():
            print(f"canvas of {found['steps']} steps, {name}: median {figures['median']:.1f} ms, p95 {figures['p95']:.1f}, "
                  f"{1000 / figures['p95']:.0f} frames/s at p95 ({verdict(figures['p95'], found['budget_ms'], 'ms')}; {load()})", flush=True)


def resident(file: Path) -> float:
    """The share of a file's pages that lies in the page cache."""
    size = file.stat().st_size
    if not size:
        return 0.0
    libc = ctypes.CDLL(None, use_errno=True)
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), size, prot=mmap.PROT_READ | mmap.PROT_WRITE, flags=mmap.MAP_PRIVATE) as view:
        pages = -(-size // mmap.PAGESIZE)
        known = (ctypes.c_ubyte * pages)()
        first = ctypes.c_char.from_buffer(view)
        libc.mincore(ctypes.byref(first), ctypes.c_size_t(size), known)
        del first  # the map cannot be closed while it is pointed to
        return sum(one & 1 for one in known) / pages


def main() -> int:
    """Measure and print; a missed limit is printed, not an error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts: dict[str, Callable[[Bench], None]] = {name: getattr(Bench, name) for name in ("start", "idle", "plot", "canvas", "stall")}
    parser.add_argument("parts", nargs="*", choices=[[], *parts], metavar="PART", help=", ".join(parts))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle-seconds", type=float, default=30.0)
    parser.add_argument("--drop-caches", action="store_true")
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="neuroweaver-bench-") as home:
        bench = Bench(Path(home), wish)
        for name in wish.parts or parts:
            parts[name](bench)
    return 0


if __name__ == "__main__":
    sys.exit(main())
