"""Help while a document is typed: what may stand here, what a key means, who set its value, how a fault is mended.

All of it is made from the nodes' parameter models and the document itself; nothing is listed by hand.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.config import editing
from app.config.caret import Caret, caret_at
from app.config.checks import STEP
from app.config.document import DEFAULT, Document, home_folder, load_text
from app.config.forms import bare, label
from app.config.kit import Kit
from app.config.kit_folders import kit_files
from app.config.merging import TOP, Layers, inherit
from app.config.models import packaged
from app.config.schema import COMMON, TOP_KEYS
from app.config.yaml_source import parse
from app.config.yaml_tree import written
from app.errors import NeuroWeaverError
from app.store import Store
from app.workflow import registry
from app.workflow.canvas import Fault

_NODE = re.compile(r"\bnode:\s*['\"]?([\w.-]+)")
_SUGGESTED = re.compile(r"Did you mean '([^']+)'\?")
_QUOTED = re.compile(r"'([^']+)'")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that may stand at the caret.  insert: the text that is put in; note: what it is."""

    text: str
    insert: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """What may stand at the caret.  typed: characters before it that belong to the word."""

    entries: tuple[Entry, ...] = ()
    typed: int = 0


@dataclass(frozen=True, slots=True)
class Fix:
    """One way to mend a fault: words for a menu, and the text then."""

    words: str
    text: str


# ---- completion ------------------------------------------------------------------------------------------------------------


def complete(store: Store, text: str, path: str, line: int, column: int) -> Completion:
    """What may stand at a line and column (from 1), the likeliest first."""
    caret = caret_at(text, line, column)
    if not caret.part:
        return Completion()
    known = _Known(store, text, path, line)
    entries = known.keys(caret) if caret.part == "key" else known.values(caret)
    word = caret.word.casefold()
    fits = [one for one in entries if word in one.text.casefold()]
    fits.sort(key=lambda one: not one.text.casefold().startswith(word))
    return Completion(tuple(fits), len(caret.word))


class _Known:
    """What the document and the program know; read with the caret's line taken out, since that is being typed."""

    def __init__(self, store: Store, text: str, path: str, line: int = 0) -> None:
        self._store, self._text = store, text
        self.layers = _layers(text, path) or _layers(_without_line(text, line), path) or Layers({}, {}, {})

    @property
    def steps(self) -> Mapping[str, Any]:
        found = self.layers.value.get("steps")
        return found if isinstance(found, dict) else {}

    def node(self, step: str) -> Any:
        """The node class of a step, or None."""
        content = self.steps.get(step)
        name = content.get("node") if isinstance(content, dict) else None
        if not isinstance(name, str):
            begun = re.search(rf"^\s+{re.escape(step)}:(.*?)(?=^\s{{0,2}}\S|\Z)", self._text, re.MULTILINE | re.DOTALL)
            found = _NODE.search(begun[1]) if begun else None
            name = found[1] if found else ""
        return registry.nodes().get(name)

    def keys(self, caret: Caret) -> list[Entry]:
        path = _base_path(caret.path)
        known: Iterable[tuple[str, str]] = ()
        if not path:
            known = ((key, str(TOP_KEYS[key]["description"])) for key in TOP)
        elif path[0] == "steps" and len(path) == 2:
            node = self.node(path[1])
            params = _fields(node.params_model) if node is not None else []
            common = [(key, "What the step does" if key == "node" else str(COMMON[key]["description"])) for key in STEP]
            known = [*common[:1], *params, *common[1:]]
        elif path[0] == "steps" and path[2:] == ("inputs",):
            node = self.node(path[1])
            known = ((port, f"Takes {kind.type_name()}") for port, kind in (node.inputs if node else {}).items())
        elif path[0] == "steps" and len(path) > 2:
            node = self.node(path[1])
            known = _fields(_inside(node.params_model, path[2:])) if node is not None else ()
        elif path[0] == "kit":
            known = _fields(_inside(Kit, path[1:]))
        return [Entry(key, f"{key}: ", note) for key, note in known if key not in caret.beside]

    def values(self, caret: Caret) -> list[Entry]:
        path = _base_path(caret.path)
        if path == ("base_model",):
            return _plain(packaged(), "Packaged model")
        if path == ("extends",):
            return _plain((f"kits/{name}" for name in kit_files()), "Kit")
        if path == ("environment",):
            return _plain(self.layers.value.get("environments") or {}, "Environment of this document")
        if len(path) < 3 or path[0] != "steps":
            return _choices(*_field(Kit, path[1:])) if path[:1] == ("kit",) else []
        if path[2:] == ("node",):
            return [Entry(name, name, node.title) for name, node in registry.nodes().items()]
        others = [name for name in self.steps if name != path[1]]
        if path[2] == "needs":
            return [Entry(name, name, _title(self.node(name))) for name in others]
        if path[2] == "inputs" and len(path) == 4:
            return self._outputs(path[1], path[3], others)
        node = self.node(path[1])
        return _choices(*_field(node.params_model, path[2:])) if node is not None else []

    def _outputs(self, step: str, port: str, others: list[str]) -> list[Entry]:
        node = self.node(step)
        wanted = node.inputs.get(port) if node is not None else None
        found = []
        for name in others:
            source = self.node(name)
            for output, kind in (source.outputs if source is not None else {}).items():
                if wanted is None or issubclass(kind, wanted):
                    found.append(Entry(f"{name}.{output}", f"{name}.{output}", kind.type_name()))
        return found


