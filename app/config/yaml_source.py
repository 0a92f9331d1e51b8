"""Read YAML as data, with the place of every value.

Refused, each with its line: tags that build objects, duplicate keys, anchors that contain themselves, aliases that grow
beyond measure, deep nesting, numbers that no 64-bit machine holds.  Scalars are read by the core schema of YAML 1.2:
``no`` is a text, ``1e3`` a number.  Values are built from libyaml's events, because composing a deeply nested document
with PyYAML ends the whole process with a segmentation fault (measured: 100,000 brackets, PyYAML 6).
"""

from __future__ import annotations

import copy
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from app.errors import ConfigError, NeuroWeaverError, Place

LARGEST = 1_000_000
"""Characters of a document."""
MOST_VALUES = 20_000
"""Values once aliases are written out."""
DEEPEST = 40
_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {"": None, "~": None} | {word: value for name, value in (("null", None), ("true", True), ("false", False))
                                  for word in (name, name.title(), name.upper())}
_FITS = range(-(2**63), 2**63)
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Path_ = tuple[str | int, ...]


@dataclass
class Source:
    """A parsed document: plain values, and the place (line, column, both from 1) of each by its path of keys and indices."""

    value: Any
    file: str | None
    places: dict[Path_, tuple[int, int]] = field(default_factory=dict)

    def place(self, path: Path_) -> Place:
        """The place of a path, or of the nearest thing around it that has one."""
        for length in range(len(path), -1, -1):
            if found := self.places.get(path[:length]):
                return Place(self.file, *found, field=dotted(path) or None)
        return Place(self.file, field=dotted(path) or None)


def dotted(path: Path_) -> str:
    """("steps", "train", 0) as "steps.train.0"."""
    return ".".join(str(part) for part in path)


def join_faults(faults: list[NeuroWeaverError]) -> ConfigError:
    """All faults as one error, in the order of their lines; ``others`` holds all but the first."""
    first, *others = sorted(faults, key=lambda fault: (fault.where.line or 0, fault.where.column or 0))
    return ConfigError(first.code, first.what, where=first.where, why=first.why, remedy=first.remedy, others=tuple(others))


