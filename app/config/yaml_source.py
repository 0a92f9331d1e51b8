"""YAML with the place of every value, and without everything that makes YAML dangerous or surprising.

Refused, each with its line: tags that build objects, duplicate keys, anchors that contain themselves, documents that
grow beyond measure, deep nesting.  Scalars are read as YAML 1.2 does: ``no`` is a text, ``1e3`` a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from app.errors import ConfigError, Place

LARGEST = 1_000_000
"""Characters of a document."""
MOST_VALUES = 20_000
DEEPEST = 40
_STANDARD = "tag:yaml.org,2002:"
_PLAIN_TAGS = {f"{_STANDARD}{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null")}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
Path_ = tuple[str | int, ...]


@dataclass
class Source:
    """A parsed document: plain values, and the place of each by its path of keys and indices."""

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


def parse(text: str, file: str | Path | None = None) -> Source:
    """Read one YAML document.  Raises ConfigError with file, line and column."""
    name = None if file is None else str(file)
    if len(text) > LARGEST:
        raise ConfigError(
            "config.too_large",
            "The document is too large.",
            where=Place(name),
            why=f"It has {len(text):,} characters; at most {LARGEST:,} are read.",
            remedy="Split it.",
        )
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as problem:
        raise _syntax(problem, name) from problem
    except RecursionError as problem:
        raise ConfigError(
            "config.too_deep", "The document is nested too deeply.", where=Place(name), remedy="Write it flatter."
        ) from problem
    source = Source(None, name)
    source.value = {} if node is None else _Builder(source).build(node, (), ())
    return source


def parse_value(text: str) -> Any:
    """One value as it would stand in a document: "1e-4" is a number, "no" a text, "[a, b]" a list."""
    return parse(text).value if text.strip() else ""


def _syntax(problem: yaml.YAMLError, file: str | None) -> ConfigError:
    mark = getattr(problem, "problem_mark", None)
    where = Place(file, mark.line + 1, mark.column + 1) if mark is not None else Place(file)
    why = str(getattr(problem, "problem", None) or getattr(problem, "reason", None) or problem).splitlines()[0]
    return ConfigError(
        "config.syntax",
        "The document is not valid YAML.",
        where=where,
        why=f"{why[:200]}.",
        remedy="Look at this line and the one before: a colon, a quote or the indentation.",
    )


class _Builder:
    """Turns composed nodes into plain values and remembers where each stands."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._count = 0

    def build(self, node: yaml.Node, path: Path_, around: tuple[int, ...]) -> Any:
        self._guard(node, path, around)
        self._source.places.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, (*around, id(node)))
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, number), (*around, id(node))) for number, item in enumerate(node.value)]
        return self._scalar(node)

    def _guard(self, node: yaml.Node, path: Path_, around: tuple[int, ...]) -> None:
        self._count += 1
        if id(node) in around:
            raise self._fault(node, path, "config.recursive", "An anchor contains itself.", "Remove the alias.")
        if self._count > MOST_VALUES:
            raise self._fault(
                node,
                path,
                "config.too_large",
                "The document grows beyond all measure.",
                f"It has more than {MOST_VALUES:,} values once its aliases are written out.",
            )
        if len(around) > DEEPEST:
            raise self._fault(node, path, "config.too_deep", "The document is nested too deeply.", "Write it flatter.")
        if node.tag not in _PLAIN_TAGS and node.tag != f"{_STANDARD}timestamp" and node.tag != f"{_STANDARD}merge":
            raise self._fault(
                node,
                path,
                "config.tag",
                f"The tag {node.tag.replace(_STANDARD, '!!')!r} is not allowed.",
                "A document holds plain values only; remove the tag.",
            )

    def _fault(self, node: yaml.Node, path: Path_, code: str, what: str, remedy: str) -> ConfigError:
        where = Place(self._source.file, node.start_mark.line + 1, node.start_mark.column + 1, dotted(path) or None)
        return ConfigError(code, what, where=where, remedy=remedy)

    def _mapping(self, node: yaml.MappingNode, path: Path_, around: tuple[int, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._fault(key_node, path, "config.key", "A key must be a plain word.", "Write it as text.")
            key = key_node.value
            if key in found:
                raise self._fault(
                    key_node, (*path, key), "config.duplicate_key", f"The key {key!r} stands twice.", "Keep one of them."
                )
            self._source.places[(*path, key)] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            found[key] = self.build(value_node, (*path, key), around)
        return found

    @staticmethod
    def _scalar(node: yaml.Node) -> Any:
        text = str(node.value)
        if getattr(node, "style", None) in ("'", '"', "|", ">") or (node.tag == f"{_STANDARD}str" and text in ("", "~")):
            return text
        if text in ("", "~", "null", "Null", "NULL"):
            return None
        if text in ("true", "True", "TRUE"):
            return True
        if text in ("false", "False", "FALSE"):
            return False
        if _INT.fullmatch(text):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        return text