def _layers(text: str, path: str) -> Layers | None:
    try:
        return inherit(parse(text, path or None), home_folder(Path(path) if path else None), [])
    except NeuroWeaverError:
        return None


def _without_line(text: str, line: int) -> str:
    lines = text.split("\n")
    return "\n".join("" if number == line else content for number, content in enumerate(lines, start=1))


def _base_path(path: tuple[str, ...]) -> tuple[str, ...]:
    """The same place outside its environment."""
    return path[2:] if path[:1] == ("environments",) and len(path) >= 2 else path


def _plain(names: Iterable[str], note: str) -> list[Entry]:
    return [Entry(name, name, note) for name in names]


def _title(node: Any) -> str:
    return str(node.title) if node is not None else ""


# ---- models ----------------------------------------------------------------------------------------------------------------


def _fields(model: Any) -> list[tuple[str, str]]:
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    return [(name, info.description or label(name)) for name, info in model.model_fields.items()]


def _inside(annotation: Any, path: tuple[str, ...]) -> Any:
    """The type at a path below a model; None where there is none."""
    for key in path:
        annotation = _step_in(bare(annotation)[0], key)
        if annotation is None:
            return None
    return bare(annotation)[0]


def _step_in(annotation: Any, key: str) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        info = annotation.model_fields.get(key)
        return info.annotation if info is not None else None
    if get_origin(annotation) in (Union, types.UnionType):
        return next((found for part in get_args(annotation) if (found := _step_in(part, key)) is not None), None)
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _step_in(arguments[0], key)
    return arguments[1] if len(arguments) == 2 and arguments[0] is str else None


def _field(model: Any, path: tuple[str, ...]) -> tuple[Any, FieldInfo | None]:
    """(type, field) at a path."""
    holder = _inside(model, path[:-1]) if path else None
    info = holder.model_fields.get(path[-1]) if isinstance(holder, type) and issubclass(holder, BaseModel) else None
    return (bare(info.annotation)[0], info) if info is not None else (_inside(model, path), None)


def _choices(annotation: Any, info: FieldInfo | None) -> list[Entry]:
    """The values of a type that has few; else its default."""
    default = info.get_default(call_default_factory=True) if info is not None and not info.is_required() else None
    while get_args(annotation) and get_origin(annotation) in (tuple, list, set, frozenset):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return [Entry(written(one), written(one), "The default" if one == default else "") for one in get_args(annotation)]
    if annotation is bool:
        return [Entry(word, word, "The default" if (word == "true") is default else "") for word in ("true", "false")]
    if isinstance(default, int | float | str) and default != "":
        return [Entry(written(default), written(default), "The default")]
    return []


