"""Edits of a workflow document as a text: what is not touched stays byte for byte, comments and key order with it.

Every function takes a text and returns the changed text.  It reads the result back and compares it with the edit done on plain
values; a text that cannot be changed safely (a value shared through an alias, say) is refused, never damaged.
Raises ConfigError: that of a text that is not valid YAML, with its line and column, or one with a code edit.*.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.config.yaml_source import Path_, parse
from app.config.yaml_tree import (
    Splice,
    Twig,
    append,
    apply,
    entry,
    insert,
    line_end,
    line_start,
    newline,
    remove_entry,
    remove_item,
    replace,
    step_of,
    tree,
)
from app.errors import ConfigError, NeuroWeaverError, Place

STEP_ID = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_ABSENT = object()


class _Nest(dict[str, Any]):
    """Changes below a mapping, as against a mapping that is a value."""


# ---- any value -----------------------------------------------------------------------------------------------------


def put(text: str, path: Sequence[str], value: Any) -> str:
    """Set the value at a path of keys; mappings on the way are made."""
    return put_all(text, {tuple(path): value})


def put_all(text: str, changes: Mapping[Sequence[str], Any]) -> str:
    """Set several values, in one pass over the text."""
    wanted = model = _plain(text)
    nest = _Nest()
    for path, value in changes.items():
        inner = nest
        for key in path[:-1]:
            inner = inner.setdefault(key, _Nest())
        inner[path[-1]] = value
        wanted = _with(wanted, path, value)
    root = tree(text)
    if root is None or (root.kind == "map" and not root.entries and not model):
        return _checked(text, _begun(text, root, nest), wanted)
    return _checked(text, apply(text, _puts(text, root, root, model, nest)), wanted)


def drop(text: str, path: Sequence[str], *, prune: bool = True) -> str:
    """Remove the value at a path; mappings left empty go too (or stay as {} without ``prune``).  The text itself if none is there."""
    wanted = _plain(text)
    if _at(wanted, path) is _ABSENT:
        return text
    path = list(path)
    while prune and len(path) > 1 and len(_at(wanted, path[:-1])) == 1:
        path.pop()
    wanted = _without(wanted, path)
    root = tree(text)
    chain = _chain(root, path)
    if len(chain) < len(path):  # behind an alias: write the rest out in its place
        return put(text, path[: len(chain)], _at(wanted, path[: len(chain)]))
    mapping = chain[-1]
    if len(mapping.entries) > 1:
        return _checked(text, apply(text, [remove_entry(text, mapping, path[-1])]), wanted)
    if len(chain) == 1:
        emptied = text[: mapping.start] + text[line_end(text, mapping.end) :].lstrip("\r\n")
        return _checked(text, emptied, wanted)
    key = chain[-2].key(path[-2])
    assert key is not None
    return _checked(text, apply(text, [replace(text, root, key, mapping, {})]), wanted)


def _plain(text: str) -> Any:
    value = parse(text).value
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError("edit.not_a_mapping", "The document is not a mapping.", where=Place(None, 1, 1),
                          remedy="Begin it with name: and steps:.")
    return value


def _at(value: Any, path: Sequence[str]) -> Any:
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return _ABSENT
        value = value[key]
    return value


def _with(value: Any, path: Sequence[str], new: Any) -> Any:
    """A copy with one value set; what is no mapping on the way becomes one."""
    if not path:
        return copy.deepcopy(new)
    made = dict(value) if isinstance(value, dict) else {}
    made[path[0]] = _with(made.get(path[0]), path[1:], new)
    return made


def _without(value: Any, path: Sequence[str]) -> Any:
    made = dict(value)
    if len(path) == 1:
        del made[path[0]]
    else:
        made[path[0]] = _without(made[path[0]], path[1:])
    return made


def _chain(root: Twig | None, path: Sequence[str]) -> list[Twig]:
    """The mappings on the way to a path, as far as they are written there."""
    found: list[Twig] = []
    for key in path:
        if root is None or root.kind != "map":
            break
        found.append(root)
        root = root.get(key)
    return found


def _puts(text: str, root: Twig, mapping: Twig, model: Any, nest: Mapping[str, Any]) -> list[Splice]:
    """The changes of one mapping."""
    found: list[Splice] = []
    for name, new in nest.items():
        key, old = mapping.key(name), mapping.get(name)
        if key is None or old is None:
            after = "node" if name in ("needs", "inputs") and mapping.get("node") else ""
            found.append(insert(text, root, mapping, name, _value(None, new), after))
        elif old.kind == "map" and old.entries and isinstance(new, _Nest):
            found += _puts(text, root, old, model[name], new)
        elif not _same(model[name], _value(model[name], new)):
            found += _changed(text, root, key, old, model[name], _value(model[name], new))
    return found


def _value(old: Any, new: Any) -> Any:
    """What a value becomes: a nest merges into a mapping, anything else stands for itself."""
    if not isinstance(new, _Nest):
        return new
    merged = dict(old) if isinstance(old, dict) else {}
    return merged | {key: _value(merged.get(key), part) for key, part in new.items()}


def _changed(text: str, root: Twig, key: Twig, old: Twig, before: Any, new: Any) -> list[Splice]:
    if old.kind == "map" and isinstance(new, dict) and old.entries and set(new) >= set(before):
        return _puts(text, root, old, before, new)  # comments inside stay
    if old.kind == "seq" and isinstance(new, list) and old.items:
        if _same(new[:-1], before):
            return [append(text, old, new[-1])]
        gone = [number for number in range(len(before)) if len(before) > 1 and _same(new, before[:number] + before[number + 1 :])]
        if gone:
            return [remove_item(text, old, gone[0])]
    return [replace(text, root, key, old, new)]


def _begun(text: str, root: Twig | None, nest: _Nest) -> str:
    """The first lines of a document that holds comments at most."""
    nl = newline(text)
    lines = nl.join(entry(key, _value(None, new), 0, 2, nl) for key, new in nest.items()) + nl
    if root is not None:  # {}
        return text[: root.start] + lines + text[root.end :].lstrip("\r\n")
    return text + (nl if text and not text.endswith("\n") else "") + lines


def _same(one: Any, two: Any) -> bool:
    """Equal, and of one kind: 1 is not true."""
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_same(one[key], two[key]) for key in one)
    if isinstance(one, list) and isinstance(two, list | tuple):
        return len(one) == len(two) and all(map(_same, one, two))
    return bool(one == two) and isinstance(one, bool) == isinstance(two, bool)


def _checked(old: str, new: str, wanted: Any) -> str:
    """The new text, if it reads as wanted."""
    try:
        found = parse(new).value
    except NeuroWeaverError as problem:
        raise _unsafe(old, problem.where.line, str(problem.why or problem.what)) from problem
    if not _same(found or {}, wanted):
        raise _unsafe(old, None, "The text would not read as meant, perhaps because of an alias or an unusual notation")
    return new


def _unsafe(text: str, line: int | None, why: str) -> ConfigError:
    line = min(line, text.count("\n") + 1) if line else None
    return ConfigError("edit.unsafe", "This text cannot be changed from the canvas.", where=Place(None, line),
                       why=f"{why.rstrip('.')}.", remedy="Change it in the YAML view.")


# ---- steps -----------------------------------------------------------------------------------------------------------


def step_names(text: str) -> list[str]:
    """The steps that the text itself writes, in its order."""
    steps = _plain(text).get("steps")
    return list(steps) if isinstance(steps, dict) else []


def free_name(taken: Iterable[str], wish: str) -> str:
    """A step name that is not taken: train, train-2, train-3."""
    known, number, base = set(taken), 2, re.sub(r"-\d+$", "", wish)[:36]
    if wish not in known:
        return wish
    while f"{base}-{number}" in known:
        number += 1
    return f"{base}-{number}"


def add_step(text: str, name: str, content: Mapping[str, Any]) -> str:
    """Add a step at the end, in the notation of the others.  content: node, needs and so on, in the order to be written."""
    _free(text, name)
    value = dict(content)
    root = tree(text)
    steps = root.get("steps") if root is not None and root.kind == "map" else None
    if steps is None or steps.kind != "map" or steps.flow or steps.entries[-1][1].flow:
        if steps is not None and steps.kind == "map" and steps.entries:
            return put(text, ("steps", name), value)
        return put(text, ("steps",), {name: value}) if not step_names(text) and steps is None else _first_step(text, name, value)
    assert root is not None
    column, inner = steps.entries[0][0].column, steps.entries[-1][1]
    deeper = inner.entries[0][0].column - column if inner.kind == "map" else step_of(root)
    nl = newline(text)
    lines = "".join(f"{nl}{' ' * (column + deeper)}{entry(key, part, column + deeper, deeper, nl)}" for key, part in value.items())
    end = steps.end
    if text[end - 1 : end] == "\n":
        return _checked(text, f"{text[:end]}{' ' * column}{name}:{lines}{nl}{text[end:]}", _with(_plain(text), ("steps", name), value))
    at = line_end(text, end)
    return _checked(text, f"{text[:at]}{nl}{' ' * column}{name}:{lines}{text[at:]}", _with(_plain(text), ("steps", name), value))


def _first_step(text: str, name: str, value: dict[str, Any]) -> str:
    """Under ``steps:`` that is empty or {}."""
    root = tree(text)
    assert root is not None
    key, old = root.key("steps"), root.get("steps")
    assert key is not None
    assert old is not None
    nl, at = newline(text), text.index(":", key.end) + 1
    step = step_of(root)
    lines = f"{nl}{' ' * (key.column + step)}{name}:" + "".join(
        f"{nl}{' ' * (key.column + 2 * step)}{entry(one, part, key.column + 2 * step, step, nl)}" for one, part in value.items())
    return _checked(text, text[:at] + lines + text[max(old.end, at) :], _with(_plain(text), ("steps",), {name: value}))


def _free(text: str, name: str) -> None:
    if not STEP_ID.fullmatch(name):
        raise ConfigError("edit.name", f"{name!r} cannot be the name of a step.", where=Place(field=f"steps.{name}"),
                          remedy="Use a small letter first, then small letters, digits, - and _, at most 40.")
    if name in step_names(text):
        raise ConfigError("edit.exists", f"There is a step {name!r} already.", where=_place(text, ("steps", name)),
                          remedy="Choose another name.")


def _place(text: str, path: Path_) -> Place:
    return parse(text).place(path)


def _known(text: str, name: str) -> None:
    if name not in step_names(text):
        raise ConfigError("edit.unknown_step", f"The text has no step {name!r} of its own.", where=Place(field=f"steps.{name}"),
                          why="A step that the document inherits can be changed, but not removed, renamed or moved.",
                          remedy="Open the document that it extends.")


def remove_step(text: str, name: str) -> str:
    """Remove a step and every mention of it in other steps and environments."""
    _known(text, name)
    for path, holder in _holders(text):
        if name in _listed(holder.get("needs")):
            text = _set_needs(text, (*path, "needs"), [need for need in _listed(holder["needs"]) if need != name])
        sources = holder.get("inputs")
        for port, source in sources.items() if isinstance(sources, dict) else ():
            if str(source).partition(".")[0] == name:
                text = drop(text, (*path, "inputs", port))
    for environment in _environments(text):
        text = drop(text, ("environments", environment, "steps", name))
    return drop(text, ("steps", name), prune=False)


def _environments(text: str) -> list[str]:
    found = _plain(text).get("environments")
    return list(found) if isinstance(found, dict) else []


def _holders(text: str) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every step's content with its path, those of environments too."""
    value = _plain(text)
    roots: list[tuple[tuple[str, ...], Any]] = [(("steps",), value.get("steps"))]
    roots += [(("environments", name, "steps"), _at(value, ("environments", name, "steps"))) for name in _environments(text)]
    return [((*path, name), content) for path, steps in roots if isinstance(steps, dict)
            for name, content in steps.items() if isinstance(content, dict)]


