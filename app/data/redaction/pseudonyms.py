"""One stand-in for one person (or number) throughout a dataset, and the same one in every rerun.

The dataset's own random key and the numbers given out lie in its encrypted database.  The table knows only keyed hashes of
names: with it alone nobody learns who PERSON_7 is.  "Dr. Anna Müller", "A. Mueller", "Müller, Anna" and "ANNA MÜLLER" are
one person; a family name alone is the person of that name in the row, else the only one in the dataset.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from app.data.redaction.names import is_given, plain, spelt_out
from app.data.redaction.normalise import folded, joined
from app.data.redaction.surrogates import surrogate
from app.data.redaction.words import listed
from app.store.datasets import DatasetDb

Mode = Literal["placeholder", "surrogate", "label"]
Write = Callable[..., None]
REMEMBERED = 100_000
"""Names and numbers kept in memory; the others are read again.  Far more than are ever unwritten."""
SHORT_PERSONNUMMER = 10
"""Digits of a Swedish personal number that everybody writes; some put the century before them."""
_DAY = re.compile(
    r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?:[T ]00:00(?::00(?:\.0+)?)?Z?)?|(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})"
)
"""A day whose order is certain; a sheet writes midnight behind it."""
LONG_AMERICAN = 11
"""Digits of an American phone number with the 1 before it."""
_TABLES = (
    "CREATE TABLE IF NOT EXISTS pseudonym_key (one INTEGER PRIMARY KEY CHECK (one = 1), key BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS pseudonyms (entity TEXT NOT NULL, name BLOB NOT NULL, given BLOB NOT NULL DEFAULT x'', "
    "initial BLOB NOT NULL DEFAULT x'', number INTEGER NOT NULL, PRIMARY KEY (entity, name, given, initial)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS pseudonyms_number ON pseudonyms (entity, number)",
)
_INSERT = "INSERT OR IGNORE INTO pseudonyms (entity, name, given, initial, number) VALUES (?, ?, ?, ?, ?)"
_TITLES, _PARTICLES = listed("titles.txt"), listed("particles.txt")


class _Entry(NamedTuple):
    given: bytes
    initial: bytes
    number: int


class Name(NamedTuple):
    """A person's name in parts, small letters without marks.  given: "" where it is not said; initial: its first letter."""

    family: tuple[str, ...]
    given: str
    initial: str


def _letters(word: str) -> str:
    """For comparing: "Müller", "Mueller" and "MULLER" become one."""
    return spelt_out(word.replace("ß", "ss").strip(".,'’"))


def parse_name(found: str) -> tuple[Name, ...]:
    """A name in its parts, however it is written; "Yusra Martin" and "Öberg Åke" look alike, so that both orders are meant."""
    text = re.sub(r"\s+", " ", folded(found).text).strip()
    before, comma, after = text.partition(",")
    words = [
        word
        for word in re.split(r"[ ]|(?<=\.)(?=\w)", text.replace(",", " "))
        if plain(word).strip(".") not in _TITLES and word.strip(".,")
    ]
    if comma:
        return (_name(before.split(), after.split()),)
    first = 1 if len(words) > 1 else 0
    while 0 < first < len(words) - 1 and (words[first].endswith(".") or is_given(words[first])):
        first += 1
    usual = _name(words[first:], words[:first])
    if len(words) == 2 and is_given(words[1]) and not is_given(words[0]) and not words[0].endswith("."):
        return usual, _name(words[:1], words[1:])
    return (usual,)


def _name(family: list[str], given: list[str]) -> Name:
    spoken = _letters(given[0]) if given else ""
    short = len(spoken) <= 1 or bool(given and given[0].endswith("."))
    parts = tuple(_letters(part) for word in family for part in word.split("-") if plain(word).strip(".") not in _PARTICLES)
    return Name(tuple(part for part in parts if part), "" if short else spoken, spoken[:1])


def _how_whole(name: Name) -> tuple[bool, bool, int]:
    """Whole names come first, so that parts of them are understood."""
    return not name.given, not name.initial, -len(name.family)


def canonical(entity: str, found: str) -> str:
    """What is equal for all spellings of a number or an address: without separators and disguise, in capitals."""
    view = folded(found)
    text = (joined(found, view) or [view])[0].text
    if entity in ("EMAIL", "URL"):
        return text.casefold().strip()
    if entity == "PHONE":
        return _national(text)
    if entity == "BIRTH_DATE" and (day := _DAY.fullmatch(text.strip())):
        parts = day.group("y", "m", "d") if day.group("y") else day.group("year", "month", "day")
        return "".join(part.zfill(2) for part in parts)
    signs = "".join(sign for sign in text.upper() if sign.isalnum())
    return signs[-SHORT_PERSONNUMMER:] if entity == "SE_PERSONNUMMER" else signs


