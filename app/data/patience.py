"""Waiting for one long call into a library that knows no progress."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import TypeVar

T = TypeVar("T")
LOOK_SECONDS = 0.25


def patiently(work: Callable[[], T], asked: Callable[[], None]) -> T:
    """What ``work`` returns or raises.  asked: StepContext.check_waiting; what it raises ends the waiting, and the work with the process.

    The work runs in a thread of its own: it must not use a connection of this one.
    """
    made: Future[T] = Future()

    def run() -> None:
        try:
            made.set_result(work())
        except BaseException as problem:  # told to whoever waits
            made.set_exception(problem)

    threading.Thread(target=run, name="patiently", daemon=True).start()
    while True:
        try:
            return made.result(LOOK_SECONDS)
        except NotYet:
            if made.done():  # the work's own
                return made.result()
            asked()
