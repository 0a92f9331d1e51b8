"""Runs as users handle them: submit, cancel, resume, look at the result.  The window, the command line and HTTP call these."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

from app.config.artifacts import load_artifact
from app.config.document import Checked, Document, check, find_document, load, load_text
from app.config.kit_folders import identity_of, needs_data
from app.config.node import NodeClass
from app.config.presence import find_service
from app.config.yaml_source import parse, read_text
from app.errors import ConfigError, Place, UsageError, WorkflowError, from_record
from app.store import Store
from app.workflow import registry, states
from app.workflow.graph import Step, bind, order
from app.workflow.planner import missing

PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "bitsandbytes",
    "accelerate",
    "llama-cpp-python",
    "xllamacpp",
    "safetensors",
    "sqlcipher3",
    "numpy",
)
CANCEL_MODES = ("save", "discard", "pause")


def submit(
    store: Store,
    source: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    environment: str | None = None,
    data: str | Path | None = None,
) -> str:
    """Check a kit or a workflow file and queue its run; returns the run's id.  Nothing is queued if it has a fault.

    data: the user's own file, for a kit that carries no rows.  Raises UsageError kit.needs_data, kit.has_data; ConfigError or
    ModelFileError for a base model that is not there or cannot be trained.
    """
    file = find_document(str(source))
    given = {**_own_data(file, overrides or {}, data), **(overrides or {})}
    document = load(file, registry.find, overrides=given, environment=environment)
    _check_base(store, document)
    return queue(store, document)


def submit_with_data(store: Store, source: str, data: str) -> str:
    """Queue the run of a kit that asks for the user's own file."""
    return submit(store, source, data=data)


def _own_data(file: Path, overrides: Mapping[str, Any], data: str | Path | None) -> dict[str, str]:
    """The parameters that the user's file fills."""
    content = parse(read_text(file), file, []).value  # its faults are told by load(), all together
    asked = [name for name in needs_data(content if isinstance(content, dict) else {}) if name not in overrides]
    if data is None and asked:
        raise UsageError(
            "kit.needs_data",
            "This kit carries no rows: it needs a file of yours.",
            where=Place.of(field=asked[0]),
            remedy=f"Choose a file, or: main.py run {file.parent.name} --data FILE",
        )
    if data is not None and not asked:
        raise UsageError(
            "kit.has_data", "This workflow brings its own data.", where=Place.of(field="data"), remedy="Run it without a file."
        )
    return {name: str(Path(data).expanduser().resolve()) for name in asked} if data is not None else {}


def submit_text(store: Store, text: str, name: str = "", *, path: str = "") -> str:
    """The same for a text; ``path`` says where it belongs, for relative paths."""
    document = load_text(text, registry.find, path=Path(path) if path else None)
    return queue(store, document, name=name)


def check_text(text: str, path: str = "") -> Checked:
    """Check a text as ``submit_text`` would, without queueing; its graph, once the rest is sound."""
    found = check(text, registry.find, path=Path(path) if path else None)
    if found.document is None:
        return found
    try:
        _graph(found.document)
    except ConfigError as fault:
        return Checked(found.name, fault=fault)
    return found


def _graph(document: Document) -> tuple[list[str], dict[str, Step], dict[str, NodeClass], dict[str, dict[str, tuple[str, str]]]]:
    steps = {
        spec.id: Step(spec.id, spec.node, spec.needs, spec.inputs, spec.params, spec.title) for spec in document.steps.values()
    }
    classes = {name: registry.find(step.node) for name, step in steps.items()}
    try:
        return order(steps), steps, classes, bind(steps, classes)
    except ConfigError as fault:
        fault.where = document.place(tuple((fault.where.field or "").split(".")))
        raise


def _check_base(store: Store, document: Document) -> None:
    """Raises what resolve_base raises, with the line that names the base model: each step needs it, the first one too."""
    if not (name := document.resolved.get("base_model")):
        return
    from app.config.models import resolve_base

    try:
        resolve_base(store, name)
    except ConfigError as fault:
        fault.where = document.place(("base_model",))
        raise


