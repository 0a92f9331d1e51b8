"""What the Models page reads: models, their versions, and everything that decides whether one may be released."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.config.verdicts import Verdict, verdict
from app.store import Store


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One version in the list.  live: it is the one its model's name serves."""

    id: str
    model: str
    version: int
    state: str
    live: bool
    run: str
    created: float


@dataclass(frozen=True, slots=True)
class FileLine:
    """One exported file and its proof.  Shares are 0..1; None where it was not measured.  size: bytes."""

    quantization: str
    path: str
    size: int
    same_answers: float | None
    quality_lost: float | None
    template_identical: bool | None
    passed: bool | None
    in_use: bool


@dataclass(frozen=True, slots=True)
class Stage:
    """One box of "where it comes from": icon name, words, small words, and the page that shows it."""

    icon: str
    title: str
    detail: str
    page: str = ""
    argument: str = ""


@dataclass(frozen=True, slots=True)
class VersionView:
    """One version with its evidence."""

    line: VersionLine
    format: str
    path: str
    size: int | None
    measured: Verdict | None
    proof: Mapping[str, Any]
    files: list[FileLine]
    stages: list[Stage]
    served_as: str
    cost: float | None
    currency: str


def versions(store: Store) -> list[VersionLine]:
    """All versions, newest model first, newest version first."""
    found = store.rows("SELECT v.id, m.name AS model, v.version, v.state, m.live, v.run, v.created FROM model_versions v "
                       "JOIN models m ON m.id = v.model ORDER BY m.created DESC, v.version DESC")
    return [VersionLine(row["id"], row["model"], row["version"], row["state"], row["live"] == row["id"], row["run"] or "",
                        row["created"]) for row in found]


def version(store: Store, identity: str) -> VersionView | None:
    """One version, or None if there is none of that id."""
    row = store.row("SELECT v.*, m.name AS model_name, m.live FROM model_versions v JOIN models m ON m.id = v.model "
                    "WHERE v.id = ?", (identity,))
    if row is None:
        return None
    line = VersionLine(row["id"], row["model_name"], row["version"], row["state"], row["live"] == row["id"], row["run"] or "",
                       row["created"])
    proof = orjson.loads(row["proof"])
    served = store.row("SELECT alias FROM deployments WHERE model_version = ? AND state != 'stopped'", (identity,))
    money = store.row("SELECT sum(energy_cost + wear_cost) AS cost, max(currency) AS currency FROM usage WHERE run = ? "
                      "AND scope = 'step'", (row["run"],))
    return VersionView(
        line=line, format=row["format"], path=row["path"], size=row["size"], measured=verdict(store, row["run"]), proof=proof,
        files=_files(row, proof), stages=_stages(store, row, orjson.loads(row["lineage"])),
        served_as=served["alias"] if served else "", cost=money["cost"] if money else None,
        currency=(money["currency"] if money else None) or "EUR")


def _files(row: Mapping[str, Any], proof: Mapping[str, Any]) -> list[FileLine]:
    proven = {entry.get("quantization"): entry for entry in proof.get("files", [])}
    lines = []
    for entry in orjson.loads(row["files"]):
        evidence = entry.get("proof") or proven.get(entry.get("quantization")) or {}
        lines.append(FileLine(
            str(entry.get("quantization", "")), str(entry.get("path", "")), int(entry.get("size") or 0),
            evidence.get("same_answers"), evidence.get("quality_lost"), evidence.get("template_identical"),
            evidence.get("passed"), str(entry.get("path")) == row["path"]))
    return lines


def _stages(store: Store, row: Mapping[str, Any], lineage: Mapping[str, Any]) -> list[Stage]:
    stages = []
    if dataset := lineage.get("dataset"):
        named = store.row("SELECT name FROM datasets WHERE id = ?", (dataset,))
        stages.append(Stage("table-2", named["name"] if named else "Data", f"version {lineage.get('dataset_version', '')}",
                            "datasets", str(dataset)))
    if base := lineage.get("base") or row["base"]:
        stages.append(Stage("box", str(base).replace("\\", "/").rpartition("/")[2], "base model"))
    if run := store.row("SELECT number, document_hash FROM runs WHERE id = ?", (row["run"],)):
        stages.append(Stage("activity", f"Run {run['number']}", f"workflow {run['document_hash'][:8]}", "runs", row["run"]))
    stages.append(Stage("badge-check", f"Version {row['version']}", str(row["content_hash"] or "")[:9]))
    return stages
