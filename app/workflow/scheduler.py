"""The scheduler: starts steps whose needs are done, one at a time on the accelerator, and keeps every state honest.

It runs in one thread that lives as long as the service (the workers' death signal hangs on that thread), reads the
store when the watcher says that something changed, and looks at its workers ten times a second.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import orjson

from app.errors import NeuroWeaverError, Place, WorkflowError
from app.store import Store
from app.store.watcher import Pace, Watcher
from app.workflow import registry, states
from app.workflow.attempt import HUNG, LONGEST_STOP_SECONDS, Attempt, start_attempt
from app.workflow.costs import RunCosts
from app.workflow.planning import Plan, plan_step

TICK_SECONDS, REST_SECONDS, CALM_SECONDS = 0.1, 0.25, 0.5
"""Between two looks: while something runs, after a change, and else."""
_FULL_LOOK_SECONDS = 1.0
_log = logging.getLogger(__name__)
Key = tuple[str, str]


class Scheduler:
    """Start with :meth:`start`; :meth:`stop` pauses what runs and waits for it."""

    def __init__(self, store: Store, *, cpu_slots: int | None = None) -> None:
        self._store = store
        self._cpu_slots = cpu_slots or max(2, (os.cpu_count() or 2) // 2)
        self._attempts: dict[Key, Attempt] = {}
        self._plans: dict[Key, tuple[Future[Plan], bool]] = {}
        self._halt = threading.Event()
        self._stopping = False
        self._costs = RunCosts(store)
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="planner")
        self._thread = threading.Thread(target=self._loop, name="scheduler")

    def start(self) -> None:
        """Put what a crash left behind into an honest state, then begin."""
        states.recover(self._store)
        self._thread.start()

    def stop(self, seconds: float = 12.0) -> None:
        """Ask running steps to save and pause, wait for them, kill what does not stop.

        A step that is writing what it has reached is waited for longer, at most LONGEST_STOP_SECONDS in all.
        """
        self._stopping = True
        began = time.monotonic()
        while self._thread.is_alive() and time.monotonic() - began < (LONGEST_STOP_SECONDS if self._saving() else seconds):
            self._thread.join(timeout=TICK_SECONDS)
        self._halt.set()
        self._thread.join()
        self._pool.shutdown(cancel_futures=True)

    def _saving(self) -> bool:
        return any(states.is_saving(self._store, *key) for key in list(self._attempts))

    def _loop(self) -> None:
        watcher, pace = Watcher(self._store), Pace(REST_SECONDS, CALM_SECONDS)
        looked = 0.0
        while not self._halt.is_set() and not (self._stopping and not self._attempts and not self._pending_stop()):
            try:
                now = time.monotonic()
                changed = watcher.poll() & {"runs", "steps", "commands"}
                moved = self._reap() | self._collect_plans()
                if changed or moved:
                    pace.moved()
                if changed or moved or now - looked > _FULL_LOOK_SECONDS:
                    looked = now
                    self._look(now)
            except Exception:
                _log.exception("The scheduler met a fault and goes on.")
                self._halt.wait(1.0)
            self._halt.wait(TICK_SECONDS if self._attempts or self._plans else pace.seconds)
        for attempt in self._attempts.values():
            attempt.process.kill()

    def _pending_stop(self) -> bool:
        """While stopping: whether runs are still marked as running."""
        return self._store.row("SELECT 1 FROM runs WHERE state = 'running'") is not None

    def _look(self, now: float) -> None:
        if self._stopping:
            states.pause_all(self._store)
        self._stop_cancelled(now)
        self._watch(now)
        for run in states.active_runs(self._store):
            steps = states.steps_of(self._store, run["id"])
            busy = any(key[0] == run["id"] for key in self._attempts)
            if states.settle(self._store, run, steps, busy):
                self._costs.close(run["id"])
            elif not run["cancel"] and not self._stopping:
                self._start_ready(run, steps)
        self._costs.tick({(a.run, a.step): a.began for a in self._attempts.values()})

    # starting

    def _start_ready(self, run: dict[str, Any], steps: list[dict[str, Any]]) -> None:
        if any(step["state"] in ("failed", "paused", "cancelled") for step in steps):
            return
        done = {step["id"] for step in steps if step["state"] == "done"}
        for step in steps:
            key = (run["id"], step["id"])
            waits = set(orjson.loads(step["needs"])) - done
            if step["state"] == "queued" and not waits and key not in self._plans and key not in self._attempts:
                self._begin(run, step, key)

    def _begin(self, run: dict[str, Any], step: dict[str, Any], key: Key) -> None:
        try:
            accelerator = registry.find(step["node"]).accelerator
        except NeuroWeaverError as problem:
            states.fail_step(self._store, *key, problem)
            return
        taken = [held for _, held in self._plans.values()] + [a.accelerator for a in self._attempts.values()]
        if (any(taken) if accelerator else taken.count(False) >= self._cpu_slots):
            return
        states.mark_running(self._store, run["id"])
        self._plans[key] = (self._pool.submit(plan_step, self._store, *key), accelerator)

    def _collect_plans(self) -> bool:
        ready = [(key, future, accelerator) for key, (future, accelerator) in self._plans.items() if future.done()]
        for key, future, accelerator in ready:
            del self._plans[key]
            try:
                self._carry_out(key, future.result(), accelerator)
            except NeuroWeaverError as problem:
                states.fail_step(self._store, *key, problem)
            except OSError as problem:
                states.pause_step(self._store, *key, _folder_fault(self._store, key, problem))
        return bool(ready)

    def _carry_out(self, key: Key, plan: Plan, accelerator: bool) -> None:
        if self._stopping or not states.still_wanted(self._store, *key):
            return
        states.note_plan(self._store, *key, plan.hash, plan.fingerprint)
        if plan.cached is not None:
            states.finish_from_cache(self._store, *key, plan.cached)
            return
        number = states.next_attempt(self._store, *key)
        self._attempts[key] = start_attempt(self._store, *key, number, accelerator)

    # watching and stopping

    def _reap(self) -> bool:
        gone = [key for key, attempt in self._attempts.items() if attempt.ended()]
        for key in gone:
            attempt = self._attempts.pop(key)
            states.close_attempt(self._store, attempt)
            self._costs.charge(attempt.run, attempt.step, time.monotonic() - attempt.began)
        return bool(gone)

    def _watch(self, now: float) -> None:
        for attempt in self._attempts.values():
            news = attempt.watch(states.heartbeat(self._store, attempt.run, attempt.step), now)
            if news == "hung":
                states.flag(self._store, attempt, f"{HUNG} {attempt.silence:.0f} s")
            elif news == "back":
                states.unflag(self._store, attempt)

    def _stop_cancelled(self, now: float) -> None:
        wanted = {row["id"]: row["cancel"] for row in self._store.rows("SELECT id, cancel FROM runs WHERE cancel IS NOT NULL")}
        for key, attempt in self._attempts.items():
            mode = wanted.get(key[0]) or ("discard" if states.run_failed(self._store, key[0]) else None)
            if mode is not None:
                saving = mode != "discard" and states.is_saving(self._store, *key)
                attempt.stop(mode, saving, now)


def _folder_fault(store: Store, key: Key, problem: OSError) -> WorkflowError:
    return WorkflowError("worker.volume_gone", "The run is paused: its folder cannot be written.",
                         where=Place.of(store.profile.step_folder(*key)), why=f"{problem.strerror or problem}.",
                         remedy="Connect the volume again or free some space, then resume the run.")
