"""What a version was made of and what was made of it, as a graph: data, base, workflow, steps, earlier versions, served names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.config.verdicts import things
from app.store import Store

EARLIER = 2
"""How many of the versions before it are drawn."""
_STEPS = {"train": ("graduation-cap", "Training"), "evaluate": ("scale", "Evaluation"), "export": ("box", "Export")}


@dataclass(frozen=True, slots=True)
class LineageNode:
    """One box: icon name, words, small words, and the page that shows it ("" where none does).  current: the version looked at."""

    id: str
    icon: str
    title: str
    detail: str
    page: str = ""
    argument: str = ""
    current: bool = False


@dataclass(slots=True)
class LineageGraph:
    """Boxes, and edges (from, to) between their ids; an edge into a later version of the same model is one of them."""

    nodes: dict[str, LineageNode] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def add(self, node: LineageNode, *, before: str = "") -> str:
        """Put a box in, with an edge from ``before`` if that is named; returns its id."""
        self.nodes[node.id] = node
        if before:
            self.edges.append((before, node.id))
        return node.id


def graph(store: Store, row: Mapping[str, Any]) -> LineageGraph:
    """The graph of a version, from its row in model_versions.  What is not known of it is left out."""
    made, lineage = LineageGraph(), orjson.loads(row["lineage"])
    data = _data(store, made, lineage)
    base = lineage.get("base") or row["base"]
    if base:
        made.add(LineageNode("base", "hard-drive", str(base).replace("\\", "/").rpartition("/")[2], "base model"))
    run = store.row("SELECT id, number, document_hash, seed FROM runs WHERE id = ?", (row["run"],))
    if run:
        made.add(LineageNode("run", "activity", f"Run {run['number']}", f"workflow {run['document_hash'][:8]}", "runs", run["id"]))
    steps = _steps(store, row, run) if run else {}
    for node in steps.values():
        made.add(node)
    own = made.add(LineageNode("version", "badge-check", f"Version {row['version']}", "shown here", current=True))
    into = next((name for name in ("train", "run", "version") if name in made.nodes), own)
    made.edges += [(name, into) for name in (data, "base" if base else "", "run" if run else "") if name and name != into]
    ends: list[str] = [name for name in ("evaluate", "export") if name in steps]
    made.edges += [(into, name) for name in ends] + [(name, own) for name in ends or [into] if name != own]
    _versions_before(store, made, row, own)
    for place in store.rows("SELECT alias FROM deployments WHERE model_version = ? AND state != 'stopped' ORDER BY alias", (row["id"],)):
        made.add(LineageNode(f"served {place['alias']}", "plug", place["alias"], "served", "playground", place["alias"]), before=own)
    return made


def _data(store: Store, made: LineageGraph, lineage: Mapping[str, Any]) -> str:
    """The version that was trained on, behind the one that was imported; returns the box of the former, or ""."""
    dataset, version = lineage.get("dataset"), lineage.get("dataset_version")
    if not dataset:
        return ""
    named = store.row("SELECT name FROM datasets WHERE id = ?", (dataset,))
    name = named["name"] if named else "Data"
    first = store.row("WITH RECURSIVE back(version, parent) AS (SELECT version, parent FROM dataset_versions WHERE dataset = :d AND "
                      "version = :v UNION SELECT o.version, o.parent FROM dataset_versions o JOIN back b ON o.version = b.parent "
                      "WHERE o.dataset = :d) SELECT version FROM back WHERE parent IS NULL", {"d": dataset, "v": version})
    before = ""
    if first and first["version"] != version:
        before = made.add(LineageNode("imported", "table-2", name, f"version {first['version']}", "datasets", str(dataset)))
    return made.add(LineageNode("data", "table-2", name, f"version {version}", "datasets", str(dataset)), before=before)


def _steps(store: Store, row: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, LineageNode]:
    """Training, evaluation and export of the run, those of them that are done."""
    nodes = [step["node"] for step in store.rows("SELECT node FROM steps WHERE run = ? AND state = 'done'", (run["id"],))]
    measured = store.row("SELECT items, metric FROM evaluations WHERE run = ? ORDER BY created DESC", (run["id"],))
    kinds = [str(entry.get("quantization", "")) for entry in orjson.loads(row["files"])]
    details = {"train": f"seed {run['seed']}", "evaluate": f"{measured['items']:,} {things(measured['metric'])}" if measured else "",
               "export": ", ".join(kinds)}
    there = {"train": any(node.startswith("train.") for node in nodes), "export": "model.export" in nodes,
             "evaluate": any(node.startswith("evaluate.") for node in nodes)}
    return {key: LineageNode(key, icon, title, details[key], "runs", run["id"]) for key, (icon, title) in _STEPS.items() if there[key]}


def _versions_before(store: Store, made: LineageGraph, row: Mapping[str, Any], own: str) -> None:
    after = own
    for one in store.rows("SELECT id, version, state FROM model_versions WHERE model = ? AND version < ? ORDER BY version DESC LIMIT ?",
                          (row["model"], row["version"], EARLIER)):
        made.add(LineageNode(one["id"], "history", f"Version {one['version']}", "earlier version", "models", one["id"]))
        made.edges.append((one["id"], after))
        after = one["id"]
