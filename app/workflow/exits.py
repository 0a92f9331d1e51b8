"""Why a worker ended without saying so: its exit code, in words a user can act on."""

from __future__ import annotations

import signal
from pathlib import Path

from app.errors import WorkflowError

_SHELL_OFFSET = 128
_WINDOWS_CRASH = {0xC0000005: signal.SIGSEGV, 0xC000001D: signal.SIGILL}
_CRASHES = {
    int(signal.SIGSEGV): "a fault in a native library (segmentation fault)",
    int(signal.SIGABRT): "a native library gave up (abort)",
    int(signal.SIGILL): "an instruction that this processor does not have",
    int(signal.SIGFPE): "a fault in native arithmetic",
}


def oom_kills() -> int:
    """How many processes the system has killed for lack of memory since it started; 0 where that is not told."""
    for path, key in (("/sys/fs/cgroup/memory.events", "oom_kill"), ("/proc/vmstat", "oom_kill")):
        try:
            lines = Path(path).read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, value = line.partition(" ")
            if name == key:
                return int(value)
    return 0


def exit_signal(code: int) -> int | None:
    """The signal behind an exit code (-9 from Popen, 137 from a shell or container), or None."""
    if code < 0:
        return -code
    if code in _WINDOWS_CRASH:
        return int(_WINDOWS_CRASH[code])
    return code - _SHELL_OFFSET if _SHELL_OFFSET < code < _SHELL_OFFSET + 65 else None


def explain_exit(step: str, code: int, *, oom_before: int = 0, oom_after: int = 0) -> WorkflowError:
    """The failure of a step whose worker ended without a result."""
    number = exit_signal(code)
    what = f"Step {step!r} failed: its process ended without a result."
    if number is None:
        return WorkflowError("worker.exited", what, why=f"It ended by itself with exit code {code}.",
                             remedy="See the step's output for its last words; resume the run to try again.")
    if number == int(getattr(signal, "SIGKILL", 9)):
        return _killed(step, oom_after > oom_before)
    if number in _CRASHES:
        return WorkflowError("worker.crashed", f"Step {step!r} failed: its process crashed.",
                             why=f"Exit code {_SHELL_OFFSET + number}: {_CRASHES[number]}.",
                             remedy="Resume the run; if it happens again, run doctor and report the step's output.")
    return WorkflowError("worker.killed", f"Step {step!r} failed: killed.",
                         why=f"Something outside sent signal {number} (exit code {_SHELL_OFFSET + number}).",
                         remedy="Resume the run to continue from what was saved.")


def _killed(step: str, for_memory: bool) -> WorkflowError:
    if for_memory:
        return WorkflowError("worker.out_of_memory", f"Step {step!r} failed: killed for lack of memory.",
                             why="Exit code 137: the system ran out of memory and ended the process.",
                             remedy="Use a smaller batch, shorter rows or a smaller model, or close other programs; then resume.")
    return WorkflowError("worker.killed", f"Step {step!r} failed: killed.",
                         why="Exit code 137 (SIGKILL): ended from outside, perhaps by the system for lack of memory.",
                         remedy="Free some memory if it was short, then resume the run: it continues from what was saved.")
