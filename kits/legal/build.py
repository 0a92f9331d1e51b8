"""Build the data of the legal kit from scancode-toolkit-mini's curated licence notices.

Usage: python kits/legal/build.py [WHEEL_OR_FOLDER] [--to FOLDER]
Without an argument the wheel is fetched through pip from the package index (126 MB; only licensedcode/data is read).
The result is the same on every machine: rows are ordered by a hash of their content, and nothing is drawn at random.

Each notice whose deciding words its curators marked ({{...}}) becomes one row:
    licence notice -> {"expression": SPDX expression, "category": ..., "quote": the marked words, verbatim}
Notices that share half of their word 3-shingles (Jaccard >= .5), directly or through others, form a family, and a family
lies in one split only.

Rows that should be refused are made of behaviour.yaml, written for this kit: what is out of scope, and what asks for legal
advice.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PACKAGE, VERSION = "scancode-toolkit-mini", "32.5.0"
ROWS_LICENCE = "CC-BY-4.0"
BEHAVIOUR = Path(__file__).parent / "behaviour.yaml"
REFUSALS = {"out_of_scope": "out of scope", "advice": "not advice"}
FILLS = {"train": 2, "calibration": 1, "test": 1}  # rows of a text that has words to fill in
SHORTEST, LONGEST = 60, 480  # characters of a notice
QUOTE_SHORTEST, QUOTE_LONGEST = 8, 160
SAME_FAMILY = 0.5
PER_FAMILY = 2  # training rows of one family: the natural mix without its repeats
COUNTS = {"test": 120, "calibration": 40, "train": 620}
INSTRUCTION = (
    "Read the licence notice. Answer with JSON: the SPDX expression, the category, and the deciding words quoted verbatim.\n\n"
)
# From the mildest to the most demanding; a compound notice has the category of its most demanding licence.
CATEGORIES = ("Public Domain", "CLA", "Permissive", "Unstated License", "Free Restricted", "Source-available",
              "Proprietary Free", "Commercial", "Patent License", "Copyleft Limited", "Copyleft")
_MARK = re.compile(r"\{\{(.+?)\}\}", re.DOTALL)
_WORD = re.compile(r"[a-z0-9.+]+")


@dataclass(frozen=True)
class Licence:
    """What licences/<key>.LICENSE says of one licence."""

    spdx: str
    category: str


@dataclass(frozen=True)
class Notice:
    """One usable notice."""

    file: str
    text: str
    quote: str
    expression: str
    category: str

    @property
    def order(self) -> str:
        """A stable shuffle."""
        return hashlib.sha256(f"{self.file}\n{self.text}".encode()).hexdigest()


def front_matter(text: str) -> tuple[dict[str, Any], str]:
    """The YAML head and the body of a .RULE or .LICENSE file."""
    _, head, body = text.split("---", 2)
    return yaml.load(head, Loader=yaml.CSafeLoader) or {}, body.strip()


def licences(folder: Path) -> dict[str, Licence]:
    """Licences with an SPDX identifier of their own; LicenseRef names cannot be guessed and are left out."""
    found = {}
    for file in sorted(folder.glob("*.LICENSE")):
        head, _ = front_matter(file.read_text(encoding="utf-8"))
        spdx = str(head.get("spdx_license_key") or "")
        if spdx and not spdx.startswith("LicenseRef-") and not head.get("is_deprecated"):
            found[str(head["key"])] = Licence(spdx, str(head["category"]))
    return found


def spdx_expression(expression: str, known: dict[str, Licence]) -> tuple[str, str] | None:
    """(SPDX expression, category) of a ScanCode expression, or None where a licence of it has no SPDX identifier."""
    parts = re.split(r"(\(|\)|\s+)", expression)
    categories, words = [], []
    for part in parts:
        if not part or part.isspace() or part in "()":
            words.append(" " if part.isspace() else part)
        elif part.upper() in ("AND", "OR", "WITH"):
            words.append(part.upper())
        elif part in known:
            words.append(known[part].spdx)
            categories.append(known[part].category)
        else:
            return None
    if any(category not in CATEGORIES for category in categories):
        return None
    return "".join(words), max(categories, key=CATEGORIES.index)


def plain(text: str) -> str:
    """One line, single spaces."""
    return " ".join(text.split())


def notices(folder: Path, known: dict[str, Licence]) -> Iterator[Notice]:
    """English notices with exactly one marked phrase, in file order."""
    for file in sorted(folder.glob("*.RULE")):
        head, body = front_matter(file.read_text(encoding="utf-8"))
        marks = _MARK.findall(body)
        usable = head.get("is_license_notice") and len(marks) == 1 and head.get("language", "en") == "en"
        if not usable or head.get("is_deprecated"):
            continue
        named = spdx_expression(str(head["license_expression"]), known)
        text, quote = plain(_MARK.sub(r"\1", body)), plain(marks[0])
        fits = SHORTEST <= len(text) <= LONGEST and QUOTE_SHORTEST <= len(quote) <= QUOTE_LONGEST
        if named and fits and text.isascii() and quote in text:
            yield Notice(file.name, text, quote, *named)


def shingles(text: str) -> frozenset[str]:
    """Word 3-shingles, for closeness."""
    words = _WORD.findall(text.lower())
    return frozenset(" ".join(words[start:start + 3]) for start in range(max(len(words) - 2, 1)))


def families(found: list[Notice]) -> list[int]:
    """The family number of each notice: connected by Jaccard >= SAME_FAMILY."""
    sets = [shingles(notice.text) for notice in found]
    holders: dict[str, list[int]] = defaultdict(list)
    parent = list(range(len(found)))

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for number, own in enumerate(sets):
        shared = Counter(other for shingle in own for other in holders[shingle])
        for other, count in shared.items():
            if count / (len(own) + len(sets[other]) - count) >= SAME_FAMILY:
                parent[root(number)] = root(other)
        for shingle in own:
            holders[shingle].append(number)
    return [root(number) for number in range(len(found))]


def split(found: list[Notice], family: list[int]) -> dict[str, list[Notice]]:
    """Whole families to a split: test and calibration get one notice of each small family, training the rest."""
    members: dict[int, list[Notice]] = defaultdict(list)
    for notice, number in zip(found, family, strict=True):
        members[number].append(notice)
    groups = sorted((sorted(group, key=lambda one: one.order) for group in members.values()), key=lambda group: group[0].order)
    held = {"test": [], "calibration": []}  # type: dict[str, list[Notice]]
    train: list[Notice] = []
    for group in groups:
        name = next((name for name in held if len(held[name]) < COUNTS[name]), None) if len(group) <= 4 else None
        if name:
            held[name].append(group[0])
        else:
            train += group[:PER_FAMILY]
    train.sort(key=lambda one: one.order)
    return {"train": train[: COUNTS["train"]], **held}


def as_row(notice: Notice, name: str) -> dict[str, Any]:
    """One line of the data files."""
    answer = json.dumps({"expression": notice.expression, "category": notice.category, "quote": notice.quote}, ensure_ascii=False)
    return {"messages": [{"role": "user", "content": INSTRUCTION + notice.text}, {"role": "assistant", "content": answer}],
            "split": name, "source": f"licensedcode/data/rules/{notice.file}", "licence": ROWS_LICENCE,
            "package": PACKAGE, "version": VERSION, "kind": "task"}


def filled(text: str, words: dict[str, list[Any]], number: int) -> str:
    """The text with its {words} filled in; number: which filling."""
    chosen = {}
    for name, known in words.items():
        digest = hashlib.sha256(f"{text}\n{name}".encode()).digest()
        chosen[name] = known[(int.from_bytes(digest[:4]) + number) % len(known)]
    return text.format_map(chosen)


def behaviour_rows(file: Path = BEHAVIOUR) -> Iterator[dict[str, Any]]:
    """Rows that should be refused, in the order written; a text is in the split that behaviour.yaml puts it in."""
    found = yaml.safe_load(file.read_text(encoding="utf-8"))
    for kind, refusal in REFUSALS.items():
        for name, fills in FILLS.items():
            texts = [INSTRUCTION + text for text in found[kind][name]["noted"]] + found[kind][name]["asked"]
            for text in texts:
                for question in dict.fromkeys(filled(text, found["words"], number) for number in range(fills)):
                    answer = json.dumps({"refusal": refusal})
                    yield {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}],
                           "split": name, "source": f"kits/legal/{file.name}", "licence": "CC0-1.0",
                           "package": "written for this kit", "version": "", "kind": kind}


def write(rows: Iterable[dict[str, Any]], path: Path) -> int:
    """One JSON object a line; returns how many."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


