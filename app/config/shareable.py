"""What of a step's parameters may leave this computer in a shared kit: numbers, choices, and the few texts marked as such.

Everything else stays: a text that is not marked may be a path, a name, a prompt, or words of somebody's data.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from app.config.node import SHAREABLE

_STAYS = object()


def shareable(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that may be shared, as plain data; a list or mapping with one part that may not is left out whole."""
    found = {}
    for name, info in model.model_fields.items():
        if name in values and (kept := _kept(info.annotation, _marked(info), values[name])) is not _STAYS:
            found[name] = kept
    return found


def is_path(info: Any) -> bool:
    """Whether a parameter names a file (node.DocumentPath)."""
    extra = info.json_schema_extra
    marks = [extra, *(getattr(one, "json_schema_extra", None) for one in info.metadata)]
    return info.annotation is Path or any(isinstance(one, dict) and bool(one.get("document_path")) for one in marks)


def _marked(info: Any) -> bool:
    extra = getattr(info, "json_schema_extra", None)
    return isinstance(extra, dict) and all(extra.get(key) == value for key, value in SHAREABLE.items())


def _kept(annotation: Any, marked: bool, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kept(parts[0], marked or any(map(_marked, parts[1:])), value)
    if origin in (Union, types.UnionType):
        tried = (_kept(part, marked, value) for part in parts if part is not type(None))
        return next((kept for kept in tried if kept is not _STAYS), _STAYS)
    if origin is Literal:
        return value if value in parts else _STAYS
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and isinstance(value, Mapping):
        return shareable(annotation, value)
    if isinstance(value, str):
        return value if marked and annotation is str else _STAYS
    return _inside(parts, marked, value)


def _inside(parts: tuple[Any, ...], marked: bool, value: Any) -> Any:
    """Lists and mappings; the keys of a mapping are texts like others."""
    if isinstance(value, list | tuple) and parts:
        kept = [_kept(parts[0], marked, one) for one in value]
        return _STAYS if _STAYS in kept else kept
    if isinstance(value, Mapping) and len(parts) == 2:
        pairs = {_kept(parts[0], marked, key): _kept(parts[1], marked, one) for key, one in value.items()}
        return _STAYS if _STAYS in pairs or _STAYS in pairs.values() else pairs
    return _STAYS
