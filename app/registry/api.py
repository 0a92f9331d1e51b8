"""The registry's functions: register, list, find, promote, roll back.  The window, the command line and HTTP call these."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from app.config.artifacts import Model
from app.errors import Place, RegistryError, UsageError
from app.registry.deployments import Deployment, check_proof, check_served, deploy, ensure_base_deployment, undeploy, wait_ready
from app.registry.files import Tick, link_or_copy, sha256
from app.registry.importer import import_model
from app.registry.lineage import trace
from app.registry.versions import Version, all_versions, find_version, newest_version, slug
from app.store import Store

__all__ = [
    "Deployment", "ModelEntry", "Version", "check_served", "deploy", "ensure_base_deployment", "find_version", "import_model",
    "list_models", "newest_version", "promote", "register", "release", "roll_back", "undeploy", "wait_ready",
]


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model and its versions, newest first.  live: id of the version that its name serves, or None."""

    name: str
    live: str | None
    created: float
    versions: list[Version]


def list_models(store: Store) -> list[ModelEntry]:
    """All models, newest first."""
    entries = {row["id"]: ModelEntry(row["name"], row["live"], row["created"], [])
               for row in store.rows("SELECT * FROM models ORDER BY created DESC")}
    for version in all_versions(store):
        entries[version.model].versions.append(version)
    return list(entries.values())


def register(store: Store, model: Model, *, name: str | None = None, proof: Mapping[str, Any] | None = None, run: str = "",
             lineage: Mapping[str, Any] | None = None, note: str = "", tick: Tick | None = None) -> Version:
    """Make a model a version: its files are placed in the profile's models folder with their hashes, its origin is kept.

    The same content under the same name is registered once: a second call gives the version that is there.
    Raises RegistryError registry.file_changed if a file is no longer the one that was proven.
    """
    title = slug(name or model.name)
    known = _same_content(store, title, model.content_hash)
    if known is not None:
        return known
    number = _take_number(store, title)
    folder = store.profile.models / title / str(number)
    try:
        files = _place(model, folder, tick)
        return _write(store, title, number, model, files, proof or {}, dict(lineage or trace(store, model, run)), run, note)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _same_content(store: Store, title: str, content_hash: str) -> Version | None:
    row = store.row("SELECT id, path FROM model_versions WHERE model = ? AND content_hash = ? ORDER BY version DESC",
                    (title, content_hash))
    return find_version(store, row["id"]) if row and Path(row["path"]).exists() else None


def _take_number(store: Store, title: str) -> int:
    """The next version number, claimed by making its folder, so that two processes never share one."""
    row = store.row("SELECT max(version) AS newest FROM model_versions WHERE model = ?", (title,))
    number = int((row or {}).get("newest") or 0)
    while True:
        number += 1
        try:
            (store.profile.models / title / str(number)).mkdir(parents=True)
            return number
        except FileExistsError:
            continue


def _place(model: Model, folder: Path, tick: Tick | None) -> list[dict[str, Any]]:
    if model.format != "gguf":
        shutil.copytree(model.path, folder / "model", symlinks=False, ignore=shutil.ignore_patterns("*.bin", "*.pt", "*.pth"))
        size = sum(file.stat().st_size for file in (folder / "model").rglob("*") if file.is_file())
        return [{"quantization": model.format, "path": str(folder / "model"), "size": size, "sha256": model.content_hash}]
    given = model.details.get("files") or [{"quantization": model.details.get("quantization", ""), "path": model.path}]
    placed = []
    for entry in given:
        placed.append(place_file(entry, folder, tick) | {"served": str(Path(entry["path"])) == model.path})
    return placed


def place_file(entry: Mapping[str, Any], folder: Path, tick: Tick | None = None) -> dict[str, Any]:
    """Put an exported file {quantization, path, sha256} into a version's folder; returns its entry.

    Raises RegistryError registry.file_missing, registry.file_changed.
    """
    source = Path(entry["path"])
    target = folder / source.name
    digest = sha256(_present(source), tick)
    if entry.get("sha256") not in (None, digest):
        raise _changed(source)
    link_or_copy(source, target)
    return {"quantization": entry.get("quantization", ""), "path": str(target), "size": target.stat().st_size, "sha256": digest}


