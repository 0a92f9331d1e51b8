"""Where a version comes from: data, document, run, code, base, seed, packages."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import orjson

from app.config.artifacts import Model
from app.store import Store
from app.store.profile import project_dir


def trace(store: Store, model: Model, run: str) -> dict[str, Any]:
    """What the store knows of a model's origin; a run that is not in it (a test, a script) leaves those parts out."""
    found: dict[str, Any] = {"origin": "run" if run else "script", "base": model.base, "code": code_version()}
    row = store.row("SELECT id, document_hash, seed, packages FROM runs WHERE id = ?", (run,))
    if row is None:
        return found
    found |= {"run": row["id"], "document_hash": row["document_hash"], "seed": row["seed"],
              "packages": orjson.loads(row["packages"])}
    return found | _dataset(store, run)


def _dataset(store: Store, run: str) -> dict[str, Any]:
    """The data version that the training step read; without one the last that the run made."""
    steps = store.rows("SELECT id, node, bindings, outputs FROM steps WHERE run = ? ORDER BY position", (run,))
    made = {step["id"]: orjson.loads(step["outputs"] or "{}") for step in steps}
    last: dict[str, Any] = {}
    for step in steps:
        for source, port in orjson.loads(step["bindings"] or "{}").values():
            artifact = made.get(source, {}).get(port, {})
            if artifact.get("kind") == "rows":
                last = {"dataset": artifact["dataset"], "dataset_version": artifact["version"]}
        if step["node"].startswith("train.") and last:
            return last
    return last


@functools.cache
def code_version() -> str:
    """Identity of the product's code: the first 12 digits of the sha256 over app/**/*.py."""
    digest = hashlib.sha256()
    root = project_dir()
    for file in sorted((root / "app").rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
