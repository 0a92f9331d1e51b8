"""From a document to the values that count: inheritance, the chosen environment, overrides.

Every value keeps the place and the folder of the document that set it.  Faults are collected, not raised, so that all of
them can be told together.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.config.kit_folders import kit_file, kit_files
from app.config.yaml_source import Path_, Source, dotted, parse, read_text
from app.errors import ConfigError, NeuroWeaverError, Place, UsageError
from app.store.profile import project_dir

TOP = ("name", "description", "extends", "environment", "environments", "base_model", "seed", "steps", "canvas", "kit")
OWN = ("kit", "canvas")
"""Keys that describe one document and are not inherited."""
LONGEST_CHAIN = 10
HOME_NOTE = ".home.json"
"""Suffix of a note beside a draft: the folder that the draft's relative paths start from (app.config.views.keep_draft)."""
Faults = list[NeuroWeaverError]


@dataclass
class Layers:
    """Merged values, with the place and the folder that each came from.  marks: what to add to a place ("environment x")."""

    value: dict[str, Any]
    places: dict[Path_, Place]
    folders: dict[Path_, Path]

    def place(self, path: Path_) -> Place:
        """Where a value was set; for one that is not there, the nearest thing around it.  ``field`` is always the path."""
        for length in range(len(path), -1, -1):
            if found := self.places.get(path[:length]):
                return Place(found.file, found.line, found.column, dotted(path) or None)
        return Place(field=dotted(path) or None)

    def folder(self, path: Path_) -> Path:
        """The folder that a relative path set at ``path`` starts from."""
        for length in range(len(path), -1, -1):
            if found := self.folders.get(path[:length]):
                return found
        return Path.cwd()

    def at(self, path: Path_) -> Any:
        """The value at a path, or None."""
        value: Any = self.value
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def merge(self, over: Layers) -> None:
        """Deep merge: mappings key by key, everything else replaced."""
        self._merge_into(over, self.value, over.value, ())
        if () in over.places:
            self.places[()] = over.places[()]

    def _merge_into(self, over: Layers, target: dict[str, Any], values: Mapping[str, Any], path: Path_) -> None:
        for key, value in values.items():
            here = (*path, key)
            if isinstance(value, dict) and isinstance(target.get(key), dict):
                self._merge_into(over, target[key], value, here)
                continue
            target[key] = value
            for known in (self.places, self.folders):
                for stale in [known_path for known_path in known if known_path[: len(here)] == here]:
                    del known[stale]
            self.places |= {known: place for known, place in over.places.items() if known[: len(here)] == here}
            self.folders |= {known: folder for known, folder in over.folders.items() if known[: len(here)] == here}
            self.folders[here] = over.folder(here)