def fetch(target: Path) -> Path:
    """The wheel, through pip's own configuration."""
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(target),
                    f"{PACKAGE}=={VERSION}"], check=True)
    return next(target.glob("*.whl"))


def data_folder(given: Path | None, scratch: Path) -> Path:
    """licensedcode/data, unpacked if need be."""
    if given is not None and given.is_dir():
        return given
    with zipfile.ZipFile(given or fetch(scratch)) as wheel:
        folders = ("licensedcode/data/rules/", "licensedcode/data/licenses/")
        wanted = [name for name in wheel.namelist() if name.startswith(folders)]
        wheel.extractall(scratch, wanted)
    return scratch / "licensedcode" / "data"


def build(source: Path, target: Path) -> dict[str, int]:
    """Write target/notices.jsonl; returns the rows of each split."""
    found = list(notices(source / "rules", licences(source / "licenses")))
    parts = split(found, families(found))
    target.mkdir(parents=True, exist_ok=True)
    rows = [as_row(notice, name) for name, part in parts.items() for notice in part] + list(behaviour_rows())
    write(rows, target / "notices.jsonl")
    return dict(Counter(row["split"] for row in rows)) | {"usable notices": len(found)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Build the data of the legal kit")
    parser.add_argument("source", nargs="?", type=Path, help="the wheel, or an unpacked licensedcode/data folder")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "data")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(build(data_folder(given.source, Path(scratch)), given.to), indent=1))


if __name__ == "__main__":
    main()
