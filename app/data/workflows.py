"""The workflows that the Datasets page starts: one step on a version that is in the store, as a run like any other."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Literal

Way = Literal["rules", "paraphrase", "model"]
"""How more rows are made: known ones in other words by rules or by a model, or new ones by a model."""
MOST_COPIES = 20


def remap(name: str, dataset: str, version: int, mapping: Mapping[str, str]) -> str:
    """Give the columns of a version other parts."""
    return _document(f"Map {name} anew", dataset, version, {"node": "data.remap", "mapping": dict(mapping)})


def more_rows(name: str, dataset: str, version: int, way: Way, wanted: int, sources: int, *, model: str = "", base: str = "") -> str:
    """Make some ``wanted`` rows from a version with ``sources`` training rows.

    model: the name of a served model; base: of the base model that is served where ``model`` is empty.
    """
    step: dict[str, Any] = {"node": "data.synthesise", "rows": wanted}
    if way != "model":
        copies = min(max(math.ceil(wanted / max(sources, 1)), 1), MOST_COPIES)
        step = {"node": "data.augment", "copies": copies, "share": min(max(wanted / max(sources * copies, 1), 1e-6), 1.0)}
    if way == "paraphrase":
        step["methods"] = ["paraphrase"]
    if way != "rules" and model:
        step["model"] = model
    return _document(f"More rows for {name}", dataset, version, step, base if way != "rules" else "")


def one_step(name: str, dataset: str, version: int, node: str, params: Mapping[str, Any], base: str = "") -> str:
    """Any step on a version, with the settings that are not its own.  base: the base model, for a step that asks one."""
    return _document(name, dataset, version, {"node": node, **params}, base)


def _document(name: str, dataset: str, version: int, step: Mapping[str, Any], base: str = "") -> str:
    """The text of a document with one step behind an opened version (JSON is YAML)."""
    steps = {"open": {"node": "dataset.open", "dataset": dataset, "version": version}, "work": {**step, "needs": "open"}}
    return json.dumps({"name": name, **({"base_model": base} if base else {}), "steps": steps}, ensure_ascii=False, indent=2) + "\n"