def written(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Paths of all values inside mappings and lists."""
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from written(part, (*path, key))


def nearest(name: Any, known: Iterable[str], otherwise: str = "Known") -> str:
    """A hint: the nearest of the known names, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else f"{otherwise}: {', '.join(names) or 'none'}."


def find_document(name: str) -> Path:
    """The file of a kit by its name ("legal", "kits/legal"), or of a path.  Raises UsageError with the nearest name."""
    if (kit := kit_file(name)) is not None:
        return kit
    path = _usable(name)
    if path is not None:
        for candidate in (path / "kit.yaml", path):
            if candidate.is_file():
                return candidate
    hint = nearest(name, sorted(kit_files()), "Kits")
    raise UsageError("workflow.not_found", f"There is no kit and no file {name!r}.", remedy=f"{hint} Or name a YAML file.")


def _usable(name: str) -> Path | None:
    """A path from a text; None where no file system could hold it (a NUL, an unknown user's home)."""
    try:
        path = Path(name).expanduser()
        path.is_file()
    except (ValueError, RuntimeError, OSError):
        return None
    return path


# ---- extends -----------------------------------------------------------------------------------------------------


def inherit(source: Source, folder: Path, faults: Faults) -> Layers:
    """The document and all that it extends, merged.  What cannot be inherited is a fault, and the rest goes on.

    Raises ConfigError config.not_a_mapping for a document that is none.
    """
    own = [Path(source.file).resolve()] if source.file else []
    return _inherit(source, folder, own, faults)


def _inherit(source: Source, folder: Path, chain: list[Path], faults: Faults) -> Layers:
    value = {} if source.value is None else source.value
    if not isinstance(value, dict):
        raise (ConfigError("config.not_a_mapping", "The document is not a mapping.", where=Place(source.file, 1, 1),
                                  why="It begins with something else than “key: value”.", remedy="Begin with name: and steps:."))
    places = {(): Place(source.file, 1, 1)} | {path: Place(source.file, *spot) for path, spot in source.places.items()}
    own = Layers(copy.deepcopy(value), places, {(): folder})
    if value.get("extends") is None:
        return own
    try:
        base = _base(value["extends"], folder, source.place(("extends",)), chain, faults)
    except NeuroWeaverError as fault:
        faults.append(fault)
        return own
    for key in OWN:
        base.value.pop(key, None)
    base.merge(own)
    return base


def _base(extends: Any, folder: Path, where: Place, chain: list[Path], faults: Faults) -> Layers:
    if not isinstance(extends, str):
        raise ConfigError("config.extends", "extends must name one document.", where=where, remedy="Write extends: kits/legal")
    file = _extended(extends, folder, where)
    if file in chain or len(chain) >= LONGEST_CHAIN:
        circle = " → ".join(f"{one.parent.name}/{one.name}" for one in (*chain, file))
        raise ConfigError("config.extends_cycle", "The documents extend each other in a circle.", where=where,
                          why=f"{circle}.", remedy="Remove one extends.")
    return _inherit(parse(read_text(file), file, faults), file.parent, [*chain, file], faults)


def _extended(name: str, folder: Path, where: Place) -> Path:
    given = _usable(name)
    root = project_dir()
    for candidate in () if given is None else (folder / given, folder / given / "kit.yaml", root / given / "kit.yaml", root / given):
        if candidate.is_file():
            return candidate.resolve()
    if name.startswith("kits/") and (kit := kit_file(name)) is not None:
        return kit.resolve()
    hint = nearest(name, (f"kits/{kit}" for kit in sorted(kit_files())), "Kits")
    raise ConfigError("config.extends_missing", f"The document extends {name!r}, which does not exist.", where=where,
                      remedy=f"{hint} Or name a file beside this one.")


# ---- environment and overrides -----------------------------------------------------------------------------------


def overlay(layers: Layers, environment: str | None, faults: Faults) -> None:
    """Merge the chosen environment over the document.  environment: the caller's choice, else the document's own."""
    chosen = environment if environment is not None else layers.value.get("environment")
    if not chosen:
        return
    found = layers.value.get("environments")
    names = list(found) if isinstance(found, dict) else []
    where = layers.place(("environment",)) if environment is None else Place(field="environment")
    if chosen not in names:
        faults.append(ConfigError("config.environment", f"There is no environment {chosen!r}.", where=where,
                                  remedy=nearest(chosen, names, "Defined")))
        return
    prefix: Path_ = ("environments", chosen)
    values = layers.at(prefix)
    if not isinstance(values, dict):
        faults.append(ConfigError("config.environment", f"Environment {chosen!r} is not a mapping.", where=layers.place(prefix),
                                  remedy="Write keys of the document under it, for example seed: or steps:."))
        return
    places = {path[2:]: place for path, place in layers.places.items() if path[:2] == prefix and len(path) > 2}
    folders = {path[2:]: folder for path, folder in layers.folders.items() if path[:2] == prefix and len(path) > 2}
    layers.merge(Layers(copy.deepcopy(values), places, folders | {(): layers.folder(prefix)}))


def override(layers: Layers, overrides: Mapping[str, Any], faults: Faults) -> None:
    """``train.epochs=1`` means steps.train.epochs where the first part is a step; texts are read as YAML."""
    for name, given in overrides.items():
        try:
            parts = _target(name, layers)
            value = _given(name, given)
        except NeuroWeaverError as fault:
            faults.append(fault)
            continue
        nested: Any = value
        for part in reversed(parts):
            nested = {part: nested}
        place = Place(file="--set", field=name)
        set_here: set[Path_] = {parts[:length] for length in range(1, len(parts)) if layers.at(parts[:length]) is None}
        set_here |= {(*parts, *path) for path in [(), *written(value)]}
        layers.merge(Layers(nested, dict.fromkeys(set_here, place), {(): Path.cwd()}))


def split_environment(overrides: Mapping[str, Any], environment: str | None) -> tuple[dict[str, Any], str | None]:
    """Take ``environment=x`` out of the overrides: it must be known before the overlay is merged."""
    rest = dict(overrides)
    named = rest.pop("environment", None)
    return rest, environment if environment is not None else None if named is None else str(named)


def _target(name: str, layers: Layers) -> tuple[str, ...]:
    parts = tuple(name.split("."))
    steps = layers.value.get("steps")
    ids = list(steps) if isinstance(steps, dict) else []
    if not all(parts):
        raise _bad_override(name, "It has an empty part.", "Write step.parameter=value.")
    if parts[0] in ids and (len(parts) > 1 or parts[0] not in TOP):
        return ("steps", *parts)
    if parts[0] == "extends":
        raise _bad_override(name, "What a document extends decides its keys.", "Run the other one, or write a file that extends it.")
    if parts[0] not in TOP:
        raise _bad_override(name, f"There is no step and no key {parts[0]!r} to set.", nearest(parts[0], [*ids, *TOP]))
    return parts


def _given(name: str, given: Any) -> Any:
    if not isinstance(given, str):
        return given
    try:
        return parse(given).value if given.strip() else ""
    except ConfigError as problem:
        raise _bad_override(name, f"The value is not valid YAML. {problem.why}".strip(), "Put the value in quotes.") from problem


def _bad_override(name: str, why: str, remedy: str) -> ConfigError:
    return ConfigError("config.override", f"--set {name} cannot be used.", where=Place(file="--set", field=name), why=why,
                       remedy=remedy)
