"""Names of persons by rules: titles, labels, frequent given names, what people do, identifiers beside them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from app.data.redaction.quick import Quick
from app.data.redaction.recogniser import Candidate
from app.data.redaction.sentences import sentences
from app.data.redaction.words import CAPITAL, listed

_TOKEN = rf"(?:(?:[{CAPITAL}]['’])?[{CAPITAL}][\w'’]*(?:-[{CAPITAL}]\w+)*)"
_INITIAL = rf"(?:[{CAPITAL}]\.(?:-?[{CAPITAL}]\.)?)"
PARTICLE = (
    r"(?:(?i:de la|de los|de las|del|de|di|da|van der|van den|van|von der|von|zu|zur|vom|der|af|av|ter|la|le|el|y|bin|al)[ ]"
    r"|(?:Mc|Mac|O)[ ])"
)
_NAME = rf"{_TOKEN}(?:[ ](?:{PARTICLE})?(?:{_INITIAL}|{_TOKEN})){{0,4}}"
_SEQUENCE = re.compile(rf"(?<![\w@/.])(?:{_INITIAL}[ ]?)?{_NAME}(?![\w@])")
_TITLE = Quick(re.compile(
    rf"(?<![\w])(?:(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Sir|Dame|Lord|Lady|Judge|Justice|Nurse|Doctor|Professor|Rev|Capt|Sgt|Herrn?|Frau|"
    rf"Señora?|Señorita|Sra?|Srta|Dña|Doña|Don|Dra|Lic|Abg|Herr|Fru|Fröken|Doktor|Sjuksköterska|Advokat|Rechtsanwalt|"
    rf"Rechtsanwältin|Notarin?|RA|RAin)\b\.?,?[ ]+)"
    rf"(?:(?:Dr|Prof|med|jur|Dra|h\.c)\.?[ ]+){{0,3}}(?P<x>(?:{_INITIAL}[ ]?){{0,3}}(?:{PARTICLE})?{_NAME})"
))
_LABEL_WORDS = (
    r"(?:full |last |first |family |given |middle |maiden |sur|fore|nach|vor|ruf|familien|geburts)?name|nombre(?: y apellidos)?|apellidos?|"
    r"(?:för|efter|tilltals|släkt)?namn|patient(?:in|en)?|client|mandant(?:in)?|"
    r"paciente|cliente|kund(?:e|in|en)?|versicherte[rn]?|kläger(?:in)?s?|beklagte[rn]?|plaintiffs?|defendants?|"
    r"claimant|applicant|petitioner|respondent|mieter(?:in)?|vermieter(?:in)?|tenant|landlord|demandante|demandad[oa]|käranden?|"
    r"svaranden?|sökanden?|contact(?: person)?|attn|attention|ansprechpartner(?:in)?|signed(?: by)?|"
    r"unterzeichnet von|firmado por|undertecknat av|employee|mitarbeiter(?:in)?|witness|zeug(?:e|in|en)|testigo|vittnet|"
    r"beneficiary|borrower|guarantor|insured|account holder|kontoinhaber(?:in)?|titular|kontohavare|dear|"
    r"sehr geehrte[r]?|liebe[r]?|estimad[oa]|hej|hola|regards|sincerely|grüßen?|atentamente|hälsningar|from|von|to|an|cc|payee|"
    r"empfänger(?:in)?|beneficiario|mottagare|emergency contact|next of kin|anhörig|familiar|guardian|owner|prescriber|surgeon|"
    r"physician|"
    r"arzt|ärztin|médic[oa]|läkare|heir|executor|trustee|director|geschäftsführer(?:in)?|administrador(?:a)?|arrendatari[oa]|"
    r"arrendador(?:a)?|hyresgästen?|hyresvärden?|inquilin[oa]|author|verfasser(?:in)?|user|benutzer(?:in)?|usuario|användare"
)
_LABEL = Quick(re.compile(
    rf"(?i:(?<![\w])(?:{_LABEL_WORDS}))(?P<colon>[ ]?[:,][ ]+|[ ]+)(?P<x>(?:{_TOKEN},[ ]{_TOKEN}|"
    rf"(?:{_INITIAL}[ ]?){{0,3}}{_NAME}))(?![\w@])"
))
_INSIDE = re.compile(rf"(?<=\S )[\"'(\[]?([{CAPITAL}][\w'’\-]*)|^[{CAPITAL}][\w'’\-]*(?=, [{CAPITAL}])")
_PARTICLE_BEFORE = re.compile(rf"\b{PARTICLE}\Z")
NEXT_TO = 16
"""Characters between two words of a name at most: a comma, an initial, "van der"."""
_NO_NAME = re.compile(r"[\d_]")
_CAPITALISED = re.compile(rf"[{CAPITAL}](?<![\w'’\-].)[\w'’\-]*")
_OF_A_PERSON = re.compile(
    r"(?i)(?:(?:last|first|family|given|middle|maiden) |sur|fore|nach|vor|ruf|familien|geburts)name|apellidos?|"
    r"(?:för|efter|tilltals|släkt)namn"
)
"""Labels that only a person's name has behind it; a product has a "name" too."""
_PARTY = re.compile(
    r"(?i)(?:patient(?:in|en)?|paciente|client|mandant(?:in)?|kläger(?:in)?|beklagte[rn]?|plaintiff|defendant|"
    r"claimant|witness|zeug(?:e|in|en)|testigo|vittnet|demandante|demandad[oa]|sökanden|svaranden|käranden|"
    r"employee|"
    r"mieter(?:in)?|tenant|insured|borrower|guarantor|versicherte[rn]?)\b"
)
_COMMA = re.compile(
    rf"(?<![\w@/.])(?P<x>(?:{PARTICLE})?{_TOKEN}(?:[ ](?:{PARTICLE})?{_TOKEN}){{0,2}}, (?P<given>{_TOKEN})(?: "
    rf"{_INITIAL}| (?:{PARTICLE})?{_TOKEN})?)(?![\w@])"
)
_INITIAL_BEFORE = re.compile(rf"(?<![\w@/]){_INITIAL}[ ]?\Z")
_COMMA_NAME = re.compile(rf", [{CAPITAL}]")
_BORN = Quick(re.compile(rf"(?<![\w])(?:geb\.|née|född)[ ](?P<x>{_TOKEN})(?![\w@])"))
_INITIALS = re.compile(
    rf"(?<![\w.@/§\-])(?P<x>(?:[{CAPITAL}]\.[ -]?){{0,2}}[{CAPITAL}]\.[ ](?:{PARTICLE})?{_TOKEN}(?:[ ](?:{PARTICLE})?{_TOKEN})?)(?![\w@])"
)
_ENGLISH = frozenset((
    "the", "of", "and", "to", "was", "is", "with", "for", "by", "his", "her", "has", "from", "that"
))
_OTHER = frozenset((
    "der", "die", "das", "und", "ist", "mit", "den", "dem", "von", "für", "wurde", "nicht", "el", "los", "las", "del", "que",
    "con", "por", "una", "och", "att", "det", "som", "är", "på", "för", "av", "med", "ett", "har"
))

