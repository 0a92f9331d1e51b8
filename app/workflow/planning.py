"""Plan one step: its hash from what is known now, and a result to use again if there is one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from app.store import Store
from app.workflow import registry
from app.workflow.planner import cached_outputs, model_identity, step_hash
from app.workflow.worker import read_inputs


@dataclass(frozen=True, slots=True)
class Plan:
    """``hash`` is None for a step that must always run; ``cached`` holds outputs (JSON) that need no work."""

    hash: str | None
    fingerprint: str
    cached: str | None


def plan_step(store: Store, run: str, step: str) -> Plan:
    """Hash the step and look it up.  Reads what the step names; raises what the node's fingerprint and heeds raise."""
    row = store.row("SELECT * FROM steps WHERE run = ? AND id = ?", (run, step))
    run_row = store.row("SELECT seed, resolved FROM runs WHERE id = ?", (run,))
    assert row is not None
    assert run_row is not None
    node = make_node(row)
    fingerprint = node.fingerprint()
    if not node.cacheable:
        return Plan(None, fingerprint, None)
    inputs = read_inputs(store, run, orjson.loads(row["bindings"]))
    base = base_identity(store, orjson.loads(run_row["resolved"]).get("base_model") or "")
    outside = fingerprint + served_version(store, node.asks()) + node.heeds(store, inputs)
    key = step_hash(node, outside, inputs, base, run_row["seed"])
    return Plan(key, fingerprint, cached_outputs(store, key))


def make_node(row: dict[str, Any]) -> Any:
    """The node of a step row with its parameters."""
    node_class = registry.find(row["node"])
    return node_class(node_class.params_model.model_validate(orjson.loads(row["params"])))


def served_version(store: Store, alias: str) -> str:
    """What is served under a name now; empty where nothing is."""
    row = store.row("SELECT model_version, path FROM deployments WHERE alias = ? AND state != 'stopped'", (alias,))
    return f"{row['model_version']} {row['path']}" if row else ""


def base_identity(store: Store, name: str) -> str:
    """Identity of the document's base model; empty if it names none."""
    if not name:
        return ""
    from app.config.models import resolve_base

    return model_identity(Path(resolve_base(store, name)))
