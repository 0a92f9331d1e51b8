"""Check digits, by python-stdnum, phonenumbers and presidio's recognisers where one of them knows the rule."""

from __future__ import annotations

import contextlib
import functools
import re
import sys
from collections.abc import Iterator
from datetime import date
from typing import Any

_CARD = re.compile(
    r"(?:4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|6(?:011|"
    r"5\d\d|4[4-9]\d)\d{12}"
    r"|35\d{14}|3(?:0[0-5]|[68]\d)\d{11})"
)
_DEA = re.compile(r"[A-HJ-NP-UX][A-Z9]\d{7}")
_NINO = re.compile(r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]")


def luhn(number: str) -> bool:
    """Luhn's check over digits (ISO/IEC 7812-1)."""
    from stdnum import luhn as rule

    return bool(rule.is_valid(number))


def card(number: str) -> bool:
    """A payment card: a known issuer's range, its length and Luhn."""
    return _CARD.fullmatch(number) is not None and luhn(number)


def ssn(number: str) -> bool:
    """A US Social Security number: no check digit, but areas, groups and serials that are never given out."""
    from stdnum.us import ssn as rule

    return bool(rule.is_valid(number))


def itin(number: str) -> bool:
    """A US individual taxpayer number."""
    from stdnum.us import itin as rule

    return bool(rule.is_valid(number))


def routing(number: str) -> bool:
    """A US bank routing number (ABA)."""
    from stdnum.us import rtn as rule

    return bool(rule.is_valid(number))


def nhs(number: str) -> bool:
    """A UK NHS number, modulus 11."""
    from stdnum.gb import nhs as rule

    return bool(rule.is_valid(number))


def nino(number: str) -> bool:
    """A UK National Insurance number: prefixes that are given out."""
    return _NINO.fullmatch(number) is not None


def dea(number: str) -> bool:
    """A US DEA number: (1st+3rd+5th) + 2 (2nd+4th+6th) ends in the 7th digit."""
    if _DEA.fullmatch(number) is None:
        return False
    digits = [int(sign) for sign in number[2:]]
    return (sum(digits[0:6:2]) + 2 * sum(digits[1:6:2])) % 10 == digits[6]


def steuer_id(number: str) -> bool:
    """A German tax identification number (ISO 7064 mod 11, 10)."""
    from stdnum.de import idnr as rule

    return bool(rule.is_valid(number))


def nif(number: str) -> bool:
    """A Spanish DNI, NIF or CIF."""
    from stdnum.es import cif, dni
    from stdnum.es import nif as rule

    return bool(dni.is_valid(number) or rule.is_valid(number) or cif.is_valid(number))


def nie(number: str) -> bool:
    """A Spanish foreigner's number."""
    from stdnum.es import nie as rule

    return bool(rule.is_valid(number))


def personnummer(number: str) -> bool:
    """A Swedish personal or coordination number (day + 60): a date and Luhn."""
    digits = re.sub(r"\D", "", number)[-10:]
    if len(digits) != 10 or not luhn(digits):
        return False
    month, day = int(digits[2:4]), int(digits[4:6])
    with contextlib.suppress(ValueError):
        return bool(
            date(2000 + int(digits[:2]), month, day - 60 if day > 60 else day)
        )  # 2000: the 29th of February of any century
    return False


def orgnr(number: str) -> bool:
    """A Swedish organisation number: its third digit is at least 2, which no date has."""
    digits = number[2:] if len(number) == 12 else number
    return len(digits) == 10 and digits[2] >= "2" and luhn(digits)


def bic(number: str) -> bool:
    """A bank's code with a country that exists (ISO 9362)."""
    from stdnum import bic as rule

    return bool(rule.is_valid(number))


def iban(number: str) -> bool:
    """An IBAN: country, length, modulus 97 (ISO 13616)."""
    from stdnum import iban as rule

    return bool(rule.is_valid(number, check_country=False))


# ---- presidio --------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def without(*packages: str) -> Iterator[None]:
    """Hide packages that a library would import only because they are there: torch costs it 4 s and 300 MB."""
    hidden = [name for name in packages if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's own way to say that there is none
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


@functools.cache
def presidio(name: str) -> Any:
    """One of presidio's predefined recognisers, for its check alone; the network is off (tldextract is never called)."""
    with without("torch", "transformers"):
        from presidio_analyzer import predefined_recognizers
    return getattr(predefined_recognizers, name)()


def by_presidio(name: str, number: str) -> bool | None:
    """What presidio's recogniser says of a number: True, False, or None where it has no check for this form."""
    recogniser = presidio(name)
    if recogniser.invalidate_result(number):
        return False
    answer = recogniser.validate_result(number)
    return None if answer is None else bool(answer)


def npi(number: str) -> bool:
    """A US provider number: Luhn with the prefix 80840."""
    return bool(by_presidio("UsNpiRecognizer", number))


def german_card(number: str) -> bool | None:
    """A German identity card or passport (ICAO Doc 9303)."""
    return by_presidio("DeIdCardRecognizer", number[:9])


def german_health(number: str) -> bool:
    """A German Krankenversichertennummer."""
    return bool(by_presidio("DeHealthInsuranceRecognizer", number))


def german_pension(number: str) -> bool:
    """A German Rentenversicherungsnummer."""
    return bool(by_presidio("DeSocialSecurityRecognizer", number))


def uk_driver(number: str) -> bool | None:
    """A UK driving licence."""
    return by_presidio("UkDrivingLicenceRecognizer", number)


def wallet(address: str) -> bool:
    """A Bitcoin address."""
    return bool(by_presidio("CryptoRecognizer", address))


# ---- phones ----------------------------------------------------------------------------------------------------------------

REGIONS = {"en": ("US", "GB"), "de": ("DE", "AT", "CH"), "es": ("ES", "MX"), "sv": ("SE",)}


@functools.lru_cache(maxsize=4096)
def phone(number: str, regions: tuple[str, ...]) -> int:
    """2: a number that is given out in one of the regions (or anywhere, with a +); 1: a possible one; 0: none."""
    import phonenumbers

    best = 0
    for region in (None,) if number.startswith("+") else regions:
        with contextlib.suppress(phonenumbers.NumberParseException):
            parsed = phonenumbers.parse(number, region)
            if phonenumbers.is_valid_number(parsed):
                return 2
            best = max(best, int(phonenumbers.is_possible_number(parsed)))
    return best
