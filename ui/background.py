"""Work off the main thread: plain values go in, one record comes out.

``query(page, function, *values, done=...)`` reads, ``command(page, function, *values, ...)`` changes something.
``function`` is one of app's and gets the store first.  Only the newest answer of each page and function arrives, none
after the page is gone or the window closes, and always on the main thread.  Quick reads and slow work have lanes of
their own, so that a long import never holds up a page.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal
from shiboken6 import isValid

from app.errors import NeuroWeaverError, WorkflowError

if TYPE_CHECKING:
    from app.store import Profile, Store

POLL_SECONDS, CALM_POLL_SECONDS = 0.25, 1.0
"""Between two looks at the store: after a change or an act of the user, and once nothing happened for a while."""
BEHIND = 10
"""Niceness of work of minutes that nobody waits for."""
_STOP = object()


@dataclass(slots=True)
class _Job:
    owner: QObject | None
    key: str
    serial: int
    function: Callable[..., Any]
    values: tuple[Any, ...]
    done: Callable[[Any], None] | None
    failed: Callable[[NeuroWeaverError], None] | None
    with_store: bool = True
    lane: str = ""
    """The lane of a job that keeps its place in a line; "" for one that does not."""
    latest: bool = False
    """Whether it is not begun once there is a newer one of its name."""


class _Lane:
    """Threads that take jobs from one queue.  They live as long as the window, so that each keeps its connection.

    behind: they stand back where the processor is wanted for something else.
    """

    def __init__(self, name: str, threads: int, run: Callable[[_Job], None], *, behind: bool = False) -> None:
        self._name, self._count, self._run, self._behind = name, threads, run, behind
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def put(self, job: _Job) -> None:
        if not self._threads:
            for number in range(self._count):
                thread = threading.Thread(target=self._loop, name=f"{self._name}-{number}", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._jobs.put(job)

    def _loop(self) -> None:
        if self._behind and sys.platform == "linux":  # elsewhere a priority is a whole process's
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BEHIND)
        while (job := self._jobs.get()) is not _STOP:
            self._run(job)

    def close(self, seconds: float) -> None:
        for _ in self._threads:
            self._jobs.put(_STOP)
        for thread in self._threads:
            thread.join(timeout=seconds)
        self._threads.clear()


class Background(QObject):
    """Owns the lanes, the store's connections on them, and the thread that watches for changes."""

    opened = Signal()
    """The store can be used."""
    refused = Signal(object)
    """The store cannot be opened: a NeuroWeaverError."""
    changed = Signal(object)
    """Set of table names that changed."""
    _answer = Signal(object, object, object)

    def __init__(self, profile: Profile | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._profile = profile
        self.store: Store | None = None
        self._lanes = {"quick": _Lane("quick", 1, self._run), "slow": _Lane("slow", 2, self._run),
                       "scan": _Lane("scan", 1, self._run, behind=True)}
        self._newest: dict[tuple[int, str], int] = {}
        self._behind: dict[tuple[int, str], deque[_Job]] = {}  # commands under way, and those that wait for them
        self._order = threading.Lock()
        self._serial = self._open_jobs = 0
        self._closing, self._stirred = threading.Event(), threading.Event()
        self._watch: threading.Thread | None = None
        self._arrived: deque[tuple[_Job, Any, NeuroWeaverError | None]] = deque()
        self._turn = QTimer(self)
        self._turn.timeout.connect(self._next)
        self._answer.connect(self._arrive, Qt.ConnectionType.QueuedConnection)

    def open(self, passphrase: str | None = None) -> None:
        """Open the store on a lane; ``opened`` or ``refused`` follows."""
        job = _Job(None, "open", 0, self._open, (passphrase,), None, None, with_store=False)
        self._lanes["quick"].put(job)

    def _open(self, passphrase: str | None) -> None:
        from app.store import Profile, Store
        from app.store.key import obtain_key

        try:
            profile = self._profile or Profile.default()
            profile.create()
            key = obtain_key(profile, passphrase) if passphrase else None
            self.store = Store.open(profile, key=key)
        except NeuroWeaverError as problem:
            self.refused.emit(problem)
            return
        self._watch = threading.Thread(target=self._look, name="watch", daemon=True)
        self._watch.start()
        self.opened.emit()

    def _look(self) -> None:
        """Tell which tables changed, four times a second at most; once a second while nothing but the machine's figures does."""
        from app.store.watcher import Pace, Watcher

        store = self.store
        if store is None:
            return
        watcher, pace = Watcher(store), Pace(POLL_SECONDS, CALM_POLL_SECONDS)
        while not self._closing.is_set():
            if self._stirred.wait(pace.seconds):
                self._stirred.clear()
                pace.moved()
                self._closing.wait(POLL_SECONDS)
            with contextlib.suppress(Exception):  # a busy store answers the next time
                if found := watcher.poll():
                    if found - {"metrics"}:
                        pace.moved()
                    self.changed.emit(found)

    def stir(self) -> None:
        """Something will change soon: look often for a while."""
        self._stirred.set()

    def submit(self, owner: QObject | None, function: Callable[..., Any], *values: Any, lane: str = "quick",
               key: str = "", done: Callable[[Any], None] | None = None,
               failed: Callable[[NeuroWeaverError], None] | None = None, with_store: bool = True, in_order: bool = False,
               latest: bool = False) -> None:
        """Run ``function(store, *values)`` on a lane; ``done`` or ``failed`` is called here later.

        in_order: it starts when the owner's earlier jobs of this name are through, however many threads the lane has.
        latest: for a question that takes long and is asked again and again: an older one that waits is never begun.
        """
        if self._closing.is_set():
            return
        self._serial += 1
        self._open_jobs += 1
        name = key or f"{function.__module__}.{function.__qualname__}"
        self._newest[id(owner), name] = self._serial
        job = _Job(owner, name, self._serial, function, values, done, failed, with_store, lane if in_order else "", latest)
        if in_order and self._waits(job):
            return
        self._lanes[lane].put(job)

    def _waits(self, job: _Job) -> bool:
        with self._order:
            before = self._behind.get((id(job.owner), job.key))
            if before is None:
                self._behind[id(job.owner), job.key] = deque()
                return False
            before.append(job)
            return True

    def _follow(self, job: _Job) -> None:
        """Start what waited for this job."""
        with self._order:
            line = self._behind[id(job.owner), job.key]
            follower = line.popleft() if line else None
            if follower is None:
                del self._behind[id(job.owner), job.key]
        if follower is not None:
            self._lanes[follower.lane].put(follower)

    def forget(self, owner: QObject, key: str) -> None:
        """An answer that is under way is not wanted any more."""
        self._newest.pop((id(owner), key), None)

    def _run(self, job: _Job) -> None:
        if self._closing.is_set():
            return
        answer, problem = (None, None) if job.latest and self._is_old(job) else self._attempt(job)
        if job.lane:
            self._follow(job)
        with contextlib.suppress(RuntimeError):  # the window is gone
            if not self._closing.is_set():
                self._answer.emit(job, answer, problem)

    def _attempt(self, job: _Job) -> tuple[Any, NeuroWeaverError | None]:
        try:
            return (job.function(self.store, *job.values) if job.with_store else job.function(*job.values)), None
        except NeuroWeaverError as caught:
            return None, caught
        except Exception as caught:  # a mistake in the program: said in words, kept in the details
            return None, unexpected(caught, job.function)

    def _arrive(self, job: _Job, answer: Any, problem: NeuroWeaverError | None) -> None:
        self._arrived.append((job, answer, problem))
        self._turn.start(0)

    def _next(self) -> None:
        """One answer a turn of the event loop: a page that asked for five would be filled in one long go."""
        if len(self._arrived) <= 1:
            self._turn.stop()
        if self._arrived:
            self._deliver(*self._arrived.popleft())

    @property
    def quiet(self) -> bool:
        """Whether every question was answered: what is shown is complete."""
        return self._open_jobs == 0

    def _deliver(self, job: _Job, answer: Any, problem: NeuroWeaverError | None) -> None:
        self._open_jobs -= job.serial > 0
        if self._closing.is_set() or (job.owner is not None and not alive(job.owner)):
            return
        if job.serial and self._is_old(job):
            return
        if problem is not None:
            if job.failed is not None:
                job.failed(problem)
        elif job.done is not None:
            job.done(answer)

    def _is_old(self, job: _Job) -> bool:
        return self._newest.get((id(job.owner), job.key)) != job.serial

    def close(self, seconds: float = 3.0) -> None:
        """No answer arrives after this; threads end, connections close."""
        self._closing.set()
        self._stirred.set()
        self._turn.stop()
        for lane in self._lanes.values():
            lane.close(seconds)
        if self._watch is not None:
            self._watch.join(timeout=seconds)
        if self.store is not None:
            self.store.close()
            self.store = None


def alive(thing: QObject) -> bool:
    """Whether Qt has not deleted the object behind a Python name."""
    return bool(isValid(thing))


def unexpected(caught: Exception, function: Callable[..., Any]) -> NeuroWeaverError:
    """A failure nobody foresaw, as an error a user can read and report."""
    return WorkflowError("window.unexpected", "This part of the window could not do its work.",
                         why=f"{type(caught).__name__} in {function.__module__}.{function.__qualname__}: {caught}",
                         remedy="Try again. If it happens again, copy these details into a report.")


def query(page: Any, function: Callable[..., Any], *values: Any, done: Callable[[Any], None],
          failed: Callable[[NeuroWeaverError], None] | None = None, slow: bool = False, scan: bool = False, key: str = "",
          latest: bool = False) -> None:
    """Read for a page; only the newest answer for this function arrives.

    slow: seconds of work.  scan: one slice of a long walk that asks again and again, which holds up nobody else.
    latest: an older one that waits is never begun.
    """
    page.background.submit(page, function, *values, lane="slow" if slow else "scan" if scan else "quick", key=key, done=done,
                           failed=failed or page.show_error, latest=latest)


def command(page: Any, function: Callable[..., Any], *values: Any, busy: Any = None,
            done: Callable[[Any], None] | None = None,
            failed: Callable[[NeuroWeaverError], None] | None = None) -> None:
    """Change something for a page; ``busy`` (a button, say) is disabled meanwhile.  The store says what changed.

    The same change asked for twice is made twice, in that order.
    """
    if busy is not None:
        busy.setEnabled(False)

    def finish(then: Callable[[Any], None] | None, value: Any) -> None:
        if busy is not None and alive(busy):
            busy.setEnabled(True)
        if then is not None:
            then(value)

    page.background.stir()
    page.background.submit(page, function, *values, lane="slow", in_order=True, done=lambda value: finish(done, value),
                           failed=lambda problem: finish(failed or page.show_error, problem))
