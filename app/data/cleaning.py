"""What cleaning does to one text: letters mended, markup turned into text, blanks tidied, boilerplate lines taken out.

Each function returns the text as it was where it finds nothing to do.  Code keeps its signs: fenced blocks and `code` are never
touched, and a "<" that opens no HTML tag stays ("a < b", "List<int>").
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from app.data.rowtext import parts_of
from app.store.records import Row

_CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]+`)", re.S)


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    if "`" not in text:
        return change(text)
    return "".join(part if number % 2 else change(part) for number, part in enumerate(_CODE.split(text)))


# -- letters --------------------------------------------------------------------------------------------------------------------
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")


def mend_letters(text: str) -> str:
    """Mojibake, control characters and line ends mended by ftfy; quotes, ligatures, width and composition stay as they are."""
    if text.isascii() and not _CONTROL.search(text):
        return text
    import ftfy

    return str(ftfy.fix_text(text, _letters()))


@cache
def _letters() -> Any:
    import ftfy

    return ftfy.TextFixerConfig(unescape_html=False, uncurl_quotes=False, fix_latin_ligatures=False, fix_character_width=False,
                                normalization=None, explain=False)


# -- markup ---------------------------------------------------------------------------------------------------------------------
_PARAGRAPHS = "p|h[1-6]|blockquote|table|ul|ol|dl|section|article|header|footer|main|nav|aside|figure|form|fieldset"
_LINES = "br|div|tr|dt|dd|hr|center|address|caption|thead|tbody|tfoot|option|legend|figcaption|body|html|title"
_INLINE = ("a|b|i|u|s|q|em|strong|span|small|big|font|sub|sup|abbr|cite|del|ins|mark|tt|kbd|var|samp|label|img|input|button|select|link|"
           "meta|base|col|colgroup|picture|source|video|audio|time|wbr|iframe")
_NAMES = f"li|td|th|{_PARAGRAPHS}|{_LINES}|{_INLINE}"
_TAG = re.compile(rf"<(?P<end>/?)(?P<name>{_NAMES})(?P<rest>\s+[a-z][^<>]*|\s*/?)>|<!doctype\b[^<>]*>", re.I | re.S)
_OPENING = re.compile(r"<(?P<name>script|style|noscript|head|template|svg|pre|code)\b[^<>]*>|<(?P<note>!--)", re.I)
_INNER = re.compile(r"</?(?:pre|code)\b[^<>]*>", re.I)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,30});", re.I)
_PARAGRAPH, _LINE = re.compile(_PARAGRAPHS, re.I), re.compile(_LINES, re.I)
_ABOUT_MARKUP = re.compile(r"\b(?:x?html5?|xml|svg|jsx|markup|css|javascript|web ?page|tags?)\b", re.I)


def without_markup(text: str) -> str:
    """HTML as plain text: paragraphs and items on lines of their own, <pre> and <code> as fenced code, entities as letters."""
    if "<" not in text and "&" not in text:
        return text
    made = _outside_code(text, _code_as_text)
    made = _outside_code(made, _tags_as_text)
    return text if made == text else tidy(made)


def _code_as_text(text: str) -> str:
    """Without what nobody sees (scripts, styles, notes), and code as fenced code.  Each closing tag is looked for once, so that
    a text of nothing but opening ones takes no longer than another."""
    parts, done, unclosed = [], 0, set[str]()
    for opening in _OPENING.finditer(text):
        name = (opening["name"] or "").lower()
        if opening.start() < done or name in unclosed:
            continue
        closing = _closing(name).search(text, opening.end())
        if closing is None:
            unclosed.add(name)
            continue
        parts += [text[done : opening.start()], _as_code(name, text[opening.end() : closing.start()])]
        done = closing.end()
    return "".join([*parts, text[done:]])


@cache
def _closing(name: str) -> re.Pattern[str]:
    return re.compile(rf"</{name}\s*>" if name else "-->", re.I)


def _as_code(name: str, inner: str) -> str:
    if name not in ("pre", "code"):
        return ""
    code = html.unescape(_TAG.sub("", _INNER.sub("", inner))).strip("\n")
    if name == "pre" or "\n" in code:
        return f"\n```\n{code}\n```\n"
    return code if "`" in code else f"`{code}`"


def _tags_as_text(text: str) -> str:
    closed = {found[1].lower() for found in re.finditer(r"</([a-z])>", text, re.I)}

    def replaced(found: re.Match[str]) -> str:
        name = (found["name"] or "").lower()
        if len(name) == 1 and not found["rest"].strip() and name not in closed:
            return found[0]  # "vector<b>", "a <p> b": no markup, since nothing closes it
        if not name:
            return ""
        if name == "li":
            return "" if found["end"] else "\n- "
        if name in ("td", "th"):
            return " " if found["end"] else ""
        return "\n\n" if _PARAGRAPH.fullmatch(name) else "\n" if _LINE.fullmatch(name) else ""

    return _ENTITY.sub(lambda found: html.unescape(found[0]), _TAG.sub(replaced, text))


def about_markup(row: Row) -> bool:
    """Whether a row asks for or about markup, so that its tags are what it teaches."""
    return any(_ABOUT_MARKUP.search(message["content"]) for message in row.prompt if message["role"] != "system")


# -- blanks ---------------------------------------------------------------------------------------------------------------------
_ODD_BLANKS = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f]")
_NO_WIDTH = re.compile("[\u00ad\u200b\u2060\ufeff]")
_TRAILING, _EMPTY_LINES, _RUN = re.compile(r"(?<![ \t])[ \t]+(?=\n)"), re.compile(r"\n{3,}"), re.compile(r"(?<=\S) {2,}(?=\S)")


def tidy(text: str) -> str:
    """No blanks at line ends, no more than one empty line, single blanks between words, no zero-width signs; indents, tabs,
    tables and code stay, and so does a blank before the first word."""
    return _outside_code(text, _tidied).strip("\n").rstrip()


def _tidied(text: str) -> str:
    if not text.isascii():
        text = _NO_WIDTH.sub("", _ODD_BLANKS.sub(" ", text))
    text = _EMPTY_LINES.sub("\n\n", _TRAILING.sub("", text))
    if "  " not in text:
        return text
    return "\n".join(line if "|" in line or "\t" in line or len(_RUN.findall(line)) > 2 else _RUN.sub(" ", line)
                     for line in text.split("\n"))


# -- boilerplate ----------------------------------------------------------------------------------------------------------------
EDGE = 5
"""Lines at either end of a text among which such of web pages and mails are looked for."""
FEWEST_LINES = 4
LONGEST_LINE = 160
_WEB_LINES = (
    r"(?:we|this (?:web)?site|our (?:web)?site) uses? cookies\b",
    r"(?:accept|reject|manage)(?: all)? cookies$",
    r"cookie (?:policy|settings|preferences)$",
    r"by continuing to (?:use|browse) (?:this|our)\b",
    r"(?:click here to )?unsubscribe(?: here| now| from .{0,60}| at any time)?[.!]?$",
    r"to unsubscribe,? (?:please )?(?:click|reply|visit|send|use|follow)\b",
    r"(?:you are receiving|you received|you're receiving) this (?:e-?mail|message|newsletter)\b",
    r"view (?:this (?:e-?mail|message|newsletter) )?in (?:your |a )?browser\b",
    r"(?:sign up for|sign up to|subscribe to) (?:our|the) newsletter\b",
    r"follow us on\b",
    r"share (?:this )?on (?:facebook|twitter|linkedin|x|whatsapp)\b",
    r"skip to (?:main )?content$",
    r"(?:©|\(c\)|copyright)\s.{0,80}\ball rights reserved\.?$|all rights reserved\.?$",
    r"powered by \w+$",
    r"(?:please )?enable javascript\b|javascript is (?:disabled|required)\b",
    r"privacy policy(?: \||$)|terms of (?:service|use)(?: \||$)",
    r"(?:page|seite|página|sida) \d+(?: (?:of|von|de|av|/) \d+)?$",
    r"(?:diese|unsere) (?:web)?seite verwendet cookies\b|wir verwenden cookies\b",
    r"newsletter (?:abbestellen|abmelden)$|alle rechte vorbehalten\.?$",
    r"(?:este sitio|esta (?:página|web))(?: web)? (?:utiliza|usa) cookies\b|utilizamos cookies\b",
    r"darse de baja(?: aquí)?\.?$|todos los derechos reservados\.?$",
    r"(?:vi|den här (?:webb)?platsen) använder (?:cookies|kakor)\b",
    r"avregistrera(?: dig)?(?: här)?\.?$|avsluta prenumerationen$|alla rättigheter förbehållna\.?$",
)
"""How such lines read from their first word on, in English, German, Spanish and Swedish."""
_WEB_LINE = re.compile("|".join(_WEB_LINES), re.I)
_DIGITS = re.compile(r"\d+")


def line_key(line: str) -> str:
    """What two lines have in common that are the same but for case, blanks and numbers; "" for one that is no phrase."""
    words = line.casefold().split()
    return _DIGITS.sub("#", " ".join(words)) if len(line) <= LONGEST_LINE and (len(words) > 1 or line.strip().isdigit()) else ""


def without_boilerplate(text: str, repeated: frozenset[str]) -> tuple[str, int]:
    """(the text without lines of web pages and mails at its ends and without lines whose key is ``repeated``, how many went)."""
    lines = text.split("\n")
    full = [number for number, line in enumerate(lines) if line.strip()]
    if len(full) < FEWEST_LINES:
        return text, 0
    edge = {*full[:EDGE], *full[-EDGE:]}
    gone = {number for number in full if (number in edge and len(lines[number]) <= LONGEST_LINE and _WEB_LINE.match(lines[number].strip()))
            or (repeated and line_key(lines[number]) in repeated)}
    return ("\n".join(line for number, line in enumerate(lines) if number not in gone), len(gone)) if gone else (text, 0)


# -- a row ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CleanRules:
    """Which rules are on.  repeated: keys of lines that many documents have."""

    letters: bool = True
    markup: bool = True
    blanks: bool = True
    boilerplate: bool = True
    repeated: frozenset[str] = frozenset()


LETTERS, MARKUP, BOILERPLATE, BLANKS = "letters_mended", "markup_removed", "boilerplate_removed", "blanks_tidied"
_WORDS = {LETTERS: "letters mended", MARKUP: "markup turned into text", BLANKS: "blanks tidied"}


def clean(row: Row, rules: CleanRules) -> tuple[Row, list[tuple[str, str]]]:
    """(the row with every text cleaned, what was done as (reason, words), the weightiest first); metadata stays as it is."""
    did: dict[str, int] = {}
    markup = rules.markup and not about_markup(row)

    def cleaned(text: str) -> str:
        for reason, on, change in (
            (LETTERS, rules.letters, mend_letters), (MARKUP, markup, without_markup), (BLANKS, rules.blanks, tidy)
        ):
            after = change(text) if on else text
            if after != text:
                did[reason] = 1
            if reason == MARKUP and rules.boilerplate:
                after, lines = without_boilerplate(after, rules.repeated if row.shape == "text" else frozenset())
                did[BOILERPLATE] = did.get(BOILERPLATE, 0) + lines
            text = after
        return text

    new = replace(row, messages=[{**message, "content": cleaned(message["content"])} for message in row.messages],
                  text=cleaned(row.text), chosen=cleaned(row.chosen), rejected=cleaned(row.rejected))
    if parts_of(new) == parts_of(row):
        return row, []
    lines = did.get(BOILERPLATE, 0)
    words = _WORDS | {BOILERPLATE: f"{lines} boilerplate line{'s' if lines != 1 else ''} removed"}
    return new, [(reason, words[reason]) for reason in (MARKUP, BOILERPLATE, LETTERS, BLANKS) if did.get(reason)]


def repeated_lines(texts: Iterable[str], share: float, fewest: int = 5) -> frozenset[str]:
    """Keys of lines that stand in at least ``share`` and ``fewest`` of the texts (each counts once)."""
    counts: dict[str, int] = {}
    total = 0
    for text in texts:
        total += 1
        for key in {line_key(line) for line in text.split("\n")} - {""}:
            counts[key] = counts.get(key, 0) + 1
    return frozenset(key for key, count in counts.items() if count >= max(fewest, share * total))
