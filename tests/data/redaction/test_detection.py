"""What is found in a text, however it is hidden, and what is left alone."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.config import offline
from app.data.redaction import contact, guards, names, numbers, places
from app.data.redaction.detect import Detector, Finding, Settings
from app.data.redaction.labelled import free_sentences, labelled
from app.data.redaction.normalise import folded, joined
from app.data.redaction.quality import Share, measure, published
from app.data.redaction.quick import Quick
from app.data.redaction.recogniser import Recogniser, at_numbers
from app.store.profile import project_dir


@pytest.fixture(scope="module")
def plain() -> Detector:
    """Without the names model, which takes a while to load."""
    return Detector(Settings(model=False))


def corpus(rows: int = 60) -> list[str]:
    """Texts of some labelled sentences each, as dense rows have them."""
    parts = [f"{one.text} ({number})" for number, one in enumerate(labelled(8 * rows, 11))]
    return [" ".join(parts[start : start + 8]) for start in range(0, len(parts), 8)] + ["ıban İBAN straſe BORN Kundennummer", ""]


QUICK = {f"{module.__name__.rpartition('.')[2]}.{name}": value for module in (contact, guards, names, numbers)
         for name, value in vars(module).items() if isinstance(value, Quick)}
FORMS = {f"{one.entity} {one.pattern.pattern[-24:]}": one for one in (*contact.CONTACT, *numbers.EVERYWHERE, *itertools.chain(
    *numbers.NATIONAL.values())) if isinstance(one, Recogniser)}


def test_all_quick_patterns_are_there_to_be_checked() -> None:
    assert {"names._LABEL", "names._SPOKEN_OF", "names._TITLE", "numbers._RECORD", "contact._BIRTH"} <= QUICK.keys()
    assert len(FORMS) >= 30
    assert sum(bool(one.begins) for one in FORMS.values()) >= 28


def test_quick_search_finds_what_the_whole_search_finds() -> None:
    context = {f"context of {name}": one.context for name, one in FORMS.items() if one.context is not None}
    for text in corpus():
        for name, quick in (QUICK | context).items():
            whole = [match.span() for match in quick.pattern.finditer(text)]
            assert [match.span() for match in quick.finditer(text)] == whole, name
        for name, one in FORMS.items():
            whole = [match.span() for match in one.pattern.finditer(text)]
            assert not one.begins or [match.span() for match in at_numbers(one.pattern, text, one.begins)] == whole, name


def test_addresses_without_their_signs_are_none() -> None:
    for text in corpus():
        for one in places.PLACES:
            assert [found.start for found in one.find(text)] == [match.start() for match in one.pattern.finditer(text)]


def test_pattern_that_can_begin_with_a_sign_is_refused() -> None:
    with pytest.raises(ValueError, match="begin"):
        Quick(re.compile("§|section")).places("section 5")


@pytest.mark.parametrize(("sentence", "known", "english", "worth"), [
    pytest.param("We met Yusra there.", [], True, True, id="a word alone, English"),
    pytest.param("Das Fahrzeug kam an.", [], False, False, id="a German noun"),
    pytest.param("Das sagte Fermín Zubizarreta dort.", [], False, True, id="two words"),
    pytest.param("Das sagte Fermín Zubizarreta dort.", [(10, 28)], False, False, id="two words that are known"),
    pytest.param("Enligt Ödman, S. var det så.", [], False, True, id="with an initial"),
    pytest.param("Das sagte Anna dort.", [], False, True, id="a frequent given name"),
    pytest.param("Das sagte Şahin Yıldız dort.", [], False, True, id="a Turkish name"),
    pytest.param("Model WX-9752 runs.", [(0, 5)], True, False, id="a number"),
])
def test_only_a_sentence_that_can_hold_another_name_is_read(sentence: str, known: list[tuple[int, int]], english: bool, worth: bool) -> None:
    assert names.could_hold(sentence, 0, known, english) is worth


@pytest.mark.parametrize(("text", "name"), [
    pytest.param("Mr. Şahin Yıldız signed.", "Şahin Yıldız", id="title, Turkish"),
    pytest.param("Frau İpek Güneş arbeitet hier.", "İpek Güneş", id="title, German text"),
    pytest.param("Dr. Ş. Yılmaz testified.", "Ş. Yılmaz", id="title and initial"),
    pytest.param("Patient: Šimon Čermák was seen.", "Šimon Čermák", id="label, Czech"),
    pytest.param("Name: Řehoř Šťastný", "Řehoř Šťastný", id="label alone"),
    pytest.param("Contact: Ćosić, Ćamil", "Ćosić, Ćamil", id="family name first, Bosnian"),
    pytest.param("Patient Łukasz Żak was admitted.", "Łukasz Żak", id="deed, Polish"),
    pytest.param("In March Anna Żółć paid.", "Anna Żółć", id="frequent given name"),
    pytest.param("The agreement with Ērika Āboliņa ended.", "Ērika Āboliņa", id="told of, Latvian"),
    pytest.param("Mr. Đặng Văn Ánh called.", "Đặng Văn Ánh", id="title, Vietnamese"),
])
def test_names_in_any_latin_letters_are_found_whole(plain: Detector, text: str, name: str) -> None:
    assert [found for entity, found in said(plain, text) if entity == "PERSON"] == [name]


@pytest.fixture(scope="module")
def whole() -> Detector:
    return Detector(Settings())


def said(detector: Detector, text: str) -> list[tuple[str, str]]:
    return [(one.entity, text[one.start : one.end]) for one in detector.find([text])[0]]


@pytest.mark.parametrize(("text", "entity", "found"), [
    pytest.param("SSN 536-22-1234.", "US_SSN", "536-22-1234", id="plain"),
    pytest.param("SSN 536\u200b-22\u200c-12\u00ad34.", "US_SSN", "536\u200b-22\u200c-12\u00ad34", id="zero width and soft hyphen"),
    pytest.param("SSN ５３６-２２-１２３４.", "US_SSN", "５３６-２２-１２３４", id="full width"),
    pytest.param("SSN 536-22-\n1234.", "US_SSN", "536-22-\n1234", id="over two lines"),
    pytest.param("Her SSN is five three six two two one two three four.", "US_SSN", "five three six two two one two three four", id="spelled out, English"),
    pytest.param("NHS-Nummer neun vier drei vier sieben sechs fünf neun eins neun.", "UK_NHS", "neun vier drei vier sieben sechs fünf neun eins neun", id="spelled out, German"),
    pytest.param("Tarjeta cuatro uno uno uno uno uno uno uno uno uno uno uno uno uno uno uno.", "CREDIT_CARD", "cuatro" + " uno" * 15, id="spelled out, Spanish"),
    pytest.param("Personnummer nio noll noll ett ett åtta nio åtta ett ett.", "SE_PERSONNUMMER", "nio noll noll ett ett åtta nio åtta ett ett", id="spelled out, Swedish"),
    pytest.param("Card 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1.", "CREDIT_CARD", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", id="spaced"),
    pytest.param("IBAN \u0421\u041d93 0076 2011 6238 5295 7.", "IBAN", "\u0421\u041d93 0076 2011 6238 5295 7", id="Cyrillic letters"),
    pytest.param("Write to j&#97;ne&#64;example.com now", "EMAIL", "j&#97;ne&#64;example.com", id="HTML entities"),
    pytest.param("Write to jane&amp;#64;example.com now", "EMAIL", "jane&amp;#64;example.com", id="HTML entities, twice"),
    pytest.param("jane.doe (at) example.com", "EMAIL", "jane.doe (at) example.com", id="at in brackets"),
    pytest.param("jane dot doe at example dot com", "EMAIL", "jane dot doe at example dot com", id="at and dot as words"),
    pytest.param("anna arroba ejemplo punto es", "EMAIL", "anna arroba ejemplo punto es", id="arroba"),
    pytest.param("ja\u202ene@exa\u202cmple.com", "EMAIL", "ja\u202ene@exa\u202cmple.com", id="direction marks inside"),
    pytest.param("DEA BB1388568 on file", "US_DEA", "BB1388568", id="DEA"),
    pytest.param("MBI 1EG4-TE5-MK73", "US_MBI", "1EG4-TE5-MK73", id="Medicare"),
    pytest.param("NINO QQ123456C is wrong but AB 12 34 56 C is one", "UK_NINO", "AB 12 34 56 C", id="NINO"),
    pytest.param("Steuer-ID 86 095 742 719", "DE_TAX_ID", "86 095 742 719", id="Steuer-ID"),
    pytest.param("con DNI 12345678Z y domicilio", "ES_NIF", "12345678Z", id="DNI"),
    pytest.param("NIE X-1234567-L", "ES_NIE", "X-1234567-L", id="NIE"),
    pytest.param("svaranden 19900118-9811 delgavs", "SE_PERSONNUMMER", "19900118-9811", id="personnummer"),
    pytest.param("BIC: COBADEFFXXX", "BIC", "COBADEFFXXX", id="BIC"),
    pytest.param("date of birth: 1980-05-06T00:00:00", "BIRTH_DATE", "1980-05-06T00:00:00", id="date of birth from a sheet"),
    pytest.param("last name: Raman", "PERSON", "Raman", id="label of a column"),
    pytest.param("apellidos: Zubizarreta", "PERSON", "Zubizarreta", id="label of a column, Spanish"),
    pytest.param("efternamn: Ödman", "PERSON", "Ödman", id="label of a column, Swedish"),
    pytest.param("born 12 March 1975 in Leeds", "BIRTH_DATE", "12 March 1975", id="date of birth"),
    pytest.param("wohnt Hauptstraße 5, 10115 Berlin", "ADDRESS", "Hauptstraße 5, 10115 Berlin", id="address"),
    pytest.param("from host 192.168.17.230 at noon", "IP_ADDRESS", "192.168.17.230", id="IP"),
    pytest.param("https://anna:secret@files.example.com/x", "URL", "https://anna:secret@files.example.com/x", id="URL with user"),
    pytest.param("MRN: 00483922", "RECORD_NUMBER", "00483922", id="record number"),
    pytest.param("Kennzeichen B-MW 1234", "LICENCE_PLATE", "B-MW 1234", id="plate"),
    pytest.param("P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "PASSPORT", "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", id="passport, machine readable"),
    pytest.param("Dr. Anna Müller signed", "PERSON", "Anna Müller", id="title stays"),
    pytest.param("Käranden Sven Lindqvist yrkade", "PERSON", "Sven Lindqvist", id="label"),
    pytest.param("signed by Müller, Anna", "PERSON", "Müller, Anna", id="family name first"),
    pytest.param("MUELLER, JUERGEN: offen", "PERSON", "MUELLER, JUERGEN", id="family name first, umlauts written out"),
    pytest.param("RUIZ, MARÍA DEL CARMEN. Alta", "PERSON", "RUIZ, MARÍA DEL CARMEN", id="family name first, a small word in the given one"),
    pytest.param("Sie ist geb. Weber und ledig", "PERSON", "Weber", id="name before the marriage"),
    pytest.param("call 415.555.2671 now", "PHONE", "415.555.2671", id="phone with dots, no version"),
    pytest.param("tel 612 345 678 o más", "PHONE", "612 345 678", id="a word of one letter after a phone"),
])
def test_it_is_found_and_the_span_is_the_original(plain: Detector, text: str, entity: str, found: str) -> None:
    assert (entity, found) in said(plain, text)


@pytest.mark.parametrize("text", [
    "The conduct violates 18 U.S.C. § 1030(a)(2)(C) and § 27 kap. 9 brottsbalken.", "Coded as E11.9, I10 and Z79.4.",
    "us-gaap:RevenueFromContractWithCustomerExcludingAssessedTax rose to $1,234,567.89.", "GPL-2.0-only OR BSD-3-Clause, version 2.13.4",
    "Order number 40128888 shipped on 3 May 2024.", "Rechnungsnummer 4711081511 vom 14. Januar 2025, Sachkonto 4400.", "ASC 606-10-25-2 applies.",
    "BGH, Urteil vom 12. März 2019, VIII ZR 277/18, NJW 2019, 1234.", "SFS 2018:218, 3 kap. 4 §, prop. 2017/18:105", "Ley 39/2015, BOE-A-2015-10565",
    "Section 4.2.1.3 and release v10.2.1.7", "The Licensee shall indemnify the Licensor.", "Population 8,123,456 on 31 December 2023.",
    "Welche Frist gilt für die Kündigung?", "Wer trägt die Kosten der Reparatur laut Vertrag?", "Was bedeutet Untervermietung?",
    "Er entschied am LG Köln, Az. 5 O 12/19.",
    "Accounts: Equipment Hire; Machine Maintenance; Laundry; Water Rates\nLine: Telephone / 06/08/2024 / Total 2639.24",
    "Call charges | 2025-11-10 | 0.96 | 5.76",
    "Sammelkonto Debitoren; Geringwertige Wirtschaftsgüter; Gezeichnetes Kapital; Retained Earnings",
    "472 Hacienda Pública, IVA soportado; la Reserva Legal, según la Agencia Tributaria",
    "Dx: Type 2 Diabetes Mellitus, Major Depressive Disorder. Diagnosen: Arterielle Hypertonie. Diagnóstico: Hipertensión Arterial",
    "ISBN 978-3-16-148410-0", "NDC 0002-8215-01, CPT 99213, LOINC 17856-6", "one two three, he counted", "Regulation (EU) 2016/679"])
def test_what_only_looks_like_private_data_is_left_alone(whole: Detector, text: str) -> None:
    assert said(whole, text) == []


@pytest.mark.parametrize(("text", "found"), [
    pytest.param("Darf die Mieterin Anna Müller kündigen?", ("PERSON", "Anna Müller"), id="listed role"),
    pytest.param("Die Disponentin Anna Müller fehlte.", ("PERSON", "Anna Müller"), id="any role of a woman"),
    pytest.param("Hallo Thomas,\nanbei der Entwurf.", ("PERSON", "Thomas"), id="greeting"),
    pytest.param("Kära Anna,\ntack för igår.", ("PERSON", "Anna"), id="greeting, Swedish"),
    pytest.param("Le llamo mañana. Saludos, Ana Belén", ("PERSON", "Ana Belén"), id="end of a letter"),
    pytest.param("Adresse Hauptstraße 5, 10115 Berlin", ("ADDRESS", "Hauptstraße 5, 10115 Berlin"), id="label of an address"),
    pytest.param("Sie hat angerufen, unter null drei null neun null eins acht zwei null.",
                 ("PHONE", "null drei null neun null eins acht zwei null"), id="who called"),
])
def test_what_stands_before_private_data_is_no_part_of_it(whole: Detector, text: str, found: tuple[str, str]) -> None:
    """Else the same person would be two, one with and one without the word."""
    assert said(whole, text) == [found]


@pytest.mark.parametrize(("text", "reads"), [("а&#64;b", "a@b"), ("ｊａｎｅ", "jane"), ("a\u200bb\u00adc", "abc"), ("Mu\u0308ller", "Müller"), ("Привет, мир", "Привет, мир"), ("R&D; AT&T", "R&D; AT&T")])
def test_folding_keeps_the_way_back(text: str, reads: str) -> None:
    view = folded(text)
    assert view.text == reads
    assert view.span(0, len(view.text)) == (0, len(text))


def test_ordinary_text_is_not_copied() -> None:
    text = "An ordinary sentence, § 3 über Größe."
    assert folded(text).starts is None
    assert joined(text, folded(text)) == []


def test_structured_identifiers_hold_the_bar(plain: Detector) -> None:
    measured = measure(list(labelled(1500, 4)), _find(plain))
    assert measured.structured_recall.value >= 0.99, measured.missed
    assert measured.structured_precision.value >= 0.99, measured.wrong
    assert measured.clean.value >= 0.99, measured.wrong


def test_names_in_sentences_without_rules_of_their_own_hold_theirs(whole: Detector) -> None:
    measured = measure(list(free_sentences(240, 4)), _find(whole)).entities["PERSON"]
    assert measured.recall.value >= 0.82
    assert measured.precision.value >= 0.93


def _find(detector: Detector):
    return lambda texts: [[(one.start, one.end, one.entity) for one in found] for found in detector.find(texts)]


def test_the_published_table_covers_every_entity_and_says_how_sure_it_is() -> None:
    table = published()
    assert table["with_model"]["sentences"] >= 10_000
    assert table["with_model"]["structured"]["recall"]["interval"][0] >= 0.99
    assert len(table["with_model"]["entities"]) >= 31
    assert table["presidio"]["structured"]["recall"]["value"] < table["with_model"]["structured"]["recall"]["value"]


def test_wilson_interval_is_the_textbooks() -> None:
    low, high = Share(8, 10).interval()
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)  # Newcombe 1998, method 3
    assert Share(0, 0).interval() == (0.0, 1.0)


@pytest.mark.parametrize("text", [
    pytest.param("a" * 200_000, id="one word"), pytest.param("1 " * 100_000, id="digits with gaps"), pytest.param("Aa " * 66_000, id="capitals"),
    pytest.param("12-" * 66_000, id="hyphens"), pytest.param("x@" * 100_000, id="at signs"), pytest.param("one two " * 25_000, id="number words"),
    pytest.param("&#64;" * 40_000, id="entities"), pytest.param("A. " * 66_000, id="initials"), pytest.param("\u202e" * 200_000, id="direction marks"),
    pytest.param("§ 1 " * 50_000, id="citations"), pytest.param("http://a/" * 22_000, id="links"), pytest.param("\u200b1" * 100_000, id="zero width")])
def test_a_huge_hostile_row_does_not_hang(plain: Detector, text: str) -> None:
    begun = time.process_time()
    plain.find([text])
    assert time.process_time() - begun < 10


def test_a_long_row_is_found_to_its_end_and_over_the_seams(plain: Detector) -> None:
    line = "The quick note says nothing of interest at all in this line. "
    text = "".join(line + f"Mail anna.m{number}@example.com or pay GB82 WEST 1234 5698 7654 32. " for number in range(400))
    found = plain.find([text])[0]
    assert [one.entity for one in found].count("EMAIL") == [one.entity for one in found].count("IBAN") == 400
    assert all(first.end <= second.start for first, second in itertools.pairwise(found))


def test_a_name_of_one_field_is_found_alone_in_another(plain: Detector) -> None:
    found = plain.find_row({"question": "Dr. Anna Müller asks about her lease.", "answer": "MÜLLER may end it; tell Anna."})
    assert [text_of(found["answer"], "MÜLLER may end it; tell Anna.", one) for one in range(2)] == ["MÜLLER", "Anna"]


def text_of(found: list[Finding], text: str, number: int) -> str:
    return text[found[number].start : found[number].end]


@pytest.mark.parametrize(("text", "alone"), [
    pytest.param("Anna Lindström kom in. Lindstrom ringde, LINDSTROEM betalade.", ["Lindstrom", "LINDSTROEM"], id="without its marks"),
    pytest.param("Jürgen Müller zahlt. Das ist Müllers Konto und Jürgens Karte.", ["Müller", "Jürgen"], id="whose, German"),
    pytest.param("Anna Mueller zahlt nicht. Frist für Müller.", ["Müller"], id="umlaut written out before"),
    pytest.param("Bill Smith paid for the goods. Bills are on the table.", [], id="an English word"),
])
def test_a_name_is_found_again_in_another_spelling(plain: Detector, text: str, alone: list[str]) -> None:
    found = plain.find_row({"text": text})["text"]
    assert [text[one.start : one.end] for one in found[1:] if one.entity == "PERSON"] == alone


def test_nothing_is_reached_in_offline_mode(tmp_path: Path) -> None:
    code = ("from app.config import offline\noffline.begin('redact')\nfrom app.data.redaction.detect import Detector, Settings\n"
            "found = Detector(Settings()).find(['Mr. John Smith <j@example.com>, NPI 1234567893, www.linkedin.com/in/john'])[0]\n"
            "print(sorted(one.entity for one in found))")
    env = {**os.environ, offline.VARIABLE: str(tmp_path / offline.FILE)}
    done = subprocess.run([sys.executable, "-c", code], cwd=project_dir(), env=env, capture_output=True, text=True, timeout=120, check=False)
    assert "['EMAIL', 'PERSON', 'URL', 'US_NPI']" in done.stdout, done.stderr
    assert offline.refused(tmp_path) == (0, [])
