"""A labelled set of synthetic sentences, made here: every identifier invented with right check digits, no real person.

Sentences of English, German, Spanish and Swedish, from law, health and finance; some identifiers are disguised; hard
negatives (citations, codes, concepts, amounts, order numbers) stand alone and beside them.  The names come half from lists
that the detector does not know.  Templates and detector share no code.
"""

from __future__ import annotations

import html
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Span = tuple[int, int, str]
_DATA: dict[str, Any] = json.loads(Path(__file__).with_name("labelled.json").read_text(encoding="utf-8"))
_FORMS: dict[str, dict[str, list[str]]] = _DATA["forms"]
_SLOT = re.compile(r"\{([^{}]*)\}")
_T: dict[str, dict[str, list[str]]] = _DATA["sentences"]
_FREE: dict[str, list[str]] = _DATA["free_sentences"]
_NEGATIVE: dict[str, list[str]] = _DATA["negatives"]
_KNOWN: dict[str, list[tuple[str, str]]] = _DATA["known_names"]
_RARE: dict[str, list[tuple[str, str]]] = _DATA["rare_names"]
_MONTHS: dict[str, list[str]] = _DATA["months"]
_WORDS: dict[str, list[str]] = _DATA["digit_words"]


@dataclass(slots=True)
class Labelled:
    """One sentence.  spans: (start, end, entity) of what is private in it; disguise: how it was hidden, "" if plainly written."""

    text: str
    language: str
    spans: list[Span] = field(default_factory=list)
    disguise: str = ""


# ---- invented identifiers --------------------------------------------------------------------------------------------------