def queue(store: Store, document: Document, *, name: str = "") -> str:
    """Write run and steps as queued."""
    names, steps, _, bindings = _graph(document)
    run, kit = "run_" + secrets.token_hex(6), identity_of(document.kit)
    with store.write() as db:
        number = db.execute("SELECT coalesce(max(number), 0) + 1 FROM runs").fetchone()[0]
        db.execute(
            "INSERT INTO runs (id, number, name, kit, document, document_hash, resolved, state, seed, machine, packages, created, "
            "kit_version, kit_hash) VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?)",
            (
                run,
                number,
                name or document.name,
                document.kit or None,
                document.text,
                document.hash,
                orjson.dumps(document.resolved).decode(),
                document.seed,
                orjson.dumps(machine()).decode(),
                orjson.dumps(packages()).decode(),
                time.time(),
                kit.version if kit else None,
                kit.hash if kit else None,
            ),
        )
        for position, step_id in enumerate(names):
            step = steps[step_id]
            waits = {*step.needs, *(source for source, _ in bindings[step_id].values())}
            db.execute(
                "INSERT INTO steps (run, id, position, node, title, needs, params, bindings, state) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'queued')",
                (
                    run,
                    step_id,
                    position,
                    step.node,
                    step.title,
                    orjson.dumps(sorted(waits)).decode(),
                    orjson.dumps(dict(step.params)).decode(),
                    orjson.dumps(bindings[step_id]).decode(),
                ),
            )
        states.event(store, run, None, f"{document.name} waits for its turn.")
    return run


def machine() -> dict[str, Any]:
    """What the run will say of the computer it ran on."""
    from app.training.hardware import probe

    found = probe()
    return {
        "cores": found.cores,
        "memory_mb": round(found.memory_total / 2**20),
        "processor": found.processor,
        "gpus": [gpu.name for gpu in found.gpus],
        **({"gpu_memory_mb": round(found.gpus[0].total / 2**20)} if found.gpus else {}),
    }


def packages() -> dict[str, str]:
    """Versions of the packages that decide a result; what is not installed is left out."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def find_run(store: Store, run: str | None) -> dict[str, Any]:
    """A run by id or number; the newest if none is named.  Raises UsageError."""
    if run is None:
        row = store.row("SELECT * FROM runs ORDER BY number DESC LIMIT 1")
    else:
        row = store.row("SELECT * FROM runs WHERE id = ? OR CAST(number AS TEXT) = ?", (run, run))
    if row is None:
        raise UsageError(
            "run.unknown",
            f"There is no run {run!r}." if run else "Nothing has run yet.",
            remedy="The newest one is told by: main.py status" if run else "Start one with: main.py run legal",
        )
    return row


def reconcile(store: Store) -> None:
    """Put what a dead service left as running into an honest state; nothing while a service lives or starts."""
    if find_service(store.profile) is not None:
        return
    lock = FileLock(store.profile.home / "service.lock")
    with contextlib.suppress(Timeout), lock.acquire(timeout=0):
        states.recover(store)


def cancel(store: Store, run: str, mode: str = "save") -> None:
    """Ask a run to stop.  mode: save (keep what was reached), discard, pause.  A run that has ended stays as it is."""
    if mode not in CANCEL_MODES:
        raise UsageError("run.cancel_mode", f"A run cannot be stopped by {mode!r}.", remedy=f"One of: {', '.join(CANCEL_MODES)}.")
    with store.write() as db:
        row = find_run(store, run)  # inside: the service may start it this moment
        if row["state"] == "paused" and mode != "pause":
            db.execute("UPDATE runs SET state = 'cancelled', ended = ? WHERE id = ?", (time.time(), row["id"]))
            db.execute("UPDATE steps SET state = 'cancelled' WHERE run = ? AND state IN ('queued', 'paused')", (row["id"],))
        elif row["state"] == "queued":
            state = "paused" if mode == "pause" else "cancelled"
            db.execute("UPDATE runs SET state = ?, ended = ? WHERE id = ?", (state, time.time(), row["id"]))
            if state == "cancelled":
                db.execute("UPDATE steps SET state = 'cancelled' WHERE run = ? AND state = 'queued'", (row["id"],))
        elif row["state"] == "running":
            db.execute("UPDATE runs SET cancel = ? WHERE id = ?", (mode, row["id"]))


def resume(store: Store, run: str) -> str:
    """Go on with a run that is paused, failed or cancelled: finished steps are kept; returns its id.

    Raises WorkflowError run.input_changed where something that a finished step made is no longer as it was.
    """
    row = find_run(store, run)
    if row["state"] in ("queued", "running"):
        return str(row["id"])
    if row["state"] == "done":
        raise UsageError(
            "run.done", f"Run {row['number']} is done; there is nothing to resume.", remedy="Start it again with: main.py run"
        )
    for step in states.steps_of(store, row["id"]):
        _check_unchanged(store, row, step)
    with store.write() as db:
        db.execute(
            "UPDATE steps SET state = 'queued', why = NULL, flagged = NULL, ended = NULL, progress = 0 WHERE run = ? "
            "AND state != 'done'",
            (row["id"],),
        )
        db.execute(
            "UPDATE runs SET state = 'queued', why = NULL, cancel = NULL, idle = idle + coalesce(? - ended, 0), ended = NULL WHERE id = ?",
            (time.time(), row["id"]),
        )
        states.event(store, row["id"], None, "The run is resumed.")
    return str(row["id"])


def _check_unchanged(store: Store, run: Mapping[str, Any], step: Mapping[str, Any]) -> None:
    for made in orjson.loads(step["outputs"] or "{}").values() if step["state"] == "done" else ():
        gone = missing(store, load_artifact(made))
        if gone:
            raise WorkflowError(
                "run.input_changed",
                f"Run {run['number']} cannot be resumed.",
                why=f"What step {step['id']!r} made is not as it was: {gone}.",
                remedy="Start it again as a new run.",
            )
    if step["state"] == "done" or not step["fingerprint"]:
        return
    node = registry.find(step["node"])
    now = node(node.params_model.model_validate(orjson.loads(step["params"]))).fingerprint()
    if now != step["fingerprint"]:
        raise WorkflowError(
            "run.input_changed",
            f"Run {run['number']} cannot be resumed.",
            why=f"The data that step {step['id']!r} reads has changed since it began.",
            remedy="Start it again as a new run.",
        )


def result(store: Store, run: str) -> dict[str, Any]:
    """The house plan's ``run`` object."""
    row = find_run(store, run)
    steps = states.steps_of(store, row["id"])
    ended = row["ended"] or time.time()
    found: dict[str, Any] = {
        "run": row["id"],
        "state": row["state"],
        "seconds": round(ended - row["started"] - row["idle"], 3) if row["started"] else 0.0,
        "steps": [
            {
                "id": step["id"],
                "node": step["node"],
                "state": step["state"],
                "seconds": _seconds(step),
                "cached": bool(step["cached"]),
            }
            for step in steps
        ],
    }
    found |= _evaluation(steps) | _model(steps) | _endpoint(store, steps)
    return found | _error(row, steps)