def _listed(needs: Any) -> list[str]:
    found = [needs] if isinstance(needs, str) else needs
    return [need for need in found if isinstance(need, str)] if isinstance(found, list) else []


def rename_step(text: str, old: str, new: str) -> str:
    """Give a step another name, wherever it is mentioned."""
    _known(text, old)
    if old == new:
        return text
    _free(text, new)
    wanted = _renamed(_plain(text), old, new)
    root = tree(text)
    splices: list[Splice] = []
    for path, holder in [(("steps",), {}), *((("environments", one, "steps"), {}) for one in _environments(text)), *_holders(text)]:
        chain = _chain(root, (*path, "needs"))
        if len(chain) <= len(path):
            continue
        if path[-1] == "steps" and not holder:
            key = chain[-1].key(old)
            splices += [(key.start, key.end, new)] if key else []
            continue
        splices += [(one.start, one.end, new) for one in _mentions(chain[-1].get("needs")) if one.value == old]
        for one in _mentions(chain[-1].get("inputs")):
            name, dot, port = one.value.partition(".")
            splices += [(one.start, one.end, f"{new}{dot}{port}")] if name == old else []
    return _checked(text, apply(text, splices), wanted)


def _mentions(twig: Twig | None) -> list[Twig]:
    if twig is None:
        return []
    return [twig] if twig.kind == "scalar" else [*twig.items, *(value for _, value in twig.entries)]


