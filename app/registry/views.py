"""What the Models page reads: models, their versions, and everything that decides whether one may be released."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from app.config.verdicts import Verdict, verdict
from app.registry.lineage_graph import LineageGraph, graph
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
    """One exported file and its proof.  Shares are 0..1; None where it was not measured.  size: bytes.

    here: the file is on this computer.
    """

    quantization: str
    path: str
    size: int
    same_answers: float | None
    quality_lost: float | None
    template_identical: bool | None
    passed: bool | None
    in_use: bool
    here: bool = True


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
    lineage: LineageGraph
    served_as: str
    cost: float | None
    currency: str
    before: str
    """The version that a roll back would serve again; "" where none was live before."""


def versions(store: Store) -> list[VersionLine]:
    """All versions, newest model first, newest version first."""
    found = store.rows("SELECT v.id, m.name AS model, v.version, v.state, m.live, v.run, v.created FROM model_versions v "
                       "JOIN models m ON m.id = v.model ORDER BY m.created DESC, v.version DESC")
    return [VersionLine(row["id"], row["model"], row["version"], row["state"], row["live"] == row["id"], row["run"] or "",
                        row["created"]) for row in found]


def version(store: Store, identity: str) -> VersionView | None:
    """One version, or None if there is none of that id."""
    row = store.row("SELECT v.*, m.name AS model_name, m.live, earlier.id AS before FROM model_versions v JOIN models m ON m.id = v.model "
                    "LEFT JOIN model_versions earlier ON earlier.id = m.previous WHERE v.id = ?", (identity,))
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
        files=_files(row, proof), lineage=graph(store, row),
        served_as=served["alias"] if served else "", cost=money["cost"] if money else None,
        currency=(money["currency"] if money else None) or "EUR", before=row["before"] or "")


@dataclass(frozen=True, slots=True)
class BaseLine:
    """A base model that is on this computer.  size: bytes of its weights; parameters: their number."""

    name: str
    size: int
    parameters: int
    context: int
    licence: str


def bases(_store: Store) -> list[BaseLine]:
    """Base models that set-up put here, by name; a folder that is damaged is left out (doctor tells it)."""
    from app.config.model_files import check_model_folder
    from app.config.models import packaged
    from app.errors import NeuroWeaverError

    found = []
    for name, path in packaged().items():
        try:
            model = check_model_folder(path)
        except NeuroWeaverError:
            continue
        size = sum(file.stat().st_size for file in path.glob("*.safetensors"))
        config = orjson.loads((path / "config.json").read_bytes())
        found.append(BaseLine(name, size, model.parameters, int(config.get("max_position_embeddings") or 0), _licence(path)))
    return found


def _licence(folder: Path) -> str:
    """The licence that the model's card names in its head, or ""."""
    card = folder / "README.md"
    head = card.read_text(encoding="utf-8", errors="replace")[:4000] if card.is_file() else ""
    named = re.search(r"^license:\s*(\S+)", head, re.MULTILINE)
    return named[1] if named else ""


LITTLE_LOST = 0.01
"""Share of quality that a smaller file may lose and still be the one to take."""


def recommended(files: list[FileLine]) -> str:
    """The quantisation to take: the smallest file whose proof passed with little lost, else the largest that passed; "" if none."""
    passed = sorted((file for file in files if file.passed), key=lambda file: file.size)
    close = [file for file in passed if file.quality_lost is not None and file.quality_lost <= LITTLE_LOST]
    return close[0].quantization if close else passed[-1].quantization if passed else ""


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One line of a comparison of versions: what, and its words for each."""

    what: str
    values: tuple[str, str]


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """Two versions side by side.  same_questions: whether both were measured on the same held-back rows; without that, their
    figures do not compare."""

    names: tuple[str, str]
    measured: tuple[Verdict | None, Verdict | None]
    costs: tuple[float | None, float | None]
    currency: str
    sizes: tuple[int, int]
    origins: tuple[VersionRow, ...]
    same_questions: bool | None


def compare(store: Store, first: str, second: str) -> VersionComparison | None:
    """Lay two versions side by side; None where one of them is gone."""
    one, other = version(store, first), version(store, second)
    if one is None or other is None:
        return None
    lineages = [_lineage(store, identity) for identity in (first, second)]
    names = {"dataset": "Dataset", "dataset_version": "Version of the dataset", "base": "Base model", "seed": "Seed",
             "document_hash": "Workflow", "code": "Program"}
    rows = tuple(VersionRow(words, (str(lineages[0].get(key, "")), str(lineages[1].get(key, "")))) for key, words in names.items()
                 if lineages[0].get(key) != lineages[1].get(key))
    known = [lineage.get("dataset") for lineage in lineages]
    same = None if not all(known) else all(lineages[0].get(key) == lineages[1].get(key) for key in ("dataset", "dataset_version"))
    used = [next((file.size for file in view.files if file.in_use), view.size or 0) for view in (one, other)]
    return VersionComparison((_title(one), _title(other)), (one.measured, other.measured), (one.cost, other.cost), one.currency,
                             (used[0], used[1]), rows, same)


def _title(view: VersionView) -> str:
    return f"{view.line.model}, version {view.line.version}"


def _lineage(store: Store, identity: str) -> dict[str, Any]:
    row = store.row("SELECT lineage FROM model_versions WHERE id = ?", (identity,))
    found: dict[str, Any] = orjson.loads(row["lineage"]) if row else {}
    return found


def version_files(store: Store, identity: str) -> list[FileLine]:
    """The files of one version with their proofs; none for a version that is not there."""
    row = store.row("SELECT files, proof, path FROM model_versions WHERE id = ?", (identity,))
    return _files(row, orjson.loads(row["proof"])) if row else []


def _files(row: Mapping[str, Any], proof: Mapping[str, Any]) -> list[FileLine]:
    proven = {entry.get("quantization"): entry for entry in proof.get("files", [])}
    lines = []
    for entry in orjson.loads(row["files"]):
        evidence = entry.get("proof") or proven.get(entry.get("quantization")) or {}
        lines.append(FileLine(
            str(entry.get("quantization", "")), str(entry.get("path", "")), int(entry.get("size") or 0),
            evidence.get("same_answers"), evidence.get("quality_lost"), evidence.get("template_identical"),
            evidence.get("passed"), str(entry.get("path")) == row["path"], Path(str(entry.get("path"))).is_file()))
    return lines

