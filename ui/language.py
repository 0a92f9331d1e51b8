"""The window in another language: one JSON file a language in resources/translations, English words as its keys.

``tr`` is called where words reach a widget (labels, buttons, columns, menus), so pages are written in plain English.  A key may have
holes.  "{}" takes a figure: "{} rows kept" stands for "1,204 rows kept", and for nothing without a figure, so that a name of the user's
is never taken for the program's words.  "{*}" takes any words, which are looked up in their turn: "Queued: {*}".  A translation
names the holes in its own order ("{1} of {0}").  Figures are written as the language writes them; of a text that is not found
its sentences are looked up one by one, and what a file does not have stays English.  ``python -m ui.language FILE`` writes the list of
all words to translate.  The user's choice lies beside the store, in the profile's language.txt: it is needed before the store is open.
"""

from __future__ import annotations

import ast
import functools
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QTranslator

if TYPE_CHECKING:
    from app.store.profile import Profile

FOLDER = Path(__file__).resolve().parent.parent / "resources" / "translations"
CHOICE = "language.txt"
_HOLE = re.compile(r"\{(\*?)\}")
_TAKES = {"": r"(\S*\d\S*)", "*": r"((?:(?![.!?] \S).)*?[.!?]?)"}  # words end with their sentence
_FIGURE = re.compile(r"(?<![\w.,/])(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+)(?![.,/]?\d)")
_FIGURES = re.compile(r"[^A-Za-z]*\d[^A-Za-z]*(?:s|ms|W|Wh|kWh|MB|GB|TB)?")
_PARTING = [re.compile(sign) for sign in (r"(\n+|(?<=[.!?]) )", r"((?<=;) )", r"((?<=:) )")]
"""What parts sentences, then what parts their clauses."""


@dataclass(frozen=True, slots=True)
class _Phrase:
    """A key with holes.  sign: a part of it that stands in each text it fits."""

    sign: str
    pattern: re.Pattern[str]
    words: str


class _Language:
    """The words in force."""

    def __init__(self) -> None:
        self.name = "en"
        self.whole: dict[str, str] = {}
        self.phrases: list[_Phrase] = []
        self.signs = str.maketrans("", "")
        self.standard: QTranslator | None = None


_now = _Language()


def languages() -> list[str]:
    """Languages there are files for, English first."""
    return ["en", *sorted(file.stem for file in FOLDER.glob("*.json"))]


def current() -> str:
    """The language in force."""
    return _now.name


def own_name(language: str) -> str:
    """What a language calls itself: "Deutsch"."""
    return "English" if language == "en" else QLocale(language).nativeLanguageName() or language


def chosen(profile: Profile) -> str:
    """The language of the next start; where none was chosen the computer's, if there is a file for it, or else English."""
    try:
        return (profile.home / CHOICE).read_text(encoding="utf-8").strip()[:20] or _of_this_computer()
    except (OSError, UnicodeDecodeError):
        return _of_this_computer()


def _of_this_computer() -> str:
    name = QLocale.system().name().partition("_")[0]
    return name if name in languages() else "en"


def choose(profile: Profile, name: str) -> None:
    """Keep the language of the next start."""
    (profile.home / CHOICE).write_text(name, encoding="utf-8")


def use(name: str) -> None:
    """Take a language into force for widgets made from now on; English for one that is not there or cannot be read."""
    words: dict[str, str] = {}
    if name != "en":
        try:
            read = json.loads((FOLDER / f"{Path(name).name}.json").read_text(encoding="utf-8"))
            words = {str(key): str(value) for key, value in read.items() if value}
        except (OSError, ValueError, AttributeError):
            name = "en"
    _now.name = name
    _now.whole = {key: value for key, value in words.items() if not _HOLE.search(key)}
    holed = [(key, value) for key, value in words.items() if _HOLE.search(key) and fits(key, value)]
    holed.sort(key=lambda pair: (-len(_HOLE.sub("", pair[0])), pair[0].count("*")))  # the most exact one first
    _now.phrases = [_phrase(key, value) for key, value in holed]
    locale = QLocale(name)
    QLocale.setDefault(locale)  # fields of figures take and show them with its signs
    _now.signs = str.maketrans(",.", locale.groupSeparator()[0] + locale.decimalPoint()[0])
    _translated.cache_clear()
    _use_standard(name)


