"""The texts of a row by name, also those of its metadata, and a row with other texts in their places."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.data.redaction.detect import Finding
from app.store.records import Row

META = "meta."
ALL_COLUMNS = "*"
LONG_NUMBER = 10**6
"""From here on a whole number in a column may be an identifier; smaller ones are counts and codes."""


def texts_of(row: Row, columns: Sequence[str]) -> dict[str, str]:
    """Name and text of everything in a row that is looked at.  columns: of the metadata; "*" means all.

    Names: "messages.0", "text", "chosen", "rejected", "meta.column", "meta.column.0".
    """
    found = {f"messages.{number}": message["content"] for number, message in enumerate(row.messages)}
    found |= {name: text for name in ("text", "chosen", "rejected") if (text := getattr(row, name))}
    for column, value in row.meta.items():
        if ALL_COLUMNS in columns or column in columns:
            found |= {f"{META}{name}": text for name, text in _leaves(column, value)}
    return found


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if value:
            yield name, value
    elif isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= LONG_NUMBER:
            yield name, str(value)
    elif isinstance(value, Mapping | list):
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, part in pairs:
            yield from _leaves(f"{name}.{key}", part)


def labelled(name: str, text: str) -> tuple[str, int]:
    """(the text with its column's name before it, length of that): "patient_name" tells what stands in the column."""
    if not name.startswith(META):
        return text, 0
    label = name.removeprefix(META).replace("_", " ").replace(".", " ") + ": "
    return label + text, len(label)


def shifted(found: Sequence[Finding], by: int) -> list[Finding]:
    """Findings of a labelled text, counted from the text's own start; what lies in the label is left out."""
    return [Finding(max(one.start - by, 0), one.end - by, one.entity, one.score, one.detector) for one in found if one.end > by]


def with_texts(row: Row, texts: Mapping[str, str]) -> Row:
    """A copy of a row with other texts in the named places."""
    new = copy.copy(row)
    new.messages, new.meta = [dict(message) for message in row.messages], copy.deepcopy(row.meta)
    for name, text in texts.items():
        kind, _, rest = name.partition(".")
        if kind == "messages":
            new.messages[int(rest)]["content"] = text
        elif kind == "meta":
            _put(new.meta, rest, text)
        else:
            setattr(new, name, text)
    return new


def _put(value: Any, name: str, text: str) -> bool:
    """Set the leaf that :func:`_leaves` called ``name``; keys may hold dots themselves."""
    pairs = list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    for key, part in pairs:
        if name == str(key) and not isinstance(part, dict | list):
            value[key] = text
            return True
        if name.startswith(f"{key}.") and _put(part, name[len(str(key)) + 1 :], text):
            return True
    return False


def replaced(text: str, parts: Sequence[tuple[int, int, str]]) -> str:
    """The text with spans (start, end) exchanged; the spans do not overlap."""
    out, done = [], 0
    for start, end, new in sorted(parts):
        out += [text[done:start], new]
        done = end
    return "".join(out) + text[done:]
