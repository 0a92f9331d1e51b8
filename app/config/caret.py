"""Where the caret stands in a workflow document that is being typed: the text may be broken, so it is read by its look.

Block mappings are told by indentation, flow mappings (``{node: train.qlora, ep``) by their brackets since the last line that
begins at the margin.  A complete text is read by app.config.yaml_source instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_KEY = re.compile(r"^(\s*)(?:- )?(?P<key>[^\s#{}\[\],:'\"&*!|>%@`][^#{}\[\],:]*?)\s*:(?=\s|$)")
_WORD = re.compile(r"[^\s,:{}\[\]#'\"]*$")
_BLOCK_SCALAR = re.compile(r":\s+[|>][-+0-9]*\s*(#.*)?$")


@dataclass(frozen=True, slots=True)
class Caret:
    """path: the keys down to the mapping that the caret is in; for a value its own key too.

    part: "key", "value" or "" (a comment, a block text).  word: what is typed of it; column: where that begins, from 1.
    beside: keys that the mapping has already, on other lines or places.
    """

    path: tuple[str, ...]
    part: str
    word: str = ""
    column: int = 1
    beside: tuple[str, ...] = ()


@dataclass(slots=True)
class _Frame:
    """An open bracket: the key whose value it is, the keys seen in it, and the one whose value is being read."""

    kind: str
    owner: str
    keys: list[str] = field(default_factory=list)
    key: str = ""


def caret_at(text: str, line: int, column: int) -> Caret:
    """The caret at a line and column (both from 1)."""
    lines = text.split("\n")
    head = lines[line - 1][: column - 1] if line <= len(lines) else ""
    word = _WORD.search(head)
    typed = word[0] if word else ""
    at = column - len(typed)
    first = _margin(lines, line)
    frames, in_text, outer = _brackets(lines[first:line - 1], head)
    if in_text or _in_block_scalar(lines, line):
        return Caret((), "")
    around = _above(lines, outer + first if frames else line - 1, _indent(lines, line, column) if not frames else None)
    if frames:
        return _in_flow(frames, around, typed, at, lines[line - 1][column - 1:])
    key = _KEY.match(head + " " if head.endswith(":") else head)
    if key is not None and key.end() <= len(head):
        return Caret((*around, key["key"]), "value", typed, at)
    return Caret(around, "key", typed, at, _siblings(lines, line, _indent(lines, line, column)))


def _margin(lines: list[str], line: int) -> int:
    """Index of the last line up to this one that begins at the margin: no bracket is open before it."""
    for number in range(min(line, len(lines)) - 1, -1, -1):
        if lines[number][:1] not in ("", " ", "\t", "#", "}", "]", "\r"):
            return number
    return 0


def _brackets(before: list[str], head: str) -> tuple[list[_Frame], bool, int]:
    """(open brackets at the caret, whether it stands in a comment or a quoted text, index of the line that opened the first)."""
    frames: list[_Frame] = []
    outer = 0
    quote = ""
    token = ""
    comment = False
    for number, content in enumerate([*before, head]):
        comment = False
        if not frames:
            token = ""
        for place, sign in enumerate(content):
            if quote:
                quote = "" if sign == quote else quote
                token += sign
            elif sign == "#" and (place == 0 or content[place - 1].isspace()):
                comment = True
                break
            elif sign in "'\"" and not token.strip(" -"):
                quote = sign
            elif sign in "{[":
                if not frames:
                    outer = number
                frames.append(_Frame(sign, frames[-1].key if frames else token.strip(" -").rstrip(":")))
                token = ""
            elif sign in "}]" and frames:
                frames.pop()
                token = ""
            elif frames and sign == ",":
                frames[-1].key = token = ""
            elif frames and sign == ":" and content[place + 1: place + 2] in ("", " "):
                frames[-1].key = token.strip().strip("'\"")
                frames[-1].keys.append(frames[-1].key)
                token = ""
            elif frames or sign != ":" or content[place + 1: place + 2] not in ("", " "):
                token += sign
        if quote and not frames:
            quote = ""  # a quoted text over several lines is rare, a lone apostrophe is not
    return frames, bool(quote) or comment, outer


def _in_flow(frames: list[_Frame], around: tuple[str, ...], typed: str, at: int, rest: str) -> Caret:
    path = (*around, *(frame.owner for frame in frames[:1] if frame.owner and frame.owner not in around[-1:]),
            *(frame.owner for frame in frames[1:] if frame.owner))
    last = frames[-1]
    if last.kind == "[":
        return Caret(path, "value", typed, at)
    if last.key:
        return Caret((*path, last.key), "value", typed, at)
    behind = re.findall(r"([\w.-]+)\s*:(?=\s)", rest.split("}")[0])
    return Caret(path, "key", typed, at, (*last.keys, *behind))


def _indent(lines: list[str], line: int, column: int) -> int:
    content = lines[line - 1] if line <= len(lines) else ""
    bare = content.lstrip(" ")
    return len(content) - len(bare) if bare.strip() else column - 1


def _above(lines: list[str], number: int, indent: int | None) -> tuple[str, ...]:
    """Keys of the mappings around line ``number`` (an index); indent: of the caret's own line, None for that line's own key too."""
    found: list[str] = []
    if indent is None:
        key = _KEY.match(lines[number] if number < len(lines) else "")
        if key is None:
            return ()
        found, indent = [key["key"]], len(key[1])
    for content in reversed(lines[:number]):
        key = _KEY.match(content)
        if key is not None and len(key[1]) < indent:
            found.append(key["key"])
            indent = len(key[1])
        if indent == 0:
            break
    return tuple(reversed(found))


def _siblings(lines: list[str], line: int, indent: int) -> tuple[str, ...]:
    """Keys at the same indentation that belong to the same mapping."""
    found: list[str] = []
    for part in (reversed(lines[: line - 1]), lines[line:]):
        for content in part:
            key = _KEY.match(content)
            own = len(content) - len(content.lstrip(" "))
            if content.strip() and not content.lstrip().startswith("#") and own < indent:
                break
            if key is not None and len(key[1]) == indent:
                found.append(key["key"])
    return tuple(found)


def _in_block_scalar(lines: list[str], line: int) -> bool:
    """Whether a line belongs to a text that began with | or > further up."""
    content = lines[line - 1] if line <= len(lines) else ""
    if not content.strip():
        return False
    indent = len(content) - len(content.lstrip(" "))
    for above in reversed(lines[: line - 1]):
        if not above.strip():
            continue
        own = len(above) - len(above.lstrip(" "))
        if own < indent:
            return _BLOCK_SCALAR.search(above) is not None
    return False
