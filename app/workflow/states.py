"""Every change of a run's or step's state, as one small transaction each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from app.config.subprocess_tools import is_alive, kill_tree
from app.errors import NeuroWeaverError, WorkflowError
from app.store import Store

if TYPE_CHECKING:
    from app.workflow.attempt import Attempt

ENDED = ("failed", "cancelled", "done")
Row = dict[str, Any]


def active_runs(store: Store) -> list[Row]:
    """Runs that want something done, the most urgent first, then the oldest."""
    return store.rows("SELECT * FROM runs WHERE state IN ('queued', 'running') ORDER BY priority DESC, number")


def steps_of(store: Store, run: str) -> list[Row]:
    """The steps of a run in their order."""
    return store.rows("SELECT * FROM steps WHERE run = ? ORDER BY position", (run,))


def event(store: Store, run: str, step: str | None, message: str, level: str = "info", kind: str = "state") -> None:
    """Say something a user should read about a run."""
    store.db.execute("INSERT INTO events (at, run, step, level, kind, message) VALUES (?,?,?,?,?,?)",
                     (time.time(), run, step, level, kind, message))


def _set_step(store: Store, run: str, step: str, fields: Mapping[str, Any], only: str = "1") -> bool:
    sets = ", ".join(f"{name} = :{name}" for name in fields)
    sql = f"UPDATE steps SET {sets} WHERE run = :run_ AND id = :step_ AND {only}"
    return bool(store.db.execute(sql, {**fields, "run_": run, "step_": step}).rowcount)


def mark_running(store: Store, run: str) -> None:
    """The run's first step is about to start."""
    store.db.execute("UPDATE runs SET state = 'running', started = coalesce(started, ?), why = NULL "
                     "WHERE id = ? AND state = 'queued'", (time.time(), run))


def still_wanted(store: Store, run: str, step: str) -> bool:
    """Whether a planned step is still to be started: nobody cancelled meanwhile."""
    return store.row("SELECT 1 FROM steps s JOIN runs r ON r.id = s.run WHERE s.run = ? AND s.id = ? "
                     "AND s.state = 'queued' AND r.state = 'running' AND r.cancel IS NULL", (run, step)) is not None


def note_plan(store: Store, run: str, step: str, key: str | None, fingerprint: str) -> None:
    """Keep the step's hash and the fingerprint of its outside sources."""
    _set_step(store, run, step, {"hash": key, "fingerprint": fingerprint})


def finish_from_cache(store: Store, run: str, step: str, outputs: str) -> None:
    """The step's result is known from an equal step."""
    now = time.time()
    with store.write():
        _set_step(store, run, step, {"state": "done", "cached": 1, "outputs": outputs, "progress": 1.0, "started": now,
                                     "ended": now, "why": None, "message": "taken from an earlier equal step"})
        event(store, run, step, "Nothing changed since an earlier run: its result is used again.", "good", "cached")


def next_attempt(store: Store, run: str, step: str) -> int:
    """Number of the attempt about to start, from 1."""
    row = store.row("SELECT attempt FROM steps WHERE run = ? AND id = ?", (run, step))
    return int(row["attempt"]) + 1 if row else 1


def fail_step(store: Store, run: str, step: str, error: NeuroWeaverError) -> None:
    """A step failed before or without its worker."""
    _end_step(store, run, step, "failed", error)


def pause_step(store: Store, run: str, step: str, error: NeuroWeaverError) -> None:
    """A step waits for something the user must put right."""
    _end_step(store, run, step, "paused", error)


def _end_step(store: Store, run: str, step: str, state: str, error: NeuroWeaverError) -> None:
    why = orjson.dumps(error.as_record()).decode()
    mark_running(store, run)
    _set_step(store, run, step, {"state": state, "why": why, "ended": time.time(), "eta": None})


def heartbeat(store: Store, run: str, step: str) -> float | None:
    """When the worker last showed life (Unix seconds)."""
    row = store.row("SELECT heartbeat FROM steps WHERE run = ? AND id = ?", (run, step))
    return row["heartbeat"] if row else None


def is_saving(store: Store, run: str, step: str) -> bool:
    """Whether the node has seen the request to stop and is keeping what was reached."""
    row = store.row("SELECT stopping FROM steps WHERE run = ? AND id = ?", (run, step))
    return bool(row and row["stopping"])


def run_failed(store: Store, run: str) -> bool:
    """Whether another step of the run failed, so that the rest need not go on."""
    return store.row("SELECT 1 FROM steps WHERE run = ? AND state = 'failed'", (run,)) is not None


