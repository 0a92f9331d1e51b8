"""Texts as a reader sees them, each character with its place in the original.

Two views are searched.  :func:`folded` undoes what is invisible: zero-width signs, look-alike letters, full width, HTML
entities, unusual blanks.  :func:`joined` also undoes what a person would read together: "1 2 3", "four one two", a number
over two lines, "anna (at) example.com".  A finding is mapped back, and the original span is what is redacted.
Sources: Unicode TR 39 (confusables), TR 15 (NFKC), TR 9 (direction marks).
"""

from __future__ import annotations

import html
import re
import unicodedata
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Piece = tuple[str, int, int]
"""(what stands in the view, start and end of what it stands for)."""

_CYRILLIC = dict(zip("АВЕКМНОРСТУХаеорсухіІјЈѕЅԁԛԝһӏӀѵ", "ABEKMHOPCTYXaeopcyxiIjJsSdqwhlIv", strict=True))
_GREEK = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧοανριυκϲϳ", "ABEZHIKMNOPTYXoavpiukcj", strict=True))
_OTHER = dict(zip("օսɑɡℓ", "ouagl", strict=True))
LOOKALIKES = _CYRILLIC | _GREEK | _OTHER
INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e007f"
)
_BLANKS = "\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_DASHES = "\u2010-\u2015\u2212\ufe58\ufe63\uff0d"
_COMBINING = "\u0300-\u036f"
_WIDE = "\uff01-\uff5e\u2070-\u209c\u2100-\u214f\u2160-\u217f\u2460-\u24ff\u2776-\u2793\U0001d400-\U0001d7ff\U0001f100-\U0001f12b"
_DIGITS = "\u0660-\u0669\u06f0-\u06f9\u0966-\u096f"
_ENTITY = r"&(?:amp;)*(?:\#\d{1,7}|\#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,12});"
_ODD = re.compile(
    rf"(?P<entity>{_ENTITY})|(?P<gone>[{INVISIBLE}]+)|(?P<blank>[{_BLANKS}])|(?P<dash>[{_DASHES}])|"
    rf"(?P<quote>[\u2018\u2019\u02bc])"
    rf"|(?P<composed>[^\W\d_][{_COMBINING}]+)|(?P<wide>[{_WIDE}{_DIGITS}])|(?P<alike>[{''.join(LOOKALIKES)}])|(?P<at>%40)"
)
_FOREIGN = re.compile(
    "[бгджзилпфцчшщъыьэюяґєїДЖИЛПФЦЧШЩЮЯГ\u03b2-\u03b4\u03b6-\u03b8\u03bb\u03be\u03c0\u03c3\u03c2\u03c6-\u03c9\u0531-\u0587]"
)
_REVERSED = re.compile("\u202e([^\u202c\u2069\n]{2,400})")