class Inventor:
    """Makes identifiers with right check digits from one random source."""

    def __init__(self, source: random.Random) -> None:
        self.r = source

    def digits(self, count: int) -> str:
        """So many random digits."""
        return "".join(self.r.choice("0123456789") for _ in range(count))

    def some(self, signs: str, count: int = 1) -> str:
        """So many of these signs."""
        return "".join(self.r.choice(signs) for _ in range(count))

    def pick(self, *options: str) -> str:
        """One of them."""
        return self.r.choice(options)

    def fill(self, template: str, language: str, **known: str) -> str:
        """A template with its slots filled; see "about" in labelled.json."""
        return _SLOT.sub(lambda match: self._slot(match.group(1), language, known), template)

    def _slot(self, slot: str, language: str, known: dict[str, str]) -> str:
        if slot in known:
            return known[slot]
        if slot in _FORMS:
            return self.fill(self.r.choice(_FORMS[slot]["*"]), language)
        if slot.isdigit():
            return self.digits(int(slot))
        if slot[:1] == "#":
            return str(self.r.randint(*map(int, slot[1:].split("-"))))
        return self.some("BCDFGHJKLMNPRSTVWXYZ", int(slot[1:])) if re.fullmatch(r"L\d", slot) else self.r.choice(slot.split("|"))

    def make(self, entity: str, language: str) -> str:
        """An identifier of a kind, as people of the language write it."""
        forms = _FORMS.get(entity.lower())
        if forms:
            given, family = (_ascii(name) for name in self.r.choice(_KNOWN[language]))
            return self.fill(self.r.choice(forms.get("*") or forms[language]), language, given=given, family=family, g=given[0])
        maker: Callable[[str], str] = getattr(self, f"make_{entity.lower()}")
        return maker(language)

    def _luhn(self, body: str) -> str:
        total = 0
        for place, sign in enumerate(reversed(body)):
            value = int(sign) * (2 if place % 2 == 0 else 1)
            total += value - 9 if value > 9 else value
        return body + str(-total % 10)

    def _until(self, make: Callable[[], str], right: Callable[[str], bool]) -> str:
        while not right(found := make()):
            pass
        return found

    def make_us_ssn(self, _: str) -> str:
        area = self._until(lambda: self.digits(3), lambda one: one not in ("000", "666") and one < "900")
        group, serial = f"{self.r.randint(1, 99):02}", f"{self.r.randint(1, 9999):04}"
        return self.pick("-", "-", "-", " ").join((area, group, serial))

    def make_us_itin(self, _: str) -> str:
        return (
            f"9{self.digits(2)}-{self.r.choice([*range(50, 66), *range(70, 89), 90, 91, 92, *range(94, 100)])}-{self.digits(4)}"
        )

    def make_us_npi(self, _: str) -> str:
        return self._luhn("80840" + self.pick("1", "2") + self.digits(8))[5:]

    def make_us_dea(self, _: str) -> str:
        body = self.digits(6)
        check = (sum(map(int, body[0::2])) + 2 * sum(map(int, body[1::2]))) % 10
        return self.pick(*"ABFGM") + self.pick(*"ABCDEFGHJKLMNPRSTUVWXYZ") + body + str(check)

    def make_us_mbi(self, _: str) -> str:
        letters = "ACDEFGHJKMNPQRTUVWXY"
        first = self.pick(*"123456789") + self.some(letters) + self.some(letters + "0123456789") + self.digits(1)
        second = self.some(letters) + self.some(letters + "0123456789") + self.digits(1)
        return self.pick("-", "").join((first, second, self.some(letters, 2) + self.digits(2)))

    def make_uk_nhs(self, _: str) -> str:
        def make() -> str:
            body = self.digits(9)
            check = 11 - sum(int(sign) * (10 - place) for place, sign in enumerate(body)) % 11
            return "" if check == 10 else body + str(check % 11)

        whole = self._until(make, bool)
        return self.pick(
            f"{whole[:3]} {whole[3:6]} {whole[6:]}",
            f"{whole[:3]} {whole[3:6]} {whole[6:]}",
            whole,
            f"{whole[:3]}-{whole[3:6]}-{whole[6:]}",
        )

    def make_uk_nino(self, _: str) -> str:
        prefix = self._until(
            lambda: self.pick(*"ABCEGHJKLMNPRSTWXYZ") + self.pick(*"ABCEGHJKLMNPRSTWXYZ"),
            lambda one: one not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ"),
        )
        number = self.digits(6)
        return self.pick("", " ").join((prefix, number[:2], number[2:4], number[4:], self.some("ABCD")))

    def make_de_tax_id(self, _: str) -> str:
        from stdnum.de import idnr

        def make() -> str:
            body = self.digits(10)
            return self._iso11_10(body)

        whole = self._until(make, idnr.is_valid)
        return self.pick(f"{whole[:2]} {whole[2:5]} {whole[5:8]} {whole[8:]}", whole)

    @staticmethod
    def _iso11_10(body: str) -> str:
        product = 10
        for sign in body:
            total = (int(sign) + product) % 10 or 10
            product = 2 * total % 11
        return body + str((11 - product) % 10)

    def _icao(self, body: str) -> str:
        values = [int(sign) if sign.isdigit() else ord(sign) - 55 for sign in body]
        return body + str(sum(value * (7, 3, 1)[place % 3] for place, value in enumerate(values)) % 10)

    def make_de_id_card(self, _: str) -> str:
        return self._icao(self.pick(*"LMNPRTVWXYZ") + self.some("0123456789CFGHJKLMNPRTVWXYZ", 5) + self.digits(2))

    def make_de_health_insurance(self, _: str) -> str:
        letter, body = self.pick(*"ABCDEFGHIJKLMNOPQRSTUVWXYZ"), self.digits(8)
        total = 0
        for place, sign in enumerate(f"{ord(letter) - 64:02}{body}"):
            product = int(sign) * (1 + place % 2)
            total += product // 10 + product % 10
        return f"{letter}{body}{total % 10}"

    def make_de_social_security(self, _: str) -> str:
        area, birth = (
            self.pick("12", "13", "14", "15", "53", "65"),
            f"{self.r.randint(1, 28):02}{self.r.randint(1, 12):02}{self.r.randint(40, 99)}",
        )
        letter, serial = self.pick(*"ABCDEFGHIKLMNPRSTW"), f"{self.r.randint(0, 99):02}"
        spread = f"{area}{birth}{ord(letter) - 64:02}{serial}"
        total = 0
        for sign, weight in zip(spread, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True):
            product = int(sign) * weight
            total += product // 10 + product % 10
        return self.pick(f"{area} {birth} {letter} {serial}{total % 10}", f"{area}{birth}{letter}{serial}{total % 10}")

    def make_es_nif(self, _: str) -> str:
        if self.r.random() < 0.2:
            from stdnum.es import cif

            body = self.pick(*"ABEH") + self.digits(7)
            return body + str(cif.calc_check_digits(body))[0]
        body = f"{self.r.randint(1000000, 99999999):08}"
        letter = "TRWAGMYFPDXBNJZSQVHLCKE"[int(body) % 23]
        return self.pick(body + letter, f"{body}-{letter}", f"{body[:2]}.{body[2:5]}.{body[5:]}-{letter}", f"{body} {letter}")

    def make_es_nie(self, _: str) -> str:
        first, body = self.r.randint(0, 2), self.digits(7)
        letter = "TRWAGMYFPDXBNJZSQVHLCKE"[int(f"{first}{body}") % 23]
        return self.pick(f"{'XYZ'[first]}{body}{letter}", f"{'XYZ'[first]}-{body}-{letter}")

    def make_se_personnummer(self, _: str) -> str:
        year, day = self.r.randint(1930, 2012), self.r.randint(1, 28) + (60 if self.r.random() < 0.1 else 0)
        ten = self._luhn(f"{year % 100:02}{self.r.randint(1, 12):02}{day:02}{self.digits(3)}")
        return self.pick(f"{ten[:6]}-{ten[6:]}", f"{year // 100}{ten[:6]}-{ten[6:]}", f"{year // 100}{ten}")

    def make_se_orgnr(self, _: str) -> str:
        ten = self._luhn(self.pick("55", "16", "76", "96", "21") + self.pick(*"2345678") + self.digits(6))
        return f"{ten[:6]}-{ten[6:]}"

    def make_credit_card(self, _: str) -> str:
        prefix, length = self.r.choice([("4", 16), ("51", 16), ("55", 16), ("2720", 16), ("37", 15), ("6011", 16)])
        whole = self._luhn(prefix + self.digits(length - 1 - len(prefix)))
        parts = [whole[:4], whole[4:10], whole[10:]] if length == 15 else [whole[place : place + 4] for place in range(0, 16, 4)]
        return self.pick(" ", " ", "-", "").join(parts)

    def make_iban(self, language: str) -> str:
        country, body = {
            "en": ("GB", self.some("ABCDHLMNW", 4) + self.digits(14)),
            "de": ("DE", self.digits(18)),
            "es": ("ES", self.digits(20)),
            "sv": ("SE", self.digits(20)),
        }[language]
        value = int("".join(str(int(sign, 36)) for sign in f"{body}{country}00"))
        whole = f"{country}{98 - value % 97:02}{body}"
        return " ".join(whole[place : place + 4] for place in range(0, len(whole), 4)) if self.r.random() < 0.6 else whole

    def make_mac_address(self, _: str) -> str:
        return self.pick(":", "-").join(f"{self.r.randint(0, 255):02X}" for _ in range(6))

    def make_passport(self, language: str) -> str:
        return {
            "en": self.pick(self.digits(9), "A" + self.digits(8)),
            "de": self._icao("C" + self.some("0123456789FGHJKLM", 5) + self.digits(2)),
            "es": self.some("ABCDEFGHJ", 3) + self.digits(6),
            "sv": self.digits(8),
        }[language]

    def make_birth_date(self, language: str) -> str:
        day, month, year = self.r.randint(1, 28), self.r.randint(1, 12), self.r.randint(1935, 2015)
        name = _MONTHS[language][month - 1]
        return {
            "en": self.pick(
                f"{month:02}/{day:02}/{year}", f"{day} {name} {year}", f"{name} {day}, {year}", f"{year}-{month:02}-{day:02}"
            ),
            "de": self.pick(f"{day:02}.{month:02}.{year}", f"{day}. {name} {year}", f"{day}.{month}.{year % 100:02}"),
            "es": self.pick(f"{day:02}/{month:02}/{year}", f"{day} de {name} de {year}", f"{day:02}-{month:02}-{year}"),
            "sv": self.pick(
                f"{year}-{month:02}-{day:02}", f"den {day} {name} {year}".removeprefix("den "), f"{year}{month:02}{day:02}"
            ),
        }[language]

    def person(self, language: str) -> str:
        """A person's name in one of its spellings; half of the people have names that the detector's lists lack."""
        given, family = self.r.choice(_KNOWN[language] if self.r.random() < 0.5 else _RARE[language])
        title = _DATA["titles"][language]
        form = self.r.random()
        if form < 0.5:
            return f"{given} {family}"
        if form < 0.62:
            return f"\x00{self.pick(*title)} \x01{given} {family}"
        if form < 0.72:
            return f"\x00{self.pick(*title)} \x01{family}"
        if form < 0.82:
            return f"{family}, {given}"
        if form < 0.9:
            return f"{given.upper()} {family.upper()}"
        return f"{given[0]}. {family}"


