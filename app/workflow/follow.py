"""Follow a run from the command line: find or start the service, tell what happens in plain words."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from app.config.presence import FOUND_ANOTHER, Presence, find_service
from app.config.subprocess_tools import start_child
from app.config.verdicts import margin, score
from app.errors import Place, WorkflowError, as_installed
from app.store import Store, settings
from app.store.profile import project_dir
from app.store.watcher import Watcher
from app.workflow import runs, states
from app.workflow.attempt import LONGEST_STOP_SECONDS

START_SECONDS = 40.0
STOP_SECONDS = LONGEST_STOP_SECONDS + 10.0  # the service waits for a step that saves, then closes what else it has open
TELL_SECONDS = 5.0
Say = Callable[[str], None]
_VERDICTS = {"better": "Better", "worse": "Worse", "no_difference": "No difference shown"}


class Keeper:
    """A service that this process started, or found (then ``process`` is None and it is left alone)."""

    def __init__(self, presence: Presence, process: Any) -> None:
        self.presence, self._process = presence, process

    def wait(self, say: Say) -> None:
        """Serve until Ctrl+C, SIGTERM or the service's end."""
        sigterm_as_interrupt()
        say(f"Serving at {self.presence.base_url}. Ctrl+C ends it.")
        with contextlib.suppress(KeyboardInterrupt):
            while self._process is None or self._process.poll() is None:
                time.sleep(0.5)

    def wait_for_others(self, store: Store, say: Say) -> None:
        """Keep a service of ours up while runs of other commands go on in it: stopping it would pause them."""
        told = self._process is None
        with contextlib.suppress(KeyboardInterrupt):
            while self._process is not None and self._process.poll() is None and (others := _unfinished(store)):
                if not told:
                    say(f"This command ends with run {', '.join(others)}, which its service carries out. Ctrl+C pauses it.")
                    told = True
                time.sleep(0.5)

    def farewell(self, number: int) -> str:
        """What to tell a user who stops following run ``number``."""
        if self._process is None:
            return as_installed(f"The run goes on in the background. Stop it with: main.py cancel {number}")
        return as_installed(f"Saving and stopping. Go on later with: main.py resume {number}")

    def stop(self) -> None:
        """End it if it is ours; running work saves and pauses."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        with contextlib.suppress(Exception):
            self._process.wait(STOP_SECONDS)
        if self._process.poll() is None:
            self._process.kill()


def _unfinished(store: Store) -> list[str]:
    return [str(row["number"]) for row in store.rows("SELECT number FROM runs WHERE state IN ('queued', 'running') ORDER BY number")]


def sigterm_as_interrupt() -> None:
    """Let SIGTERM end a command as Ctrl+C does, so that its service is stopped in order."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


@contextlib.contextmanager
def service_for(store: Store) -> Iterator[Keeper]:
    """The profile's running service, else one for the time of the block."""
    found = find_service(store.profile)
    if found is not None:
        yield Keeper(found, None)
        return
    log = store.profile.logs / "service.log"
    with log.open("ab") as output:
        process = start_child(
            [sys.executable, project_dir() / "main.py", "service"], need="loopback", cwd=project_dir(), stdout=output, stderr=output
        )
    found = _await_start(store, process, log)
    keeper = Keeper(found, process if process.poll() is None else None)  # two commands began at once: the other's service is up
    try:
        yield keeper
    finally:
        keeper.stop()


def _await_start(store: Store, process: Any, log: Any) -> Presence:
    limit = time.monotonic() + START_SECONDS
    while time.monotonic() < limit:
        found = find_service(store.profile)
        if found is not None and (found.base_url is not None or not settings.get(store, "endpoint.enabled")):
            return found
        if process.poll() not in (None, FOUND_ANOTHER):
            break
        time.sleep(0.1)
    if (found := find_service(store.profile)) is not None:  # its endpoint is late; runs do not need it
        return found
    process.kill()
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    raise WorkflowError(
        "service.not_started",
        "The service that does the work did not start.",
        where=Place.of(log),
        why=lines[-1][:400] if lines else "",
        remedy="main.py doctor says what is missing on this machine.",
    )


