"""Identifiers of people: national numbers, cards, accounts, documents, records.

Each line: the form, what its check digits are worth alone, and the words that stand beside it in four languages.
Sources of the forms: python-stdnum, presidio-analyzer, ISO 13616 / 7812 / 9362, ICAO Doc 9303.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from app.data.redaction import checks
from app.data.redaction.quick import Quick
from app.data.redaction.recogniser import Candidate, Finder, Gate, Recogniser, before, words

_L = r"(?<!\w)(?<!\d[.,/])(?<!\w-)"
"""Nothing before it that it would be a part of."""
_R = r"(?![\w])(?![\-/.,]\d)"
_THREE, _EIGHT = Gate(3), Gate(8)
_Digits, _Code = partial(Recogniser, begins=("digit",)), partial(Recogniser, begins=("letter",))
_Number = partial(Recogniser, begins=("digit", "letter"))

_US = (
    _Digits(
        "US_SSN",
        re.compile(rf"{_L}\d{{3}}([ \-.])\d{{2}}\1\d{{4}}{_R}"),
        0.85,
        wrong=0.8,
        check=checks.ssn,
        gate=Gate(9),
        context=(
            ssn := words("ssn, social security~, soc sec, socialförsäkring~, seguridad social, sozialversicherung~, ss#, ss no")
        ),
    ),
    _Digits("US_SSN", re.compile(rf"{_L}\d{{9}}{_R}"), 0.0, check=checks.ssn, gate=Gate(9), context=ssn),
    _Digits(
        "US_ITIN",
        re.compile(rf"{_L}9\d{{2}}([ \-.]?)[5-9]\d\1\d{{4}}{_R}"),
        0.8,
        wrong=0.75,
        check=checks.itin,
        gate=Gate(9),
        context=words("itin, taxpayer~, individual tax~, tax id~, tin"),
    ),
    _Digits(
        "US_NPI",
        re.compile(rf"{_L}[12]\d{{3}}[ \-]?\d{{3}}[ \-]?\d{{3}}{_R}"),
        0.3,
        wrong=0.7,
        check=checks.npi,
        gate=Gate(10),
        context=words("npi, national provider~, provider~, prescriber~"),
    ),
    _Code(
        "US_DEA",
        re.compile(rf"{_L}[A-HJ-NP-UXa-z][A-Za-z9][ \-]?\d{{7}}{_R}"),
        0.8,
        wrong=0.7,
        check=checks.dea,
        gate=Gate(7),
        context=words("dea, dea number, prescriber~, controlled substance~"),
    ),
    _Digits(
        "US_MBI",
        re.compile(
            rf"{_L}[1-9][AC-HJKMNP-RT-Yac-hjkmnp-rt-y][AC-HJKMNP-RT-Yac-hjkmnp-rt-y0-9]\d[ \-]?[AC-HJKMNP-RT-Yac-hjkmnp-rt-y]"
            rf"[AC-HJKMNP-RT-Yac-hjkmnp-rt-y0-9]\d[ \-]?[AC-HJKMNP-RT-Yac-hjkmnp-rt-y]{{2}}\d{{2}}{_R}"
        ),
        0.85,
        gate=Gate(4),
        context=words("mbi, medicare~, beneficiary~, cms"),
    ),
)

_UK = (
    _Digits(
        "UK_NHS",
        re.compile(rf"{_L}\d{{3}}([ \-])\d{{3}}\1\d{{4}}{_R}"),
        0.6,
        wrong=0.75,
        check=checks.nhs,
        gate=Gate(10),
        context=(nhs := words("nhs~, health service~, national health~")),
    ),
    _Digits("UK_NHS", re.compile(rf"{_L}\d{{10}}{_R}"), 0.35, wrong=0.7, check=checks.nhs, gate=Gate(10), context=nhs),
    _Code(
        "UK_NINO",
        re.compile(rf"{_L}[A-Za-z]{{2}}[ \-]?\d{{2}}[ \-]?\d{{2}}[ \-]?\d{{2}}[ \-]?[A-Da-d]{_R}"),
        0.9,
        check=checks.nino,
        gate=Gate(6),
        context=words("nino, national insurance~, ni number, ni no, n.i.~"),
    ),
)

_DE = (
    _Digits(
        "DE_TAX_ID",
        re.compile(rf"{_L}\d{{2}}([ \-])\d{{3}}\1\d{{3}}\1\d{{3}}{_R}"),
        0.85,
        wrong=0.7,
        check=checks.steuer_id,
        gate=Gate(11),
        context=(
            tax := words(
                "steuer~, steuer-id~, steueridentifikation~, idnr, id-nr, identifikationsnummer, tin, tax "
                "id~, st.-nr~, stnr, st-nr"
            )
        ),
    ),
    _Digits(
        "DE_TAX_ID", re.compile(rf"{_L}\d{{11}}{_R}"), 0.55, wrong=0.7, check=checks.steuer_id, gate=Gate(11), context=tax
    ),
    _Digits("DE_TAX_ID", re.compile(rf"{_L}\d{{2,3}}[/ ]\d{{3}}[/ ]\d{{4,5}}{_R}"), 0.0, gate=Gate(10), context=tax),
    _Code(
        "DE_ID_CARD",
        re.compile(rf"{_L}[CFGHJKLMNPRTVWXYZcfghjklmnprtvwxyz][CFGHJKLMNPRTVWXYZcfghjklmnprtvwxyz0-9]{{7}}\d\d?{_R}"),
        0.55,
        wrong=0.7,
        check=checks.german_card,
        gate=Gate(2),
        context=words(
            "personalausweis~, ausweis~, identity card~, id card~, id-karte, tarjeta de identidad, identitetskort~, id-kort~"
        ),
    ),
    _Code(
        "DE_HEALTH_INSURANCE",
        re.compile(rf"{_L}[A-Za-z][ \-]?\d{{3}}[ \-]?\d{{3}}[ \-]?\d{{3}}{_R}"),
        0.7,
        wrong=0.7,
        check=checks.german_health,
        gate=Gate(9),
        context=words(
            "krankenversicher~, versichertennummer~, versicherten-nr~, kvnr, kv-nr~, gesundheitskarte~, "
            "krankenkasse~, egk, health insurance~, health card~"
        ),
    ),
    _Digits(
        "DE_SOCIAL_SECURITY",
        re.compile(rf"{_L}\d{{2}}[ \-]?\d{{6}}[ \-]?[A-Za-z][ \-]?\d{{3}}{_R}"),
        0.8,
        wrong=0.7,
        check=checks.german_pension,
        gate=Gate(11),
        context=words(
            "rentenversicherung~, sozialversicherung~, versicherungsnummer~, rvnr, svnr, sv-nummer~, "
            "rv-nummer~, pension insurance~"
        ),
    ),
)

_ES = (
    _Digits(
        "ES_NIF",
        re.compile(rf"{_L}\d{{2}}[ .]?\d{{3}}[ .]?\d{{3}}[ \-]?[A-Za-z]{_R}"),
        0.85,
        wrong=0.7,
        check=checks.nif,
        gate=Gate(8),
        context=(nif := words("dni, nif, d.n.i.~, n.i.f.~, documento nacional~, identificación fiscal, cif, c.i.f.~")),
    ),
    _Code(
        "ES_NIF",
        re.compile(rf"{_L}[ABCDEFGHJNPQRSUVWKLMabcdefghjnpqrsuvwklm][ \-]?\d{{7}}[ \-]?[0-9A-Ja-j]{_R}"),
        0.7,
        wrong=0.6,
        check=checks.nif,
        gate=Gate(7),
        context=nif,
    ),
    _Code(
        "ES_NIE",
        re.compile(rf"{_L}[XYZxyz][ \-]?\d{{7}}[ \-]?[A-Za-z]{_R}"),
        0.9,
        wrong=0.75,
        check=checks.nie,
        gate=Gate(7),
        context=words("nie, n.i.e.~, identidad de extranjero, número de extranjero, extranjer~, foreigner~"),
    ),
)

_SE = (
    _Digits(
        "SE_PERSONNUMMER",
        re.compile(rf"{_L}(?:19|20)?\d{{6}} ?[\-+] ?\d{{4}}{_R}"),
        0.85,
        wrong=0.75,
        check=checks.personnummer,
        gate=Gate(10),
        context=(
            pnr := words(
                "personnummer~, person-nr~, personnr~, p-nr, pnr, samordningsnummer~, personal identity~, "
                "personal number~, swedish id~"
            )
        ),
    ),
    _Digits(
        "SE_PERSONNUMMER",
        re.compile(rf"{_L}(?:19|20)\d{{6}} ?\d{{4}}{_R}"),
        0.8,
        wrong=0.7,
        check=checks.personnummer,
        gate=Gate(12),
        context=pnr,
    ),
    _Digits(
        "SE_PERSONNUMMER",
        re.compile(rf"{_L}\d{{6}} ?\d{{4}}{_R}"),
        0.5,
        wrong=0.6,
        check=checks.personnummer,
        gate=Gate(10),
        context=pnr,
    ),
    _Digits(
        "SE_ORGNR",
        re.compile(rf"{_L}(?:16)?\d{{6}} ?\- ?\d{{4}}{_R}"),
        0.75,
        wrong=0.6,
        check=checks.orgnr,
        gate=Gate(10),
        context=(org := words("organisationsnummer~, org.nr~, org-nr~, orgnr~, org. nr~, organisation number~, company number~")),
    ),
    _Digits("SE_ORGNR", re.compile(rf"{_L}\d{{10}}{_R}"), 0.0, check=checks.orgnr, gate=Gate(10), context=org),
)

_BANK = (
    _Number(
        "CREDIT_CARD",
        re.compile(rf"{_L}(?<!\d[ \-])\d{{4}}(?:[ \-.]?\d){{8,14}}\d{_R}"),
        0.92,
        wrong=0.75,
        check=checks.card,
        gate=Gate(13),
        context=words(
            "card~, credit~, debit~, visa, mastercard, amex, american express, karte~, kreditkarte~, "
            "kartennummer~, tarjeta~, kort~, kortnummer~, kontokort~, kreditkort~"
        ),
    ),
    Recogniser(
        "BIC",
        re.compile(r"(?<![\w])[A-Z]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?(?![\w])"),
        0.0,
        check=checks.bic,
        gate=Gate(0),
        context=words("bic, swift, bic code, swift code, iban, bankleitzahl~, código bic"),
    ),
    _Digits(
        "BANK_ACCOUNT",
        re.compile(rf"{_L}(?=(?:[ \-.,/]?\d){{6}})\d{{3,24}}+(?:[ \-.,/]\d{{1,10}}+){{0,6}}{_R}"),
        0.0,
        near=0.94,
        gate=Gate(6),
        context=words(
            "account number~, account no~, acct~, bank account~, account nr~, sort code~, routing~, aba, "
            "konto-nr~, kontonr~, kontonummer~, bankkonto~, blz, bankleitzahl~, número de cuenta~, cuenta "
            "bancaria~, cuenta corriente~, n.º de cuenta~, nº de cuenta~, ccc, bankgiro~, plusgiro~, "
            "clearingnummer~, bankkontonummer~"
        ),
    ),
    _Digits(
        "BANK_ACCOUNT",
        re.compile(rf"{_L}\d{{2}}-\d{{2}}-\d{{2}}{_R}"),
        0.0,
        near=0.9,
        gate=Gate(6),
        context=words("sort code~, sort-code~, sc"),
    ),
    _Number(
        "CRYPTO", re.compile(r"(?<![\w])(?:bc1|[13])[a-zA-HJ-NP-Z0-9]{25,59}(?![\w])"), 0.95, check=lambda _: True, gate=Gate(2)
    ),
)

_DOCUMENTS = (
    _Number(
        "PASSPORT",
        re.compile(
            rf"{_L}(?:[A-Za-z]{{1,3}}[ \-]?\d{{6,8}}|\d{{8,9}}|[CFGHJK][0-9CFGHJKLMNPRTVWXYZ]{{8}}\d?|"
            rf"[A-Z]{{3}}\d{{6}}[A-Z]?){_R}"
        ),
        0.0,
        gate=Gate(2),
        context=words("passport~, reisepass~, passnummer~, pass-nr~, pass nr~, pasaporte~, passnr~, passets~, pass"),
    ),
    Recogniser("PASSPORT", re.compile(r"P[A-Z<][A-Z]{3}[A-Z]{1,39}(?:<{1,3}[A-Z]{1,39}){1,8}<{2,40}"), 0.95, gate=Gate(0, "<")),
    _Number(
        "DRIVER_LICENCE",
        re.compile(rf"{_L}[A-Za-z9]{{5}}\d[0156]\d[0-3]\d\d[A-Za-z9]{{2}}[A-Za-z0-9][A-Za-z]{{2}}{_R}"),
        0.85,
        check=checks.uk_driver,
        wrong=0.7,
        gate=Gate(6),
        context=(
            driver := words(
                "driver's license~, driver’s license~, driver license~, drivers license~, driver's "
                "licence~, driving licence~, driving license~, dl number, dl no~, licence number, "
                "license number, dvla, führerschein~, fahrerlaubnis~, permiso de conducir~, carnet de "
                "conducir~, permiso de conducción~, körkort~"
            )
        ),
    ),
    _Number(
        "DRIVER_LICENCE",
        re.compile(rf"{_L}(?=[A-Za-z0-9\- ]{{0,9}}\d{{3}})[A-Za-z]{{0,3}}\d(?:-?[A-Za-z0-9]){{5,16}}{_R}"),
        0.0,
        near=0.9,
        gate=Gate(5),
        context=driver,
    ),
    Recogniser(
        "LICENCE_PLATE",
        re.compile(
            rf"{_L}(?:[A-ZÄÖÜ]{{1,3}}[ \-][A-Z]{{1,2}}[ \-]?\d{{1,4}}[EH]?|[A-Z]{{2}}\d{{2}} "
            rf"?[A-Z]{{3}}|\d{{4}}[ \-]?[BCDFGHJKLMNPRSTVWXYZ]{{3}}|[A-Z]{{3}} ?\d{{2}}[A-Z0-9]"
            rf"|[A-Z]\d{{1,3}} ?[A-Z]{{3}}|[A-Z0-9]{{2,3}}[ \-]?[A-Z0-9]{{3,4}}){_R}"
        ),
        0.0,
        near=0.9,
        gate=Gate(1),
        context=words(
            "licence plate~, license plate~, number plate~, plate number~, plates, plate, registration number "
            "of the car, vehicle registration~, registration mark~, kennzeichen~, nummernschild~, matrícula~, "
            "matricula~, registreringsnummer~, reg.nr~, regnr~, registreringsskylt~, bilen, tag number"
        ),
    ),
)

_RECORD_WORDS = (
    r"mrn|medical\s+record(?:\s+(?:number|no\.?|nr\.?|id|\#))?|(?:patient|member|policy|subscriber|customer|client|employee|"
    r"student|chart|insurance|beneficiary|hospital|case\s+file|health\s+plan|group|personnel|payroll|inmate|prisoner)"
    r"[\s\-]*(?:number|no\.?|nr\.?|id|identifier|\#|file)|patienten?[\s\-]*(?:nummer|nr\.?|id)|(?:fall|aufnahme|kranken\s?akten?|"
    r"akten|kunden|mitglieds|policen|versicherungsschein|personal|vertragsnehmer|matrikel|mandanten)[\s\-]*(?:nummer|nr\.?)"
    r"|(?:n[úu]mero|n\.?[º°o]\.?|nro\.?)\s+(?:de\s+)?(?:historia(?:\s+cl[íi]nica)?|paciente|cliente|p[óo]liza|socio|afiliado|"
    r"afiliaci[óo]n|empleado|asegurado|expediente\s+m[ée]dico)|nhc|historia\s+cl[íi]nica|p[óo]liza"
    r"|(?:patient|journal|kund|medlems|f[öo]rs[äa]krings|anst[äa]llnings|elev|klient)[\s\-]*(?:nummer|nr\.?|id)"
)
_RECORD = Quick(re.compile(
    rf"(?<![^\W\d_])(?:{_RECORD_WORDS})(?![^\W\d_])[\s:#=\-–.]{{0,4}}(?:(?:number|no|nr|nummer|id|is|was|ist|"
    rf"lautet|war|es|är|var|of|von|del?|the|la|el|assigned|under)\b[\s:#.]{{0,3}}){{0,3}}"
    r"(?P<x>(?=[A-Za-z0-9\-/]{0,11}\d)[A-Za-z0-9](?:[A-Za-z0-9]|[\-/.](?=[A-Za-z0-9]))(?:[A-Za-z0-9]|"
    r"[\-/.](?=[A-Za-z0-9])){2,18}(?: \d{3,6}){0,2})",
    re.IGNORECASE,
))


@dataclass(frozen=True, slots=True)
class _Records:
    """Numbers that only their label tells: patients, members, customers, policies, employees."""

    entity: str = "RECORD_NUMBER"
    gate: Gate = _THREE

    def find(self, text: str) -> Iterator[Candidate]:
        for match in _RECORD.finditer(text):
            if sum(sign.isdigit() for sign in match.group("x")) >= 3:
                yield Candidate(*match.span("x"), self.entity, 0.93, "context")


_IBAN = re.compile(r"(?<![^\W_])[A-Za-z]{2}[ \-]?\d[ \-]?\d(?=[ \-.]?[A-Za-z0-9])")
_IBAN_WORD = words("iban, iban-nr~, iban no~")
_REST = re.compile(r"[ \-.]?[A-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class _Iban:
    """IBANs: walks over separators as far as the country's length, so that the words behind one do not hide it."""

    entity: str = "IBAN"
    gate: Gate = _EIGHT

    def find(self, text: str) -> Iterator[Candidate]:
        for match in _IBAN.finditer(text):
            found = self._longest(text, match.start(), match.end())
            if found is not None:
                yield found

    def _longest(self, text: str, start: int, end: int) -> Candidate | None:
        taken, told = re.sub(r"[ \-]", "", text[start:end]), _IBAN_WORD.pattern.search(before(text, start)) is not None
        while len(taken) < 34 and (rest := _REST.match(text, end)):
            taken, end = taken + rest.group()[-1], rest.end()
            if len(taken) >= 15 and _ends(text, end) and checks.iban(taken.upper()):
                return Candidate(start, end, self.entity, 0.99 if told else 0.97, "checksum,context" if told else "checksum")
        return self._mistyped(text, start) if told else None

    def _mistyped(self, text: str, start: int) -> Candidate | None:
        """With the word before it, something of an IBAN's form whose check digits are wrong."""
        match = re.compile(r"[A-Za-z]{2}[ \-]?\d{2}(?:[ \-.]?[A-Z0-9]{2,4}){3,7}(?:[ \-.]?[A-Z0-9]{1,3})?(?![\w])").match(
            text, start
        )
        return Candidate(start, match.end(), self.entity, 0.8, "context,wrong_check") if match else None


def _ends(text: str, end: int) -> bool:
    return end >= len(text) or not text[end].isalnum()


NATIONAL: dict[str, tuple[Finder, ...]] = {"en": (*_US, *_UK), "de": _DE, "es": _ES, "sv": _SE}
"""By the language in whose countries they are given out."""
EVERYWHERE: tuple[Finder, ...] = (_Iban(), *_BANK, *_DOCUMENTS, _Records())