_DOES = (
    r"signed|signs|testified|stated|states|said|says|argued|argues|claimed|claims|lives|resides|resided|was (?:born|admitted|"
    r"discharged|seen|treated|diagnosed|hired|employed|dismissed|arrested|present|represented|examined|referred|operated)|"
    r"is (?:employed|married|represented|retired)|complained|presented with|denied|denies|agreed|agrees|paid|pays|owes|owed|"
    r"wrote|called|requested|appeared|appealed|attended|works|worked|told|asked|bought|sold|inherited|died|suffers|takes|"
    r"born|geboren|geb\.|nacid[oa]|född|legte|reichte|gab|holte|claims|"
    r"unterzeichnet[e]?|unterschrieb|sagt[e]?|erklärt[e]?|wohnt[e]?|klagt[e]?|beantragt[e]?|kaufte|verkaufte|schuldet[e]?|"
    r"zahlt[e]?|arbeitet[e]?|wurde|ist verheiratet|bestreitet|erschien|leidet|nimmt|stellte sich|verstarb|erbt[e]?|schrieb|rief|"
    r"firm[óa]|declar[óa]|vive|reside|solicit[óa]|compr[óo]|vendi[óo]|debe|pag[óa]|trabaja|ingres[óa]|falleci[óo]|padece|"
    r"compareci[óo]|comparece|naci[óo]|acudi[óo]|present[óa]|escribi[óo]|llam[óo]|hered[óo]|"
    r"undertecknade|uppgav|säger|sade|bor|bodde|ansökte|köpte|sålde|är skyldig|betalade|arbetar|lades in|avled|lider|inställde "
    r"sig|kom till|skrev|ringde|ärvde|yrkade|bestrider|söker|sökte"
)
_TOLD_OF = (
    r"(?:number|id|account|nummer|konto|ausweis|número|cuenta) (?:of|von|de|för|für|av)|(?:assigned|belongs|issued|paid|owed|"
    r"sent|given) to|according to|(?:spoke|met|talked|meeting|interview|agreement|contract|call|conversation) with|heard|"
    r"represented by|signed "
    r"by|accompanied by|married to|letter (?:from|to)|statement (?:of|by)|care of|treated by|seen by|examined by|referred by|on "
    r"behalf of|estate of|(?:counsel|attorney|lawyer)(?: for the \w+)? (?:was|is)|"
    r"(?:submitted|approved|prepared|performed|prescribed|issued|reported|dictated|verified) (?:by|to)|laut|nach angaben von|"
    r"gegen|hörte|gespräch mit|vertreten durch|verheiratet mit|ich habe mit|schreiben von|zeugin|zeugen|herausgabe an|behandelt "
    r"von|überwiesen von|bevollmächtigter? der \w+ (?:war|ist)|"
    r"según|escuchó a|hablé con|representad[oa] por|casad[oa] con|carta de|en nombre de|el testigo|la testigo|contra|atendid[oa] "
    r"por|el abogado de la \w+ (?:era|es)|"
    r"enligt|hörde|talade med|företräd[ds] av|gift med|brev från|på uppdrag av|mot|vittnet|behandlad av|ombud för \w+ (?:var|är)"
)
_ROLE = (
    r"(?:loan officer|case manager|social worker|claims adjuster|attorney|lawyer|solicitor|barrister|notary|accountant|"
    r"auditor|consultant|surgeon|nurse|midwife|therapist|manager|clerk|officer|secretary|"
    r"berater(?:in)?|sachbearbeiter(?:in)?|anwalt|anwältin|notar(?:in)?|steuerberater(?:in)?|chirurg(?:in)?|"
    r"krankenschwester|pfleger(?:in)?|gutachter(?:in)?|richter(?:in)?|asesora?|abogad[oa]|notari[oa]|gestora?|cirujan[oa]|"
    r"enfermer[oa]|perit[oa]|jueza?|"
    r"rådgivaren?|handläggaren?|advokaten?|notarien?|revisorn?|kirurgen?|sjuksköterskan?|barnmorskan?|domaren?)"
)
_TWO = rf"(?:{_TOKEN},?[ ](?:{PARTICLE})?(?:{_INITIAL}[ ])?{_TOKEN}(?:,?[ ](?:{PARTICLE})?{_TOKEN})?)"
_ACTS = re.compile(rf"(?<![\w@/.])(?P<x>{_TWO})(?:,)?[ ](?:{_DOES})(?![\w])")
_SPOKEN_OF = Quick(re.compile(rf"(?<![\w])(?:(?i:{_TOLD_OF})|(?i:{_ROLE}),?)[ ](?P<x>{_TWO})(?![\w@])"))
_BEFORE_NUMBER = re.compile(
    rf"(?<![\w@/.])(?P<x>{_TWO})(?:[ ]?[(,:<–-][ ]?|[ ])(?:(?:(?:con|mit|with|med|har|has|hat|tiene|"
    rf"telefonisch|unter|at|på|en|el|der|and|DNI|NIE|NIF|NPI|SSN|NHS|ITIN|MRN|DEA|KVNR|Tel|E-?[Mm]ail|"
    rf"[Nn]úm|[Nn]o|[Nn]r|[Pp]ersonnummer|can be reached)\b\.?:?[ ]?){{0,4}})[(<]?$"
)
_SOUTH_OR_NORTH = frozenset((
    "el", "los", "las", "del", "que", "con", "por", "una", "su", "al", "fue", "se", "y", "och", "att", "det", "som", "är", "på",
    "för", "av", "med", "ett", "till", "har", "om"
))
_GERMAN = frozenset((
    "der", "die", "das", "und", "ist", "mit", "dem", "von", "für", "wurde", "nicht", "zu", "im", "am", "an"
))
_INNER = re.compile(rf"(?<=[a-zà-ÿ,;] )(?<!\ben )(?<!\bi )(?<!\bpå )(?P<x>{_TWO})(?![\w@])")

