"""Where every part of a YAML text stands, and the smallest changes of the text that change one value.

The text between two values is never written anew: comments, blank lines, key order, quoting and line ends stay as they are.
Callers read the text with :func:`app.config.yaml_source.parse` first (it bounds depth and size) and check the result.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from app.config.yaml_source import _LOADER, parse_value
from app.errors import ConfigError

WIDEST = 96
"""Longest one-line mapping or list that is written anew, in characters."""
_PLAIN = re.compile(r"[A-Za-z_./~][A-Za-z0-9_./~-]*( [A-Za-z0-9_./(][A-Za-z0-9_./()-]*)*")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")
Splice = tuple[int, int, str]
"""Replace text[start:end] by a text."""


@dataclass(slots=True)
class Twig:
    """One value of the text.  kind: map, seq, scalar, alias.  ``end`` is that of its content: no blank line, no comment after it."""

    kind: str
    start: int
    end: int
    column: int
    flow: bool = False
    style: str = ""
    value: str = ""
    entries: list[tuple[Twig, Twig]] = field(default_factory=list)
    items: list[Twig] = field(default_factory=list)

    def get(self, key: str) -> Twig | None:
        """The value under a key of a mapping."""
        return next((value for name, value in self.entries if name.value == key), None)

    def key(self, name: str) -> Twig | None:
        """The key itself."""
        return next((key for key, _ in self.entries if key.value == name), None)


def tree(text: str) -> Twig | None:
    """The parts of the one document in a text that was read before; None if it holds nothing."""
    events = yaml.parse(text, Loader=_LOADER)
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            found = _twig(next(events), events, text)
            return None if found.kind == "scalar" and found.start == found.end else found
    return None


def _twig(event: Any, events: Any, text: str) -> Twig:
    start, column = int(event.start_mark.index), int(event.start_mark.column)
    if isinstance(event, yaml.MappingStartEvent):
        made = Twig("map", start, start, column, flow=bool(event.flow_style))
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            made.entries.append((_twig(event, events, text), _twig(next(events), events, text)))
        made.end = _mark(event) if made.flow else made.entries[-1][1].end
        return made
    if isinstance(event, yaml.SequenceStartEvent):
        made = Twig("seq", start, start, column, flow=bool(event.flow_style))
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            made.items.append(_twig(event, events, text))
        made.end = _mark(event) if made.flow else made.items[-1].end
        return made
    if isinstance(event, yaml.AliasEvent):
        return Twig("alias", start, _mark(event), column)
    style = event.style or ""
    return Twig("scalar", start, _scalar_end(event, text), column, style=style, value=str(event.value))


def _mark(event: Any) -> int:
    return int(event.end_mark.index)


def _scalar_end(event: Any, text: str) -> int:
    """End of a scalar; libyaml counts the blank lines after a block scalar to it."""
    end = _mark(event)
    if event.style not in ("|", ">"):
        return end
    head = text[event.start_mark.index : end].partition("\n")[0]
    if "+" in head.partition("#")[0]:
        return end
    return len(text[:end].rstrip())


def apply(text: str, splices: list[Splice]) -> str:
    """Carry out changes that do not overlap; those at one place stand in the order given."""
    order = sorted(range(len(splices)), key=lambda number: (splices[number][0], number), reverse=True)
    for number in order:
        start, end, new = splices[number]
        text = text[:start] + new + text[end:]
    return text


# ---- writing values ----------------------------------------------------------------------------------------------


def written(value: Any, like: str = "") -> str:
    """One value on one line.  like: the quotes to keep where the value is a text.  Raises ConfigError for what YAML cannot hold."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_word(str(key))}: {written(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(written(part) for part in value) + "]"
    if isinstance(value, str):
        return _word(value, like)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if (isinstance(value, float) and not math.isfinite(value)) or not isinstance(value, int | float):
        raise ConfigError("edit.value", "This value cannot be written into a document.", why=f"It is {value!r}.",
                          remedy="Use a text, a finite number, true, false or nothing.")
    return repr(value)


def _word(text: str, like: str = "") -> str:
    if like == "'" and not _UNSAFE.search(text):
        return "'" + text.replace("'", "''") + "'"
    if like != '"' and _PLAIN.fullmatch(text) and parse_value(text) == text:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def entry(key: str, value: Any, indent: int, step: int, nl: str) -> str:
    """``key: value`` for a block mapping, without the first line's indent; a wide or nested mapping goes on in lines below."""
    line = written(value)
    nested = isinstance(value, dict) and any(isinstance(part, dict) for part in value.values())
    if not isinstance(value, dict) or not value or (not nested and indent + len(key) + len(line) < WIDEST):
        return f"{_word(key)}: {line}"
    return f"{_word(key)}:" + below(value, indent + step, step, nl)


