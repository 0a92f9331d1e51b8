"""How to reach or trace a person: e-mail, phone, web addresses with a user, IP and network addresses, dates of birth."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.data.redaction import checks
from app.data.redaction.recogniser import Candidate, Finder, Gate, Recogniser, any_word, at_numbers, before, told, words

_EMAIL = Recogniser(
    "EMAIL",
    re.compile(r"(?<![\w.+\-])[\w](?:[\w.+%'\-]{0,80}[\w\-+])?@(?:[\w](?:[\w\-]{0,61}[\w])?\.){1,6}[^\W\d_]{2,24}(?![\w])"),
    0.99,
    gate=Gate(0, "@"),
)

_USER_URL = Recogniser(
    "URL",
    re.compile(
        r"(?:https?|ftp|sftp|ssh|smb)://(?:[^\s/@<>\"']{1,80}@[^\s<>\"']{3,200}"
        r"|[^\s/<>\"']{3,100}(?:/[^\s<>\"'?#]{0,60})?(?:/~|/(?:users?|u|in|profiles?|people|patients?|clients?|members?|"
        r"accounts?|kunden|usuarios?|perfil|personer|@)/)@?[\w.%\-]{2,60}[^\s<>\"']{0,100}"
        r"|[^\s<>\"']{3,160}[?&](?:user|username|name|email|login|uid|patient|member|customer|"
        r"client)=[^\s<>\"'&]{2,80}[^\s<>\"']{0,80})"
        r"|(?<![\w/.])(?:www\.)?(?:linkedin\.com/in|github\.com|twitter\.com|x\.com|facebook\.com|instagram\.com|t\.me|"
        r"tiktok\.com|xing\.com/profile)/@?[\w.\-]{3,40}",
        re.IGNORECASE,
    ),
    0.99,
    gate=Gate(0, "/"),
)

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_VERSION_WORDS = any_word(
    "version~, v, section~, sec, §, clause~, release~, chapter~, kapitel~, abschnitt~, ziffer~, sección~, "
    "apartado~, avsnitt~, rule~, article~, oid, build~, item~, nr, no, punkt~"
)

_IP_WORDS = words(
    "ip, ip address~, ip-adresse~, ipv4, ipv6, host~, server~, dirección ip, ip-adress~, adresse, logged in~, login~, from"
)
_DOTTED, _SEVEN, _THREE = Gate(0, ".:"), Gate(7), Gate(3)


@dataclass(frozen=True, slots=True)
class _Ip:
    """IPv4 and IPv6 addresses; a version or section number of four parts is neither."""

    entity: str = "IP_ADDRESS"
    gate: Gate = _DOTTED
    _four: re.Pattern[str] = re.compile(rf"(?<![\w.])(?:{_OCTET}\.){{3}}{_OCTET}(?![\w])(?!\.\d)")
    _six: re.Pattern[str] = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")

    def find(self, text: str) -> Iterator[Candidate]:
        for match in at_numbers(self._four, text) if text.count(".") >= 3 else ():
            said = before(text, match.start())
            if _IP_WORDS.pattern.search(said):
                yield Candidate(*match.span(), self.entity, 0.97, "form,context")
            elif not _VERSION_WORDS.search(said[-16:]):
                octets = [int(part) for part in match.group().split(".")]
                yield Candidate(*match.span(), self.entity, 0.9 if max(octets) >= 100 or octets[0] in (10, 127) else 0.5, "form")
        for match in self._six.finditer(text) if text.count(":") >= 2 else ():
            if sum(sign != ":" for sign in match.group()) >= 3 and _is_ipv6(match.group()):
                yield Candidate(*match.span(), self.entity, 0.9, "form")


def _is_ipv6(found: str) -> bool:
    try:
        ipaddress.IPv6Address(found)
    except ValueError:
        return False
    return True


_MAC = Recogniser(
    "MAC_ADDRESS",
    re.compile(
        r"(?<![\w:\-])(?:[0-9A-Fa-f]{2}([:\-]))(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![\w:\-])|(?<![\w.])(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}(?![\w.])"
    ),
    0.93,
    gate=Gate(0, ":-."),
)

_PHONE_WORDS = words(
    "phone~, tel, telephone~, call~, mobile~, cell~, fax, telefax~, reach~, dial~, hotline~, whatsapp, sms, "
    "text me, contact number, telefon~, handy~, mobil~, tel.-nr~, rufnummer~, durchwahl~, anruf~, rufen, angerufen, rückruf~, "
    "erreichbar~, teléfono~, telefono~, móvil~, movil~, llame~, llamar~, tfno, tlf, celular~, ring~, "
    "mobilnummer~, telefonnummer~, nås, tfn, mob"
)


_A_DAY = re.compile(
    r"(?:[0-3]?\d([./\-])[0-3]?\d\1(?:19|20)\d{2}|(?:19|20)\d{2}([./\-])[01]?\d\2[0-3]?\d)(?!\d|[./\-]\d)"
)
_ZIP = re.compile(r"\d{5}-\d{4}")
_DIALLED = re.compile(r"[+(\d](?<!\w[+(\d])")


@dataclass(frozen=True, slots=True)
class Phone:
    """Phone numbers by the numbering plans of the languages' countries."""

    regions: tuple[str, ...]
    entity: str = "PHONE"
    gate: Gate = _SEVEN
    _form: re.Pattern[str] = re.compile(
        r"(?<!\w)(?<!\d[.,/:])(?<!\w-)(?<![$€£])\+?(?:\(\+?\d{1,5}\)[ \-]?)?\d{1,17}+(?:[ \-./()]{1,3}+\d{1,9}+){0,7}"
        r"(?:\s?(?:ext\.?|x|extension|durchwahl|dw\.?|anknytning)\s?\d{1,5})?(?![\w])(?![\-/.,:]\d)(?![ ]?[%€$£])",
        re.IGNORECASE,
    )

    def find(self, text: str) -> Iterator[Candidate]:
        for match in self._matches(text):
            start, end = match.span()
            found = match.group()
            digits = sum(sign.isdigit() for sign in found)
            if 7 <= digits <= 17 and not _ZIP.fullmatch(found) and not _A_DAY.match(found):
                if start and text[start - 1] == "(":
                    start -= ")" in found
                score, how = self._judge(text, re.split(r"(?i)ext|x|dur|dw|ank", found)[0], start, end)
                if score:
                    yield Candidate(start, end, self.entity, score, how)

    def _matches(self, text: str) -> Iterator[re.Match[str]]:
        """As finditer of its form, only where a number, a bracket or a plus begins."""
        done = 0
        for place in _DIALLED.finditer(text):
            if place.start() >= done and (match := self._form.match(text, place.start())):
                done = match.end()
                yield match

    def _judge(self, text: str, found: str, start: int, end: int) -> tuple[float, str]:
        plain = re.sub(r"[^\d+]", "", found.replace("(0)", ""))
        plain = "+" + plain[2:] if plain.startswith("00") else plain.replace("+", "+", 1)
        if told(_PHONE_WORDS, text, start, end):
            rank = checks.phone(plain, self.regions)
            return (0.97 if rank == 2 else 0.9 if rank else 0.6), "form,context"
        if plain.startswith("+"):
            rank = checks.phone(plain, self.regions)
            return (0.95 if rank == 2 else 0.8 if rank else 0.0), "form"
        return self._untold(found, plain)

    def _untold(self, found: str, plain: str) -> tuple[float, str]:
        """Without a word beside it: an American form, or a trunk zero and gaps, is a phone; bare digits are not."""
        if re.fullmatch(r"\(?\d{3}\)?[ \-.]\d{3}[ \-.]\d{4}\s*", found):
            return (0.8 if self._given_out(plain) else 0.65), "form"
        if plain.startswith("0") and re.search(r"\d[ \-/()]+\d", found) and self._given_out(plain):
            return 0.75, "form"
        if re.fullmatch(r"[679]\d{2} ?\d{2,3} ?\d{2,3}(?: ?\d{2})?\s*", found) and " " in found.strip() and self._given_out(plain):
            return 0.6, "form"
        return 0.0, ""

    def _given_out(self, plain: str) -> bool:
        return checks.phone(plain, self.regions) == 2


