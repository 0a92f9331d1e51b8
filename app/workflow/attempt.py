"""One worker process, seen from the scheduler: start it, watch its heartbeat, stop it, explain its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from app.config.subprocess_tools import group_options, kill_tree, started_at
from app.store import Store, settings
from app.store.profile import project_dir
from app.workflow.exits import explain_exit, oom_kills
from app.workflow.output import keep_output
from app.workflow.worker import Assignment

HUNG_SECONDS = 45.0
"""A worker without a sign of life for so long is flagged (the promise is 60 s)."""
_DISCARD_SECONDS, _SAVE_SECONDS, _SAVING_SECONDS, _TERM_SECONDS = 5.0, 8.0, 60.0, 1.0
LONGEST_STOP_SECONDS = _SAVING_SECONDS + _TERM_SECONDS + 4.0
"""After so long no step that was asked to save and stop is left; whoever waits for the service waits a little longer."""
HUNG = "hung: no sign of life for"


@dataclass
class Attempt:
    """A running worker.  Times are monotonic seconds."""

    run: str
    step: str
    number: int
    accelerator: bool
    process: subprocess.Popen[bytes]
    began: float = field(default_factory=time.monotonic)
    oom_before: int = field(default_factory=oom_kills)
    beat: float | None = None
    beat_seen: float = field(default_factory=time.monotonic)
    cancel_mode: str | None = None
    cancel_since: float = 0.0
    hung: bool = False

    def ended(self) -> bool:
        """Whether the process is gone; its stray children are then killed too."""
        if self.process.poll() is None:
            return False
        if hasattr(os, "killpg"):
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
        if self.process.stdin is not None:
            self.process.stdin.close()
        return True

    def watch(self, beat: float | None, now: float) -> str | None:
        """"hung" or "back" when that changed with this heartbeat value, else None.

        Only changes of the value count, so a clock that jumps raises no alarm.
        """
        if beat != self.beat:
            self.beat, silence, self.beat_seen = beat, now - self.beat_seen, now
            was, self.hung = self.hung, False
            self.silence = silence
            return "back" if was else None
        self.silence = now - self.beat_seen
        if self.silence > HUNG_SECONDS and not self.hung:
            self.hung = True
            return "hung"
        return None

    silence: float = 0.0

    def stop(self, mode: str, saving: bool, now: float) -> None:
        """Called again and again once a cancel was asked: first the worker itself, then SIGTERM, then its whole group."""
        if self.cancel_mode is None:
            self.cancel_mode, self.cancel_since = mode, now
        patience = _DISCARD_SECONDS if mode == "discard" else _SAVING_SECONDS if saving else _SAVE_SECONDS
        waited = now - self.cancel_since
        if waited > patience + _TERM_SECONDS:
            kill_tree(self.process.pid)
        elif waited > patience:
            with contextlib.suppress(OSError):
                self.process.terminate()

    def explanation(self) -> dict[str, object]:
        """Error record of an end without a result."""
        return explain_exit(self.step, self.process.returncode, oom_before=self.oom_before,
                            oom_after=oom_kills()).as_record()


def start_attempt(store: Store, run: str, step: str, number: int, accelerator: bool) -> Attempt:
    """Start a worker and note it in the store.  Raises OSError where the step's folder cannot be made."""
    folder = store.profile.step_folder(run, step)
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "app.workflow.worker"], cwd=project_dir(), env=_environment(store), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **group_options())
    _note_start(store, run, step, number, process.pid)
    assert process.stdin is not None
    assert process.stdout is not None
    keep_output(process.stdout, folder)
    line = Assignment(str(store.profile.home), store.key.hex, run, step, number, os.getpid()).line()
    with contextlib.suppress(OSError):  # it died at once: reaping explains that
        process.stdin.write(line)
        process.stdin.flush()
    return Attempt(run, step, number, accelerator, process)


def _note_start(store: Store, run: str, step: str, number: int, pid: int) -> None:
    now = time.time()
    store.db.execute(
        "UPDATE steps SET state = 'running', why = NULL, pid = ?, pid_started = ?, heartbeat = ?, attempt = ?, "
        "started = ?, ended = NULL, flagged = NULL, stopping = NULL, progress = 0, message = NULL, eta = NULL "
        "WHERE run = ? AND id = ?", (pid, started_at(pid), now, number, now, run, step))


def _environment(store: Store) -> dict[str, str]:
    """Workers are offline, wait passively (so that serving keeps a core) and find this app wherever it lies."""
    threads = settings.get(store, "threads")
    wanted = {
        "NEUROWEAVER_HOME": str(store.profile.home), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(project_dir()), os.environ.get("PYTHONPATH", "")])),
    }
    if threads:
        wanted["OMP_NUM_THREADS"] = str(threads)
    return {**os.environ, **wanted}


def output_folder(store: Store, run: str, step: str) -> Path:
    """Where the output of a step's last attempt is kept."""
    return store.profile.step_folder(run, step)
