"""The window's line to the service: find the one that runs, start one if none does, end it when the window closes.

The service is a process of its own that outlives the window when the user wishes; a new window finds it again through
its ``service.json`` (pid and start time), so nothing is started twice.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.errors import Place, WorkflowError
from app.store.profile import project_dir

if TYPE_CHECKING:
    from app.config.presence import Presence
    from app.store import Store

START_SECONDS = 30.0
_POLL = 0.1


def attach(store: Store) -> Presence:
    """The running service of this profile; started if there is none.

    Raises WorkflowError service.not_started with the end of its log when it does not come up.
    """
    from app.config.presence import FOUND_ANOTHER, find_service

    found = find_service(store.profile)
    if found is not None:
        return found
    log = store.profile.logs / "service.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, str(project_dir() / "main.py"), "service"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=output, cwd=project_dir(), **_own_group())
    limit = time.monotonic() + START_SECONDS
    while time.monotonic() < limit:
        if (found := find_service(store.profile)) is not None:
            return found
        if process.poll() not in (None, FOUND_ANOTHER):
            break
        time.sleep(_POLL)
    raise WorkflowError("service.not_started", "The service that does the work did not start.", where=Place.of(log),
                        why=_last_line(log), remedy="Try again; main.py doctor says what is missing on this computer.")


def _own_group() -> dict[str, Any]:
    from app.config.subprocess_tools import group_options

    return group_options()


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:400] if lines else ""


def work_running(store: Store) -> int:
    """How many runs are queued or running."""
    found = store.row("SELECT count(*) AS n FROM runs WHERE state IN ('queued', 'running')")
    return int(found["n"]) if found else 0


def stop(store: Store) -> None:
    """End the service: it asks running work to save and pause, then goes.  Killed if it takes too long."""
    import psutil

    from app.config.presence import find_service
    from app.workflow.follow import STOP_SECONDS

    found = find_service(store.profile)
    if found is None:
        return
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(found.pid)
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()


def rail_marks(store: Store) -> dict[str, tuple[str, str]]:
    """The rail's marks; the endpoint is on only while the service answers."""
    from app.config.presence import find_service
    from app.workflow import views

    marks = views.rail_marks(store)
    found = find_service(store.profile)
    if found is None or found.base_url is None:
        marks.pop("endpoint", None)
    return marks


@dataclass(frozen=True, slots=True)
class AtClose:
    """What decides how the window closes.  keep: the user wants the endpoint to go on."""

    running: int
    keep: bool


def state_at_close(store: Store) -> AtClose:
    """Work that runs, and the setting."""
    from app.store import settings

    return AtClose(work_running(store), bool(settings.get(store, "keep_serving_after_close")))


def settle(store: Store, geometry: str, page: str, splits: dict[str, list[int]], stop_service: bool) -> None:
    """Keep the window's place, page and parts; end the service if asked, which saves running work first."""
    from app.store import settings

    for key, value in (("window.geometry", geometry), ("window.page", page), ("window.splits", splits)):
        settings.put(store, key, value)
    if stop_service:
        stop(store)