NOBODY = listed("not_names.txt")

_ORGANISATION = re.compile(
    r"(?i)^(?:holdings?|partners|group|gruppe|capital|foundation|university|universität|stiftung|hospital|"
    r"klinik(?:um)?|bank|insurance|versicherung|systems|software|technologies|services|solutions|"
    r"industries|court|committee|authority|agency|"
    r"society|institute|press|media|energy|pharma|foods|motors|airlines|verlag|verein|kammer|amt|behörde|"
    r"myndighet(?:en)?|verket|seguros|fundación|universidad|kommun|region|street|road|park|lake|river|"
    r"north|south|east|west|new|united)$|(?:gesellschaft|verordnung|gesetz|behörde|versicherung|kammer|"
    r"verband|gericht)$"
)
_ABSTRACT = re.compile(r"(?i)[^\W\d_]{5,}(?:ung|heit|keit|schaft|tion|tät|ismus|atur|vertrag|verfahren|kosten|betrag)(?:en|e?s)?")
"""German nouns that are written with a capital letter and name nobody: "Untervermietung", "Reparatur"."""
TITLES_AT_START = re.compile(
    r"^(?:(?:Mr|Mrs|Ms|Miss|Dr|Prof|Sir|Herrn?|Frau|Señora?|Sra?|Don|Doña|Fru|Judge|Nurse|"
    r"Rechtsanw[aä]lt(?:in)?|Patient(?:in|en)?|Doctor|Professor|med|jur|Advokat|Dra)\b\.? +)+"
)


