"""The worker's heartbeat, which does not lie: it beats only while there is a sign of life.

A thread that merely says "I am here" would go on beating beside a main thread that waits for ever.  So every two
seconds this one looks for evidence since the last beat: a word from the node (progress, metric, event, cancel check),
processor time of the process and its children, or bytes read or written.  Without evidence there is no beat, and the
scheduler flags the step as hung.  A step that computes but says nothing for 50 s is flagged by its own pulse as
silent: it may be long native work or an endless loop, which nobody can tell from outside.
"""

from __future__ import annotations

import contextlib
import threading
import time

import psutil

from app.store import Store
from app.workflow.context import Signs

LOOK_SECONDS = 0.5
BEAT_SECONDS = 2.0
SILENT_SECONDS = 50.0
_BUSY_SHARE = 0.05
SILENT = "silent: it is computing, but has reported nothing for"


class Pulse:
    """Writes heartbeat, progress, message, ETA and the silent flag of one step; listens for a cancel."""

    def __init__(self, store: Store, run: str, step: str, signs: Signs) -> None:
        self._store, self._run, self._step, self._signs = store, run, step, signs
        self._stop = threading.Event()
        self._written: tuple[float, str] = (0.0, "")
        self._begun = time.monotonic()
        self._word_at_look = 0.0
        self._looked_at = self._begun - BEAT_SECONDS
        self._work = 0.0
        self._computing = False
        self._flagged = False
        self._told_stopping = False
        self._thread = threading.Thread(target=self._loop, name="pulse", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and write the last progress."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _loop(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(Exception):  # a busy or full store must not end the heartbeat
                self._look()
            self._stop.wait(LOOK_SECONDS)

    def _look(self) -> None:
        self._listen()
        now = time.monotonic()
        fields = self._progress_fields(now)
        if self._signs.cancel_seen and not self._told_stopping:
            self._told_stopping = True
            fields["stopping"] = time.time()
        if now - self._looked_at >= BEAT_SECONDS:
            if self._lives(now):
                fields["heartbeat"] = time.time()
            fields |= self._silence(now)
        if fields:
            sets = ", ".join(f"{name} = :{name}" for name in fields)
            self._store.db.execute(f"UPDATE steps SET {sets} WHERE run = :run_ AND id = :step_ AND state = 'running'",
                                   {**fields, "run_": self._run, "step_": self._step})

    def _listen(self) -> None:
        found = self._store.db.execute("SELECT cancel FROM runs WHERE id = ?", (self._run,)).fetchone()
        self._signs.cancel = found[0] if found else "discard"

    def _progress_fields(self, now: float) -> dict[str, object]:
        said = (round(self._signs.fraction, 4), self._signs.message)
        if said == self._written:
            return {}
        self._written = said
        done = said[0]
        eta = (now - self._begun) * (1 - done) / done if done > 0.01 else None
        return {"progress": done, "message": said[1], "eta": eta}

    def _lives(self, now: float) -> bool:
        """Whether there was a sign of life since the last look."""
        spoke = self._signs.last_word > self._word_at_look
        work = _work_done()
        self._computing = work - self._work > _BUSY_SHARE * (now - self._looked_at)
        self._work, self._looked_at, self._word_at_look = work, now, self._signs.last_word
        return spoke or self._computing

    def _silence(self, now: float) -> dict[str, object]:
        quiet = now - self._signs.last_word
        if quiet >= SILENT_SECONDS and self._computing and not self._flagged:
            self._flagged = True
            return {"flagged": f"{SILENT} {quiet:.0f} s"}
        if quiet < SILENT_SECONDS and self._flagged:
            self._flagged = False
            return {"flagged": None}
        return {}


def _work_done() -> float:
    """Processor seconds of this process and its children, plus one for each 10 MB they read or wrote."""
    total = 0.0
    me = psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        with contextlib.suppress(psutil.Error, OSError, AttributeError):
            times = process.cpu_times()
            total += times.user + times.system + getattr(times, "children_user", 0.0)
            counters = process.io_counters()
            total += (counters.read_bytes + counters.write_bytes) / 10_000_000
    return total