def _ascii(name: str) -> str:
    import unicodedata

    spread = unicodedata.normalize("NFKD", name.casefold().replace("ø", "o").replace("ß", "ss"))
    return "".join(sign for sign in spread if sign.isascii() and sign.isalnum())


# ---- disguises -------------------------------------------------------------------------------------------------------------

_ALIKE = dict(zip("AaBCcEeHIiKMOoPpTXxyJjSs", "АаВСсЕеНІіКМОоРрТХхуЈјЅѕ", strict=True))


class Disguise:
    """Ways to hide an identifier; each keeps it readable for a person."""

    def __init__(self, source: random.Random) -> None:
        self.r = source

    def invisible(self, value: str, _: str) -> str:
        """Zero-width signs, soft hyphens or direction marks between the letters."""
        sign = self.r.choice("\u200b\u00ad\u200c\u200f\u2060")
        return "".join(
            one + (sign if self.r.random() < 0.3 and place + 1 < len(value) else "") for place, one in enumerate(value)
        )[: 4 * len(value)]

    def lookalike(self, value: str, _: str) -> str:
        """Cyrillic letters, or full-width digits where there are no letters."""
        if not any(sign in _ALIKE for sign in value):
            return "".join(chr(ord(sign) + 0xFEE0) if sign.isdigit() else sign for sign in value)
        return "".join(_ALIKE.get(sign, sign) for sign in value)

    def entity(self, value: str, _: str) -> str:
        """HTML entities."""
        return "".join(f"&#{ord(sign)};" if self.r.random() < 0.35 or sign == "@" else html.escape(sign) for sign in value)

    def line_break(self, value: str, _: str) -> str:
        """A line that ends in the middle."""
        places = [place for place in range(3, len(value) - 2) if value[place - 1] in " -" and value[place].isalnum()] or [
            place for place in range(3, len(value) - 2) if value[place].isalnum() and value[place - 1].isalnum()
        ]
        place = self.r.choice(places) if places else len(value)
        return value[:place].rstrip(" ") + "\n" + value[place:] if places else value

    def spaced(self, value: str, _: str) -> str:
        """A blank after every sign."""
        return " ".join(sign for sign in value if sign not in " -")

    def spelled_out(self, value: str, language: str) -> str:
        """Digits as words."""
        return " ".join(_WORDS[language][int(sign)] if sign.isdigit() else sign for sign in value if sign.isalnum())

    def at_sign(self, value: str, language: str) -> str:
        """An e-mail address as people write it for people."""
        at = self.r.choice(
            [" (at) ", "[at]", " [at] ", {"en": " (at) ", "de": " (ät) ", "es": " arroba ", "sv": " snabel-a "}[language]]
        )
        return value.replace("@", at)

    def reversed(self, value: str, _: str) -> str:
        """Stored backwards behind a right-to-left override, shown forwards."""
        return f"\u202e{value[::-1]}\u202c"


