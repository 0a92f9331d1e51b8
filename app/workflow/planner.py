"""Which steps need not run again: a hash over everything that decides a step's result, and the cache under it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from app.config.artifacts import Artifact, File, Model, Report, Rows, load_artifact
from app.config.node import Node
from app.store import Store

_WHOLE_FILE_BYTES = 1 << 20


def model_identity(path: Path) -> str:
    """Identity of a model folder or file: names, sizes, and content (small files) or time of change (large ones).

    Hashing 14 GB of weights before each run would take longer than many runs; a weight file that was written
    again counts as another one.
    """
    files = [path] if path.is_file() else sorted(part for part in path.rglob("*") if part.is_file())
    digest = hashlib.sha256()
    for file in files:
        facts = file.stat()
        digest.update(f"{file.relative_to(path)}\0{facts.st_size}\0".encode())
        small = facts.st_size <= _WHOLE_FILE_BYTES
        digest.update(file.read_bytes() if small else str(facts.st_mtime_ns).encode())
    return digest.hexdigest()


def step_hash(node: Node[Any], fingerprint: str, inputs: Mapping[str, Artifact], base: str, seed: int) -> str:
    """sha256 over node, version, parameters (defaults included), fingerprint, input contents, base model and seed.

    Of rows also the dataset, where the step makes a version of it.
    """
    content = {
        "node": node.name, "version": node.version, "params": node.params.model_dump(mode="json"),
        "fingerprint": fingerprint, "inputs": {port: made.content_hash for port, made in inputs.items()},
        "base": base, "seed": seed,
    }
    datasets = {port: made.dataset for port, made in inputs.items() if isinstance(made, Rows)}
    if datasets and makes_versions(node):  # equal rows of another dataset get versions there, and not where they were first
        content["datasets"] = datasets
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def makes_versions(node: Node[Any]) -> bool:
    """Whether a step hands on rows: a version of the dataset that it was given."""
    return any(issubclass(kind, Rows) for kind in node.outputs.values())


def cached_outputs(store: Store, key: str) -> str | None:
    """The outputs (JSON) of a finished step with this hash, if all they name is still there; else None."""
    row = store.row("SELECT outputs FROM step_cache WHERE hash = ?", (key,))
    if row is None:
        return None
    outputs = orjson.loads(row["outputs"])
    if all(missing(store, load_artifact(made)) is None for made in outputs.values()):
        return str(row["outputs"])
    store.db.execute("DELETE FROM step_cache WHERE hash = ?", (key,))
    return None


def missing(store: Store, made: Artifact) -> str | None:
    """What an artifact names that is no longer there as it was, in words; None if all is well."""
    if isinstance(made, Rows):
        return _rows_missing(store, made)
    if isinstance(made, Model | Report | File):
        path = Path(made.path)
        if not path.exists():
            return f"{path} does not exist"
        if isinstance(made, File) and path.stat().st_size != made.size:
            return f"{path} has another size"
    return None


def _rows_missing(store: Store, made: Rows) -> str | None:
    row = store.row("SELECT v.state, v.content_hash, d.key FROM dataset_versions v JOIN datasets d ON d.id = v.dataset "
                    "WHERE v.dataset = ? AND v.version = ?", (made.dataset, made.version))
    if row is None or row["key"] is None:
        return f"version {made.version} of dataset {made.dataset} was erased"
    if row["state"] != "ready":
        return f"version {made.version} of dataset {made.dataset} is not ready ({row['state']})"
    if row["content_hash"] != made.version_hash:
        return f"version {made.version} of dataset {made.dataset} has changed"
    if not (store.profile.datasets / f"{made.dataset}.db").exists():
        return f"the file of dataset {made.dataset} does not exist"
    return None