def follow(store: Store, run: str, say: Say) -> str:
    """Tell progress until the run has ended or paused; returns its state."""
    watcher, told, last = Watcher(store), _Told(), 0.0
    while True:
        row = store.row("SELECT * FROM runs WHERE id = ?", (run,)) or {"state": "cancelled"}
        steps = states.steps_of(store, run)
        told.tell(store, run, steps, say, progress=time.monotonic() - last > TELL_SECONDS)
        if time.monotonic() - last > TELL_SECONDS:
            last = time.monotonic()
        if row["state"] not in ("queued", "running"):
            return str(row["state"])
        if find_service(store.profile) is None:  # it was killed: say so instead of waiting for ever
            runs.reconcile(store)
            told.tell(store, run, states.steps_of(store, run), say, progress=False)
            return str(runs.find_run(store, run)["state"])
        for _ in range(10):
            time.sleep(0.1)
            if watcher.poll() & {"runs", "steps", "events"}:
                break


class _Told:
    """What has been said already."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._event = 0
        self._line = ""

    def tell(self, store: Store, run: str, steps: list[dict[str, Any]], say: Say, *, progress: bool) -> None:
        """Say what is new."""
        for event in store.rows("SELECT id, message, level FROM events WHERE run = ? AND id > ? ORDER BY id", (run, self._event)):
            self._event = event["id"]
            say(f"    {event['message']}")
        for step in steps:
            if self._states.get(step["id"]) != step["state"]:
                self._states[step["id"]] = step["state"]
                if step["state"] not in ("queued",):
                    took = f", {step['ended'] - step['started']:.0f} s" if step["state"] == "done" and step["ended"] else ""
                    say(f"  {step['title']}: {'taken from an earlier run' if step['cached'] else step['state']}{took}")
        running = next((step for step in steps if step["state"] == "running"), None)
        if progress and running is not None:
            left = f", about {running['eta'] / 60:.0f} min left" if running["eta"] and running["eta"] > 50 else ""
            line = f"    {running['title']}, {100 * running['progress']:.0f} %: {running['message'] or ''}{left}"
            if line != self._line:
                self._line = line
                say(line)


def summary_lines(store: Store, result: dict[str, Any]) -> list[str]:
    """A run's result in plain words."""
    lines = [f"Run {result['run']}: {result['state']} in {result['seconds'] / 60:.1f} min"]
    if found := result.get("evaluation"):
        metric = found.get("metric", "")
        lines.append(
            f"{_VERDICTS.get(found['verdict'], found['verdict'])}: {margin(metric, found['difference'], *found['interval'])}; "
            f"tuned {score(metric, found['tuned'])}, base {score(metric, found['base'])}"
        )
        lines += _arms(store, result["run"])
    if model := result.get("model"):
        lines.append(f"Model {model['id']}: {model['path']}")
    if endpoint := result.get("endpoint"):
        row = store.row("SELECT key FROM api_keys WHERE revoked IS NULL ORDER BY created DESC LIMIT 1")
        key = row["key"] if row else "KEY"
        lines += [
            "",
            f"curl {endpoint['base_url']}/chat/completions -H 'Authorization: Bearer {key}' \\",
            f'  -H \'Content-Type: application/json\' -d \'{{"model": "{endpoint["model"]}", '
            '"messages": [{"role": "user", "content": "Hello"}]}\'',
        ]
    if error := result.get("error"):
        place = str(Place(*(error.get(key) for key in ("file", "line", "column", "field"))))
        lines.append(" ".join(part for part in (f"{place}:" if place else "", error["message"], error.get("hint", "")) if part))
    return lines


def _arms(store: Store, run: str) -> list[str]:
    import orjson

    row = store.row("SELECT metric, report FROM evaluations WHERE run = ? ORDER BY id DESC LIMIT 1", (run,))
    if row is None:
        return []
    report = orjson.loads(row["report"])
    lines = [f"  {arm['label']:36} {score(row['metric'], arm['score']):>5}" for arm in report.get("table", ())]
    said = [*report.get("behaviour", {}).get("sentences", ()), *report.get("notes", ())]
    return lines + [f"  {sentence}" for sentence in said]