def _use_standard(name: str) -> None:
    """Qt's own words: the menus of its fields and its file dialog."""
    if (app := QCoreApplication.instance()) is None:
        return
    if _now.standard is not None:
        app.removeTranslator(_now.standard)
        _now.standard = None
    if name == "en":
        return
    standard = QTranslator(app)
    if standard.load(f"qtbase_{name}", QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)):
        app.installTranslator(standard)
        _now.standard = standard


def fits(key: str, value: str) -> bool:
    """Whether a translation can be filled in with what the holes of its key take."""
    holes = len(_HOLE.findall(key))
    try:
        return not holes or bool(value.format(*["x"] * holes))
    except (ValueError, IndexError, KeyError, AttributeError):
        return False


def _phrase(key: str, value: str) -> _Phrase:
    parts = _HOLE.split(key)  # words, what the hole takes, words, ...
    pattern = "".join(_TAKES[part] if number % 2 else re.escape(part) for number, part in enumerate(parts))
    return _Phrase(max(parts[::2], key=len), re.compile(pattern, re.DOTALL), value)


def tr(text: str) -> str:
    """The words in the language in force."""
    return text if _now.name == "en" or not text else _translated(text)


@functools.lru_cache(maxsize=4096)
def _translated(text: str) -> str:
    found = _now.whole.get(text)
    if found is not None:
        return found
    for phrase in _now.phrases:
        if phrase.sign in text and (match := phrase.pattern.fullmatch(text)):
            return phrase.words.format(*map(_filled, match.groups()))
    if _FIGURES.fullmatch(text):
        return _figures(text)
    for parting in _PARTING:
        parts = parting.split(text)  # a sentence, what parts it from the next one, ...
        if len(parts) > 1:
            return "".join(part if number % 2 else tr(part) for number, part in enumerate(parts))
    return text


def _filled(part: str) -> str:
    found = tr(part)
    return _figures(part) if found == part else found


def _figures(text: str) -> str:
    """Its figures with the language's signs: "1,204.5" is "1.204,5" in German."""
    return _FIGURE.sub(lambda match: match[0].translate(_now.signs), text)


# ---- the list of words -----------------------------------------------------------------------------------------------------


def words_of(folder: Path) -> list[str]:
    """All words of the window's sources that a user may read; "{}" where a value comes in."""
    found: set[str] = set()
    for file in sorted(folder.rglob("*.py")):
        if file != Path(__file__).resolve():
            found |= _words(ast.parse(file.read_text(encoding="utf-8")))
    return sorted(found)


def _words(tree: ast.Module) -> set[str]:
    found, silent = set(), set()
    for node in ast.walk(tree):  # from the outside in
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            silent.add(node.value)  # a docstring
        elif isinstance(node, ast.JoinedStr):
            silent |= {part for part in node.values if isinstance(part, ast.Constant)}
            found.add("".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in silent:
            found.add(node.value)
    return {text for text in found if _readable(text)}


def _readable(text: str) -> bool:
    """Words for a person, not a key, a role, a query, a style or a file."""
    plain = text.replace("{}", "")
    if re.match(r"SELECT |<|[\w-]+: [^ ]+;|[\w-]+\.\w+$|(Ctrl|Alt|Shift)\+", plain):
        return False
    return bool(re.search(r"[A-Za-z]{2}", plain)) and (" " in plain.strip() or (plain[:1].isupper() and not plain.isupper()))


def write_template(file: Path) -> int:
    """Write the list of words, to be filled in; how many there are."""
    words = dict.fromkeys(words_of(Path(__file__).resolve().parent), "")
    file.write_text(json.dumps(words, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return len(words)


if __name__ == "__main__":
    print(write_template(Path(sys.argv[1])))
