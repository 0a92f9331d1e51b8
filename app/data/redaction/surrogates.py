"""Stand-ins of the same form: a name for a name, digits for digits, never somebody's: check digits are made wrong."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from app.data.redaction import checks
from app.data.redaction.words import lines

_GIVEN, _FAMILY = lines("surrogate_given.txt"), lines("surrogate_family.txt")
_CHECKS: dict[str, Callable[[str], bool | None]] = {
    "CREDIT_CARD": checks.card,
    "US_NPI": checks.npi,
    "US_DEA": checks.dea,
    "UK_NHS": checks.nhs,
    "DE_TAX_ID": checks.steuer_id,
    "DE_ID_CARD": checks.german_card,
    "DE_HEALTH_INSURANCE": checks.german_health,
    "DE_SOCIAL_SECURITY": checks.german_pension,
    "ES_NIF": checks.nif,
    "ES_NIE": checks.nie,
    "SE_PERSONNUMMER": checks.personnummer,
    "SE_ORGNR": checks.orgnr,
    "US_SSN": checks.ssn,
    "US_ITIN": checks.itin,
}


def surrogate(entity: str, text: str, number: int, key: bytes) -> str:
    """A stand-in for a found text; the same number and key give the same one."""
    made = {
        "PERSON": lambda: _person(text, number),
        "LOCATION": lambda: f"Place {number}",
        "ADDRESS": lambda: f"{number} Example Street",
        "EMAIL": lambda: f"{_GIVEN[number % 30].lower()}.{_FAMILY[number // 30 % 30].lower()}{number}@example.org",
        "URL": lambda: f"https://example.org/users/{number}",
        "IP_ADDRESS": lambda: (
            f"2001:db8::{number:x}"
            if ":" in text
            else f"{('192.0.2', '198.51.100', '203.0.113')[number // 254 % 3]}.{number % 254 + 1}"
        ),
        "MAC_ADDRESS": lambda: ":".join(["02", *(f"{number >> shift & 255:02X}" for shift in (32, 24, 16, 8, 0))]),
        "BIRTH_DATE": lambda: _date(text, number, key),
    }.get(entity)
    return made() if made else _same_form(entity, text, number, key)


def _person(text: str, number: int) -> str:
    """A name in the spelling of the found one; from number 900 on the family name carries the number."""
    given, family = _GIVEN[number * 7 % 30], _FAMILY[(number // 30 + number) % 30] + (f"-{number}" if number >= 900 else "")
    if "," in text:
        made = f"{family}, {given}"
    elif re.match(r"[^\W\d_]\.", text):
        made = f"{given[0]}. {family}"
    else:
        made = f"{given} {family}" if " " in text.strip() else family
    return made.upper() if text.isupper() else made


def _draws(entity: str, number: int, key: bytes, count: int) -> bytes:
    return hashlib.shake_128(key + f"{entity}\0{number}".encode()).digest(max(count, 1))


def _date(text: str, number: int, key: bytes) -> str:
    """Another day and month; the year stays within five years."""
    draws = iter(_draws("BIRTH_DATE", number, key, len(text)))

    def other(match: re.Match[str]) -> str:
        found, draw = match.group(), next(draws)
        if len(found) == 4:
            return str(int(found) - 2 + draw % 5)
        if len(found) == 8:
            return f"{int(found[:4]) - 2 + draw % 5}{draw % 12 + 1:02}{draw % 28 + 1:02}"
        return f"{draw % 12 + 1:0{len(found)}}"

    return re.sub(r"\d+", other, text)


def _same_form(entity: str, text: str, number: int, key: bytes) -> str:
    draws = _draws(entity, number, key, len(text))
    signs = [_other(sign, draw) for sign, draw in zip(text, draws, strict=False)]
    if entity == "IBAN":
        signs[:4] = [*text[:2], "0", "0"]
    check = _CHECKS.get(entity)
    last = max((place for place, sign in enumerate(signs) if sign.isdigit()), default=-1)
    for _ in range(10):
        if check is None or last < 0 or not check("".join(sign for sign in signs if sign.isalnum()).upper()):
            break
        signs[last] = str((int(signs[last]) + 1) % 10)
    return "".join(signs)


def _other(sign: str, draw: int) -> str:
    if sign.isascii() and sign.isdigit():
        return str(draw % 10)
    if sign.isalpha():
        return chr((65 if sign.isupper() else 97) + draw % 26)
    return sign
