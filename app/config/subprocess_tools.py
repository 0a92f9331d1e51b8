"""Child processes that never outlive their parent, on every platform, without fork and without a shell.

Two ropes hold a child.  A *lifeline*: the child reads its standard input, and its end means that the parent is
gone; it then kills its own process group.  On Linux also PR_SET_PDEATHSIG, which works even where the child is
stopped or busy in native code.  The signal belongs to the *thread* that started the child: start children from
a thread that lives as long as they shall (the main thread).

Programs that know nothing of this (llama.cpp's converter, a compiler) are started with :func:`start_child` or
:func:`run_child`, which put a small launcher before them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from app.config.offline import Need

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.05
_TAIL_BYTES = 64 * 1024


def die_with_parent(parent: int | None = None) -> None:
    """Ask Linux to kill this process when its parent dies; elsewhere nothing.

    parent: the expected parent's pid; if it is gone already, this process ends at once (exit code 1).
    """
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def hold_lifeline(stream: IO[bytes], on_end: Callable[[], None] | None = None) -> threading.Thread:
    """Watch ``stream`` in a daemon thread; at its end call ``on_end`` (default: kill this process and its group)."""

    def watch() -> None:
        with contextlib.suppress(OSError, ValueError):
            while stream.read(1):
                pass
        (on_end or kill_own_group)()

    thread = threading.Thread(target=watch, name="lifeline", daemon=True)
    thread.start()
    return thread


_GUARD = """
import os, select, signal, sys
lifeline, worker, group = map(int, sys.argv[1:])
while True:
    ready = select.select([lifeline, worker], [], [])[0]
    if any(not os.read(descriptor, 65536) for descriptor in ready):
        break
try:
    os.killpg(group, signal.SIGKILL)
except OSError:
    pass
"""


def guard_group(lifeline: int) -> None:
    """Start a small process that kills this process's group when the lifeline ends or this process does.

    A worker that is killed with its parent cannot end the children that a library of its node has started; the guard,
    in a session of its own, can.  lifeline: a descriptor whose other end the parent holds.  POSIX only.
    """
    if sys.platform == "win32":
        return
    ours, theirs = os.pipe()
    os.set_inheritable(theirs, False)
    copy = os.dup(lifeline)
    subprocess.Popen([sys.executable, "-I", "-S", "-c", _GUARD, str(copy), str(ours), str(os.getpgid(0))], stdin=subprocess.DEVNULL,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(copy, ours), start_new_session=True)
    os.close(copy)
    os.close(ours)  # ``theirs`` stays open until this process ends


def kill_own_group() -> None:
    """End this process, its children and (where there are process groups) its group, at once."""
    for child in _descendants(os.getpid()):
        _kill(child)
    if hasattr(os, "killpg") and os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def group_options() -> dict[str, Any]:
    """Popen arguments that give a child its own session (POSIX) or process group (Windows)."""
    if sys.platform == "win32":
        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    return {"start_new_session": True}


def stand_back(by: int) -> None:
    """Let other processes go first.  by: niceness, 1 to 19.  For a process that leads a session of its own.

    Linux shares the processors between sessions before it looks at niceness (autogroups, ``sched(7)``), so that the session has to
    stand back as a whole: niceness alone says nothing to the window, which lives in another one.
    """
    if hasattr(os, "nice"):
        os.nice(by)
    if hasattr(os, "getsid") and os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):  # a kernel without autogroups
            Path("/proc/self/autogroup").write_text(str(by), encoding="ascii")


def kill_tree(pid: int, *, started: float | None = None) -> None:
    """Kill a process, its group if it leads one, and all that descends from it.  ``started`` guards against a reused pid."""
    if started is not None and not is_alive(pid, started):
        return
    victims = _descendants(pid)
    if hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            if os.getpgid(pid) == pid:
                os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(psutil.Error):
        _kill(psutil.Process(pid))
    for victim in victims:
        _kill(victim)


def started_at(pid: int) -> float | None:
    """When a process began (Unix seconds), or None if there is none.  With the pid it identifies a process."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def is_alive(pid: int | None, started: float | None) -> bool:
    """Whether *that* process still runs: same pid and same start, so that a reused pid is not taken for it."""
    if pid is None or started is None:
        return False
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < 0.05
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


@dataclass(frozen=True, slots=True)
class Finished:
    """How a child ended.  ``tail``: the last 64 KiB of its output, both streams together."""

    code: int
    tail: str
    seconds: float


def start_child(arguments: Sequence[str | Path], *, need: Need = "none", **options: Any) -> subprocess.Popen[bytes]:
    """Start a program that dies with this process.  need: what of the network it keeps in offline mode (app.config.offline).

    options: as for Popen (cwd, env, stdout, ...).
    """
    launcher = [sys.executable, "-I", str(Path(__file__).with_name("_launch.py")), str(os.getpid()), need]
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL} | options
    child: Any = subprocess.Popen([*launcher, *map(str, arguments)], **given)
    return child  # type: ignore[no-any-return]


def run_child(
    arguments: Sequence[str | Path], *, tick: Callable[[], None] | None = None, cwd: Path | None = None,
    environment: Mapping[str, str] | None = None, timeout: float | None = None, log: Path | None = None, need: Need = "none",
) -> Finished:
    """Run a program to its end; it dies with this process.

    tick: called about every 50 ms (report progress there; if it raises, the program is killed and the error goes
    on, which is how a cancel gets through).  Output is echoed nowhere but kept: the end of it in the answer, all
    of it in ``log`` if given.  environment: added to this process's.  need: as for start_child.  Raises TimeoutError
    after ``timeout`` seconds.
    """
    begun = time.monotonic()
    env = {**os.environ, **(environment or {})}
    child = start_child(arguments, need=need, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    tail = bytearray()
    pump = threading.Thread(target=_collect, args=(child.stdout, tail, log), daemon=True)
    pump.start()
    try:
        while child.poll() is None:
            if timeout is not None and time.monotonic() - begun > timeout:
                raise TimeoutError(f"{Path(str(arguments[0])).name} took longer than {timeout:g} s")
            if tick is not None:
                tick()
            time.sleep(_POLL_SECONDS)
    except BaseException:
        kill_tree(child.pid)
        child.wait()
        raise
    finally:
        pump.join(timeout=5)
    return Finished(child.returncode, tail.decode("utf-8", "replace"), time.monotonic() - begun)


def _collect(stream: IO[bytes] | None, tail: bytearray, log: Path | None) -> None:
    if stream is None:
        return
    with stream, contextlib.ExitStack() as stack:
        copy = stack.enter_context(log.open("wb")) if log is not None else None
        while chunk := os.read(stream.fileno(), 65536):
            if copy is not None:
                with contextlib.suppress(OSError):
                    copy.write(chunk)
            tail += chunk
            del tail[:-_TAIL_BYTES]


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error, OSError):
        process.kill()


def wait_gone(processes: Iterable[tuple[int, float]], seconds: float) -> list[int]:
    """Wait until none of the (pid, started) pairs lives; the pids that still do after ``seconds``."""
    pairs = list(processes)
    deadline = time.monotonic() + seconds
    while True:
        left = [pid for pid, started in pairs if is_alive(pid, started)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(_POLL_SECONDS)