def _error(row: Mapping[str, Any], steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Why a run failed, or pauses without having been asked to."""
    if row["state"] not in ("failed", "paused"):
        return {}
    if why := row["why"] or next((step["why"] for step in steps if step["why"]), None):
        return {"error": from_record(orjson.loads(why)).as_json()}
    return {"error": {"type": "run.failed", "message": "The run failed."}} if row["state"] == "failed" else {}


def details(store: Store, run: str) -> dict[str, Any]:
    """The same with what the house plan's object has no place for: the kit, and what was refused (``behaviour``)."""
    row = find_run(store, run)
    found = result(store, row["id"])
    if row["kit"]:
        found["kit"] = {"name": row["kit"], "version": row["kit_version"], "hash": row["kit_hash"]}
    made = _outputs(states.steps_of(store, row["id"]), "evaluate.compare", "evaluation")
    if made is not None and "behaviour" in made["summary"]:
        found["behaviour"] = made["summary"]["behaviour"]
    return found


def _seconds(step: Mapping[str, Any]) -> float:
    return round(step["ended"] - step["started"], 3) if step["ended"] and step["started"] else 0.0  # it may have failed before it began


def _outputs(steps: list[dict[str, Any]], node: str, port: str) -> dict[str, Any] | None:
    for step in reversed(steps):
        if step["node"] == node and step["outputs"]:
            made: dict[str, Any] | None = orjson.loads(step["outputs"]).get(port)
            return made
    return None


def _evaluation(steps: list[dict[str, Any]]) -> dict[str, Any]:
    made = _outputs(steps, "evaluate.compare", "evaluation")
    if made is None:
        return {}
    summary = made["summary"]
    return {
        "evaluation": {
            key: summary[key] for key in ("metric", "base", "tuned", "difference", "interval", "verdict") if key in summary
        }
    }


def _model(steps: list[dict[str, Any]]) -> dict[str, Any]:
    for node in ("model.register", "model.export", "train.qlora"):
        if made := _outputs(steps, node, "model"):
            return {"model": {"id": made.get("version") or made["name"], "path": made["path"]}}
    return {}


def _endpoint(store: Store, steps: list[dict[str, Any]]) -> dict[str, Any]:
    made = _outputs(steps, "model.deploy", "deployment")
    if made is None:
        return {}
    from app.store import settings

    presence = find_service(store.profile)
    url = presence.base_url if presence and presence.base_url else f"http://127.0.0.1:{settings.get(store, 'endpoint.port')}/v1"
    return {"endpoint": {"base_url": url, "model": made["summary"].get("alias", "")}}
