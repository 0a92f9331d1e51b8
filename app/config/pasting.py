"""Steps on the clipboard: a fragment of a document, which is YAML too, so that it can be pasted anywhere."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from app.config import editing
from app.config.yaml_source import parse
from app.config.yaml_tree import below
from app.errors import ConfigError, NeuroWeaverError

SHIFT = 32
"""How far a copy stands from its original, in scene units."""


def copied(steps: Mapping[str, Mapping[str, Any]], names: Iterable[str]) -> str:
    """The named steps as a fragment: ``steps:`` and their contents, in the document's order."""
    wanted = set(names)
    chosen = {name: dict(content) for name, content in steps.items() if name in wanted}
    return f"steps:{below(chosen, 2, 2, chr(10))}\n" if chosen else ""


def pasted(text: str, fragment: str, taken: Iterable[str] = ()) -> tuple[str, list[str]]:
    """Add a fragment's steps under free names; links among them and to steps that exist stay, others go.

    taken: names in use beside the text's own (inherited steps).  Returns the text and the new names.
    Raises ConfigError edit.clipboard where the fragment holds no steps.
    """
    steps = _steps(fragment)
    known = {*taken, *editing.step_names(text)}
    names: dict[str, str] = {}
    for old in steps:
        names[old] = editing.free_name({*known, *names.values()}, old)
    for old, content in steps.items():
        text = editing.add_step(text, names[old], _linked(content, names, known))
    return text, list(names.values())


def _steps(fragment: str) -> dict[str, dict[str, Any]]:
    try:
        value = parse(fragment).value
    except NeuroWeaverError:
        value = None
    steps = value.get("steps") if isinstance(value, dict) else None
    good = isinstance(steps, dict) and {name: content for name, content in steps.items()
                                        if editing.STEP_ID.fullmatch(name) and isinstance(content, dict)}
    if not good:
        raise ConfigError("edit.clipboard", "The clipboard holds no steps.", remedy="Copy a step of a workflow first.")
    return good


def _linked(content: Mapping[str, Any], names: Mapping[str, str], known: set[str]) -> dict[str, Any]:
    made = copy.deepcopy(dict(content))
    needs = made.pop("needs", None)
    listed = [needs] if isinstance(needs, str) else needs if isinstance(needs, list) else []
    kept = [names.get(need, need) for need in listed if need in names or need in known]
    sources = made.pop("inputs", None)
    inputs = {port: _renamed(source, names) for port, source in (sources if isinstance(sources, dict) else {}).items()
              if str(source).partition(".")[0] in {*names, *known}}
    place = made.pop("position", None)
    if isinstance(place, list) and len(place) == 2 and all(type(part) in (int, float) for part in place):
        made["position"] = [part + SHIFT for part in place]
    ordered = {"node": made.pop("node", "")}
    ordered |= {"needs": kept[0] if len(kept) == 1 else kept} if kept else {}
    return ordered | ({"inputs": inputs} if inputs else {}) | made


def _renamed(source: Any, names: Mapping[str, str]) -> str:
    name, dot, output = str(source).partition(".")
    return f"{names.get(name, name)}{dot}{output}"
