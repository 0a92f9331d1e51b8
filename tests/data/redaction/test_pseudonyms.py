"""One stand-in for one person, whatever the spelling, and the same one in every rerun."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.data.redaction import checks
from app.data.redaction.pseudonyms import Pseudonyms, parse_name
from app.store import Store
from app.store.datasets import DatasetDb, create_dataset, open_dataset


@pytest.fixture
def db(store: Store) -> Iterator[DatasetDb]:
    with open_dataset(store, create_dataset(store, "people")) as opened:
        yield opened


def pseudonyms(db: DatasetDb, mode: Any = "placeholder") -> Pseudonyms:
    return Pseudonyms(db, mode, lambda statement, *values: db.conn.execute(statement, values))


def persons(given: Pseudonyms, *rows: list[str]) -> list[list[str]]:
    answers = [given.of_row([("PERSON", name) for name in row]) for row in rows]
    return [[answer["PERSON", name] for name in row] for answer, row in zip(answers, rows, strict=True)]


@pytest.mark.parametrize(("rows", "numbers"), [
    pytest.param([["Anna Müller"], ["A. Mueller"], ["Müller, Anna"], ["ANNA MÜLLER"], ["Dr. Anna Muller"]], [[1], [1], [1], [1], [1]], id="spellings over rows"),
    pytest.param([["A. Mueller"], ["Anna Müller"], ["A. Müller"]], [[1], [1], [1]], id="the initial comes first"),
    pytest.param([["Müller", "Anna Müller"]], [[1, 1]], id="family name alone in the row"),
    pytest.param([["Anna Müller"], ["Müller"]], [[1], [1]], id="family name alone elsewhere, only one of that name"),
    pytest.param([["Anna Müller"], ["Bernd Müller"], ["Müller"]], [[1], [2], [3]], id="family name alone, two of that name"),
    pytest.param([["Anna Müller"], ["Bernd Müller"], ["Bernd Müller", "Müller"]], [[1], [2], [2, 2]], id="two of that name, one in the row"),
    pytest.param([["Anna Müller"], ["Andreas Müller"], ["A. Müller"]], [[1], [2], [3]], id="an initial that fits two"),
    pytest.param([["José García Pérez"], ["José García"], ["Sr. García"]], [[1], [1], [1]], id="two family names"),
    pytest.param([["Katharina von Arnim"], ["von Arnim, Katharina"], ["K. VON ARNIM"]], [[1], [1], [1]], id="particles"),
    pytest.param([["Anna Müller", "Anna"]], [[1, 1]], id="given name alone in the row"),
    pytest.param([["An\u200bna Mü\u00adller"], ["\u0410nna Müller"]], [[1], [1]], id="in disguise"),
    pytest.param([["Åke Öberg"], ["Oberg Åke"], ["Å. Öberg"]], [[1], [1], [1]], id="family name first, no comma"),
    pytest.param([["Anna Müller"], ["Anna Schmidt"]], [[1], [2]], id="same given name"),
    pytest.param([["Yusra Martin"], ["Y. Martin"], ["Martin, Yusra"], ["Martin"]], [[1], [1], [1], [1]], id="family name that is a given one too"),
    pytest.param([["Martin, Yusra"], ["Yusra Martin"]], [[1], [1]], id="the same, the comma first"),
    pytest.param([["Yusra Martin", "Martin", "Yusra"]], [[1, 1, 1]], id="its parts alone in the row"),
    pytest.param([["Yusra Martin"], ["Farida Martin"], ["F. Martin"]], [[1], [2], [2]], id="two of such a name"),
    pytest.param([["Şahin Yıldız"], ["S. Yildiz"], ["YILDIZ, ŞAHİN"]], [[1], [1], [1]], id="letters without their marks, Turkish"),
    pytest.param([["Željko Đorđević"], ["Z. Dordevic"]], [[1], [1]], id="the same, Slavic"),
    pytest.param([["María del Carmen Fernández López"], ["Fernández López"], ["Ruiz López"]], [[1], [1], [2]], id="both family names, Spanish"),
    pytest.param([["Fernández López", "María Fernández López"], ["Sara Fernández López"], ["Fernández López"]], [[1, 1], [2], [1]], id="the same, two of them"),
    pytest.param([["Jürgen Weiß-Köhler"], ["WEISS-KOEHLER, JUERGEN"]], [[1], [1]], id="umlauts written out"),
])
def test_the_same_person_has_the_same_number(db: DatasetDb, rows: list[list[str]], numbers: list[list[int]]) -> None:
    assert persons(pseudonyms(db), *rows) == [[f"[PERSON_{number}]" for number in row] for row in numbers]


def test_numbers_are_the_same_in_a_rerun_and_others_in_another_dataset(store: Store, db: DatasetDb) -> None:
    first = persons(pseudonyms(db), ["Bernd Koch"], ["Anna Müller"])
    assert persons(pseudonyms(db), ["Anna Müller"], ["Bernd Koch"]) == first[::-1]
    with open_dataset(store, create_dataset(store, "other")) as other:
        surrogate = pseudonyms(other, "surrogate").of_row([("PHONE", "0176 12345678")])
    assert surrogate != pseudonyms(db, "surrogate").of_row([("PHONE", "0176 12345678")])


def test_spellings_of_a_number_are_one(db: DatasetDb) -> None:
    given = pseudonyms(db)
    cards = ["4111 1111 1111 1111", "4111-1111-1111-1111", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "４１１１111111111111"]
    assert {given.of_row([("CREDIT_CARD", card)])["CREDIT_CARD", card] for card in cards} == {"[CREDIT_CARD_1]"}
    for entity, spellings in {
        "PHONE": ["+49 89 1234567", "089 / 123 45 67", "0049 89 1234567", "+49 (0)89 1234567"],
        "BIRTH_DATE": ["1958-04-02", "1958-04-02T00:00:00", "2.4.1958", "02.04.1958"],
        "SE_PERSONNUMMER": ["811218-9876", "19811218-9876", "8112189876"],
    }.items():
        assert {given.of_row([(entity, one)])[entity, one] for one in spellings} == {f"[{entity}_1]"}
    american = ["(415) 555-2671", "+1 415 555 2671", "1-415-555-2671", "415.555.2671"]
    assert {given.of_row([("PHONE", one)])["PHONE", one] for one in american} == {"[PHONE_2]"}
    assert given.of_row([("PHONE", "0170 1234567")]) == {("PHONE", "0170 1234567"): "[PHONE_3]"}
    assert given.of_row([("PHONE", "+49 170 1234567")]) == {("PHONE", "+49 170 1234567"): "[PHONE_3]"}
    mails = ["Jane@Example.com", "jane (at) example.com"]
    assert {given.of_row([("EMAIL", mail)])["EMAIL", mail] for mail in mails} == {"[EMAIL_1]"}


def test_the_table_holds_no_name(db: DatasetDb) -> None:
    persons(pseudonyms(db), ["Anna Müller"])
    held = b" ".join(value for row in db.conn.execute("SELECT name, given, initial FROM pseudonyms") for value in row)
    assert b"ller" not in held.lower()
    assert b"anna" not in held.lower()


@pytest.mark.parametrize(("entity", "text", "check"), [
    ("CREDIT_CARD", "4111 1111 1111 1111", checks.card), ("UK_NHS", "943 476 5919", checks.nhs), ("DE_TAX_ID", "86095742719", checks.steuer_id),
    ("ES_NIF", "12345678Z", checks.nif), ("SE_PERSONNUMMER", "900118-9811", checks.personnummer), ("IBAN", "GB82WEST12345698765432", checks.iban), ("US_DEA", "BB1388568", checks.dea)])
def test_a_surrogate_has_the_form_and_is_nobodys(db: DatasetDb, entity: str, text: str, check: Any) -> None:
    made = pseudonyms(db, "surrogate").of_row([(entity, text)])[entity, text]
    assert [sign.isdigit() for sign in made] == [sign.isdigit() for sign in text]
    assert made != text
    assert not check("".join(sign for sign in made if sign.isalnum()))


@pytest.mark.parametrize(("spelling", "shape"), [("Anna Müller", 2), ("MÜLLER, ANNA", 2), ("A. Müller", 2), ("Müller", 1)])
def test_a_surrogate_name_keeps_the_spelling(db: DatasetDb, spelling: str, shape: int) -> None:
    made = pseudonyms(db, "surrogate").of_row([("PERSON", spelling)])["PERSON", spelling]
    assert (len(made.split()), made.isupper(), "," in made, "." in made) == (shape, spelling.isupper(), "," in spelling, "." in spelling)


def test_labels_carry_no_number(db: DatasetDb) -> None:
    assert persons(pseudonyms(db, "label"), ["Anna Müller", "Bernd Koch"]) == [["[PERSON]", "[PERSON]"]]


def test_parts_of_a_name() -> None:
    assert parse_name("Dr. jur. Anna-Lena von Müller-Schmidt") == ((("muller", "schmidt"), "anna-lena", "a"),)
