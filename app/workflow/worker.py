"""The step worker: ``python -m app.workflow.worker``, one process for one attempt at one step.

It reads one JSON line from standard input (:class:`Assignment`); the pipe then stays open as the lifeline.
It writes its own result to the store, so that nothing acknowledged depends on the service being alive.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from app.config import offline
from app.config.artifacts import Artifact, load_artifact
from app.config.node import NodeClass
from app.config.subprocess_tools import die_with_parent, guard_group, hold_lifeline, stand_back
from app.errors import Cancelled, NeuroWeaverError, Place, WorkflowError
from app.store import Profile, Store
from app.store.key import CatalogueKey
from app.store.series import SeriesWriter
from app.workflow import registry
from app.workflow.context import Signs, WorkerContext
from app.workflow.pulse import Pulse

BEHIND = 5
"""Niceness: the window and the endpoint go before training."""
_VOLUME_ERRORS = {errno.ENOSPC, errno.EIO, errno.EROFS, errno.ENODEV, errno.ENXIO, errno.EDQUOT}


@dataclass(frozen=True)
class Assignment:
    """What the scheduler tells a worker.  ``key`` is the catalogue's key in hex; it goes through the pipe only."""

    profile: str
    key: str
    run: str
    step: str
    attempt: int
    parent: int

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"


def main() -> None:
    """Read the assignment, do it, write the result, end."""
    pipe = _private_stdin()
    assignment = Assignment(**json.loads(pipe.readline()))
    die_with_parent(assignment.parent)
    guard_group(pipe.fileno())
    hold_lifeline(pipe)
    stand_back(BEHIND)
    store = Store.open(Profile(Path(assignment.profile)), key=CatalogueKey(bytes.fromhex(assignment.key), "file"),
                       migrate=False)
    _Attempt(store, assignment).carry_out()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # a library's forgotten thread must not keep a finished step alive


def _private_stdin() -> IO[bytes]:
    """Move the pipe out of the way, so that node code and its children cannot read from it."""
    private = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return os.fdopen(private, "rb", buffering=0)


def _network(node: str) -> offline.Need:
    try:
        return registry.find(node).network
    except NeuroWeaverError:  # told when the step's work begins
        return "none"


class _Attempt:
    def __init__(self, store: Store, assignment: Assignment) -> None:
        self._store, self._given = store, assignment
        self._folder = store.profile.step_folder(assignment.run, assignment.step)
        self._signs = Signs()
        row = store.row("SELECT * FROM steps WHERE run = ? AND id = ?", (assignment.run, assignment.step))
        run = store.row("SELECT * FROM runs WHERE id = ?", (assignment.run,))
        if row is None or run is None:
            raise SystemExit("The step is not in the store.")
        self._row, self._run_row = row, run
        offline.begin(f"step {assignment.step}", _network(row["node"]))

    def carry_out(self) -> None:
        pulse = Pulse(self._store, self._given.run, self._given.step, self._signs)
        pulse.start()
        fields: dict[str, Any]
        with SeriesWriter(self._store, self._given.run, self._given.step) as series:
            try:
                fields = {"state": "done", "outputs": self._work(series), "progress": 1.0}
            except Cancelled:
                fields = self._stopped()
            except NeuroWeaverError as problem:
                fields = self._failed(problem)
            except BaseException as problem:
                traceback.print_exc()
                fields = self._failed(_as_error(self._given.step, problem), problem)
        pulse.stop()
        self._record(fields)

    def _work(self, series: SeriesWriter) -> str:
        node_class = registry.find(self._row["node"])
        params = node_class.params_model.model_validate(orjson.loads(self._row["params"]))
        resolved = orjson.loads(self._run_row["resolved"])
        context = WorkerContext(
            self._store, self._given.run, self._given.step, seed=self._run_row["seed"],
            base_model=resolved.get("base_model") or "", folder=self._folder,
            inputs=read_inputs(self._store, self._given.run, orjson.loads(self._row["bindings"])),
            series=series, signs=self._signs)
        outputs = _checked(node_class, node_class(params).run(context))
        return orjson.dumps({name: made.model_dump(mode="json") for name, made in outputs.items()}).decode()

    def _stopped(self) -> dict[str, Any]:
        mode = self._signs.cancel
        if mode == "discard":
            shutil.rmtree(self._folder / "work", ignore_errors=True)
        return {"state": "paused" if mode == "pause" else "cancelled"}

    def _failed(self, error: NeuroWeaverError, cause: BaseException | None = None) -> dict[str, Any]:
        gone = _volume_gone(self._folder, cause)
        return {"state": "paused" if gone else "failed", "why": orjson.dumps((gone or error).as_record()).decode()}

    def _record(self, fields: dict[str, Any]) -> None:
        fields = fields | {"ended": time.time(), "eta": None, "flagged": None}
        sets = ", ".join(f"{name} = :{name}" for name in fields)
        key = {"r": self._given.run, "s": self._given.step, "a": self._given.attempt}
        with self._store.write() as db:
            done = db.execute(f"UPDATE steps SET {sets} WHERE run = :r AND id = :s AND attempt = :a "
                              "AND state = 'running'", fields | key)
            keep = fields["state"] == "done" and self._row["hash"] and not self._signs.cancel_seen
            if done.rowcount and keep and registry.find(self._row["node"]).cacheable:
                db.execute("INSERT OR REPLACE INTO step_cache (hash, run, step, outputs, created) VALUES (?,?,?,?,?)",
                           (self._row["hash"], key["r"], key["s"], fields["outputs"], time.time()))