_WHOLE = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"})
"""Letters whose mark is a part of them, for Unicode."""


_UMLAUT_WRITTEN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "å": "aa", "Å": "Aa"})
_WITHOUT_UMLAUT = str.maketrans("äöüåéèáàíóúñçÄÖÜÅÉÁÍÓÚÑ", "aouaeeaaiouncAOUAEAIOUN")
_AFTER_NAME, _AFTER_NAME_WITH_S = re.compile(r"(?![\w@])"), re.compile(r"s?(?![\w@])")
"""What may follow a name: in other languages than English also an "s" that says whose."""
_WRITTEN_UMLAUT = re.compile("(?<=[aou])e(?=[^aeiou])")


def plain(word: str) -> str:
    """A word in small letters without marks, umlauts as their base letter."""
    if word.isascii():
        return word.casefold()
    spread = unicodedata.normalize("NFKD", word.casefold().translate(_WHOLE))
    return "".join(sign for sign in spread if not unicodedata.combining(sign))


def given_names() -> frozenset[str]:
    """Frequent given names, in small letters without marks."""
    return listed("given_names.txt")


def spelt_out(word: str) -> str:
    """A word in small letters without marks, in which "ue" stands no longer for "ü"."""
    return _WRITTEN_UMLAUT.sub("", plain(word))