_ONLY_DIGITS = frozenset({"US_SSN", "US_ITIN", "US_NPI", "UK_NHS", "DE_TAX_ID", "SE_PERSONNUMMER", "CREDIT_CARD", "PHONE"})
_HIDEABLE = frozenset(
    {
        "US_SSN",
        "US_ITIN",
        "US_NPI",
        "US_DEA",
        "US_MBI",
        "UK_NHS",
        "UK_NINO",
        "DE_TAX_ID",
        "DE_ID_CARD",
        "DE_HEALTH_INSURANCE",
        "DE_SOCIAL_SECURITY",
        "ES_NIF",
        "ES_NIE",
        "SE_PERSONNUMMER",
        "SE_ORGNR",
        "CREDIT_CARD",
        "IBAN",
        "EMAIL",
        "PHONE",
    }
)


def _ways(entity: str) -> list[str]:
    if entity == "EMAIL":
        return ["invisible", "lookalike", "entity", "at_sign", "at_sign", "reversed", "spaced"]
    ways = ["invisible", "lookalike", "entity", "line_break", "spaced"]
    return [*ways, "spelled_out"] if entity in _ONLY_DIGITS else ways


# ---- the set ---------------------------------------------------------------------------------------------------------------

ENTITIES = tuple(_T)


def labelled(sentences: int, seed: int = 0, *, negatives: float = 0.3, hidden: float = 0.3) -> Iterator[Labelled]:
    """So many sentences: a share of hard negatives, and of the hideable identifiers a share in disguise."""
    source = random.Random(seed)
    inventor, disguise = Inventor(source), Disguise(source)
    for number in range(sentences):
        if source.random() < negatives:
            language = source.choice(list(_NEGATIVE))
            yield Labelled(_negative(inventor, language), language)
        else:
            entity = ENTITIES[number % len(ENTITIES)] if source.random() < 0.85 else "PERSON"
            yield _positive(inventor, disguise, entity, hidden)