def below(value: dict[str, Any], indent: int, step: int, nl: str) -> str:
    """A mapping as lines under its key; each begins with the line end."""
    return "".join(f"{nl}{' ' * indent}{entry(str(key), part, indent, step, nl)}" for key, part in value.items())


# ---- lines ---------------------------------------------------------------------------------------------------------


def line_start(text: str, at: int) -> int:
    """Where the line of a place begins."""
    return text.rfind("\n", 0, at) + 1


def line_end(text: str, at: int) -> int:
    """Where the line of a place ends, before its line end."""
    found = text.find("\n", at)
    end = len(text) if found < 0 else found
    return end - 1 if end > at and text[end - 1] == "\r" else end


def newline(text: str) -> str:
    """The line end in use."""
    return "\r\n" if "\r\n" in text else "\n"


def step_of(root: Twig | None) -> int:
    """Spaces of one level, as the text has them; 2 if it does not show."""
    if root is not None and root.kind == "map" and not root.flow:
        for key, value in root.entries:
            if value.kind == "map" and not value.flow and value.entries[0][0].column > key.column:
                return value.entries[0][0].column - key.column
    return 2


# ---- inserting, replacing, removing --------------------------------------------------------------------------------


def insert(text: str, root: Twig | None, mapping: Twig, key: str, value: Any, after: str = "") -> Splice:
    """Add a key to a mapping with entries, behind the key ``after`` or at its end."""
    last = mapping.get(after) or mapping.entries[-1][1]
    if mapping.flow:
        return last.end, last.end, f", {_word(key)}: {written(value)}"
    column = mapping.entries[0][0].column
    nl, line = newline(text), entry(key, value, column, step_of(root), newline(text))
    if text[last.end - 1 : last.end] == "\n":  # a block scalar that keeps its last line ends
        return last.end, last.end, f"{' ' * column}{line}{nl}"
    at = line_end(text, last.end)
    return at, at, f"{nl}{' ' * column}{line}"


def replace(text: str, root: Twig | None, key: Twig, old: Twig, value: Any) -> Splice:
    """Put another value in the place of one; a comment behind it stays."""
    line = written(value, old.style)
    if old.start == old.end:
        return old.start, old.end, f" {line}"
    inside = old.flow or old.kind in ("scalar", "alias")
    deep = isinstance(value, dict) and any(isinstance(part, dict) for part in value.values())
    if old.kind == "map" and old.flow and not old.entries and deep and text[line_start(text, key.start) : key.start].strip() == "":
        return _after_colon(text, key), old.end, below(value, key.column + step_of(root), step_of(root), newline(text))
    if inside and old.style not in ("|", ">"):
        return old.start, old.end, line
    return _after_colon(text, key), old.end, f" {line}"


def _after_colon(text: str, key: Twig) -> int:
    return text.index(":", key.end) + 1


def append(text: str, items: Twig, value: Any) -> Splice:
    """Add one item to a list that has some."""
    last = items.items[-1]
    if items.flow:
        return last.end, last.end, f", {written(value)}"
    at = line_end(text, last.end)
    return at, at, f"{newline(text)}{' ' * items.column}- {written(value)}"


def remove_entry(text: str, mapping: Twig, key: str) -> Splice:
    """Take a key out of a mapping that has others; comments above it stay."""
    number = next(index for index, (name, _) in enumerate(mapping.entries) if name.value == key)
    name, value = mapping.entries[number]
    spans = [(one.start, two.end) for one, two in mapping.entries]
    if mapping.flow or text[line_start(text, name.start) : name.start].strip():
        return _remove_inside(spans, number)
    return _remove_lines(text, name.start, value.end)


def remove_item(text: str, items: Twig, number: int) -> Splice:
    """Take an item out of a list that has others."""
    if items.flow:
        return _remove_inside([(item.start, item.end) for item in items.items], number)
    return _remove_lines(text, items.items[number].start, items.items[number].end)


def _remove_inside(spans: list[tuple[int, int]], number: int) -> Splice:
    if number:
        return spans[number - 1][1], spans[number][1], ""
    return spans[0][0], spans[1][0] if len(spans) > 1 else spans[0][1], ""


def _remove_lines(text: str, start: int, end: int) -> Splice:
    first, last = line_start(text, start), line_end(text, max(end - 1, start))
    if text[last : last + 2] == "\r\n":
        return first, last + 2, ""
    if text[last : last + 1] == "\n":
        return first, last + 1, ""
    return max(first - len(newline(text)), 0), last, ""