# ---- hover -----------------------------------------------------------------------------------------------------------------


def describe(store: Store, text: str, path: str, line: int, column: int) -> str:
    """What the key at a place means, what it may be, its default and who set it; "" where there is nothing to say."""
    lines = text.split("\n")
    content = lines[line - 1] if line <= len(lines) else ""
    end = column - 1 + len(re.match(r"[\w.-]*", content[column - 1:])[0])  # type: ignore[index]  # it matches nothing, too
    caret = caret_at(text, line, end + 1)
    key = content[end: end + 1] == ":" and caret.part == "key"
    place = (*caret.path, caret.word) if key else caret.path
    if not caret.word or not place:
        return ""
    known = _Known(store, text, path)
    return "\n".join(part for part in (_meaning(known, _base_path(place), caret.word, key), _setter(known, place, path)) if part)


def _meaning(known: _Known, path: tuple[str, ...], word: str, key: bool) -> str:
    if len(path) == 1:
        return str(TOP_KEYS[path[0]]["description"]) if path[0] in TOP_KEYS else ""
    if path[0] != "steps":
        return _said(*_field(Kit, path[1:])) if path[0] == "kit" else ""
    node = known.node(path[1])
    if len(path) == 2 or path[2:] == ("node",):
        node = registry.nodes().get(word) if not key and path[2:] == ("node",) else node
        return f"{node.title}. {(node.__doc__ or '').strip().splitlines()[0]}" if node is not None and node.__doc__ else _title(node)
    if path[2] in COMMON:
        return str(COMMON[path[2]]["description"])
    return _said(*_field(node.params_model, path[2:])) if node is not None else ""


def _said(annotation: Any, info: FieldInfo | None) -> str:
    if info is None:
        return ""
    parts = [info.description or ""]
    marks = {name: getattr(mark, name) for mark in info.metadata for name in ("ge", "gt", "le", "lt") if hasattr(mark, name)}
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    if marks:
        parts.append(", ".join(f"{words[name]} {value:g}" for name, value in marks.items()).capitalize() + ".")
    if get_origin(annotation) is Literal:
        parts.append(f"One of: {', '.join(map(str, get_args(annotation)))}.")
    if not info.is_required():
        default = info.get_default(call_default_factory=True)
        if isinstance(default, int | float | str | bool) or default is None:
            parts.append(f"Default: {written(default)}.")
    return "\n".join(parts)


def _setter(known: _Known, path: tuple[str, ...], file: str) -> str:
    place = known.layers.places.get(path)
    if place is None or place.file is None or (file and Path(place.file).resolve() == Path(file).resolve()):
        return ""
    return f"Set by {_short(place.file)}, line {place.line}."


def _short(file: str) -> str:
    """A kit's document by the kit's name, any other by its file's."""
    path = Path(file)
    return f"kits/{path.parent.name}" if path.name == "kit.yaml" else path.name


# ---- quick fixes -----------------------------------------------------------------------------------------------------------


def fixes(text: str, fault: Fault) -> list[Fix]:
    """Ways to mend a fault that can be carried out on the text; none for a fault that needs thought."""
    found: list[Fix] = []
    if suggested := _SUGGESTED.search(fault.hint):
        right = suggested[1]
        wrong = max(_QUOTED.findall(fault.message), key=lambda word: difflib.SequenceMatcher(None, word, right).ratio(), default="")
        mended = _replaced(text, fault, wrong, right) if wrong else ""
        found += [Fix(f"Change “{wrong}” to “{right}”", mended)] if mended else []
    path = ("steps", fault.step, *fault.field.split(".")) if fault.step and fault.field else tuple(fault.field.split("."))
    if fault.field and fault.hint == "Put it in quotes.":
        found += _edited(text, "Put it in quotes", lambda: editing.put(text, path, _as_text(text, path)))
    if fault.field and fault.message.startswith("Unknown key"):
        found += _edited(text, f"Remove “{path[-1]}”", lambda: editing.drop(text, path))
    return found


