"""The workflow document: read, inherit, overlay, check.  All faults are reported together, before any work.

    name, description, base_model, seed, steps: {id: {node, needs, inputs, title, note, position, parameters...}}
    extends: kits/legal          deep merge over another document; lists are replaced (merging.py)
    environment / environments   the chosen overlay is merged last, before overrides
    kit                          what a kit says of itself (kit.py; not inherited)

This module knows no node: whoever calls it passes ``find`` (app.workflow.registry.find).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from app.config.checks import Find, StepSpec, base_model_path, check_secrets, check_steps, check_top
from app.config.merging import HOME_NOTE, Faults, Layers, find_document, inherit, overlay, override, split_environment, written
from app.config.schema import document_schema
from app.config.yaml_source import Path_, Source, dotted, join_faults, parse, read_text
from app.errors import ConfigError, Place, UsageError

__all__ = ["Checked", "Document", "Find", "StepSpec", "check", "document_schema", "find_document", "load", "load_text", "name_of",
           "who_set"]

DEFAULT = "default"
_UNREAD = {"config.number", "config.tag", "config.recursive", "config.merge_key"}
"""What could not be read was given a value that the user never wrote: faults of that value are not the user's."""


@dataclass(frozen=True)
class Document:
    """A checked document.

    ``resolved`` is what runs, the same for the same content, whatever the order of keys; ``hash``: its sha256.
    ``base_dir``: the folder that relative paths started from.  ``origin``: who set each value, by dotted path.
    """

    name: str
    kit: str
    text: str
    file: str | None
    base_dir: str
    base_model: str
    seed: int
    steps: dict[str, StepSpec]
    resolved: dict[str, Any]
    hash: str
    origin: dict[str, str] = field(default_factory=dict)
    place: Callable[[Path_], Place] = field(default=lambda path: Place(field=dotted(path)), repr=False, compare=False)
    """Where a value was set, or what is around it."""


@dataclass(frozen=True)
class Checked:
    """A text that was read and checked once.

    ``name``: the document's, "" where the text is none at all.  ``document``: None where there is a ``fault``, whose ``others``
    are the further ones.
    """

    name: str
    document: Document | None = None
    fault: ConfigError | None = None

    def sound(self) -> Document:
        """The document.  Raises ConfigError with all faults."""
        if self.document is None:
            assert self.fault is not None
            raise self.fault
        return self.document


def load(path: Path, find: Find, *, overrides: Mapping[str, Any] | None = None, environment: str | None = None) -> Document:
    """Read and check a file.  Raises ConfigError; its ``others`` are the further faults."""
    return load_text(read_text(path), find, path=path, overrides=overrides, environment=environment)


def load_text(
    text: str, find: Find, *, path: Path | None = None, overrides: Mapping[str, Any] | None = None, environment: str | None = None
) -> Document:
    """Read and check a text.  path: where it stands, for relative paths and places in errors.  Raises ConfigError as :func:`load` does."""
    return check(text, find, path=path, overrides=overrides, environment=environment).sound()


def check(
    text: str, find: Find, *, path: Path | None = None, overrides: Mapping[str, Any] | None = None, environment: str | None = None
) -> Checked:
    """The same for who wants to know what is wrong as well; it raises nothing for a faulty text."""
    faults: Faults = []
    folder = home_folder(path)
    try:
        source = parse(text, path, faults)
        layers = inherit(source, folder, faults)
    except ConfigError as fault:
        return Checked("", fault=join_faults([*faults, fault, *fault.others]))
    changes, chosen = split_environment(overrides or {}, environment)
    overlay(layers, chosen, faults)
    override(layers, changes, faults)
    check_top(layers, faults)
    check_secrets(layers, faults)
    base_model = base_model_path(layers, faults)
    steps = check_steps(layers, find, faults)
    name = name_of(layers, path)
    if faults:
        return Checked(name, fault=join_faults(_without_echoes(faults)))
    return Checked(name, _document(text, path, folder, source, layers, base_model, steps))


def _without_echoes(faults: Faults) -> Faults:
    unread = {fault.where.field for fault in faults if fault.code in _UNREAD}
    return [fault for fault in faults if fault.code in _UNREAD or fault.where.field not in unread]


def home_folder(path: Path | None) -> Path:
    """The folder that relative paths of a document start from; a draft's note names another than its own."""
    if path is None:
        return Path.cwd()
    try:
        note = json.loads(path.with_name(path.name + HOME_NOTE).read_text(encoding="utf-8"))
        return Path(note["folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return path.resolve().parent


def _document(text: str, path: Path | None, folder: Path, source: Source, layers: Layers, base_model: str,
              steps: dict[str, StepSpec]) -> Document:
    name = name_of(layers, path)
    seed = int(layers.value.get("seed") or 0)
    resolved = {
        "name": name, "base_model": base_model, "seed": seed,
        "steps": {step.id: {"node": step.node, "needs": list(step.needs), "inputs": dict(step.inputs), "title": step.title,
                            "params": dict(step.params)} for step in steps.values()},
    }
    digest = hashlib.sha256(orjson.dumps(resolved, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return Document(name=name, kit=_kit_of(path, folder, source), text=text, file=str(path) if path else None,
                    base_dir=str(folder), base_model=base_model, seed=seed, steps=steps, resolved=resolved, hash=digest,
                    origin=_origin(layers), place=layers.place)


def name_of(layers: Layers, path: Path | None) -> str:
    """A document's own name, else its file's; a kit's file is named by its folder."""
    file = "Workflow" if path is None else path.parent.name if path.name == "kit.yaml" else path.stem
    return str(layers.value.get("name") or file)


def _kit_of(path: Path | None, folder: Path, source: Source) -> str:
    """The kit that a document is, or extends; "" for others."""
    own = source.value or {}
    if isinstance(own.get("kit"), dict) and (folder / "kit.yaml").is_file():
        return folder.name
    if path is not None and path.name == "kit.yaml":
        return path.parent.name
    extends = own.get("extends")
    return extends.removeprefix("kits/") if isinstance(extends, str) and extends.startswith("kits/") else ""


def _origin(layers: Layers) -> dict[str, str]:
    found = {}
    for path in written(layers.value):
        if path[0] != "environments":
            place = layers.places.get(path) or layers.place(path)
            found[dotted(path)] = f"{place.file or 'text'}:{place.line}" if place.line else str(place.file)
    return found


def who_set(document: Document, path: str) -> str:
    """Who set a value: "file:line", "--set", or "default" for what the document leaves to the node.

    path: as in --set ("train.epochs", "steps.train.lora.r", "seed").  Raises UsageError for a value that does not exist.
    """
    parts = path.split(".")
    if parts[0] in document.steps and parts[0] not in document.resolved:
        parts = ["steps", *parts]
    if found := document.origin.get(".".join(parts)):
        return found
    value: Any = document.resolved
    for part in [*parts[:2], "params", *parts[2:]] if parts[0] == "steps" and len(parts) > 2 else parts:
        if not isinstance(value, dict) or part not in value:
            raise UsageError("config.no_value", f"The document has no value {path!r}.", remedy="Name it as in --set.")
        value = value[part]
    return DEFAULT