def is_given(word: str) -> bool:
    """Whether a word is a frequent given name, also one of two with a hyphen, also with its umlaut written out."""
    return all(plain(part) in given_names() or spelt_out(part) in given_names() for part in word.split("-"))


def worth_reading(sentence: str) -> bool:
    """Whether a sentence can hold a name: a word in capitals inside it that is no ordinary one, or two at its start."""
    shouted = _shouted(sentence)
    return any(plain(word) not in NOBODY and not (shouted and word.isupper()) for word in _INSIDE.findall(sentence))


def _shouted(sentence: str) -> bool:
    return len(sentence) > 60 and 3 * sum(map(str.isupper, sentence)) > len(sentence)


def could_hold(sentence: str, start: int, known: Sequence[tuple[int, int]], english: bool) -> bool:
    """Whether a sentence can hold a name that :func:`could_be_name` and the names model's filter let pass, beside what is known.

    start: of the sentence in the text whose spans are known.  A word alone is believed in English, or where it is a frequent given
    name; two beside each other always are.
    """
    shouted, before = _shouted(sentence), -NEXT_TO
    for match in _CAPITALISED.finditer(sentence):
        word, first, last = match.group(), match.start(), match.end()
        if plain(word) in NOBODY or (shouted and word.isupper()) or _NO_NAME.search(word):
            continue
        if any(one <= start + first and start + last <= other for one, other in known):
            continue
        if first - before < NEXT_TO or is_given(word.strip("-'’")) or (english and len(word) > 2 and not word.isupper()):
            return True
        before = last
    return False


def is_whole(text: str, start: int) -> bool:
    """Whether nothing before a found name belongs to it ("von" would)."""
    return _PARTICLE_BEFORE.search(text, max(0, start - 8), start) is None


def is_english(text: str) -> bool:
    """Whether the little words of a text are English ones."""
    said = _head(text)
    return _count(said, _ENGLISH) > _count(said, _OTHER)


def _head(text: str) -> list[str]:
    return re.findall(r"\w+", text[:1500].casefold())


def _count(said: list[str], words: frozenset[str]) -> int:
    return sum(word in words for word in said)


def capitals(tokens: Sequence[str]) -> list[str]:
    """The words that begin with a capital letter."""
    return [token for token in tokens if token[:1].isupper()]


def could_be_name(tokens: Sequence[str]) -> bool:
    """Whether words can be a name at all: a role, a heading, an abbreviation or a number is none."""
    capital = capitals(tokens)
    return (
        any(not re.fullmatch(r"(?:[^\W\d_]\.?){1,4}", token) or (len(token) > 2 and "." not in token) for token in capital)
        and all(plain(token.strip(".,'’")) not in NOBODY and token.casefold() not in NOBODY for token in capital)
        and not any(_ABSTRACT.fullmatch(token) for token in capital)
        and not any(re.search(r"[\d_@/<>{}=§$€|:\\]", token) for token in tokens)
    )


# ---- rules -----------------------------------------------------------------------------------------------------------------


def by_rules(text: str) -> Iterator[Candidate]:
    """Persons that a title, a label, a frequent given name or their deeds tell."""
    for start, part in sentences(text):
        if worth_reading(part):
            yield from (one._replace(start=one.start + start, end=one.end + start) for one in _in_sentence(part))