def _present(source: Path) -> Path:
    if not source.is_file():
        raise RegistryError("registry.file_missing", "A file of the model is missing.", where=Place.of(source),
                            remedy="Run the export step again.")
    return source


def _changed(source: Path) -> RegistryError:
    return RegistryError("registry.file_changed", "A file of the model changed after it was proven; it was not registered.",
                         where=Place.of(source), why="Its sha256 is not the one that the export wrote down.",
                         remedy="Run the export step again.")


def _write(store: Store, title: str, number: int, model: Model, files: list[dict[str, Any]], proof: Mapping[str, Any],
           lineage: dict[str, Any], run: str, note: str) -> Version:
    served = next((file for file in files if file.pop("served", False)), files[0])
    identity, now, details = f"{title}@{number}", time.time(), model.details
    values = {
        "id": identity, "model": title, "version": number, "state": "registered", "format": model.format, "path": served["path"],
        "base": model.base, "parameters": details.get("parameters"), "size": served["size"], "context": details.get("context"),
        "chat_template_hash": details.get("chat_template_hash"), "files": _json(files), "proof": _json(dict(proof)),
        "lineage": _json(lineage), "run": run or None, "content_hash": model.content_hash, "note": note, "created": now}
    for file in files:
        file.pop("served", None)
    values["files"] = _json(files)
    with store.write() as db:
        db.execute("INSERT INTO models (id, name, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (title, title, now))
        db.execute(f"INSERT INTO model_versions ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",
                   tuple(values.values()))
        if run:
            db.execute("UPDATE evaluations SET model_version = ? WHERE run = ? AND model_version IS NULL", (identity, run))
    return find_version(store, identity)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def promote(store: Store, version: str, *, require_proof: bool = True) -> Version:
    """Release a version: it becomes live and is served under every name that served its model, else the model's name.

    Raises RegistryError registry.not_proven without a passed proof (require_proof=False: at your own risk).
    """
    chosen = find_version(store, version)
    check_proof(chosen, require_proof)
    return release(store, chosen, require_proof=require_proof)


def release(store: Store, chosen: Version, *, alias: str | None = None, engine: str | None = None,
            options: Mapping[str, Any] | None = None, gate: Mapping[str, Any] | None = None,
            require_proof: bool = True) -> Version:
    """Serve a version and mark it live; the one before it is retired and remembered for :func:`roll_back`."""
    rows = store.rows("SELECT d.alias FROM deployments d JOIN model_versions v ON v.id = d.model_version "
                      "WHERE v.model = ? AND d.state != 'stopped'", (chosen.model,))
    names = [alias] if alias else [row["alias"] for row in rows] or [chosen.model]
    with store.write():
        for name in names:
            deploy(store, chosen.id, alias=name, engine=engine, options=options, gate=gate, require_proof=require_proof)
        _make_live(store, chosen)
    return find_version(store, chosen.id)


def _make_live(store: Store, chosen: Version) -> None:
    row = store.row("SELECT live FROM models WHERE id = ?", (chosen.model,)) or {}
    live = row.get("live")
    db = store.db
    db.execute("UPDATE model_versions SET state = 'released' WHERE id = ?", (chosen.id,))
    if live == chosen.id:
        return
    if live is not None:
        db.execute("UPDATE model_versions SET state = 'retired' WHERE id = ?", (live,))
    db.execute("UPDATE models SET live = ?, previous = ? WHERE id = ?", (chosen.id, live, chosen.model))


def roll_back(store: Store, model: str) -> Version:
    """Serve the version before the live one again.  Raises RegistryError registry.nothing_before, UsageError model.unknown."""
    row = store.row("SELECT live, previous FROM models WHERE id = ?", (model,))
    if row is None:
        raise UsageError("model.unknown", f"There is no model {model!r}.", remedy="List them with: main.py models")
    before = row["previous"]
    if not before or store.row("SELECT 1 FROM model_versions WHERE id = ?", (before,)) is None:
        raise RegistryError("registry.nothing_before", f"{model!r} cannot be rolled back.",
                            why="No version was released before the live one.", remedy="Release another version instead.")
    earlier = find_version(store, before)
    # It was released once, so it passed its gate then; what is needed now is the way back.
    return release(store, earlier, require_proof=False)
