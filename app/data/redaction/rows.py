"""The texts of a row by name, also those of its metadata, and a row with other texts in their places."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from app.data.redaction.detect import Finding
from app.store.records import Row

META = "meta."
ALL_COLUMNS = "*"
_TELLING = re.compile(r"[@\s]|\d[\d\W_]*\d[\d\W_]*\d[\d\W_]*\d")
"""What a key inside a column may hold besides the name of a field: an address, words with blanks, four digits."""
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
    """A text in the metadata: its column, its name, and where it stands: under a key, or as a key."""

    column: str
    name: str
    text: str
    holder: Any
    key: Any
    is_key: bool = False


def _leaves(meta: dict[str, Any]) -> list[_Leaf]:
    """Every text, long number and telling key, in order.  Keys may hold dots: of two places of one name the later gets a stroke
    ("meta.a.b'")."""
    found, taken = list[_Leaf](), set[str]()
    for leaf in _unnamed(meta):
        name = f"{META}{leaf.name}"
        while name in taken:
            name += "'"
        taken.add(name)
        found.append(leaf._replace(name=name))
    return found


def _unnamed(value: Any, column: str = "", before: str = "") -> Iterator[_Leaf]:
    for number, (key, part) in enumerate(value.items() if isinstance(value, dict) else enumerate(value)):
        own, place = column or str(key), f"{before}{key}"
        if column and isinstance(key, str) and _TELLING.search(key):  # a column's own name belongs to all rows
            yield _Leaf(own, f"{before}key {number}", key, value, key, is_key=True)
        if isinstance(part, dict | list):
            yield from _unnamed(part, own, f"{place}.")
        elif text := _text(part):
            yield _Leaf(own, place, text, value, key)


def _text(value: Any) -> str:
    """A text, or a number that may be an identifier (a column with gaps makes floats of them); "" for anything else."""
    if isinstance(value, str):
        return value
    whole = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) >= LONG_NUMBER and value == value // 1
    return str(int(value)) if whole else ""


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
    named = [leaf for leaf in _leaves(new.meta) if leaf.name in texts]
    for leaf in sorted(named, key=lambda leaf: leaf.is_key):  # keys last, because values are found by theirs
        if leaf.is_key:
            _rename(leaf.holder, leaf.key, texts[leaf.name])
        else:
            leaf.holder[leaf.key] = texts[leaf.name]
    for name, text in texts.items():
        kind, _, rest = name.partition(".")
        if kind == "messages":
            new.messages[int(rest)]["content"] = text
        elif kind != "meta":
            setattr(new, name, text)
    return new


def _rename(holder: dict[str, Any], key: str, new: str) -> None:
    """Give a key another name in its place; one that is there already (two spellings of one person) gets a stroke."""
    while new in holder and new != key:
        new += "'"
    items = [(new if one == key else one, value) for one, value in holder.items()]
    holder.clear()
    holder.update(items)


def replaced(text: str, parts: Sequence[tuple[int, int, str]]) -> str:
    """The text with spans (start, end) exchanged; the spans do not overlap."""
    out, done = [], 0
    for start, end, new in sorted(parts):
        out += [text[done:start], new]
        done = end
    return "".join(out) + text[done:]