def _replaced(text: str, fault: Fault, wrong: str, right: str) -> str:
    """The text with the first such word at or behind the fault's place changed, on its line or (a list below it) soon after."""
    lines = text.split("\n")
    for number in range(fault.line - 1, min(fault.line + 2, len(lines))):
        begin = max(fault.column - 1, 0) if number == fault.line - 1 else 0
        found = re.compile(rf"(?<![\w.-]){re.escape(wrong)}(?![\w-])").search(lines[number], begin)
        if found:
            lines[number] = lines[number][: found.start()] + right + lines[number][found.end():]
            return "\n".join(lines)
    return ""


def _as_text(text: str, path: tuple[str, ...]) -> str:
    value: Any = parse(text).value
    for key in path:
        value = value[key]
    return written(value)


def _edited(text: str, words: str, edit: Any) -> list[Fix]:
    try:
        mended = edit()
    except (NeuroWeaverError, KeyError, TypeError):
        return []
    return [Fix(words, mended)] if mended != text else []


# ---- what counts in the end ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ResolvedLine:
    """One line of the resolved document.  origin: who set it ("kits/legal, line 40", "default", "" for this document)."""

    text: str
    origin: str = ""


@dataclass(frozen=True, slots=True)
class ResolvedView:
    """The document as it runs, the environments to choose from, and why there is none (``problem``)."""

    lines: tuple[ResolvedLine, ...] = ()
    environments: tuple[str, ...] = ()
    chosen: str = ""
    problem: str = ""


def resolved(text: str, path: str, environment: str | None = None) -> ResolvedView:
    """Everything filled in, each value with who set it.  environment: None for the document's own choice."""
    found = _layers(text, path)
    declared = found.value.get("environments") if found is not None else None
    names = tuple(declared) if isinstance(declared, dict) else ()
    own = str(found.value.get("environment") or "") if found is not None else ""
    try:
        document = load_text(text, registry.find, path=Path(path) if path else None, environment=environment)
    except NeuroWeaverError as problem:
        return ResolvedView((), names, environment if environment is not None else own, str(problem))
    return ResolvedView(tuple(_lines(document, path)), names, environment if environment is not None else own)


def _lines(document: Document, file: str) -> Iterable[ResolvedLine]:
    for key in ("name", "base_model", "seed"):
        yield ResolvedLine(f"{key}: {written(document.resolved[key])}", _origin(document, key, file))
    yield ResolvedLine("steps:")
    for name, step in document.resolved["steps"].items():
        yield ResolvedLine(f"  {name}:")
        yield ResolvedLine(f"    node: {step['node']}", _origin(document, f"steps.{name}.node", file))
        for key in ("needs", "inputs"):
            if step[key]:
                yield ResolvedLine(f"    {key}: {written(step[key])}", _origin(document, f"steps.{name}.{key}", file))
        yield from _values(document, step["params"], f"steps.{name}", 4, file)


def _values(document: Document, values: Mapping[str, Any], prefix: str, indent: int, file: str) -> Iterable[ResolvedLine]:
    for key, value in values.items():
        here = f"{prefix}.{key}"
        if isinstance(value, dict) and value:
            yield ResolvedLine(f"{' ' * indent}{key}:")
            yield from _values(document, value, here, indent + 2, file)
        else:
            yield ResolvedLine(f"{' ' * indent}{key}: {written(value)}", _origin(document, here, file))


def _origin(document: Document, path: str, file: str) -> str:
    found = document.origin.get(path)
    if found is None:  # a list or a mapping is named by its parts
        found = next((place for known, place in document.origin.items() if known.startswith(f"{path}.")), DEFAULT)
    if found == DEFAULT:
        return DEFAULT
    place, _, line = found.rpartition(":")
    if not line.isdigit():
        return found
    own = place == "text" or (file and Path(place).resolve() == Path(file).resolve())
    return f"line {line}" if own else f"{_short(place)}, line {line}"