def _national(phone: str) -> str:
    """A phone number without what depends on where the caller is: country code, zero before it, "(0)"."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    text = "".join(sign for sign in phone.replace("(0)", "").upper() if sign.isalnum() or sign == "+")
    text = f"+{text[2:]}" if text.startswith("00") else text
    if text.startswith("+"):
        codes = (text[1:end] for end in (2, 3, 4) if text[1:end].isdecimal())
        text = text[1:].removeprefix(next((code for code in codes if int(code) in COUNTRY_CODE_TO_REGION_CODE), ""))
    elif len(text) == LONG_AMERICAN:
        text = text.removeprefix("1")
    return text.lstrip("0")


class Pseudonyms:
    """Gives out stand-ins.  write(statement, *values): keeps a statement with the row it belongs to."""

    def __init__(self, db: DatasetDb, mode: Mode, write: Write) -> None:
        self._mode, self._write, self._conn = mode, write, db.conn
        with db.write() as conn:
            for statement in _TABLES:
                conn.execute(statement)
            conn.execute("INSERT OR IGNORE INTO pseudonym_key VALUES (1, ?)", (secrets.token_bytes(32),))
        self._key: bytes = db.conn.execute("SELECT key FROM pseudonym_key").fetchone()[0]
        self._highest: dict[str, int] = dict(
            db.conn.execute("SELECT entity, max(number) FROM pseudonyms GROUP BY entity").fetchall()
        )
        self._known: OrderedDict[tuple[str, bytes], list[_Entry]] = OrderedDict()

    def of_row(self, found: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Stand-ins for the (entity, text) pairs of one row."""
        pairs = list(dict.fromkeys(found))
        made = {pair: self._replacement(*pair, self._numbered(*pair)) for pair in pairs if pair[0] != "PERSON"}
        inside: dict[int, set[str]] = {}
        names = [(parse_name(text), text) for entity, text in pairs if entity == "PERSON"]
        for orders, text in sorted(names, key=lambda pair: _how_whole(pair[0][0])):
            number = self._person(orders, inside)
            inside.setdefault(number, set()).update(part for name in orders for part in (*name.family, name.given))
            made["PERSON", text] = self._replacement("PERSON", text, number)
        return made

    def _replacement(self, entity: str, text: str, number: int) -> str:
        if self._mode == "label":
            return f"[{entity}]"
        return f"[{entity}_{number}]" if self._mode == "placeholder" else surrogate(entity, text, number, self._key)

    # ---- numbers -------------------------------------------------------------------------------------------------------

    def _numbered(self, entity: str, text: str) -> int:
        name = self._hash(entity, canonical(entity, text))
        entries = self._entries(entity, name)
        return entries[0].number if entries else self._new(entity, [name], b"", b"")

    def _new(self, entity: str, names: list[bytes], given: bytes, initial: bytes) -> int:
        number = self._highest[entity] = self._highest.get(entity, 0) + 1
        self._add(entity, names, _Entry(given, initial, number))
        return number

    def _add(self, entity: str, names: list[bytes], entry: _Entry) -> None:
        for name in names:
            entries = self._entries(entity, name)
            if entry not in entries:
                entries.append(entry)
                self._write(_INSERT, entity, name, *entry)

    def _entries(self, entity: str, name: bytes) -> list[_Entry]:
        place = (entity, name)
        found = self._known.get(place)
        if found is None:
            rows = self._conn.execute(
                "SELECT given, initial, number FROM pseudonyms WHERE entity = ? AND name = ? ORDER BY number", place
            ).fetchall()
            found = self._known[place] = [_Entry(*row) for row in rows]
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(place)
        return found

    # ---- persons -------------------------------------------------------------------------------------------------------

    def _person(self, orders: tuple[Name, ...], inside: dict[int, set[str]]) -> int:
        """The number of a person.  inside: the persons of this row so far, with the parts of their names."""
        name = orders[0]
        if not name.given and not name.initial:
            alone = {number for number, parts in inside.items() if set(name.family) <= parts}
            if len(alone) == 1:
                return alone.pop()
        known = (self._known_person(one, inside) for one in orders)
        number = next((one for one in known if one is not None), None)
        number = self._by_both_families(name) if number is None else number
        if number is None:
            number = self._highest["PERSON"] = self._highest.get("PERSON", 0) + 1
        for one in orders:
            self._add("PERSON", self._families(one), _Entry(self._hash("given", one.given), self._hash("initial", one.initial), number))
        return number

    def _by_both_families(self, name: Name) -> int | None:
        """Who is meant by two words of which none is a given name: "Fernández López" after "María Fernández López"."""
        if not name.given or is_given(name.given) or len(name.family) != 1:
            return None
        both = [{entry.number for entry in self._entries("PERSON", self._hash("PERSON", one))} for one in (name.given, *name.family)]
        meant = set.intersection(*both)
        return meant.pop() if len(meant) == 1 else None

    def _families(self, name: Name) -> list[bytes]:
        return [self._hash("PERSON", part) for part in name.family] or [self._hash("PERSON", name.given or name.initial)]

    def _known_person(self, name: Name, inside: dict[int, set[str]]) -> int | None:
        entries = {entry for family in self._families(name) for entry in self._entries("PERSON", family)}
        return self._match(entries, self._hash("given", name.given), self._hash("initial", name.initial), inside)

    @staticmethod
    def _match(entries: set[_Entry], given: bytes, initial: bytes, inside: dict[int, set[str]]) -> int | None:
        """The one person that a name can mean among those with a family name of it; None: somebody new."""
        if given and (same := {entry.number for entry in entries if entry.given == given}):
            return min(same)
        if given:
            whole = {entry.number for entry in entries if entry.given}
            numbers = {entry.number for entry in entries if not entry.given and entry.initial in (b"", initial)} - whole
        elif initial:
            numbers = {entry.number for entry in entries if entry.initial == initial} or {
                entry.number for entry in entries if not entry.initial
            }
        else:
            numbers = {entry.number for entry in entries}
        here = numbers & inside.keys()
        fitting = here or numbers
        return fitting.pop() if len(fitting) == 1 else None

    def _hash(self, what: str, text: str) -> bytes:
        return hashlib.blake2b(f"{what}\0{text}".encode(), key=self._key, digest_size=12).digest() if text else b""
