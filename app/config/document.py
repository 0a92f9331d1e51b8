"""The workflow document: read, inherit, overlay, check.  All faults are reported together, before any work.

    name, description, base_model, seed, steps: {id: {node, needs, inputs, title, note, position, parameters...}}
    extends: kits/legal          deep merge over another document; lists are replaced
    environment / environments   the chosen overlay is merged last, before overrides
    kit                          what a kit says of itself (kit.yaml only; not inherited)

This module knows no node: whoever calls it passes ``find`` (app.workflow.registry.find).
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from app.config.node import NodeClass
from app.config.yaml_source import Path_, Source, dotted, parse, parse_value
from app.errors import ConfigError, NeuroWeaverError, Place, UsageError
from app.store.profile import project_dir

TOP = ("name", "description", "extends", "environment", "environments", "base_model", "seed", "steps", "kit")
STEP = ("node", "needs", "inputs", "title", "note", "position")
LONGEST_CHAIN = 10
_ID = re.compile(r"[a-z][a-z0-9_-]{0,39}")
Find = Callable[[str, Place], NodeClass]


@dataclass(frozen=True)
class StepSpec:
    """One checked step.  ``params`` are complete (defaults filled in), paths absolute."""

    id: str
    node: str
    needs: tuple[str, ...]
    inputs: Mapping[str, str]
    title: str
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Document:
    """A checked document.  ``resolved`` is what runs; ``hash`` identifies it; ``origin`` says who set each value."""

    name: str
    kit: str
    text: str
    file: str | None
    base_model: str
    seed: int
    steps: dict[str, StepSpec]
    resolved: dict[str, Any]
    hash: str
    origin: dict[str, str] = field(default_factory=dict)


@dataclass
class _Merged:
    """Values of a chain of documents with the place and the folder that each came from."""

    value: dict[str, Any]
    places: dict[Path_, Place]
    folders: dict[Path_, Path]

    def place(self, path: Path_) -> Place:
        for length in range(len(path), -1, -1):
            if found := self.places.get(path[:length]):
                return Place(found.file, found.line, found.column, dotted(path) or None)
        return Place(field=dotted(path) or None)

    def folder(self, path: Path_) -> Path:
        for length in range(len(path), -1, -1):
            if found := self.folders.get(path[:length]):
                return found
        return Path.cwd()


def find_document(name: str) -> Path:
    """The file of a kit by its name ("legal", "kits/legal"), or of a path.  Raises UsageError with the nearest name."""
    kit = project_dir() / "kits" / name.removeprefix("kits/") / "kit.yaml"
    if re.fullmatch(r"(kits/)?[A-Za-z0-9_-]+", name) and kit.is_file():
        return kit
    path = Path(name).expanduser()
    if path.is_dir() and (path / "kit.yaml").is_file():
        return path / "kit.yaml"
    if path.is_file():
        return path
    kits = sorted(file.parent.name for file in (project_dir() / "kits").glob("*/kit.yaml"))
    near = difflib.get_close_matches(name, kits, n=1)
    raise UsageError(
        "workflow.not_found",
        f"There is no kit and no file {name!r}.",
        remedy=f"Did you mean {near[0]!r}?" if near else f"Kits: {', '.join(kits)}. Or name a YAML file.",
    )


def load(path: Path, find: Find, *, overrides: Mapping[str, Any] | None = None, environment: str | None = None) -> Document:
    """Read and check a file.  Raises ConfigError; its ``others`` are the further faults."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(
            "config.unreadable",
            "The document cannot be read.",
            where=Place.of(path),
            why=f"{problem}.",
            remedy="Check that the file exists and is UTF-8 text.",
        ) from problem
    return load_text(text, find, path=path, overrides=overrides, environment=environment)


