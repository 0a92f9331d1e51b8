"""The window in another language: one JSON file a language in resources/translations, English words as its keys.

``tr`` is called where words reach a widget (labels, buttons, columns, menus), so pages are written in plain English.  Words with
figures in them are looked up with their figures taken out: "{} rows kept" stands for "1,204 rows kept", and for nothing
without a figure, so that a name of the user's is never taken for the program's words.  What a file does not have
stays English.  ``python -m ui.language FILE`` writes the list of all words to translate.  The user's choice lies beside the store, in the
profile's language.txt: it is needed before the store is open.
"""

from __future__ import annotations

import ast
import functools
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.store.profile import Profile

FOLDER = Path(__file__).resolve().parent.parent / "resources" / "translations"
CHOICE = "language.txt"
_HOLE = re.compile(r"\{\}")
_SHOWN = {"Label", "Button", "Segments", "Badge", "EmptyState", "Column", "Panel", "Deed", "Key", "PageSpec", "say", "toast", "ask",
          "offer", "addAction", "addMenu", "setPlaceholderText", "setToolTip", "setWindowTitle", "_line", "_switch", "_number",
          "_whole", "allow", "addItems", "Choice", "Switch"}
_NAMES = {"title", "subtitle", "STATES", "VERDICTS", "NOT_MEASURED", "STEP_WORDS", "KEY_WORDS", "SPLIT_WORDS", "STEPS", "PLACES"}


class _Language:
    """The words in force."""

    def __init__(self) -> None:
        self.name = "en"
        self.whole: dict[str, str] = {}
        self.holed: list[tuple[re.Pattern[str], str]] = []


_now = _Language()


def languages() -> list[str]:
    """Languages there are files for, English first."""
    return ["en", *sorted(file.stem for file in FOLDER.glob("*.json"))]


def chosen(profile: Profile) -> str:
    """The language of the next start; English where none was chosen."""
    try:
        return (profile.home / CHOICE).read_text(encoding="utf-8").strip()[:20] or "en"
    except (OSError, UnicodeDecodeError):
        return "en"


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
    _now.whole = {key: value for key, value in words.items() if "{}" not in key}
    _now.holed = [(_pattern(key), value) for key, value in words.items() if "{}" in key and _fits(value, key.count("{}"))]
    _translated.cache_clear()


def _fits(value: str, holes: int) -> bool:
    """Whether a translation can be filled in; it may put the figures in another order ({1} of {0})."""
    try:
        value.format(*["x"] * holes)
    except (ValueError, IndexError, KeyError, AttributeError):
        return False
    return True


def _pattern(key: str) -> re.Pattern[str]:
    return re.compile(r"(\S*\d\S*)".join(re.escape(part) for part in _HOLE.split(key)), re.DOTALL)


def tr(text: str) -> str:
    """The words in the language in force."""
    return text if _now.name == "en" or not text else _translated(text)


@functools.lru_cache(maxsize=4096)
def _translated(text: str) -> str:
    found = _now.whole.get(text)
    if found is not None:
        return found
    for pattern, value in _now.holed:
        if match := pattern.fullmatch(text):
            return value.format(*match.groups())
    return text


def words_of(folder: Path) -> list[str]:
    """All words of the window's sources that a user may read."""
    found: set[str] = set()
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _called(node.func) in _SHOWN:
                for part in [*node.args, *(word.value for word in node.keywords)]:
                    found |= _texts(part)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if node.value is not None and any(isinstance(one, ast.Name) and one.id in _NAMES for one in targets):
                    found |= _texts(node.value)
    return sorted(found)


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""


def _texts(node: ast.expr) -> set[str]:
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) and _readable(node.value) else set()
    if isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        return {text} if _readable(text.replace("{}", "")) else set()
    if isinstance(node, ast.IfExp):
        return _texts(node.body) | _texts(node.orelse)
    if isinstance(node, ast.Tuple | ast.List):
        return set().union(*map(_texts, node.elts)) if node.elts else set()
    if isinstance(node, ast.Dict):
        return set().union(*map(_texts, node.values)) if node.values else set()
    return set()


def _readable(text: str) -> bool:
    """Words for a person, not a key, a role or a file."""
    return bool(re.search(r"[A-Za-z]{2}", text)) and (" " in text.strip() or text[:1].isupper())


def write_template(file: Path) -> int:
    """Write the list of words, to be filled in; how many there are."""
    words = dict.fromkeys(words_of(Path(__file__).resolve().parent), "")
    file.write_text(json.dumps(words, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return len(words)


if __name__ == "__main__":
    print(write_template(Path(sys.argv[1])))