@dataclass(frozen=True, slots=True)
class View:
    """A text and, for each of its characters, where it comes from; without arrays it is the original itself."""

    text: str
    starts: array[int] | None = None
    ends: array[int] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The original span behind a span of the view."""
        if self.starts is None or self.ends is None or start >= end:
            return start, end
        return min(self.starts[start:end]), max(self.ends[start:end])


def _rewrite(view: View, pattern: re.Pattern[str], pieces: Callable[[re.Match[str]], Iterable[Piece] | None]) -> View:
    """The view with each match exchanged for its pieces (None: left as it is)."""
    text, out = view.text, []
    starts, ends, done = array("I"), array("I"), 0

    def copy(start: int, end: int) -> None:
        out.append(text[start:end])
        starts.extend(range(start, end) if view.starts is None else view.starts[start:end])
        ends.extend(range(start + 1, end + 1) if view.ends is None else view.ends[start:end])

    for match in pattern.finditer(text):
        found = pieces(match)
        if found is None:
            continue
        copy(done, match.start())
        for new, start, end in found:
            first, last = view.span(start, end)
            out.append(new)
            starts.extend([first] * len(new))
            ends.extend([last] * len(new))
        done = match.end()
    if not done:
        return view
    copy(done, len(text))
    return View("".join(out), starts, ends)


# ---- what cannot be seen -----------------------------------------------------------------------------------------------


def folded(text: str) -> View:
    """The text without what cannot be seen."""
    if text.isascii() and "&" not in text and "%40" not in text:
        return View(text)
    mixed_only = _FOREIGN.search(text) is not None
    return _rewrite(View(text), _ODD, lambda match: _fold(match, mixed_only))


def _fold(match: re.Match[str], mixed_only: bool) -> list[Piece] | None:
    found, kind = match.group(), match.lastgroup
    if kind == "entity":
        return _entity(match)
    if kind == "alike":
        return None if mixed_only and not _in_latin_word(match) else [(LOOKALIKES[found], *match.span())]
    new = {"gone": "", "blank": " ", "dash": "-", "quote": "'", "at": "@"}.get(str(kind))
    if new is None:
        new = _digit(found) if kind == "wide" else unicodedata.normalize("NFC", found)
        if kind == "composed" and len(new) > 1:  # marks that no letter has are decoration
            new = new[0]
    return [(new, *match.span())]


def _entity(match: re.Match[str]) -> list[Piece] | None:
    raw = match.group()
    said = html.unescape("&" + raw[1:].replace("amp;", "") if raw.casefold() != "&amp;" else raw)
    if said.startswith("&") and len(said) > 1:
        return None
    return [(folded(said).text, *match.span())]


def _digit(sign: str) -> str:
    value = unicodedata.digit(sign, None)
    return str(value) if value is not None else unicodedata.normalize("NFKC", sign)


def _in_latin_word(match: re.Match[str]) -> bool:
    """Whether the word around a look-alike letter also holds Latin letters, digits or an @."""
    text, start, end = match.string, match.start(), match.end()
    while start and match.start() - start < 40 and not text[start - 1].isspace():
        start -= 1
    while end < len(text) and end - match.end() < 40 and not text[end].isspace():
        end += 1
    return re.search("[A-Za-z0-9@]", text[start:end]) is not None


# ---- what a reader joins -----------------------------------------------------------------------------------------------

_NUMBER_WORDS = {
    "zero": "0",
    "oh": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "null": "0",
    "eins": "1",
    "ein": "1",
    "zwei": "2",
    "zwo": "2",
    "drei": "3",
    "vier": "4",
    "fünf": "5",
    "fuenf": "5",
    "sechs": "6",
    "sieben": "7",
    "acht": "8",
    "neun": "9",
    "cero": "0",
    "uno": "1",
    "dos": "2",
    "tres": "3",
    "cuatro": "4",
    "cinco": "5",
    "seis": "6",
    "siete": "7",
    "ocho": "8",
    "nueve": "9",
    "noll": "0",
    "ett": "1",
    "en": "1",
    "två": "2",
    "tva": "2",
    "tre": "3",
    "fyra": "4",
    "fem": "5",
    "sex": "6",
    "sju": "7",
    "åtta": "8",
    "atta": "8",
    "nio": "9",
}
_SIGN_WORDS = {
    "dash": "-",
    "hyphen": "-",
    "minus": "-",
    "strich": "-",
    "bindestrich": "-",
    "guion": "-",
    "guión": "-",
    "bindestreck": "-",
    "streck": "-",
    "plus": "+",
    "point": ".",
    "slash": "/",
    "schrägstrich": "/",
}
_ANY_WORD = "|".join(sorted((*_NUMBER_WORDS, *_SIGN_WORDS), key=len, reverse=True))
_SPELLED = re.compile(
    rf"\b(?:{_ANY_WORD}|\d{{1,4}}|[A-Z])(?:[ ,\-\n]{{1,3}}(?:{_ANY_WORD}|\d{{1,4}}|[A-Z])){{3,60}}\b", re.IGNORECASE
)
_TOKEN = re.compile(r"[^\W\d_]+|\d+")
FEWEST_WORDS = 4
"""Number words in a row from which they are read as one number."""
_SPACED = re.compile(r"(?<![^\s(<\[\"'])(?:[^\s,;:!?] ){4,120}[^\s,;:!?](?=[\s,;:!?)>\]\"']|\.(?:\s|$)|$)")
_APART = re.compile(r"\S \S \S \S ")
_BROKEN = re.compile(
    r"(?:(?<=\d)|(?<=\d[\-./)])|(?<=[A-Z][A-Z0-9])|(?<=\d[A-Z])|(?<=\d [A-Z]))[ \t]*\r?\n[ \t]*(?=\d|[A-Z]\b|[A-Z][ -]?\d|[A-Z]{1,4}\d)"
    r"|(?<=[a-z0-9._])[ \t]*\r?\n[ \t]*(?=@)|(?<=@)[ \t]*\r?\n[ \t]*(?=[a-z])"
)
_AT = re.compile(
    r"(?<=[\w])\s*(?:[(\[{<]\s*(?:at|ät|arroba|snabel-?a|@)\s*[)\]}>]|\s(?:AT|arroba|snabel-?a|ät)\s|"
    r"\sat\s(?=[\w-]+\s*(?:[(\[{]\s*(?:dot|punkt|punto)|\s(?:dot|punkt|punto)\s)))\s*(?=[\w])",
    re.IGNORECASE,
)
_DOT = re.compile(r"(?<=[\w])\s*(?:[(\[{<]\s*(?:dot|punkt|punto|\.)\s*[)\]}>]|\s(?:dot|punkt|punto)\s)\s*(?=[\w])", re.IGNORECASE)
_HIDDEN_AT = re.compile(
    r"arroba|snabel|[(\[{<]\s*(?:at|ät|@)\s*[)\]}>]|\b(?:at|ät)\b[^\n]{1,60}\b(?:dot|punkt|punto)\b|"
    r"[(\[{]\s*(?:dot|punkt|punto|\.)\s*[)\]}]",
    re.IGNORECASE,
)
_BRACKETED = re.compile(r"[(\[{<]\s*(?:at|ät|@|dot|punkt|punto|\.)", re.IGNORECASE)
_AT_WORDS = ("arroba", "snabel", "dot", "punkt", "punto")
"""Signs of a hidden @ or dot that are quick to look for."""
_LETTER_DIGITS = re.compile(r"(?<![\w])(?:\d|[OolI|](?! ))[0-9OolI|.\- /]{5,24}(?:\d|(?<! )[OolI|])(?![\w])")
_LONE_LETTER = re.compile(r" [OolI|] ")
_AS_DIGIT = str.maketrans("OolI|", "00111")


def joined(text: str, view: View) -> list[View]:
    """What a reader would put together, where that is not the folded view itself.

    A line that ends inside a number may stand for a blank or for nothing: then both ways to read it.
    """
    start = _unreversed(text) if "\u202e" in text else view
    words = sum(word in _NUMBER_WORDS for word in start.text.casefold().replace(",", " ").replace("-", " ").split())
    found = _rewrite(start, _SPELLED, _spelled) if words >= FEWEST_WORDS else start
    if _APART.search(found.text):
        found = _rewrite(found, _SPACED, _spaced)
    readings = [found]
    if "\n" in found.text and _BROKEN.search(found.text):
        readings = [_mended(found, gap) for gap in ("", " ")]
    return [one for one in map(_with_signs, readings) if one is not view]


def _mended(view: View, gap: str) -> View:
    return _rewrite(view, _BROKEN, lambda match: [(gap, *match.span())])


def _with_signs(view: View) -> View:
    """With @ and dots for their words, and digits for the letters that stand for them."""
    small = view.text.casefold()
    if (any(word in small for word in _AT_WORDS) or _BRACKETED.search(small)) and _HIDDEN_AT.search(view.text):
        view = _rewrite(view, _AT, lambda match: [("@", *match.span())])
        view = _rewrite(view, _DOT, lambda match: [(".", *match.span())])
    return _rewrite(view, _LETTER_DIGITS, _letter_digits)


def _unreversed(text: str) -> View:
    """What follows a right-to-left override, turned round as it is shown."""
    turned = _rewrite(
        View(text),
        _REVERSED,
        lambda match: [
            (sign, match.end(1) - place - 1, match.end(1) - place) for place, sign in enumerate(reversed(match.group(1)))
        ],
    )
    return _rewrite(turned, _ODD, lambda match: _fold(match, False))


def _spelled(match: re.Match[str]) -> list[Piece] | None:
    """Number words as digits, where enough of them stand together."""
    tokens = [(token.group().casefold(), token.start(), token.end()) for token in _TOKEN.finditer(match.group())]
    if sum(word in _NUMBER_WORDS for word, *_ in tokens) < FEWEST_WORDS:
        return None
    base = match.start()
    return [
        (_NUMBER_WORDS.get(word) or _SIGN_WORDS.get(word) or word.upper(), base + start, base + end)
        for word, start, end in tokens
    ]


def _spaced(match: re.Match[str]) -> list[Piece]:
    return [(sign, match.start() + place, match.start() + place + 1) for place, sign in enumerate(match.group()) if sign != " "]


def _letter_digits(match: re.Match[str]) -> list[Piece] | None:
    """Letters that stand for digits ("O" for 0), in something that is mostly digits."""
    found = match.group()
    if _LONE_LETTER.search(found):  # "2.40 | 5.76" are two amounts
        return None
    letters = sum(sign in "OolI|" for sign in found)
    digits = sum(sign.isdigit() for sign in found)
    if not letters or digits < 3 * letters:
        return None
    return [(sign, match.start() + place, match.start() + place + 1) for place, sign in enumerate(found.translate(_AS_DIGIT))]


# ---- what was hidden, in words -------------------------------------------------------------------------------------------

_WORDS = re.compile(rf"\b(?:{'|'.join(word for word in _NUMBER_WORDS if len(word) > 2)})\b", re.IGNORECASE)
_SIGNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("invisible", re.compile(f"[{INVISIBLE}]")),
    ("entity", re.compile(_ENTITY)),
    ("lookalike", re.compile(f"[{''.join(LOOKALIKES)}{_WIDE}{_DIGITS}]")),
    ("line_break", re.compile(r"\n")),
    ("spaced", re.compile(r"(?<!\S)\S \S \S(?!\S)")),
    ("spelled_out", _WORDS),
    ("at_sign", re.compile(r"[(\[{<]\s*(?:at|ät|@)\s*[)\]}>]|\b(?:at|arroba|snabel-?a|dot|punkt|punto)\b", re.IGNORECASE)),
)


def disguises(original: str) -> list[str]:
    """How a found text was hidden: invisible, entity, lookalike, line_break, spaced, spelled_out, at_sign."""
    if original.isascii() and original.isalnum():
        return []
    return [name for name, pattern in _SIGNS if pattern.search(original)]
