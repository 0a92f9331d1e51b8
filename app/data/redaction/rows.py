"""The texts of a row by name, also those of its metadata, and a row with other texts in their places."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

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
    return found | {leaf.name: leaf.text for leaf in _leaves(row.meta) if ALL_COLUMNS in columns or leaf.column in columns}


class _Leaf(NamedTuple):
    """A text in the metadata: its column, its name, and where it stands."""

    column: str
    name: str
    text: str
    holder: Any
    key: Any


def _leaves(meta: dict[str, Any]) -> list[_Leaf]:
    """Every text and long number, in order.  Keys may hold dots: of two places of one name the later gets a stroke ("meta.a.b'")."""
    found, taken = list[_Leaf](), set[str]()
    for column, place, holder, key in _places(meta):
        name = f"{META}{place}"
        while name in taken:
            name += "'"
        taken.add(name)
        found.append(_Leaf(column, name, str(holder[key]), holder, key))
    return found


def _places(value: Any, column: str = "", before: str = "") -> Iterator[tuple[str, str, Any, Any]]:
    for key, part in list(value.items() if isinstance(value, dict) else enumerate(value)):
        own, place = column or str(key), f"{before}{key}"
        if isinstance(part, dict | list):
            yield from _places(part, own, f"{place}.")
        elif (isinstance(part, str) and part) or (isinstance(part, int) and not isinstance(part, bool) and abs(part) >= LONG_NUMBER):
            yield own, place, value, key


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
    for leaf in _leaves(new.meta):
        if leaf.name in texts:
            leaf.holder[leaf.key] = texts[leaf.name]
    for name, text in texts.items():
        kind, _, rest = name.partition(".")
        if kind == "messages":
            new.messages[int(rest)]["content"] = text
        elif kind != "meta":
            setattr(new, name, text)
    return new


def replaced(text: str, parts: Sequence[tuple[int, int, str]]) -> str:
    """The text with spans (start, end) exchanged; the spans do not overlap."""
    out, done = [], 0
    for start, end, new in sorted(parts):
        out += [text[done:start], new]
        done = end
    return "".join(out) + text[done:]