def load_text(
    text: str, find: Find, *, path: Path | None = None, overrides: Mapping[str, Any] | None = None, environment: str | None = None
) -> Document:
    """Read and check a text.  path: where it stands, for relative paths and places in errors."""
    source = parse(text, path)
    folder = path.resolve().parent if path is not None else Path.cwd()
    merged = _inherit(source, folder, ())
    kit = path.parent.name if path is not None and path.name == "kit.yaml" else _kit_of(source)
    _overlay(merged, environment)
    _override(merged, overrides or {})
    faults: list[NeuroWeaverError] = list(_structure(merged))
    steps = _steps(merged, find, faults)
    if faults:
        _raise(faults)
    value = merged.value
    resolved = {
        "name": str(value.get("name") or (path.stem if path else "Workflow")),
        "base_model": str(value.get("base_model") or ""),
        "seed": int(value.get("seed") or 0),
        "steps": {
            step.id: {
                "node": step.node,
                "needs": list(step.needs),
                "inputs": dict(step.inputs),
                "title": step.title,
                "params": dict(step.params),
            }
            for step in steps.values()
        },
    }
    digest = hashlib.sha256(orjson.dumps(resolved, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return Document(
        name=str(resolved["name"]),
        kit=kit,
        text=text,
        file=str(path) if path else None,
        base_model=str(resolved["base_model"]),
        seed=int(value.get("seed") or 0),
        steps=steps,
        resolved=resolved,
        hash=digest,
        origin=_origin(merged),
    )


def _kit_of(source: Source) -> str:
    extends = source.value.get("extends") if isinstance(source.value, dict) else None
    return extends.removeprefix("kits/") if isinstance(extends, str) and extends.startswith("kits/") else ""


def _raise(faults: Iterable[NeuroWeaverError]) -> None:
    ordered = sorted(faults, key=lambda fault: (fault.where.line or 0, fault.where.column or 0))
    first = ordered[0]
    raise ConfigError(first.code, first.what, where=first.where, why=first.why, remedy=first.remedy, others=tuple(ordered[1:]))


# ---- inheritance, overlays, overrides --------------------------------------------------------------------------


def _inherit(source: Source, folder: Path, chain: tuple[Path, ...]) -> _Merged:
    value = source.value
    if not isinstance(value, dict):
        raise ConfigError(
            "config.not_a_mapping",
            "The document is not a mapping.",
            where=Place(source.file, 1, 1),
            why="It begins with something else than “key: value”.",
            remedy="Begin with name: and steps:.",
        )
    own = _Merged(copy.deepcopy(value), {path: source.place(path) for path in source.places}, {(): folder})
    extends = value.get("extends")
    if extends is None:
        return own
    where = source.place(("extends",))
    if not isinstance(extends, str):
        raise ConfigError("config.extends", "extends must name one document.", where=where, remedy="Write extends: kits/legal")
    file = _extended(extends, folder, where)
    if file in chain or len(chain) >= LONGEST_CHAIN:
        raise ConfigError(
            "config.extends_cycle",
            "The documents extend each other in a circle.",
            where=where,
            why=" → ".join(one.parent.name + "/" + one.name for one in (*chain, file)),
            remedy="Remove one extends.",
        )
    base = _inherit(parse(file.read_text(encoding="utf-8"), file), file.parent, (*chain, file))
    base.value.pop("kit", None)
    return _merge(base, own)


def _extended(name: str, folder: Path, where: Place) -> Path:
    for candidate in (folder / name, folder / name / "kit.yaml", project_dir() / name / "kit.yaml", project_dir() / name):
        if candidate.is_file():
            return candidate.resolve()
    raise ConfigError(
        "config.extends_missing",
        f"The document extends {name!r}, which does not exist.",
        where=where,
        remedy="Name a kit (kits/legal) or a file beside this one.",
    )


def _merge(base: _Merged, over: _Merged, at: Path_ = ()) -> _Merged:
    """Deep merge: mappings key by key, everything else replaced."""
    _merge_into(base, over, base.value, over.value, at)
    if () in over.places:
        base.places[()] = over.places[()]
    return base


def _merge_into(base: _Merged, over: _Merged, target: dict[str, Any], values: Mapping[str, Any], path: Path_) -> None:
    for key, value in values.items():
        here = (*path, key)
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge_into(base, over, target[key], value, here)
            continue
        target[key] = value
        for stale in [known for known in base.places if known[: len(here)] == here]:
            del base.places[stale]
        base.places |= {known: place for known, place in over.places.items() if known[: len(here)] == here}
        base.folders[here] = over.folder(here)


def _overlay(merged: _Merged, environment: str | None) -> None:
    chosen = environment if environment is not None else merged.value.get("environment")
    if not chosen:
        return
    overlays = merged.value.get("environments")
    names = list(overlays) if isinstance(overlays, dict) else []
    if chosen not in names:
        near = difflib.get_close_matches(str(chosen), names, n=1)
        raise ConfigError(
            "config.environment",
            f"There is no environment {chosen!r}.",
            where=merged.place(("environment",)),
            remedy=f"Did you mean {near[0]!r}?" if near else f"Defined: {', '.join(names) or 'none'}.",
        )
    overlay = overlays[chosen] if isinstance(overlays, dict) else {}
    prefix: Path_ = ("environments", str(chosen))
    places = {path[2:]: place for path, place in merged.places.items() if path[:2] == prefix}
    if isinstance(overlay, dict):
        _merge(merged, _Merged(copy.deepcopy(overlay), places, {(): merged.folder(prefix)}))


def _override(merged: _Merged, overrides: Mapping[str, Any]) -> None:
    """``train.epochs=1`` means steps.train.epochs where the first part is a step; values are read as YAML."""
    for name, given in overrides.items():
        parts = name.split(".")
        steps = merged.value.get("steps")
        if isinstance(steps, dict) and parts[0] in steps:
            parts = ["steps", *parts]
        if not all(parts) or (parts[0] not in TOP and len(parts) > 0):
            known = [*TOP, *(steps if isinstance(steps, dict) else [])]
            near = difflib.get_close_matches(parts[0], known, n=1)
            raise ConfigError(
                "config.override",
                f"--set {name}: there is no {parts[0]!r}.",
                where=Place(field=name),
                remedy=f"Did you mean {near[0]!r}?" if near else "Write step.parameter=value.",
            )
        value = parse_value(given) if isinstance(given, str) else given
        nested: Any = value
        for part in reversed(parts):
            nested = {part: nested}
        _merge(merged, _Merged(nested, {tuple(parts): Place(file="--set", field=name)}, {(): Path.cwd()}))


# ---- checks ----------------------------------------------------------------------------------------------------


def _structure(merged: _Merged) -> Iterable[NeuroWeaverError]:
    value = merged.value
    for key in value:
        if key not in TOP:
            yield _unknown(key, TOP, merged.place((key,)), "document")
    for key, kind, words in (
        ("name", str, "a text"),
        ("description", str, "a text"),
        ("base_model", str, "a name or a path"),
        ("seed", int, "a whole number"),
        ("environments", dict, "a mapping"),
    ):
        found = value.get(key)
        if found is not None and (not isinstance(found, kind) or isinstance(found, bool)):
            yield ConfigError(
                "config.type",
                f"{key} must be {words}.",
                where=merged.place((key,)),
                why=f"It is {found!r}.",
                remedy="Correct the value.",
            )
    if not isinstance(value.get("steps"), dict) or not value["steps"]:
        yield ConfigError(
            "config.no_steps",
            "The document has no steps.",
            where=merged.place(("steps",)),
            remedy="Add steps: with at least one step, or extend a kit.",
        )


def _unknown(key: str, known: Iterable[str], where: Place, what: str) -> ConfigError:
    names = list(known)
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(names)}."
    return ConfigError("config.unknown_key", f"Unknown key {key!r} in the {what}.", where=where, remedy=hint)


def _steps(merged: _Merged, find: Find, faults: list[NeuroWeaverError]) -> dict[str, StepSpec]:
    steps = merged.value.get("steps")
    found: dict[str, StepSpec] = {}
    for name, content in steps.items() if isinstance(steps, dict) else ():
        try:
            found[name] = _step(name, content, merged, find, faults, list(steps or ()))
        except NeuroWeaverError as fault:
            faults.append(fault)
    return found


def _step(name: str, content: Any, merged: _Merged, find: Find, faults: list[NeuroWeaverError], ids: list[str]) -> StepSpec:
    at: Path_ = ("steps", name)
    if not _ID.fullmatch(name):
        faults.append(
            ConfigError(
                "config.step_id",
                f"{name!r} cannot be the name of a step.",
                where=merged.place(at),
                remedy="Use a small letter first, then small letters, digits, - and _, at most 40.",
            )
        )
    if not isinstance(content, dict) or not isinstance(content.get("node"), str):
        raise ConfigError(
            "config.step", f"Step {name!r} names no node.", where=merged.place(at), remedy="Add node: with its name."
        )
    needs = _needs(content.get("needs"), merged, at, ids, faults)
    inputs = content.get("inputs") or {}
    if not isinstance(inputs, dict) or not all(isinstance(value, str) for value in inputs.values()):
        faults.append(
            ConfigError(
                "config.inputs",
                "inputs must map ports to step.output.",
                where=merged.place((*at, "inputs")),
                remedy="For example inputs: {rows: refine.rows}",
            )
        )
        inputs = {}
    node = find(content["node"], merged.place((*at, "node")))
    params = {key: value for key, value in content.items() if key not in STEP}
    return StepSpec(
        name, node.name, needs, inputs, str(content.get("title") or node.title), _params(node, params, merged, at, faults)
    )


def _needs(value: Any, merged: _Merged, at: Path_, ids: list[str], faults: list[NeuroWeaverError]) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    if value is not None and not names and value != []:
        faults.append(
            ConfigError(
                "config.needs",
                "needs must name steps.",
                where=merged.place((*at, "needs")),
                remedy="For example needs: refine, or needs: [export, evaluate]",
            )
        )
    for name in names:
        if name not in ids:
            near = difflib.get_close_matches(str(name), ids, n=1)
            faults.append(
                ConfigError(
                    "config.unknown_need",
                    f"Step {at[1]!r} needs {name!r}, which does not exist.",
                    where=merged.place((*at, "needs")),
                    remedy=f"Did you mean {near[0]!r}?" if near else f"Steps: {', '.join(ids)}.",
                )
            )
    return tuple(str(name) for name in names if name in ids)


def _params(
    node: NodeClass, params: dict[str, Any], merged: _Merged, at: Path_, faults: list[NeuroWeaverError]
) -> dict[str, Any]:
    placed = _absolute(node, params, merged, at)
    try:
        model = node.params_model.model_validate(placed)
    except ValidationError as problem:
        faults += [_param_fault(node, entry, merged, at) for entry in problem.errors(include_url=False)]
        return {}
    return model.model_dump(mode="json")


def _absolute(node: NodeClass, params: dict[str, Any], merged: _Merged, at: Path_) -> dict[str, Any]:
    """Fields marked document_path are relative to the document that set them."""
    placed = dict(params)
    for name, info in node.params_model.model_fields.items():
        extra = info.json_schema_extra
        if isinstance(extra, dict) and extra.get("document_path") and isinstance(placed.get(name), str) and placed[name]:
            placed[name] = str((merged.folder((*at, name)) / Path(placed[name]).expanduser()).resolve())
    return placed


def _param_fault(node: NodeClass, entry: Any, merged: _Merged, at: Path_) -> ConfigError:
    path = (*at, *entry["loc"])
    where, kind = merged.place(path), entry["type"]
    if kind == "extra_forbidden":
        around = _fields_at(node.params_model, entry["loc"][:-1])
        return _unknown(str(entry["loc"][-1]), [*around, *(STEP if len(entry["loc"]) == 1 else ())], where, f"step {at[1]!r}")
    if kind == "missing":
        return ConfigError(
            "config.missing",
            f"Step {at[1]!r} lacks {dotted(entry['loc'])!r}.",
            where=where,
            remedy=f"Add it; {node.name} cannot work without it.",
        )
    return ConfigError(
        "config.value",
        f"{dotted(path)} has a value it cannot have.",
        where=where,
        why=f"{entry['msg']}; it is {_short(entry.get('input'))}.",
        remedy="Correct the value.",
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _fields_at(model: Any, loc: tuple[str | int, ...]) -> list[str]:
    for part in loc:
        info = model.model_fields.get(str(part)) if isinstance(model, type) and issubclass(model, BaseModel) else None
        model = info.annotation if info is not None else None
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _origin(merged: _Merged) -> dict[str, str]:
    """Who set each value: "kits/legal/kit.yaml:12", "--set"."""
    found = {}
    for path, place in merged.places.items():
        if path:
            found[dotted(path)] = str(Place(place.file, place.line))
    return found


def document_schema(nodes: Mapping[str, NodeClass]) -> dict[str, Any]:
    """JSON schema of a document, made from the nodes' parameter models, for the editor and the API."""
    steps = []
    for name, node in nodes.items():
        schema = node.params_model.model_json_schema()
        common = {
            "node": {"const": name},
            "needs": {"type": ["string", "array"]},
            "inputs": {"type": "object"},
            "title": {"type": "string"},
            "note": {"type": "string"},
            "position": {"type": "array"},
        }
        steps.append(
            {
                "type": "object",
                "title": node.title,
                "properties": {**common, **schema.get("properties", {})},
                "required": ["node", *schema.get("required", [])],
                "additionalProperties": False,
                "$defs": schema.get("$defs", {}),
            }
        )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": False,
        "properties": {**{key: {} for key in TOP}, "steps": {"type": "object", "additionalProperties": {"oneOf": steps}}},
    }