def read_text(file: Path) -> str:
    """The text of a document file.  Raises ConfigError config.unreadable or config.too_large; never reads past the limit."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(4 * LARGEST + 1)
        text = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as problem:
        why = f"{problem.strerror}." if isinstance(problem, OSError) and problem.strerror else "It is not UTF-8 text."
        raise ConfigError("config.unreadable", "The document cannot be read.", where=Place.of(file), why=why,
                          remedy="Check that the file exists and is UTF-8 text.") from problem
    _check_length(text, str(file))
    return text


def _check_length(text: str, file: str | None) -> None:
    if len(text) > LARGEST:
        raise ConfigError("config.too_large", "The document is too large.", where=Place(file),
                          why=f"It has more than {LARGEST:,} characters.", remedy="Split it, or move data to a file of its own.")


def parse(text: str, file: str | Path | None = None, faults: list[NeuroWeaverError] | None = None) -> Source:
    """Read one YAML document.

    faults: where given, faults that leave the rest readable (a duplicate key, a tag) are added to it; else all are raised.
    Raises ConfigError with file, line and column.
    """
    name = None if file is None else str(file)
    _check_length(text, name)
    own: list[NeuroWeaverError] = []
    source = Source(None, name)
    try:
        source.value = _Builder(source, _LOADER(text), own).document()
    except (yaml.YAMLError, UnicodeEncodeError) as problem:
        raise join_faults([*own, _syntax(problem, text, name)]) from problem
    if faults is not None:
        faults += own
    elif own:
        raise join_faults(own)
    return source


def parse_value(text: str) -> Any:
    """One value as it would stand in a document: "1e-4" is a number, "no" a text, "[a, b]" a list."""
    return parse(text).value if text.strip() else ""


def _syntax(problem: Exception, text: str, file: str | None) -> ConfigError:
    mark, position = getattr(problem, "problem_mark", None), getattr(problem, "position", getattr(problem, "start", None))
    where = Place(file)
    if mark is not None:
        where = Place(file, mark.line + 1, mark.column + 1)
    elif isinstance(position, int):
        before = text[:position]
        where = Place(file, before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1)
    why = str(getattr(problem, "problem", None) or getattr(problem, "reason", None) or problem).splitlines()[0]
    return ConfigError("config.syntax", "The document is not valid YAML.", where=where, why=f"{why[:200]}.",
                       remedy="Look at this line and the one before: a colon, a quote or the indentation.")


class _Builder:
    """Turns libyaml's events into plain values and remembers where each stands.  Depth is bounded before it recurses."""

    def __init__(self, source: Source, events: Any, faults: list[NeuroWeaverError]) -> None:
        self._source, self._events, self._faults = source, events, faults
        self._anchors: dict[str, tuple[Any, int] | None] = {}
        """Value and size of each anchor; None while its value is still being read."""
        self._count = 0

    def document(self) -> Any:
        """The one document of the stream; {} if the stream is empty."""
        self._events.get_event()  # stream start
        event = self._events.get_event()
        if isinstance(event, yaml.StreamEndEvent):
            return {}
        first = self._events.get_event()
        value = self._value(first, ())
        self._events.get_event()  # document end
        after = self._events.get_event()
        if not isinstance(after, yaml.StreamEndEvent):
            self._stop(after, (), "config.syntax", "The file holds a second document.", "Keep one document in a file.")
        return value

    def _value(self, event: Any, path: Path_) -> Any:
        self._source.places.setdefault(path, _spot(event))
        self._grow(event, path, 1)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        if len(path) > DEEPEST:
            self._stop(event, path[:3], "config.too_deep", "The document is nested too deeply.", "Write it flatter.")
        before, anchor = self._count, event.anchor
        if anchor:
            self._anchors[anchor] = None
        value: Any
        if isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(event, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(event, path)
        else:
            value = self._scalar(event, path)
        if anchor:
            self._anchors[anchor] = (value, self._count - before + 1)
        return value

    def _grow(self, event: Any, path: Path_, by: int) -> None:
        self._count += by
        if self._count > MOST_VALUES:
            self._stop(event, path, "config.too_large", "The document grows beyond all measure.",
                       f"It has more than {MOST_VALUES:,} values once its aliases are written out.")

    def _alias(self, event: Any, path: Path_) -> Any:
        if event.anchor not in self._anchors:
            self._stop(event, path, "config.alias", f"There is no anchor {event.anchor!r}.", "Define it further up.")
        known = self._anchors[event.anchor]
        if known is None:
            self._stop(event, path, "config.recursive", "An anchor contains itself.", "Remove the alias.")
        value, size = known
        self._grow(event, path, size)
        return copy.deepcopy(value)

    def _sequence(self, event: Any, path: Path_) -> list[Any]:
        self._plain(event, path, f"{_TAG}seq")
        found: list[Any] = []
        while not isinstance(event := self._events.get_event(), yaml.SequenceEndEvent):
            found.append(self._value(event, (*path, len(found))))
        return found

    def _mapping(self, event: Any, path: Path_) -> dict[str, Any]:
        self._plain(event, path, f"{_TAG}map")
        found: dict[str, Any] = {}
        while not isinstance(event := self._events.get_event(), yaml.MappingEndEvent):
            key = self._key(event, path)
            if key in found:
                self._fault(event, (*path, key), "config.duplicate_key", f"The key {key!r} stands twice.", "Keep one of them.")
            else:
                self._source.places[(*path, key)] = _spot(event)
            value = self._value(self._events.get_event(), (*path, key))
            found.setdefault(key, value)
        return found

    def _key(self, event: Any, path: Path_) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            self._stop(event, path, "config.key", "A key must be a plain word.", "Write it as text.")
        key = str(event.value)
        self._plain(event, (*path, key), f"{_TAG}str")
        if key == "<<" and event.implicit[0]:
            self._fault(event, path, "config.merge_key", "Merge keys (<<) are not read.",
                        "Use extends or an environment to inherit values.")
        return key

    def _scalar(self, event: Any, path: Path_) -> Any:
        text, tag = str(event.value), event.tag
        if tag in (None, "!"):
            return text if tag or not event.implicit[0] else self._number(event, path, text)
        if tag == f"{_TAG}str":
            return text
        if tag in (f"{_TAG}int", f"{_TAG}float", f"{_TAG}bool", f"{_TAG}null"):
            return self._number(event, path, text)
        self._plain(event, path, "")
        return text

    def _number(self, event: Any, path: Path_, text: str) -> Any:
        """A plain scalar: null, true, a number, or else the text itself."""
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text):
            if len(text) < 30:
                value = int(text, 0) if text[:2] in ("0o", "0x") else int(text)
                if value in _FITS:
                    return value
        elif _FLOAT.fullmatch(text):
            number = math.nan if text.lstrip("+-")[:2].lower() in (".i", ".n") else float(text)
            if math.isfinite(number):
                return number
        else:
            return text
        self._fault(event, path, "config.number", "This number cannot be used.",
                    "Write a finite number of at most 64 bits, or put it in quotes.")
        return 0

    def _plain(self, event: Any, path: Path_, allowed: str) -> None:
        if event.tag not in (None, "!", allowed):
            self._fault(event, path, "config.tag", f"The tag {event.tag.replace(_TAG, '!!')!r} is not allowed.",
                        "A document holds plain values only; remove the tag.")

    def _fault(self, event: Any, path: Path_, code: str, what: str, remedy: str) -> None:
        self._faults.append(ConfigError(code, what, where=Place(self._source.file, *_spot(event), dotted(path) or None),
                                        remedy=remedy))

    def _stop(self, event: Any, path: Path_, code: str, what: str, remedy: str) -> NoReturn:
        """Raise: nothing after this can be read."""
        self._fault(event, path, code, what, remedy)
        raise join_faults(self._faults)


def _spot(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1