def read_inputs(store: Store, run: str, bindings: Mapping[str, list[str]]) -> dict[str, Artifact]:
    """The artifacts on a step's input ports.  bindings: port → [step, output]."""
    inputs: dict[str, Artifact] = {}
    for port, (source, output) in bindings.items():
        row = store.row("SELECT outputs FROM steps WHERE run = ? AND id = ?", (run, source))
        made = orjson.loads(row["outputs"] or "{}") if row else {}
        inputs[port] = load_artifact(made[output])
    return inputs


def _checked(node_class: NodeClass, outputs: Mapping[str, Artifact]) -> dict[str, Artifact]:
    for name, kind in node_class.outputs.items():
        if not isinstance(outputs.get(name), kind):
            raise WorkflowError("worker.bad_output", f"The node {node_class.name} gave no {kind.type_name()} on its "
                                f"output {name!r}.", remedy="This is a fault of the node: report it to its author.")
    return {name: outputs[name] for name in node_class.outputs}


def _as_error(step: str, problem: BaseException) -> NeuroWeaverError:
    if isinstance(problem, MemoryError):
        return WorkflowError("worker.out_of_memory", f"Step {step!r} failed: memory ran out.", why=f"{problem}".strip(),
                             remedy="Use a smaller batch, shorter rows or a smaller model; then resume the run.")
    return WorkflowError("worker.node_error", f"Step {step!r} failed.", why=f"{type(problem).__name__}: {problem}",
                         remedy="The step's output holds the details. Resume the run to try again.")


def _volume_gone(folder: Path, cause: BaseException | None) -> WorkflowError | None:
    """The failure of the place where results go, if that is what is wrong: such a step pauses and can go on."""
    number = cause.errno if isinstance(cause, OSError) else None
    try:
        probe = folder / ".probe"
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
        if number not in _VOLUME_ERRORS:
            return None
        why = os.strerror(number or 0)
    except OSError as problem:
        why = problem.strerror or str(problem)
    return WorkflowError("worker.volume_gone", "The run is paused: its folder cannot be written.",
                         where=Place.of(folder), why=f"{why}.",
                         remedy="Connect the volume again or free some space, then resume the run.")


if __name__ == "__main__":
    main()
