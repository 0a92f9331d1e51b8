"""Checks of merged values: keys, types, steps, parameters, secrets.  Every fault has its place; all are collected."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from app.config.canvas import FARTHEST, Canvas
from app.config.kit import Kit
from app.config.merging import TOP, Faults, Layers, nearest
from app.config.node import NodeClass
from app.config.yaml_source import Path_, dotted
from app.errors import ConfigError, NeuroWeaverError, Place

STEP = ("node", "needs", "inputs", "title", "note", "position")
LARGEST_SEED = 2**32 - 1
_ID = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_SECRET = re.compile(
    r"\b(sk-[A-Za-z0-9_-]{20,}|hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|AKIA[0-9A-Z]{16}"
    r"|xox[baprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{35})|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
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


def check_top(layers: Layers, faults: Faults) -> None:
    """Keys and types outside the steps."""
    for key in layers.value:
        if key not in TOP:
            faults.append(_unknown(key, TOP, layers.place((key,)), "document"))
    for key, kind, words in (("name", str, "a text"), ("description", str, "a text"), ("base_model", str, "a name or a path"),
                             ("environment", str, "a name"), ("environments", dict, "a mapping")):
        _type(layers, (key,), kind, words, faults)
    seed = layers.value.get("seed")
    if seed is not None and not (type(seed) is int and 0 <= seed <= LARGEST_SEED):
        faults.append(_value(layers, ("seed",), f"It must be a whole number from 0 to {LARGEST_SEED}", seed))
    if not isinstance(layers.value.get("steps"), dict) or not layers.value["steps"]:
        faults.append(ConfigError("config.no_steps", "The document has no steps.", where=layers.place(("steps",)),
                                  remedy="Add steps: with at least one step, or extend a kit."))
    if "kit" in layers.value:
        _fits(Kit, layers.value["kit"], layers, ("kit",), "kit", (), faults)
    if "canvas" in layers.value:
        _fits(Canvas, layers.value["canvas"], layers, ("canvas",), "canvas", (), faults)


def check_secrets(layers: Layers, faults: Faults) -> None:
    """A document is stored with each run and shown: nothing secret may stand in it.  The secret itself is never repeated."""
    for path, text in _texts(layers.value, ()):
        if _SECRET.search(text):
            faults.append(ConfigError("config.secret", "This looks like a password or an access key.", where=layers.place(path),
                                      why="Documents are stored with every run.", remedy="Remove it, and have it replaced."))


def _texts(value: Any, path: Path_) -> Iterator[tuple[Path_, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(part, (*path, key))


def _type(layers: Layers, path: Path_, kind: type, words: str, faults: Faults) -> None:
    found = layers.at(path)
    if found is not None and not isinstance(found, kind):
        faults.append(_value(layers, path, f"It must be {words}", found))


def _value(layers: Layers, path: Path_, why: str, found: Any) -> ConfigError:
    quotes = "valid string" in why or ("text" in why and isinstance(found, int | float))
    return ConfigError("config.value", f"{dotted(path)} has a value it cannot have.", where=layers.place(path),
                       why=f"{why}; it is {_short(found)}.", remedy="Put it in quotes." if quotes else "Correct the value.")


def _short(value: Any) -> str:
    text = repr(value)
    if _SECRET.search(text):
        return "hidden"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _unknown(key: str, known: Iterable[str], where: Place, what: str) -> ConfigError:
    return ConfigError("config.unknown_key", f"Unknown key {key!r} in the {what}.", where=where, remedy=nearest(key, known))


# ---- steps -------------------------------------------------------------------------------------------------------


def check_steps(layers: Layers, find: Find, faults: Faults) -> dict[str, StepSpec]:
    """All steps that can be read, in the order written; ``faults`` gets the rest."""
    steps = layers.value.get("steps")
    found: dict[str, StepSpec] = {}
    for name in steps if isinstance(steps, dict) else ():
        try:
            found[name] = _step(name, layers, find, faults)
        except NeuroWeaverError as fault:
            faults.append(fault)
    _circle(found, layers, faults)
    return found


def _step(name: str, layers: Layers, find: Find, faults: Faults) -> StepSpec:
    at: Path_ = ("steps", name)
    if not _ID.fullmatch(name):
        faults.append(ConfigError("config.step_id", f"{name!r} cannot be the name of a step.", where=layers.place(at),
                                  remedy="Use a small letter first, then small letters, digits, - and _, at most 40."))
    content = layers.at(at)
    if not isinstance(content, dict) or not isinstance(content.get("node"), str):
        near = difflib.get_close_matches(name, [one for one in layers.value["steps"] if one != name], n=1)
        meant = f" Or did you mean {near[0]!r}?" if near else ""
        raise ConfigError("config.step", f"Step {name!r} names no node.", where=layers.place(at),
                          remedy=f"Add node: with its name, for example node: data.refine.{meant}")
    needs, inputs = _needs(layers, at, faults), _inputs(layers, at, faults)
    _type(layers, (*at, "title"), str, "a text", faults)
    _type(layers, (*at, "note"), str, "a text", faults)
    _position(layers, (*at, "position"), faults)
    node = find(content["node"], layers.place((*at, "node")))
    params = {key: value for key, value in content.items() if key not in STEP}
    placed = _placed(node.params_model, params, layers, at, faults)
    model = _fits(node.params_model, placed, layers, at, f"step {name!r}", STEP, faults)
    filled = {} if model is None else model.model_dump(mode="json")
    return StepSpec(name, node.name, needs, inputs, str(content.get("title") or node.title), filled)


def _position(layers: Layers, path: Path_, faults: Faults) -> None:
    found = layers.at(path)
    numbers = isinstance(found, list) and [part for part in found if type(part) in (int, float) and abs(part) <= FARTHEST]
    if found is not None and not (numbers and len(numbers) == len(found) == 2):
        faults.append(_value(layers, path, f"It must be two numbers, each at most {FARTHEST:,}", found))


def _needs(layers: Layers, at: Path_, faults: Faults) -> tuple[str, ...]:
    path, ids = (*at, "needs"), list(layers.value["steps"])
    value = layers.at(path)
    names = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        faults.append(ConfigError("config.needs", "needs must name steps.", where=layers.place(path),
                                  remedy="For example needs: refine, or needs: [export, evaluate]"))
        return ()
    for name in names:
        if name not in ids:
            faults.append(ConfigError("config.unknown_need", f"Step {at[1]!r} needs {name!r}, which does not exist.",
                                      where=layers.place(path), remedy=nearest(name, ids, "Steps")))
    return tuple(dict.fromkeys(name for name in names if name in ids))


def _inputs(layers: Layers, at: Path_, faults: Faults) -> dict[str, str]:
    path, ids = (*at, "inputs"), list(layers.value["steps"])
    value = layers.at(path)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(source, str) for source in value.values()):
        faults.append(ConfigError("config.inputs", "inputs must map ports to step.output.", where=layers.place(path),
                                  remedy="For example inputs: {rows: refine.rows}"))
        return {}
    for port, source in value.items():
        if source.partition(".")[0] not in ids:
            faults.append(ConfigError("config.unknown_need", f"Input {port!r} of step {at[1]!r} comes from {source!r}, which does "
                                      "not exist.", where=layers.place((*path, port)),
                                      remedy=nearest(source.partition(".")[0], ids, "Steps")))
    return {port: source for port, source in value.items() if source.partition(".")[0] in ids}


def _circle(steps: Mapping[str, StepSpec], layers: Layers, faults: Faults) -> None:
    """One fault for the first circle of needs that is found (depth first, without recursion)."""
    before = {name: [*spec.needs, *(source.partition(".")[0] for source in spec.inputs.values())] for name, spec in steps.items()}
    done: set[str] = set()
    for start in steps:
        trail, ahead = [start], [iter(before[start])]
        while trail and start not in done:
            following = next(ahead[-1], None)
            if following is None:
                done.add(trail.pop())
                ahead.pop()
            elif following in trail:
                faults.append(_circle_fault([*trail[trail.index(following) :], following], layers))
                return
            elif following not in done and following in steps:
                trail.append(following)
                ahead.append(iter(before[following]))


def _circle_fault(circle: list[str], layers: Layers) -> ConfigError:
    what = f"Step {circle[0]!r} needs itself." if len(circle) == 2 else "The steps need each other in a circle."
    return ConfigError("config.cycle", what, where=layers.place(("steps", circle[0], "needs")), why=f"{' → '.join(circle)}.",
                       remedy="Remove one of these needs.")


# ---- parameters --------------------------------------------------------------------------------------------------


def _fits(model: type[BaseModel], values: Any, layers: Layers, at: Path_, what: str, beside: Iterable[str],
          faults: Faults) -> BaseModel | None:
    """The validated model, or None and a fault for each value that does not fit.  beside: keys that may stand next to its own."""
    try:
        return model.model_validate(values)
    except ValidationError as problem:
        faults += [_misfit(model, entry, layers, at, what, beside) for entry in problem.errors(include_url=False)]
        return None


def _misfit(model: type[BaseModel], entry: Any, layers: Layers, at: Path_, what: str, beside: Iterable[str]) -> ConfigError:
    loc, kind = entry["loc"], entry["type"]
    path = (*at, *_written(layers.at(at), loc, keep_last=kind in ("missing", "extra_forbidden")))
    if kind == "extra_forbidden":
        known = [*_fields_at(model, loc[:-1]), *(beside if len(loc) == 1 else ())]
        return _unknown(str(loc[-1]), known, layers.place(path), what)
    if kind == "missing":
        return ConfigError("config.missing", f"{what[:1].upper()}{what[1:]} lacks {dotted(path[len(at):])!r}.",
                           where=layers.place(path), remedy="Add it; there is no default.")
    return _value(layers, path, entry["msg"], entry.get("input"))


def _written(value: Any, loc: tuple[str | int, ...], keep_last: bool) -> Path_:
    """The part of pydantic's location that stands in the document (it also names the members of a union)."""
    found: list[str | int] = []
    for part in loc:
        inside = (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value))
        if inside:
            found.append(part)
            value = value[part]
    return tuple(found) if not keep_last or found[-1:] == [loc[-1]] else (*found, loc[-1])