def _renamed(value: Any, old: str, new: str) -> Any:
    """The same on plain values."""
    made = copy.deepcopy(value)
    environments = made.get("environments")
    for holder in [made, *(environments.values() if isinstance(environments, dict) else ())]:
        steps = holder.get("steps") if isinstance(holder, dict) else None
        if not isinstance(steps, dict):
            continue
        holder["steps"] = {new if name == old else name: content for name, content in steps.items()}
        for content in steps.values():
            if isinstance(content, dict):
                _rename_mentions(content, old, new)
    return made


def _rename_mentions(content: dict[str, Any], old: str, new: str) -> None:
    if content.get("needs") == old:
        content["needs"] = new
    elif isinstance(content.get("needs"), list):
        content["needs"] = [new if need == old else need for need in content["needs"]]
    inputs = content.get("inputs")
    if isinstance(inputs, dict):
        for port, source in inputs.items():
            name, dot, output = str(source).partition(".")
            inputs[port] = f"{new}{dot}{output}" if name == old else source


def move_step(text: str, name: str, before: str = "") -> str:
    """Write a step before another one, or last.  Comments right above a step go with it."""
    _known(text, name)
    if before:
        _known(text, before)
    model = _plain(text)
    order = [one for one in model["steps"] if one != name]
    order.insert(order.index(before) if before else len(order), name)
    if order == list(model["steps"]):
        return text
    root = tree(text)
    steps = None if root is None else root.get("steps")
    if steps is None or steps.kind != "map":
        raise _unsafe(text, None, "The steps are written through an alias")
    spans = {key.value: (key.start, value.end) if steps.flow else _lines(text, key, value) for key, value in steps.entries}
    new, slots = text, list(spans.values())
    for (start, end), step in sorted(zip(slots, order, strict=True), reverse=True):
        new = new[:start] + text[slice(*spans[step])] + new[end:]
    checked = _checked(text, new, model)
    if step_names(checked) != order:
        raise _unsafe(text, None, "The order of the steps could not be changed")
    return checked


