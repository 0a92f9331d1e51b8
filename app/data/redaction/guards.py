"""What looks like an identifier and is none: citations, codes, concepts, amounts, versions, order numbers."""

from __future__ import annotations

import re

from app.data.redaction.quick import Quick

_N = r"\d[\d.,:/()\-–a-zA-Z]{0,24}"
_LAW = (
    rf"§{{1,2}} ?{_N}(?:(?:,| and| und| y| och| bis|-|–) ?§? ?{_N}){{0,4}}(?: ?(?:Abs|S|Nr|kap|st|p|ff?|Satz)\.? "
    rf"?\d*[a-z]?){{0,4}}",
    rf"(?:\b(?:Art|Arts|Sec|Sect|Ch|Para|Abs|Nr|Rn|Rz|Kap|kap|cl|Cl|No|núm|art|Tz|Ziff|p|pp|pkt)\.|\b(?:Article|Artikel|"
    rf"[Aa]rtículo|[Ss]ection|[Cc]hapter|[Pp]aragraph|Absatz|Kapitel|[Rr]ule|[Cc]lause|Ziffer|Randnummer|[Ll]ey|[Rr]eal "
    rf"[Dd]ecreto|Regulation|Directive|Verordnung|Richtlinie|Reglamento|Directiva|förordning|Standard|Rule|Form|Exhibit|Schedule|"
    rf"Annex|Anlage|Tabelle|Table|[Pp]age|Seite|[Aa]vsnitt|[Pp]unkt)) ?{_N}",
    r"\b\d{1,3} (?:U\.? ?S\.? ?C\.?(?: ?A\.?)?|C\.? ?F\.? ?R\.?|F\.? ?(?:2d|3d|4th|Supp\.?(?: ?[23]d)?)|U\.? ?S\.?|S\.? ?Ct\.?|"
    r"L\.? ?Ed\.?(?: ?2d)?|Fed\.? ?Reg\.?|Stat\.?)(?: §{1,2})? ?[\d,.\-a-zA-Z()]{1,20}",
    r"\b(?:SFS|prop\.|bet\.|SOU|NJA|RÅ|HFD|MÖD|AD|RH|Ds) ?\d{4}(?:[:/ ]|/\d\d:| (?:s|ref|nr)\.? ?)\d{1,5}",
    r"\(?(?:EU|EC|EG|EWG|EEC|CE|UE|EC|EES)\)? (?:No\.? |Nr\.? |n\.?º )?\d{2,4}/\d{1,4}(?:/(?:EU|EC|EG|EEC|EWG|CE|UE))?|"
    r"\b\d{2,4}/\d{1,4}/(?:EU|EC|EG|EEC|EWG|CE|UE)\b",
    r"\b(?:BGBl|BStBl|RGBl|BAnz|BR-Drs|BT-Drs|ABl)\.? ?(?:I{1,3}|L|C)?\.? ?(?:S\. ?)?[\d/]{1,12}(?: ?S\. ?\d+)?|\bBGHZ? ?\d+,? "
    r"?\d+|\bNJW(?:-RR)? \d{4},? \d+|\bBOE-[A-Z]-\d{4}-\d{1,6}",
    r"\bECLI:[A-Z]{2}:[A-Z0-9]+:\d{4}:[A-Z0-9.]+|\b[IVX]{1,5} (?:ZR|ZB|StR|AR|BvR|R|C|K|B|A) \d{1,5}/\d{2,4}|\b\d{1,3} (?:C|O|Ca|"
    r"Sa|K|Js|Ks|UF|StR|BvR|AZR|[A-Z][a-z]{0,2}) \d{1,5}/\d{2,4}\b|\b(?:Az|Aktenzeichen|Docket|Case)\.?:? (?:No\.? "
    r"?)?[\w.:/\- ]{3,20}\d|\b\d:\d\d-(?:cv|cr|md|bk)-\d{3,6}",
    r"\b(?:No|Nos)\. \d{2}-\d{2,5}\b|\[\d{4}\] (?:UK[A-Z]{2}|EWCA|EWHC|AC|QB|WLR|All ER)(?: \w+)? \d+|\bSTS \d+/\d{4}|\bSTC "
    r"\d+/\d{4}|\bmål (?:nr )?[A-ZÖ]{1,2} ?\d+-\d+",
)
_CODES = (
    r"\bICD(?:-?\d{1,2})?(?:-CM|-GM|-PCS)?:? ?(?:code )?[A-Z]?\d[\w.]{1,8}|\b[A-TV-Z]\d[0-9AB](?:\.[0-9A-Z]{1,4})?[*+!]?(?![\w])",
    r"\b(?:us-gaap|ifrs-full|dei|srt|ecd|country|currency|invest):\w+|\b(?:ASC|ASU|IFRS|IAS|FAS|SFAS|FRS|SSAP|HGB|PCAOB AS) "
    r"?\d[\d.\-]*(?:-\d+)*",
    r"\b(?:LOINC|SNOMED(?: CT)?|RxNorm|RXCUI|CPT|HCPCS|NDC|ATC|DRG|OPS|DSM(?:-\w+)?|PZN|CAS|UN|EC|MeSH|OMIM|NCT|KVÅ|CIE(?:-\d+)?|"
    r"concept(?: id)?):?(?: (?:code|number|no\.?))? ?[A-Z]?\d[\w.\-]{1,20}|\bNCT\d{8}\b|"
    r"\b\d{4,5}-\d{3,4}-\d{1,2}(?=[^\w-]*\(?NDC)",
    r"\b(?:ISBN|ISSN|DOI|doi|EAN|GTIN|UPC|ISIN|CUSIP|LEI|WKN|SEDOL|CVE|CWE|RFC|ISO(?:/IEC)?|DIN(?: EN)?|EN|IEEE|ANSI|SAE|ASTM|"
    r"NIST SP)(?:-1[03])?(?: (?:EN|ISO|IEC))?:?[ \-]?[A-Z0-9](?:[\w./:]|-(?=\w)){2,40}(?: \d[\d\-]{1,12}){0,4}|"
    r"\b10\.\d{4,9}/\S{3,60}",
    r"\b[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z]+)*-\d\.\d(?:\.\d)?(?:-(?:only|or-later|Clause|\w+))*|"
    r"\b(?!\d{3}\.\d{3}\.\d{4}\b)v?\d{1,4}\.\d{1,4}\.\d{1,6}(?:[.\-+]\w{1,20})*(?=[\s,;)]|\.\s|\.?$)|\b[Vv](?:ersion)?\.? ?\d[\w.\-]{0,20}",
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[0-9a-f]{32,128}\b|\bsha\d+[:=]\w{16,}",
)
_MONEY = (
    r"(?:[$€£¥]|\b(?:USD|EUR|SEK|GBP|CHF|kr|US\$|Rs\.?)) ?\d[\d.,' \u2009]{0,24}(?: ?(?:million|billion|Mio\.?|Mrd\.?|millones|"
    r"miljoner|miljarder|mn|bn|k|M))?",
    r"\b\d[\d.,' ]{0,24} ?(?:[$€£¥]|(?:USD|EUR|SEK|GBP|CHF|kr|kronor|euros?|dollars?|Euro|pounds?|million|billion|Mio\.?|Mrd\.?|"
    r"millones|miljoner)\b)",
    r"\b\d{1,3}(?:[,.]\d{3}){1,5}(?:[.,]\d{2})?(?![\w])|\b\d{1,12}[.,]\d{1,6} ?%|"
    r"(?<![\w.\-/])[+\-−]?\d{1,12}[.,]\d{2}(?![\w])(?![.\-/]\d)",
)
_LABEL = (
    r"(?:[\s\-]*(?:nummer|number|num|numero|número|no\.?|nr\.?|n\.?º|núm\.?|id|\#|ref\.?|code|kod|"
    r"código))?[\s:#=]{1,4}(?:is |ist |lautet |es |är |was )?"
)
_ORDER = (
    rf"(?<![^\W\d_])(?:order|purchase order|po|invoice|ticket|tracking|shipment|sku|item|article|part|serial|batch|lot|model|"
    rf"product|quote|job|docket|filing|transaction|receipt|voucher|reference|ref\.?|work order|delivery|parcel|claim form|"
    rf"account code|gl account|ledger account|cost cent(?:er|re)|asset|barcode)"
    rf"{_LABEL}(?P<order_en>[\w/.\-]{{2,30}}(?: \d{{2,6}}){{0,4}})",
    r"(?<![^\W\d_])(?:bestell|auftrags|rechnungs|artikel|vorgangs|chargen|liefer(?:schein)?|sendungs|serien|teile|material|"
    r"beleg|buchungs|sach(?:konto)?|kosten(?:stelle)?|geschäfts|angebots|produkt|inventar)[\s\-]*(?:nummer|nr\.?|konto|stelle|"
    r"zeichen)?[\s:#]{1,4}(?:ist |lautet )?(?P<order_de>[\w/.\-]{2,30}(?: \d{2,6}){0,4})",
    rf"(?<![^\W\d_])(?:pedido|factura|albar[áa]n|referencia|lote|art[íi]culo|env[íi]o|cuenta contable|asiento|presupuesto|serie|"
    rf"producto|modelo|centro de coste){_LABEL}(?P<order_es>[\w/.\-]{{2,30}}(?: \d{{2,6}}){{0,4}})",
    r"(?<![^\W\d_])(?:order|faktura?|artikel|ärende|parti|leverans|spårnings|kolli|serie|verifikat(?:ions)?|offert|produkt|"
    r"bas-?konto|kostnadsställe|diarie|ocr)[\s\-]*(?:nummer|nr\.?|konto|nr)?[\s:#]{1,4}(?:är "
    r")?(?P<order_sv>[\w/.\-]{2,30}(?: \d{2,6}){0,4})",
)
_SIGNS: tuple[re.Pattern[str] | Quick, ...] = (
    *(re.compile("|".join(f"(?:{part})" for part in parts)) for parts in (_LAW, _CODES, _MONEY)),
    Quick(re.compile("|".join(f"(?:{part})" for part in _ORDER), re.IGNORECASE)),
)


AROUND = 90
"""Characters beside a candidate in which the sign of a citation or a code is looked for."""


def guarded(text: str, start: int, end: int) -> bool:
    """Whether most of a candidate lies in a citation, a code, an amount or an order number."""
    first = max(0, start - AROUND)
    near = text[first : end + AROUND]
    spans = (match.span() for pattern in _SIGNS for match in pattern.finditer(near))
    return any(min(end - first, stop) - max(start - first, begin) >= 0.6 * (end - start) for begin, stop in spans)