def _fields_at(model: Any, loc: tuple[str | int, ...]) -> list[str]:
    for part in loc:
        info = model.model_fields.get(str(part)) if model is not None else None
        model = next(_models(info.annotation), None) if info is not None else model
    return list(model.model_fields) if model is not None else []


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _placed(model: type[BaseModel], params: dict[str, Any], layers: Layers, at: Path_, faults: Faults) -> dict[str, Any]:
    """The parameters, with paths that are relative to the document made absolute."""
    placed = dict(params)
    for name, info in model.model_fields.items():
        if name in placed:
            placed[name] = _place(info.annotation, _marked(info), placed[name], layers, (*at, name), faults)
    return placed


def _marked(info: Any) -> bool:
    extra = getattr(info, "json_schema_extra", None)
    return isinstance(extra, dict) and bool(extra.get("document_path"))


def _place(annotation: Any, marked: bool, value: Any, layers: Layers, at: Path_, faults: Faults) -> Any:
    """One value of a parameter; goes into lists, mappings and nested models (see node.DocumentPath)."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _place(parts[0], marked or any(map(_marked, parts[1:])), value, layers, at, faults)
    if origin in (Union, types.UnionType):
        for part in parts:
            value = _place(part, marked, value, layers, at, faults)
        return value
    if isinstance(value, list) and parts:
        return [_place(parts[0], marked, item, layers, (*at, number), faults) for number, item in enumerate(value)]
    if isinstance(value, dict) and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _placed(annotation, value, layers, at, faults)
    if isinstance(value, dict) and len(parts) == 2:
        return {key: _place(parts[1], marked, item, layers, (*at, key), faults) for key, item in value.items()}
    return _absolute(value, layers, at, faults) if marked and isinstance(value, str) and value else value


def _absolute(text: str, layers: Layers, at: Path_, faults: Faults) -> str:
    try:
        return str((layers.folder(at) / Path(text).expanduser()).resolve())
    except (ValueError, RuntimeError, OSError) as problem:
        faults.append(ConfigError("config.path", f"{dotted(at)} is no usable path.", where=layers.place(at), why=f"{problem}.",
                                  remedy="Name a file or folder; ~ is your home folder."))
        return text


def base_model_path(layers: Layers, faults: Faults) -> str:
    """``base_model``, made absolute where it is a path (it has a slash, or begins with . or ~); names stay names."""
    text = layers.value.get("base_model")
    if not isinstance(text, str) or not ("/" in text or "\\" in text or text.startswith((".", "~"))):
        return text if isinstance(text, str) else ""
    return _absolute(text, layers, ("base_model",), faults)