def _lines(text: str, key: Twig, value: Twig) -> tuple[int, int]:
    """From the comments right above a step to its last line."""
    start = line_start(text, key.start)
    while start:
        above = line_start(text, start - 1)
        line = text[above : start - 1]
        if not line.lstrip().startswith("#") or len(line) - len(line.lstrip()) != key.column:
            break
        start = above
    return start, line_end(text, max(value.end - 1, key.end))


# ---- parameters, links, places ---------------------------------------------------------------------------------------


def set_parameter(text: str, step: str, path: Sequence[str], value: Any) -> str:
    """Set a parameter of a step (also title and note); of a step that is inherited too, which writes it here."""
    return put(text, ("steps", step, *path), value)


def unset_parameter(text: str, step: str, path: Sequence[str]) -> str:
    """Leave a parameter to what the document extends, or to the node's default."""
    return drop(text, ("steps", step, *path))


def connect(text: str, source: str, target: str, *, needs: Sequence[str] = ()) -> str:
    """Make a step need another.  needs: what it inherits, which counts while the text says nothing itself."""
    listed = _own_needs(text, target, needs)
    return text if source in listed else _set_needs(text, ("steps", target, "needs"), [*listed, source])


def disconnect(text: str, source: str, target: str, *, needs: Sequence[str] = ()) -> str:
    """Make a step need another no longer.  needs: as for :func:`connect`."""
    listed = _own_needs(text, target, needs)
    if source not in listed:
        return text
    path, rest = ("steps", target, "needs"), [need for need in listed if need != source]
    if not rest and "extends" in _plain(text):  # without the key, what is inherited would count again
        return put(text, path, [])
    return _set_needs(text, path, rest)


def _own_needs(text: str, target: str, inherited: Sequence[str]) -> list[str]:
    own = _at(_plain(text), ("steps", target, "needs"))
    return list(inherited) if own is _ABSENT else _listed(own)


def _set_needs(text: str, path: Path_, needs: list[str]) -> str:
    keys = [str(key) for key in path]
    if not needs:
        return drop(text, keys)
    return put(text, keys, needs[0] if len(needs) == 1 else needs)


def bind(text: str, target: str, port: str, source: str) -> str:
    """Feed an input from "step.output"."""
    return put(text, ("steps", target, "inputs", port), source)


def unbind(text: str, target: str, port: str) -> str:
    """Leave an input to be found among what the step needs."""
    return drop(text, ("steps", target, "inputs", port))


def place_steps(text: str, positions: Mapping[str, tuple[int, int]]) -> str:
    """Write where steps stand on the canvas (scene units, rightwards and downwards)."""
    return put_all(text, {("steps", step, "position"): list(place) for step, place in positions.items()})


def put_mark(text: str, kind: str, name: str, content: Mapping[str, Any]) -> str:
    """Add or change a note or a group of the canvas (kind: notes, groups; content: see app.config.canvas)."""
    return put_all(text, {("canvas", kind, name, key): value for key, value in content.items()})


def drop_mark(text: str, kind: str, name: str) -> str:
    """Remove a note or a group of the canvas."""
    return drop(text, ("canvas", kind, name))
