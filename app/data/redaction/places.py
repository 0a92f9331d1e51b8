"""Postal addresses: street and house number, with postcode and town where they follow, as four languages write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.data.redaction.recogniser import Candidate, Finder, Gate, at_numbers
from app.data.redaction.words import CAPITAL

_W = rf"[{CAPITAL}][\w'’.\-]{{0,30}}"
_WORD = rf"[{CAPITAL}][^\W\d_][^\W\d_'’\-]*(?:[\-'’][^\W\d_]+)?"
_TOWN = rf"(?:{_WORD}(?:[ ](?:am|an der|der|de|del|la|las|los|el|upon|on|i|{_WORD})(?![\w])){{0,3}})"
_EN_KIND = (
    r"(?:Street|St\.?|Avenue|Ave\.?|Road|Rd\.?|Lane|Ln\.?|Drive|Dr\.?|Boulevard|Blvd\.?|Court|Ct\.?|Place|Pl\.?|Square|"
    r"Sq\.?|Terrace|Way|Close|Crescent|Gardens|Parkway|Pkwy\.?|Circle|Cir\.?|Highway|Hwy\.?|Row|Mews|Hill|Grove)"
)
_UK_POST = r"[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}"
_US_POST = (
    r"(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|"
    r"W[AIVY])\.? \d{5}(?:-\d{4})?"
)
_UNIT = r"(?:,? (?:Apt\.?|Apartment|Suite|Ste\.?|Unit|Flat|Floor|\#) ?[\w\-]{1,6})?"
_ENGLISH = (
    rf"(?<![\w$€£.])\d{{1,5}}[A-Za-z]?,? (?:[NSEW]\.? )?(?:(?:\d{{1,3}}(?:st|nd|rd|th)|{_W}) "
    rf"){{1,3}}{_EN_KIND}(?![\w]){_UNIT}(?:,? {_TOWN}(?:,? (?:{_US_POST}|{_UK_POST}))?)?"
)
_BOX = (
    r"(?<![\w])P\.? ?O\.? Box \d{1,6}(?:,? [A-Z][\w ]{2,24}, [A-Z]{2} \d{5})?|(?<![\w])Postfach \d{2,7}(?:, \d{5} "
    r"[A-ZÄÖÜ][\wäöüß\-]+)?|(?<![\w])(?:Apartado de correos|Box) \d{2,6}, \d{3} ?\d{2} [A-ZÅÄÖ]\w+"
)
_DE_KIND = r"(?:straße|strasse|str\.|weg|platz|allee|gasse|ring|ufer|damm|steig|chaussee|promenade|markt|graben|hof)"
_GERMAN = (
    rf"(?<![\w])(?:(?:{_W}[ \-]){{0,3}}(?:[A-ZÄÖÜ][\wäöüß\-]{{1,30}}{_DE_KIND}|(?:Straße|Strasse|Str\.|Weg|Platz|Allee|"
    rf"Gasse|Ring|Ufer|Damm|Markt))|(?:Am|An der|Auf der|Im|In der|Zum|Zur|Unter den) {_W}) "
    rf"\d{{1,4}}(?: ?[a-h])?(?:[\-/]\d{{1,4}})?(?![\w.,]\d)(?:,? (?:D-|A-|CH-)?\d{{4,5}} {_TOWN})?"
)
_ES_KIND = (
    r"(?:[Cc]alle|[Cc]/|[Aa]venida|[Aa]vda\.?|[Aa]v\.|[Pp]laza|[Pp]za\.?|[Pp]aseo|[Pp]º|[Cc]amino|[Cc]arretera|[Rr]onda|"
    r"[Tt]ravesía|[Gg]lorieta)"
)
_SPANISH = (
    rf"(?<![\w]){_ES_KIND} ?(?:(?:de|del|la|las|los|el|San|Santa|{_W}) ){{0,5}}{_W},? (?:n[º°.]? ?|núm\.? "
    rf"?)?\d{{1,4}}(?:,? ?\d{{1,2}}[º°ª](?: ?[A-Z]\b| ?(?:izq|dcha|izda)\.?)?)?(?:,? (?:piso|bajo|esc\.?) "
    rf"?\w{{0,3}})?(?:,? \d{{5}},? {_TOWN})?"
)
_SV_KIND = r"(?:gatan|vägen|gränd|stigen|torget|backen|allén|plan|leden|esplanaden|gata|väg)"
_SWEDISH = (
    rf"(?<![\w])(?:{_W} )?(?:[A-ZÅÄÖ][\wåäöé]{{1,30}}{_SV_KIND}|{_W} {_SV_KIND}) \d{{1,4}}(?: ?[A-H]\b)?(?: ?lgh "
    rf"?\d{{4}})?(?![\w.,]\d)(?:,? (?:SE-)?\d{{3}} ?\d{{2}} {_TOWN})?"
)
_POSTED = r"(?<![\w])(?:SE-\d{3} ?\d{2}|D-\d{5}|\d{3} \d{2}(?= [A-ZÅÄÖ][a-zåäö]+\b)) [A-ZÅÄÖÜ][\wåäöüß\-]{2,30}"


_LABEL = re.compile(r"(?:Anschrift|Adresse?|Wohnung|Domicilio|Dirección|Address)[ ]")
_ONE = Gate(1)


@dataclass(frozen=True, slots=True)
class _Address:
    """Finds one country's way to write an address; more parts make it more certain.

    signs: one of them stands in every such address (a text without any need not be looked at); none: it begins with a number.
    """

    pattern: re.Pattern[str]
    score: float
    signs: tuple[str, ...] = ()
    entity: str = "ADDRESS"
    gate: Gate = _ONE

    def find(self, text: str) -> Iterator[Candidate]:
        for match in self._matches(text):
            end = match.end() - (len(match.group()) - len(match.group().rstrip(" .,")))
            whole = len(match.group()) > 24 and any(sign.isdigit() for sign in match.group()[-12:])
            label = _LABEL.match(match.group())
            yield Candidate(match.start() + (label.end() if label else 0), end, self.entity, min(0.97, self.score + 0.12 * whole), "form")

    def _matches(self, text: str) -> Iterator[re.Match[str]]:
        if not self.signs:
            return at_numbers(self.pattern, text)
        return self.pattern.finditer(text) if any(sign in text for sign in self.signs) else iter(())


_DE_SIGNS = ("traße", "trasse", "tr.", "eg ", "latz ", "llee ", "asse ", "ing ", "fer ", "amm ", "teig ", "chaussee ", "promenade ",
             "arkt ", "graben ", "hof ", "Am ", "An der ", "Auf der ", "Im ", "In der ", "Zum ", "Zur ", "Unter den ")
_ES_SIGNS = ("alle", "C/", "c/", "venida", "vda", "v.", "laza", "za", "aseo", "º", "amino", "arretera", "onda", "ravesía", "lorieta")
_SV_SIGNS = ("gatan ", "vägen ", "gränd ", "stigen ", "torget ", "backen ", "allén ", "plan ", "leden ", "esplanaden ", "gata ", "väg ")
PLACES: tuple[Finder, ...] = tuple(
    _Address(re.compile(pattern), score, signs)
    for pattern, score, signs in (
        (_ENGLISH, 0.82, ()), (_BOX, 0.85, ("Box", "Postfach", "Apartado")), (_GERMAN, 0.82, _DE_SIGNS), (_SPANISH, 0.82, _ES_SIGNS),
        (_SWEDISH, 0.82, _SV_SIGNS), (_POSTED, 0.55, ()))
)