_MONTHS = (
    "jan~",
    "feb~",
    "mar~",
    "mär~",
    "apr~",
    "may",
    "mai",
    "maj",
    "jun~",
    "jul~",
    "aug~",
    "sep~",
    "oct~",
    "okt~",
    "nov~",
    "dec~",
    "dez~",
    "ene~",
    "abr~",
    "ago~",
    "dic~",
    "mayo",
    "märz",
    "mars",
)
_MONTH = r"(?:jan|feb|m[aä]r|apr|ma[yij]|jun|jul|aug|sep|o[ck]t|nov|de[cz]|ene|abr|ago|dic)[a-zäé]{0,7}\.?"
_DATE = (
    r"(?:\d{1,2}[ ]?[./\-][ ]?\d{1,2}[ ]?[./\-][ ]?(?:19|20)?\d{2}|(?:19|20)\d{2}[./\-]\d{1,2}[./\-]\d{1,2}"
    r"(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?Z?)?|(?:19|"
    r"20)\d{2}[01]\d[0-3]\d|\d{1,2}(?:st|nd|rd|th|\.|º)?(?: of| de| den)? "
    rf"{_MONTH}(?: de| del|,)? ?(?:19|20)\d{{2}}|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? (?:19|20)\d{{2}}|"
    rf"\d{{1,2}}[ -]{_MONTH}[ -](?:19|20)?\d{{2}})"
)
_BIRTH = words(
    "born~, dob, d.o.b.~, date of birth~, birth date~, birthdate~, birthday~, birth, geb, geb.~, geboren~, "
    "geburtsdatum~, geburtstag~, geburtsdat~, nacid~, nacimiento~, nació, nacio, f. nac~, fec. nac~, född~, fodd~, "
    "födelsedatum~, födelsedag~, fd, f.d~, birthplace and date"
)


@dataclass(frozen=True, slots=True)
class _BirthDate:
    """Dates of birth: a date with a word for birth beside it, or a genealogist's star before it."""

    entity: str = "BIRTH_DATE"
    gate: Gate = _THREE
    _date: re.Pattern[str] = re.compile(
        rf"(?<![\w])(?<!\d[./\-])(?P<star>[*] ?)?(?P<x>{_DATE})(?![\w])(?![./\-]\d)", re.IGNORECASE
    )

    def find(self, text: str) -> Iterator[Candidate]:
        if not (_BIRTH.search(text) or "*" in text):
            return
        for match in self._date.finditer(text):
            start, end = match.span("x")
            near = text[max(0, start - 42) : start]
            label = list(_BIRTH.pattern.finditer(near))
            if (
                match.group("star")
                or (label and not re.search(r"\d{4}|[.;!?]\s+[A-ZÄÖÅ]", near[label[-1].end() :]))
                or re.match(r"\s?\(?(?:born|geboren|nacid[oa]|född|DOB)\b", text[end : end + 12], re.IGNORECASE)
            ):
                yield Candidate(start, end, self.entity, 0.95, "form,context")


CONTACT: tuple[Finder, ...] = (_EMAIL, _USER_URL, _Ip(), _MAC, _BirthDate())