def flag(store: Store, attempt: Attempt, text: str) -> None:
    """Mark a step as hung."""
    with store.write():
        if _set_step(store, attempt.run, attempt.step, {"flagged": text}, "state = 'running'"):
            event(store, attempt.run, attempt.step, f"The step is {text}. It can be cancelled.", "warning", "hung")


def unflag(store: Store, attempt: Attempt) -> None:
    """A hung step goes on."""
    with store.write():
        _set_step(store, attempt.run, attempt.step, {"flagged": None})
        event(store, attempt.run, attempt.step,
              f"The step goes on after {attempt.silence:.0f} s without a sign of life; the machine may have slept.",
              "info", "heartbeat")


def close_attempt(store: Store, attempt: Attempt) -> None:
    """The worker has ended; if it left no result, say why."""
    mode = attempt.cancel_mode
    state = {None: "failed", "pause": "paused"}.get(mode, "cancelled")
    why = orjson.dumps(attempt.explanation()).decode() if state == "failed" else None
    _set_step(store, attempt.run, attempt.step,
              {"state": state, "why": why, "ended": time.time(), "eta": None, "flagged": None}, "state = 'running'")


def settle(store: Store, run: Row, steps: list[Row], busy: bool) -> bool:
    """Give the run the state that its steps add up to.  busy: a worker of it still lives.  True when it ended or paused."""
    found = {step["state"] for step in steps}
    failed = next((step for step in steps if step["state"] == "failed"), None)
    if failed is not None:
        return _end_run(store, run, "failed", failed["why"], keep_open=busy)
    if busy or "running" in found:
        return False
    if run["cancel"]:
        return _end_run(store, run, "paused" if run["cancel"] == "pause" else "cancelled", run["why"])
    if found <= {"done"}:
        return _end_run(store, run, "done", None)
    if "paused" in found:
        return _end_run(store, run, "paused", next(step["why"] for step in steps if step["state"] == "paused"))
    return _end_run(store, run, "cancelled", None) if "cancelled" in found else False


_WORDS = {"done": ("The run is done.", "good"), "failed": ("The run failed.", "error"),
          "paused": ("The run is paused; it can be resumed.", "info"), "cancelled": ("The run was cancelled.", "info")}


def _end_run(store: Store, run: Row, state: str, why: str | None, *, keep_open: bool = False) -> bool:
    """Set the final state at once; keep_open: workers are still being stopped, so the run stays in sight."""
    with store.write() as db:
        if state in ("failed", "cancelled"):
            db.execute("UPDATE steps SET state = 'cancelled' WHERE run = ? AND state IN ('queued', 'paused')", (run["id"],))
        if keep_open:
            return False
        db.execute("UPDATE runs SET state = ?, why = ?, ended = ?, cancel = NULL WHERE id = ?",
                   (state, why, time.time(), run["id"]))
        message, level = _WORDS[state]
        event(store, run["id"], None, message, level)
    return True


def pause_all(store: Store) -> None:
    """The service stops: ask every running run to save and pause."""
    why = orjson.dumps(_interrupted("The service was stopped.").as_record()).decode()
    store.db.execute("UPDATE runs SET cancel = 'pause', why = ? WHERE state = 'running' AND cancel IS NULL", (why,))


def _interrupted(why: str) -> WorkflowError:
    return WorkflowError("run.interrupted", "The run was interrupted.", why=why,
                         remedy="Resume it: finished steps are kept, and training goes on from its last checkpoint.")


def recover(store: Store) -> list[str]:
    """Put runs that a dead service left as running into an honest state; returns their ids.

    Call it only while no service lives.  A worker of theirs that is still dying is killed, recognised by pid and start
    time: a stranger with a reused pid is left alone.
    """
    for step in store.rows("SELECT * FROM steps WHERE state = 'running'"):
        if is_alive(step["pid"], step["pid_started"]):
            kill_tree(step["pid"], started=step["pid_started"])
    why = orjson.dumps(_interrupted("The service ended before the run was finished.").as_record()).decode()
    with store.write() as db:
        lost = [row["id"] for row in store.rows("SELECT id FROM runs WHERE state = 'running'")]
        db.execute("UPDATE steps SET state = 'queued', flagged = NULL, eta = NULL WHERE state = 'running'")
        for run in lost:
            db.execute("UPDATE runs SET state = CASE WHEN cancel IN ('save', 'discard') THEN 'cancelled' ELSE 'paused' END, "
                       "why = ?, ended = ?, cancel = NULL WHERE id = ?", (why, time.time(), run))
            event(store, run, None, "The run was interrupted; it can be resumed.", "warning", "interrupted")
    return lost
