"""Deployments: which version is served under which name.  A row here is the command; the engine pool reacts to it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from app.config.models import packaged
from app.errors import NeuroWeaverError, Place, RegistryError, UsageError, from_record
from app.registry.bases import base_file
from app.registry.versions import Version, find_version, slug
from app.store import Store

_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}")
_WAIT_SECONDS = 0.1
ENGINES = {"gguf": "llama.cpp", "hf": "transformers", "lora": "transformers"}
_MODEL_OPTIONS = ("slots", "context", "base")


@dataclass(frozen=True, slots=True)
class Deployment:
    """One served name.  state: starting, ready, idle, failed, stopped."""

    alias: str
    model_version: str
    engine: str
    path: str
    state: str
    why: str | None


def find_deployment(store: Store, alias: str) -> Deployment | None:
    """The deployment of a name, or None."""
    row = store.row("SELECT alias, model_version, engine, path, state, why FROM deployments WHERE alias = ?", (alias,))
    return Deployment(**row) if row else None


def check_served(store: Store, alias: str) -> None:
    """Raise UsageError deploy.unknown, with what is served, for a name that is not."""
    names = [row["alias"] for row in store.rows("SELECT alias FROM deployments WHERE state != 'stopped' ORDER BY alias")]
    if alias not in names:
        raise UsageError("deploy.unknown", f"Nothing is served as {alias!r}.", where=Place.of(field="alias"),
                         why=f"Served: {', '.join(names) or 'none yet'}.", remedy="Serve a model with: main.py deploy MODEL")


def check_proof(version: Version, require_proof: bool = True) -> None:
    """Raise RegistryError registry.not_proven where the export proof of a version is missing or failed.

    A model that was imported has no original to compare with: for it the checks of the import count.
    """
    if not require_proof or version.imported or version.proof.get("passed") is True:
        return
    failed = version.proof.get("passed") is False
    reasons = "; ".join(version.proof.get("reasons") or [])
    raise RegistryError(
        "registry.not_proven", f"{version.id} was not released: its export proof {'failed' if failed else 'is missing'}.",
        where=Place.of(field="gate.require_proof"),
        why=reasons or ("The file does not answer like the model it was made from." if failed
                        else "Nobody has compared the file with the model it was made from."),
        remedy="Export it again, with a milder quantisation; or set gate.require_proof: false at your own risk.")


def deploy(store: Store, version: str, *, alias: str | None = None, engine: str | None = None,
           options: Mapping[str, Any] | None = None, gate: Mapping[str, Any] | None = None,
           require_proof: bool = True) -> Deployment:
    """Serve a version (its id, or a model's name) under ``alias`` (default: the model's name).

    A name that serves something else is switched over.  Raises RegistryError registry.not_proven or
    registry.file_missing, UsageError for a bad name or a version that does not exist.
    """
    chosen = find_version(store, version)
    check_proof(chosen, require_proof)
    given = dict(options or {})
    if chosen.format == "lora":
        given.setdefault("base", chosen.base or "")
    return write_deployment(store, alias or chosen.model, chosen.id, engine or ENGINES[chosen.format], chosen.path, given, gate)


def write_deployment(store: Store, alias: str, version: str, engine: str, path: str, options: Mapping[str, Any],
                     gate: Mapping[str, Any] | None = None) -> Deployment:
    """Write the row that the engine pool acts on.  One that serves the very same already is only woken up."""
    _check(alias, engine, path, options)
    content = orjson.dumps(dict(options), option=orjson.OPT_SORT_KEYS).decode()
    now = time.time()
    with store.write() as db:
        row = store.row("SELECT model_version, engine, path, options, state FROM deployments WHERE alias = ?", (alias,))
        if row and row["state"] != "stopped" and (row["model_version"], row["engine"], row["path"], row["options"]) == (
                version, engine, path, content):
            if row["state"] in ("idle", "failed"):
                db.execute("UPDATE deployments SET state = 'starting', why = NULL, updated = ? WHERE alias = ?", (now, alias))
        else:
            db.execute(
                "INSERT OR REPLACE INTO deployments (alias, model_version, engine, path, state, options, gate, created, updated) "
                "VALUES (?, ?, ?, ?, 'starting', ?, ?, ?, ?)",
                (alias, version, engine, path, content, orjson.dumps(dict(gate or {})).decode(), now, now))
    found = find_deployment(store, alias)
    if found is None:
        raise RegistryError("registry.not_deployed", f"{alias!r} was removed while it was being deployed.",
                            remedy="Deploy it again.")
    return found


def _check(alias: str, engine: str, path: str, options: Mapping[str, Any]) -> None:
    if not _ALIAS.fullmatch(alias):
        raise UsageError("deploy.bad_alias", f"{alias[:100]!r} cannot be the name of a served model.",
                         where=Place.of(field="alias"), remedy="Use letters, digits, dot, colon, hyphen, underscore; at most 100.")
    if engine not in ENGINES.values():
        raise UsageError("deploy.bad_engine", f"There is no engine {engine!r}.", where=Place.of(field="engine"),
                         remedy=f"One of: {', '.join(sorted(set(ENGINES.values())))}.")
    if unknown := sorted(set(options) - set(_MODEL_OPTIONS)):
        raise UsageError("deploy.bad_option", f"There is no engine option {unknown[0]!r}.", where=Place.of(field="options"),
                         remedy=f"One of: {', '.join(_MODEL_OPTIONS)}.")
    if not Path(path).exists():
        raise RegistryError("registry.file_missing", "The model's file is missing.", where=Place.of(path),
                            remedy="Export or import the model again.")


def undeploy(store: Store, alias: str) -> None:
    """Stop serving a name.  Raises UsageError deploy.unknown for a name that is not served."""
    if find_deployment(store, alias) is None:
        raise UsageError("deploy.unknown", f"Nothing is served as {alias!r}.", where=Place.of(field="alias"))
    store.db.execute("UPDATE deployments SET state = 'stopped', updated = ? WHERE alias = ?", (time.time(), alias))


def ensure_base_deployment(store: Store, base: str, *, tick: Callable[[], None] | None = None) -> Deployment:
    """Serve a base model (a Hugging Face folder) as "<name>-base", so that answers can be compared side by side.

    The starter model's own GGUF is used where it is the base; another base is converted to q8_0 once and kept in the
    profile's models folder (some seconds for each 100M parameters).  Raises RegistryError export.* if it cannot be converted.
    """
    folder = Path(base)
    if not folder.is_dir():  # a packaged model lies elsewhere once the program was moved or installed anew
        folder = packaged().get(folder.name, folder)
    file = base_file(store, folder, tick=tick)
    name = slug(folder.name)
    return write_deployment(store, f"{name}-base", f"base:{name}", "llama.cpp", str(file), {})


def wait_ready(store: Store, alias: str, seconds: float, *, tick: Callable[[], None] | None = None) -> Deployment:
    """Wait until a deployment is ready; returns it as it is after ``seconds`` at most.

    Raises the engine's own error if it could not load.  tick: called ten times a second.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = find_deployment(store, alias)
        if found is None or found.state == "stopped":
            raise RegistryError("registry.not_deployed", f"{alias!r} is no longer served.", remedy="Deploy it again.")
        if found.state == "failed":
            raise _failure(found)
        if found.state in ("ready", "idle") or time.monotonic() > deadline:
            return found
        if tick is not None:
            tick()
        time.sleep(_WAIT_SECONDS)


def _failure(found: Deployment) -> NeuroWeaverError:
    try:
        return from_record(orjson.loads(found.why or ""))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return RegistryError("registry.engine_failed", f"The engine could not serve {found.alias!r}.", why=found.why or "",
                             remedy="Export the model again, or deploy another version.")