def _in_sentence(text: str) -> Iterator[Candidate]:
    yield from _with_title(text)
    yield from _with_label(text)
    yield from _with_given(text)
    yield from _by_deed(text)
    yield from _by_capitals(text)
    for match in _BORN.finditer(text):
        if could_be_name([match.group("x")]):
            yield Candidate(*match.span("x"), "PERSON", 0.7, "label")
    for match in _INITIALS.finditer(text):
        end = _cut(text, *match.span("x"))
        family = text[match.start("x") : end].split(".")[-1].strip() if end else ""
        if len(family) > 4 or (len(family) > 2 and not family.isupper()):
            yield Candidate(match.start("x"), end, "PERSON", 0.6, "initial")


def _with_title(text: str) -> Iterator[Candidate]:
    for match in _TITLE.finditer(text):
        end = _cut(text, *match.span("x"))
        if end:
            yield Candidate(match.start("x"), end, "PERSON", 0.92, "title")


def _with_label(text: str) -> Iterator[Candidate]:
    for match in _LABEL.finditer(text):
        start = match.start("x")
        skip = TITLES_AT_START.match(match.group("x"))
        start += skip.end() if skip else 0
        end = _cut(text, start, match.end("x"))
        tokens = text[start:end].replace(",", " ").split() if end else []
        alone = tokens and (is_given(tokens[0]) or _OF_A_PERSON.match(match.group()))
        if ":" in match.group("colon") and end and (len(tokens) >= 2 or alone):
            yield Candidate(start, end, "PERSON", 0.88, "label")
        elif len(tokens) >= 2 and (is_given(tokens[0]) or is_given(tokens[-1])):
            yield Candidate(start, end, "PERSON", 0.9, "label")
        elif (
            len(capitals(tokens)) >= 2
            and _PARTY.match(match.group())
            and not any(_ORGANISATION.search(token) for token in tokens)
        ):
            yield Candidate(start, end, "PERSON", 0.6, "label")


def _by_capitals(text: str) -> Iterator[Candidate]:
    """Spanish and Swedish write only names in capitals inside a sentence: two such words are somebody, or an organisation."""
    said = _head(text)
    if _count(said, _SOUTH_OR_NORTH) <= max(_count(said, _ENGLISH), _count(said, _GERMAN)):
        return
    for match in _INNER.finditer(text):
        end = _cut(text, *match.span("x"))
        tokens = text[match.start("x") : end].replace(",", " ").split() if end else []
        if len(capitals(tokens)) >= 2 and could_be_name(tokens) and not any(_ORGANISATION.search(token) for token in tokens):
            yield Candidate(match.start("x"), end, "PERSON", 0.5, "capitals")


def _by_deed(text: str) -> Iterator[Candidate]:
    """Two capitalised words that do what people do, or of whom people speak."""
    for pattern in (_ACTS, _SPOKEN_OF):
        for match in pattern.finditer(text):
            end = _cut(text, *match.span("x"))
            tokens = text[match.start("x") : end].replace(",", " ").split() if end else []
            if len(capitals(tokens)) >= 2 and not any(_ORGANISATION.search(token) for token in tokens):
                yield Candidate(match.start("x"), end, "PERSON", 0.6, "deed")


def beside(text: str, identifiers: Iterable[Candidate]) -> Iterator[Candidate]:
    """Two capitalised words right before an identifier of a person, at most a label between: "Fermín Zubizarreta (Y0166214F)"."""
    for one in identifiers:
        match = _BEFORE_NUMBER.search(text[max(0, one.start - 90) : one.start])
        if match:
            shift = max(0, one.start - 90)
            start, end = shift + match.start("x"), _cut(text, shift + match.start("x"), shift + match.end("x"))
            tokens = text[start:end].replace(",", " ").split() if end else []
            if (
                end == shift + match.end("x")
                and len(capitals(tokens)) >= 2
                and not any(_ORGANISATION.search(token) for token in tokens)
            ):
                yield Candidate(start, end, "PERSON", 0.6, "beside_identifier")


