"""Where each version of a dataset comes from, what its step did to the rows, and what was made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from app.errors import UsageError
from app.store import Store
from app.store.datasets import dataset_name


@dataclass(frozen=True, slots=True)
class Use:
    """A run whose steps took a version, or a model that was trained on it.  id: for the window's pages."""

    kind: Literal["run", "model"]
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Making:
    """How a step that makes rows fared.  cost: in ``currency``, None where it was not measured."""

    candidates: int
    made: int
    cost: float | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """One version.  did: rows by kind ("removed", "changed", "added") and reason, of this step alone.  run: the one that made it."""

    version: int
    parent: int | None
    state: str
    note: str
    file: str
    rows: int
    removed: int
    rejected: int
    created: float
    did: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    run: Use | None = None
    used_by: tuple[Use, ...] = ()
    making: Making | None = None


def history(store: Store, dataset: str) -> list[Story]:
    """All versions that were not taken out again, the newest first."""
    used = uses(store, dataset)
    runs = {row["id"]: _run(row) for row in store.rows("SELECT id, number, name FROM runs")}
    found = store.rows("SELECT * FROM dataset_versions WHERE dataset = ? AND state != 'failed' ORDER BY version DESC", (dataset,))
    return [_story(row, orjson.loads(row["origin"]), orjson.loads(row["report"]), runs, used.get(row["version"], [])) for row in found]


_DEEDS = ("removed", "changed", "added", "restored", "flagged")


def _story(row: Mapping[str, Any], origin: Mapping[str, Any], report: Mapping[str, Any], runs: Mapping[str, Use],
           used: list[Use]) -> Story:
    did = {kind: {str(name): int(count) for name, count in report[kind].items()} for kind in _DEEDS
           if isinstance(report.get(kind), dict) and report[kind]}
    if "undone" in origin:  # its report lists what is still removed
        did = {"restored": {"": int(report.get("restored", 0))}}
    run = runs.get(str(origin.get("run", "")))
    file = str(origin.get("file", "")) if row["parent"] is None else ""
    return Story(row["version"], row["parent"], row["state"], row["note"] or "", file, row["rows"], row["removed"],
                 row["rejected"], row["created"], did, run, tuple(one for one in used if run is None or one.id != run.id),
                 _making(report))


def _making(report: Mapping[str, Any]) -> Making | None:
    if "candidates" not in report or "made" not in report:
        return None
    cost = report.get("cost") or {}
    return Making(int(report["candidates"]), int(report["made"]), cost.get("amount"), str(cost.get("currency", "")))


def uses(store: Store, dataset: str) -> dict[int, list[Use]]:
    """Runs in which a step gave this version to the next, and models trained on it, by version."""
    found: dict[int, list[Use]] = {}
    for row in store.rows(
        "SELECT DISTINCT o.value ->> 'version' AS version, r.id, r.number, r.name FROM runs r JOIN steps s ON s.run = r.id "
        "JOIN json_each(s.outputs) o WHERE o.value ->> 'kind' = 'rows' AND o.value ->> 'dataset' = ? ORDER BY r.number DESC", (dataset,)):
        found.setdefault(int(row["version"]), []).append(_run(row))
    for row in store.rows(
        "SELECT v.id, m.name, v.version AS number, v.lineage ->> 'dataset_version' AS version FROM model_versions v "
        "JOIN models m ON m.id = v.model WHERE v.lineage ->> 'dataset' = ? ORDER BY v.created DESC", (dataset,)):
        if row["version"] is not None:
            found.setdefault(int(row["version"]), []).append(Use("model", row["id"], f"{row['name']}, version {row['number']}"))
    return found


def _run(row: Mapping[str, Any]) -> Use:
    return Use("run", row["id"], f"Run {row['number']}, {row['name']}")


def rename(store: Store, dataset: str, name: str) -> str:
    """Give a dataset another name; returns it.  Raises UsageError for a name that cannot be, or that another dataset has."""
    name = dataset_name(name)
    with store.write() as db:
        taken = store.row("SELECT id FROM datasets WHERE name = ? AND key IS NOT NULL AND id != ?", (name, dataset))
        if taken:
            raise UsageError("dataset.bad_name", f"Another dataset is called {name!r}.", remedy="Choose another name.")
        db.execute("UPDATE datasets SET name = ? WHERE id = ?", (name, dataset))
    return name


def what_goes(store: Store, dataset: str) -> dict[str, int]:
    """What erasing a dataset takes with it: {"versions", "rows", "bytes", "models"}; the models stay, and are counted."""
    said = store.row("SELECT count(*) AS versions, coalesce(max(rows + removed), 0) AS rows FROM dataset_versions WHERE dataset = ? "
                     "AND state = 'ready'", (dataset,)) or {}
    size = sum(file.stat().st_size for file in store.profile.datasets.glob(f"{dataset}.db*"))
    models = store.row("SELECT count(*) AS count FROM model_versions WHERE lineage ->> 'dataset' = ?", (dataset,)) or {}
    return {"versions": int(said["versions"]), "rows": int(said["rows"]), "bytes": size, "models": int(models["count"])}
