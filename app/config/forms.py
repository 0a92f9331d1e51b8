"""Form fields made from a node's parameter model: label, help, unit, default, bounds; and the check of one value."""

from __future__ import annotations

import re
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

_UNITS = ("tokens", "characters", "minutes", "seconds", "steps", "rows", "questions")
_WORDS = {"lora": "LoRA", "kl": "KL divergence", "r": "Rank", "top1": "Same first word", "gguf": "GGUF", "dtype": "Number format"}


@dataclass(frozen=True, slots=True)
class FormField:
    """One parameter.  path: keys below the step.  kind: bool, int, float, text, path, choice, list, any (YAML).

    ``section``: the label of the model that holds it, "" at the top.  ``default`` is plain data; None and ``required`` where
    there is none.  ``low``, ``high``: bounds, if any.
    """

    path: tuple[str, ...]
    label: str
    help: str
    unit: str
    kind: str
    default: Any
    required: bool
    nullable: bool
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    section: str = ""


def fields(model: type[BaseModel]) -> list[FormField]:
    """All parameters of a model, those of nested models behind them, in the order written."""
    return _fields(model, (), "", _defaults(model))


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    found = {name: info.get_default(call_default_factory=True) for name, info in model.model_fields.items()
             if not info.is_required()}
    return {name: _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def _fields(model: type[BaseModel], path: tuple[str, ...], section: str, defaults: Any) -> list[FormField]:
    found: list[FormField] = []
    for name, info in model.model_fields.items():
        inner, nullable = bare(info.annotation)
        default = defaults.get(name) if isinstance(defaults, dict) else None
        if isinstance(inner, type) and issubclass(inner, BaseModel) and not nullable:
            found += _fields(inner, (*path, name), label(name), default)
        else:
            found.append(_field(info, (*path, name), section, inner, nullable, default))
    return sorted(found, key=lambda one: len(one.path) > len(path) + 1)


def _field(info: FieldInfo, path: tuple[str, ...], section: str, inner: Any, nullable: bool, default: Any) -> FormField:
    kind, choices = _kind(inner)
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    low = next((getattr(mark, key) for mark in info.metadata for key in ("ge", "gt") if hasattr(mark, key)), None)
    high = next((getattr(mark, key) for mark in info.metadata for key in ("le", "lt") if hasattr(mark, key)), None)
    return FormField(path, info.title or label(path[-1]), info.description or "", str(extra.get("unit") or _unit(path[-1], info)),
                     kind, default, info.is_required(), nullable, choices, low, high, section)


def label(name: str) -> str:
    """Words for a key: "near_duplicates" is "Near duplicates"."""
    if name in _WORDS:
        return _WORDS[name]
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _unit(name: str, info: FieldInfo) -> str:
    if bare(info.annotation)[0] not in (int, float):
        return ""
    named = next((unit for unit in _UNITS if re.search(rf"(^|_){unit}$", name)), "")
    said = re.search(rf"\b({'|'.join(_UNITS)})\b", info.description or "")
    return named or (said[1] if said and name.startswith(("max_", "min_", "new_")) else "")


def bare(annotation: Any) -> tuple[Any, bool]:
    """The type without Annotated and without None; whether None was there."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        if len(parts) < len(get_args(annotation)):
            return (bare(parts[0])[0] if len(parts) == 1 else Any), True
    return annotation, False


def _kind(inner: Any) -> tuple[str, tuple[str, ...]]:
    if get_origin(inner) is Literal and all(isinstance(choice, str) for choice in get_args(inner)):
        return "choice", get_args(inner)
    simple = {bool: "bool", int: "int", float: "float", str: "text", Path: "path"}
    if inner in simple:
        return simple[inner], ()
    if get_origin(inner) in (list, tuple, set, frozenset):
        item = next(iter(get_args(inner)), str)
        return "list", get_args(item) if get_origin(item) is Literal else ()
    return "any", ()


def wrong(model: type[BaseModel], path: Sequence[str], value: Any) -> str:
    """Why a value cannot be set at a path, in words; "" if it can.  Only this one value is looked at."""
    info: FieldInfo | None = None
    inner: Any = model
    for key in path:
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)) or key not in inner.model_fields:
            return ""
        info = inner.model_fields[key]
        inner = bare(info.annotation)[0]
    if info is None or info.annotation is None:
        return ""
    whole: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    try:
        TypeAdapter(whole).validate_python(value)
    except ValidationError as problem:
        return "; ".join(dict.fromkeys(str(entry["msg"]) for entry in problem.errors(include_url=False)[:2]))
    return ""


def has_default(one: FormField) -> bool:
    """Whether leaving it out is allowed."""
    return not one.required and one.default is not PydanticUndefined
