"""Export from a version that is there: save a copy of a file it has, or queue the run that makes another one and proves it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from app.config.artifacts import Model, load_artifact
from app.config.model_files import ModelFolder, check_model_folder
from app.errors import NeuroWeaverError, Place, RegistryError, UsageError
from app.registry.api import place_file
from app.registry.convert import check_quantizations, converter
from app.registry.files import PIECE, Tick, copy_whole, free_space, need_space
from app.registry.sizes import QUANTIZATIONS, Quantization, estimate_size
from app.registry.versions import Version, find_version
from app.registry.views import FileLine, recommended, version_files
from app.store import Store

MISSING = "Its file is missing on this computer."


@dataclass(frozen=True, slots=True)
class Choice:
    """One file that a version has or could have.  size: bytes, an estimate where the file is not there; None if nothing tells it.

    file: the name to offer for a copy, "" for what would have to be made.  fault: why it cannot be had, "" if it can.
    missing: the version has it, but it is not on this computer any more.
    """

    quantization: str
    size: int | None
    file: str
    recommended: bool
    quality_lost: float | None
    passed: bool | None
    fault: str
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Choices:
    """What may be exported of a version.  free: bytes free where runs write."""

    files: tuple[Choice, ...]
    free: int


def choices(store: Store, identity: str) -> Choices:
    """The files of a version, then what could be made.  Raises UsageError model.unknown."""
    version = find_version(store, identity)
    lines = [line for line in version_files(store, version.id) if line.path.endswith(".gguf")]
    best, known = recommended([line for line in lines if line.here]), {line.quantization for line in lines}
    folder, fault = _source_folder(store, version)
    made = [_to_make(folder, kind, fault, best=not best and kind == "q8_0") for kind in QUANTIZATIONS if kind not in known]
    found = [_there(line, best) if line.here else _gone(line, fault) for line in lines]
    return Choices((*found, *made), free_space(store.profile.models))


def _there(line: FileLine, best: str) -> Choice:
    return Choice(line.quantization, line.size, Path(line.path).name, line.quantization == best, line.quality_lost, line.passed, "")


def _gone(line: FileLine, fault: str) -> Choice:
    """A file that was lost: the run that makes one more can make it again."""
    kind = next((one for one in QUANTIZATIONS if one == line.quantization), None)
    fault = fault or ("No run here writes this number format." if kind is None else _cannot_write(kind))
    return Choice(line.quantization, line.size, "", False, line.quality_lost, line.passed, f"{MISSING} {fault}" if fault else "",
                  missing=True)


def _source_folder(store: Store, version: Version) -> tuple[ModelFolder | None, str]:
    """The folder whose size decides that of the files, or why there is none."""
    try:
        source = original(store, version.id)
        converter()
        return check_model_folder(source.path if source.format == "hf" else source.base or ""), ""
    except NeuroWeaverError as problem:
        return None, problem.message


def _to_make(folder: ModelFolder | None, kind: Quantization, fault: str, *, best: bool) -> Choice:
    fault = fault or _cannot_write(kind)
    size = estimate_size(folder, kind) if folder is not None else None
    return Choice(kind, size, "", best and not fault, None, None, fault)


def _cannot_write(kind: Quantization) -> str:
    """Why this machine cannot write a number format, or ""."""
    try:
        check_quantizations([kind])
    except NeuroWeaverError as problem:
        return problem.message
    return ""


def original(store: Store, identity: str) -> Model:
    """The model that a version's files were made from, in full precision: an imported folder, or what training left.

    Raises RegistryError registry.no_original where it was never here or is gone.
    """
    version = find_version(store, identity)
    if version.format != "gguf":
        form: Literal["lora", "hf"] = "lora" if version.format == "lora" else "hf"
        return Model(content_hash=version.content_hash, path=version.path, format=form, name=version.model, base=version.base)
    source = _trained(store, version.run or "")
    if source is None:
        why = "It came as a GGUF file." if version.imported else "The run that made it is not in the store."
    elif not Path(source.path).exists():
        why = "What the training step left was deleted."
    else:
        return source.model_copy(update={"name": version.model})
    raise RegistryError("registry.no_original", "No other file can be made of this version.", why=f"{why} A GGUF file is not "
                        "converted again: that would lose quality twice.", where=Place.of(field="version"),
                        remedy="Use a file that it has, or run its workflow again.")


def _trained(store: Store, run: str) -> Model | None:
    """What the export step of a run was given."""
    steps = {row["id"]: row for row in store.rows("SELECT id, node, bindings, outputs FROM steps WHERE run = ?", (run,))}
    for step in steps.values():
        if step["node"] != "model.export":
            continue
        source, port = orjson.loads(step["bindings"] or "{}").get("model", ("", ""))
        made = orjson.loads(steps[source]["outputs"] or "{}").get(port) if source in steps else None
        found = load_artifact(made) if made else None
        if isinstance(found, Model):
            return found
    return None


def save_copy(store: Store, identity: str, quantization: str, target: str | Path, told: Callable[[float], None] | None = None) -> Path:
    """Copy a file of a version to where the user wants it, whole or not at all; returns the place.

    told: gets the share that is copied, 0..1, after each piece; what it raises stops the copy, and nothing of it stays.
    Raises UsageError model.no_such_file, export.bad_place; RegistryError registry.no_space, registry.file_changed.
    """
    version, place = find_version(store, identity), Path(target).expanduser().resolve()
    entry = next((one for one in version.files if one.get("quantization") == quantization), None)
    if entry is None or not Path(entry["path"]).is_file():
        raise UsageError("model.no_such_file", f"{version.id} has no {quantization} file.", where=Place.of(field="quantization"),
                         remedy="Choose another one, or make it with an export run.")
    source = Path(entry["path"]).resolve()
    if place.is_relative_to(store.profile.models.resolve()):
        raise UsageError("export.bad_place", "A copy cannot lie among the registry's own files.", where=Place.of(place),
                         remedy="Choose a folder of yours.")
    if not place.parent.is_dir():
        raise UsageError("export.bad_place", "The folder does not exist.", where=Place.of(place.parent),
                         remedy="Choose a folder that is there.")
    size = source.stat().st_size
    need_space(place.parent, size, "save the copy")
    try:
        copy_whole(source, place, _shares(size, told) if told is not None else None, expected=entry.get("sha256") or None)
    except OSError as problem:
        raise UsageError("export.bad_place", "The copy could not be written.", where=Place.of(place),
                         why=problem.strerror or str(problem), remedy="Choose a folder that you may write to.") from problem
    return place


def _shares(size: int, told: Callable[[float], None]) -> Tick:
    """Tells the share of ``size`` bytes that is done, called after each piece of the copy."""
    pieces = itertools.count(1)
    return lambda: told(min(next(pieces) * PIECE / max(size, 1), 1.0))


def document(store: Store, identity: str, quantization: str) -> str:
    """The workflow (JSON is YAML) that makes another file of a version, proves it and adds it to the version.

    Raises what stands in the way before anything is queued: RegistryError registry.no_original, EnvironmentFault export.*.
    """
    version = find_version(store, identity)
    if quantization not in QUANTIZATIONS:
        raise UsageError("export.unknown", f"There is no number format {quantization!r}.", where=Place.of(field="quantization"),
                         remedy=f"One of: {', '.join(QUANTIZATIONS)}.")
    original(store, version.id)
    check_quantizations([quantization])
    converter()
    steps = {"open": {"node": "model.open", "version": version.id},
             "export": {"node": "model.export", "needs": "open", "quantization": quantization},
             "attach": {"node": "model.attach", "needs": "export", "version": version.id}}
    return json.dumps({"name": f"Export {version.id} as {quantization}", "steps": steps}, ensure_ascii=False, indent=2) + "\n"


def attach(store: Store, identity: str, made: Model, proof: dict[str, Any], tick: Tick | None = None) -> list[str]:
    """Add exported files to a version, each with its proof; returns the number formats that are new to it, or here again.

    A file takes the place of one that is missing.  What is served stays as it is.
    Raises RegistryError registry.file_changed, registry.file_missing.
    """
    version = find_version(store, identity)
    proven = {entry.get("quantization"): entry for entry in proof.get("files", [])}
    folder = store.profile.models / version.model / str(version.version)
    placed = [place_file(entry, folder, tick) | {"proof": proven.get(entry["quantization"], {})}
              for entry in made.details.get("files", []) if entry["quantization"] not in _here(version.files)]
    with store.write() as db:
        row = store.row("SELECT files, path FROM model_versions WHERE id = ?", (version.id,)) or {"files": "[]", "path": ""}
        old = orjson.loads(row["files"])
        since = _kinds(old) - _kinds(version.files)
        new = {entry["quantization"]: entry for entry in placed if entry["quantization"] not in since}
        files = [new.get(one.get("quantization"), one) for one in old]
        files += [entry for entry in new.values() if entry not in files]
        path = next((now["path"] for one, now in zip(old, files, strict=False) if one.get("path") == row["path"]), row["path"])
        db.execute("UPDATE model_versions SET files = ?, path = ? WHERE id = ?", (orjson.dumps(files).decode(), path, version.id))
    return list(new)


def _here(files: list[dict[str, Any]]) -> set[str]:
    """The number formats whose file is on this computer: asked before a new one takes its place."""
    return _kinds([one for one in files if Path(str(one.get("path"))).is_file()])


def _kinds(files: list[dict[str, Any]]) -> set[str]:
    return {str(one.get("quantization")) for one in files}
