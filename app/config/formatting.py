"""Give a document the house's layout: two spaces a level, no trailing blanks, at most one blank line, one line end at the end.

Values, comments, quoting and the order of keys stay.  The result is read back; a text whose values would change, or that is not
valid YAML, is refused.
"""

from __future__ import annotations

import bisect

from app.config.yaml_source import parse
from app.config.yaml_tree import Twig, tree
from app.errors import ConfigError

INDENT = 2


def formatted(text: str) -> str:
    """The text laid out.  Raises ConfigError: that of a text that is not valid, or format.unsafe."""
    before = parse(text).value
    lines = text.replace("\r\n", "\n").split("\n")
    wanted: dict[int, int] = {}
    texts: dict[int, int] = {}
    root = tree(text.replace("\r\n", "\n"))
    if root is not None:
        starts = _starts(lines)
        _place(root, 0, starts, wanted, texts)
    made = "\n".join(_laid_out(lines, wanted, texts)).strip("\n") + "\n"
    if parse(made).value != before:
        raise ConfigError("format.unsafe", "The document was left as it is: laying it out would change a value.",
                          remedy="Look for texts over several lines and lay those out by hand.")
    return made


def _starts(lines: list[str]) -> list[int]:
    """Offset of each line."""
    found, at = [], 0
    for line in lines:
        found.append(at)
        at += len(line) + 1
    return found


def _line(starts: list[int], at: int) -> int:
    return bisect.bisect_right(starts, at) - 1


def _place(twig: Twig, depth: int, starts: list[int], wanted: dict[int, int], texts: dict[int, int]) -> None:
    """The indentation of each line on which a block entry begins; ``texts``: lines inside texts and flow values → their shift line."""
    for key, value in twig.entries if not twig.flow else ():
        number = _line(starts, key.start)
        wanted.setdefault(number, depth)
        _inside(value, number, depth, starts, wanted, texts)
    for item in twig.items if not twig.flow else ():
        number = _line(starts, item.start)
        wanted.setdefault(number, depth)
        _inside(item, number, depth, starts, wanted, texts)


def _inside(value: Twig, number: int, depth: int, starts: list[int], wanted: dict[int, int], texts: dict[int, int]) -> None:
    if value.kind in ("map", "seq") and not value.flow:
        _place(value, depth + INDENT, starts, wanted, texts)
        return
    for line in range(number + 1, _line(starts, max(value.end - 1, value.start)) + 1):
        texts[line] = number


def _laid_out(lines: list[str], wanted: dict[int, int], texts: dict[int, int]) -> list[str]:
    made: list[str] = []
    for number, line in enumerate(lines):
        bare = line.strip() if number not in texts else line.rstrip("\r")
        if number in texts:
            owner = texts[number]
            shift = wanted.get(owner, _indent(lines[owner])) - _indent(lines[owner])
            made.append(" " * max(_indent(bare) + shift, 0) + bare.lstrip(" ") if bare.strip() else "")
        elif not bare:
            made += [""] if made[-1:] != [""] else []
        elif bare.startswith("#"):
            made.append(" " * _comment(number, lines, wanted) + bare)
        else:
            made.append(" " * wanted.get(number, _indent(line)) + bare)
    return made


def _comment(number: int, lines: list[str], wanted: dict[int, int]) -> int:
    """A comment stands like the entry that follows it, unless it stood deeper; then like the last one before it that did not."""
    own = _indent(lines[number])
    after = next((one for one in range(number + 1, len(lines)) if one in wanted), None)
    if after is not None and own <= _indent(lines[after]):
        return wanted[after]
    before = next((one for one in range(number - 1, -1, -1) if one in wanted and _indent(lines[one]) <= own), None)
    return wanted[before] if before is not None else own


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