def free_sentences(sentences: int, seed: int = 0) -> Iterator[Labelled]:
    """Sentences with one name each, written after the detector's rules for names and never used to improve them."""
    inventor = Inventor(random.Random(seed))
    for _ in range(sentences):
        language = inventor.r.choice(list(_FREE))
        head, _, rest = inventor.r.choice(_FREE[language]).partition("{p}")
        made = Labelled(head, language)
        _add(made, inventor.person(language), "PERSON")
        made.text += rest
        yield made


def _negative(inventor: Inventor, language: str) -> str:
    text, out = inventor.r.choice(_NEGATIVE[language]), []
    while "{" in text:
        head, _, rest = text.partition("{")
        count, _, text = rest.partition("}")
        out.append(head + inventor.pick(*"123456789") + inventor.digits(int(count) - 1))
    return "".join(out) + text


def _positive(inventor: Inventor, disguise: Disguise, entity: str, hidden: float) -> Labelled:
    r = inventor.r
    language = r.choice(list(_T[entity]))
    made, rest = Labelled("", language), r.choice(_T[entity][language])
    while "{" in rest:
        head, _, rest = rest.partition("{")
        slot, _, rest = rest.partition("}")
        made.text += head
        if slot == "p":
            _add(made, inventor.person(language), "PERSON")
        else:
            value = inventor.make(entity, language)
            if entity in _HIDEABLE and r.random() < hidden:
                made.disguise = r.choice(_ways(entity))
                value = getattr(disguise, made.disguise)(value, language)
            _add(made, value, entity)
    made.text += rest
    if r.random() < 0.3:
        made.text += ("" if made.text.endswith(".") else ".") + " " + _negative(inventor, language)
    return made


def _add(made: Labelled, value: str, entity: str) -> None:
    """Append a value and label it; what stands between \\x00 and \\x01 (a title) is not part of the label."""
    title, mark, name = value.partition("\x01")
    if mark:
        made.text += title.lstrip("\x00")
        value = name
    made.spans.append((len(made.text), len(made.text) + len(value), entity))
    made.text += value