def _cut(text: str, start: int, end: int) -> int:
    """Where a run of capitalised words stops being a name; 0 where it never is one."""
    reached = 0
    for token in re.finditer(r"[^\s,]+", text[start:end]):
        word = token.group()
        if word[:1].isupper():
            if re.fullmatch(r"(?:[^\W\d_]\.-?){1,3}", word):
                continue
            if (
                plain(word.strip(".'’")) in NOBODY
                or word.strip(".,'’").casefold() in NOBODY
                or any(sign.isdigit() for sign in word)
            ):
                break
            reached = start + token.end()
    said = text[start:reached]
    return start + len(re.sub(r"(?:['’]s|['’])$", "", said)) if reached else 0


def _with_given(text: str) -> Iterator[Candidate]:
    for match in _SEQUENCE.finditer(text):
        parts = list(re.finditer(r"[^\s]+", match.group()))
        first = next((number for number, part in enumerate(parts[:4]) if is_given(part.group())), None)
        if first is None or first == len(parts) - 1:
            continue
        start = match.start() + parts[first].start()
        end = _cut(text, start, match.end())
        said = text[start:end].split() if end else []
        if len(said) >= 2:
            yield Candidate(start, end, "PERSON", 0.9 if len(said[-1]) > 2 else 0.6, "given_name")
    for match in _COMMA.finditer(text) if _COMMA_NAME.search(text) else ():
        tokens = [token for token in match.group("x").replace(",", " ").split() if plain(token) not in listed("particles.txt")]
        if tokens and is_given(match.group("given")) and not is_given(tokens[0]) and could_be_name(tokens):
            yield Candidate(*match.span("x"), "PERSON", 0.86, "given_name")


def repeated(text: str, known: Iterable[str]) -> Iterator[Candidate]:
    """Parts of names that are known from elsewhere in the row, standing alone: "Müller", "MUELLER" and "Müllers" after "Anna Müller"."""
    ends: dict[int, list[int]] = {}
    after = _AFTER_NAME if is_english(text) else _AFTER_NAME_WITH_S
    for form in _forms(known):
        start = text.find(form)
        while start >= 0:
            ends.setdefault(start, []).append(start + len(form))
            start = text.find(form, start + 1)
    done = 0
    for start, end in sorted(_chains(text, ends, after).items()):
        if start < done:
            continue
        initial = _INITIAL_BEFORE.search(text, max(done, start - 8), start)
        if initial or not re.match(r"[\w@/]", text[start - 1 : start]):
            yield Candidate(initial.start() if initial else start, end, "PERSON", 0.8, "same_row")
            done = end


def _forms(known: Iterable[str]) -> list[str]:
    """The parts of names as they may stand alone, the longest first."""
    parts = {part.strip(".,'’") for name in known for part in re.split(r"[\s,]+", name)}
    parts = {part for part in parts if len(part) >= 3 and part[:1].isupper() and plain(part) not in NOBODY}
    spellings = {spelling for part in parts for spelling in _spellings(part)}
    return sorted({form for one in spellings for form in (one, one.upper(), one.title())}, key=len, reverse=True)


def _spellings(part: str) -> Iterator[str]:
    """A part of a name, with its umlauts written out or without their marks, or the other way round."""
    yield part
    if not part.isascii():
        yield part.translate(_WITHOUT_UMLAUT)
        yield part.translate(_UMLAUT_WRITTEN)
    elif _WRITTEN_UMLAUT.search(small := part.lower()):
        for written, umlaut in (("ae", "ä"), ("oe", "ö"), ("ue", "ü")):
            small = small.replace(written, umlaut)
        yield small.title()


def _chains(text: str, ends: dict[int, list[int]], after: re.Pattern[str]) -> dict[int, int]:
    """Where a part of a name begins, and where it ends with those that follow it, if no word goes on there.

    after: what may follow a name.
    """
    found: dict[int, int] = {}
    for start in sorted(ends, reverse=True):
        for end in ends[start]:
            whole = found.get(end + 1) if text[end : end + 1] == " " else None
            if whole or after.match(text, end):
                found[start] = whole or end
                break
    return found
