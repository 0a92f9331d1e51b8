"""Answers are checked mechanically, and hostile ones cost nothing but their score."""

from __future__ import annotations

import json
import time

import pytest
from pydantic import ValidationError

from app.evaluation.checks import (
    LONGEST_ANSWER,
    FieldCheck,
    Task,
    check_field,
    headline,
    parse_object,
    refusal,
    same_expression,
    score,
    word_f1,
)

NOTICE = "Licensed under the Apache License, Version 2.0 (the License)"
TASK = Task.model_validate({"format": "json", "fields": {
    "expression": {"check": "spdx"}, "category": {"check": "equals"}, "quote": {"check": "verbatim"}}})
RIGHT = {"expression": "Apache-2.0", "category": "Permissive", "quote": "Apache License, Version 2.0"}


@pytest.mark.parametrize(("answer", "expected", "value"), [
    pytest.param("the cat sat", "the cat sat", 1.0, id="equal"),
    pytest.param("the cat", "the dog", 0.5, id="one of two"),
    pytest.param("a b c d", "a b", 2 / 3, id="precision .5, recall 1"),
    pytest.param("a a a", "a", 0.5, id="repeats count once"),
    pytest.param("A, B!", "a b", 1.0, id="case and punctuation"),
    pytest.param("", "a", 0.0, id="empty answer"),
    pytest.param("a", "", 0.0, id="empty expected"),
    pytest.param("!!!", "!!!", 0.0, id="no words"),
])
def test_word_f1(answer, expected, value):
    assert word_f1(answer, expected) == pytest.approx(value)


@pytest.mark.parametrize("answer", [
    pytest.param("Sure! " + json.dumps(RIGHT), id="text before it"),
    pytest.param(json.dumps(RIGHT) + " Hope this helps.", id="text after it"),
    pytest.param("```json\n" + json.dumps(RIGHT) + "\n```", id="fence"),
    pytest.param("[" + json.dumps(RIGHT) + "]", id="list"),
    pytest.param('{"expression": "MIT", "expression": "Apache-2.0"}', id="duplicate key"),
    pytest.param('{"expression": NaN}', id="not a number"),
    pytest.param('{"expression": "Apache-2.0"', id="cut short"),
    pytest.param('{"a": "' + "x" * LONGEST_ANSWER + '"}', id="huge"),
    pytest.param('{"a":' * 5000, id="deep"),
    pytest.param('{"a": ' + "9" * 6000 + "}", id="an integer beyond the reader's limit"),
    pytest.param("", id="empty"),
    pytest.param("null", id="null"),
    pytest.param("\x00\ud800", id="broken characters"),
])
def test_an_answer_that_is_not_one_json_object_scores_nothing(answer):
    assert parse_object(answer) is None
    assert set(score(TASK, answer, json.dumps(RIGHT), NOTICE).values()) == {0.0}


def test_the_right_answer_scores_full_in_any_key_order():
    shuffled = json.dumps(dict(reversed(RIGHT.items())), indent=2)
    found = score(TASK, shuffled, json.dumps(RIGHT), NOTICE)
    assert found == {"valid": 1.0, "expression": 1.0, "category": 1.0, "quote": 1.0, "quote_verbatim": 1.0}
    assert headline(TASK, found) == 1.0


@pytest.mark.parametrize(("quote", "value", "verbatim"), [
    pytest.param("Apache License, Version 2.0", 1.0, 1.0, id="as marked"),
    pytest.param("Apache License,  Version 2.0", 0.0, 0.0, id="other white space"),
    pytest.param("Apache License,\nVersion 2.0", 0.0, 0.0, id="line break"),
    pytest.param("apache license, version 2.0", 0.0, 0.0, id="other case"),
    pytest.param("Apache Licence, Version 2.0", 0.0, 0.0, id="spelling mended"),
    pytest.param("Apache\u00a0License, Version 2.0", 0.0, 0.0, id="no-break space"),
    pytest.param("Apache License", 2 * 1 * 0.4 / 1.4, 1.0, id="fewer words: a quote, part of the score"),
    pytest.param(NOTICE, None, 1.0, id="the whole notice: a quote, not full score"),
    pytest.param("Licensed under", 0.0, 1.0, id="a quote of other words"),
    pytest.param("", 0.0, 0.0, id="empty"),
    pytest.param("   ", 0.0, 0.0, id="white space"),
    pytest.param(None, 0.0, 0.0, id="null"),
    pytest.param(["Apache License, Version 2.0"], 0.0, 0.0, id="list"),
    pytest.param({"Apache": 1}, 0.0, 0.0, id="object"),
])
def test_a_quote_counts_only_letter_for_letter(quote, value, verbatim):
    found = score(TASK, json.dumps(RIGHT | {"quote": quote}), json.dumps(RIGHT), NOTICE)
    assert found["quote_verbatim"] == verbatim
    if value is None:
        assert 0 < found["quote"] < 1
    else:
        assert found["quote"] == pytest.approx(value)


@pytest.mark.parametrize(("first", "second", "same"), [
    ("MIT", "MIT", True),
    ("mit", "MIT", True),
    ("MIT OR Apache-2.0", "apache-2.0 or MIT", True),
    ("(MIT)", "MIT", True),
    ("MIT AND MIT", "MIT", True),
    ("(MIT OR Apache-2.0) AND MIT", "MIT", True),
    ("MIT AND Apache-2.0", "MIT OR Apache-2.0", False),
    ("GPL-2.0-only", "GPL-2.0-or-later", False),
    ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only", False),
    ("MIT OR", "MIT", False),
    ("((((", "MIT", False),
    ("", "MIT", False),
    ("MIT; DROP TABLE", "MIT", False),
    ("Made-Up-1.0", "Made-Up-2.0", False),
])
def test_expressions_are_equal_after_normalisation(first, second, same):
    assert same_expression(first, second) is same
    assert same_expression(second, first) is same


def test_hostile_expressions_cost_no_time():
    started = time.monotonic()
    for hostile in ("(" * 100_000, "MIT AND " * 50_000, "(ISC OR 0BSD) AND (Zlib OR curl) AND " * 10 + "MIT", "x" * 10**6, "(" * 399):
        assert not same_expression(hostile, "MIT")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(("value", "expected", "points"), [
    ("Permissive", "Permissive", 1.0), (" Permissive ", "Permissive", 1.0), ("permissive", "Permissive", 0.0),
    (3, 3, 1.0), (3, 4, 0.0), (3, 3.0, 1.0), (1, True, 0.0), ("3", 3, 1.0), (None, "x", 0.0), ("None", None, 0.0),
    (None, None, 1.0), ([1], [1], 0.0), ({"a": 1}, {"a": 1}, 0.0),
])
def test_equals(value, expected, points):
    assert check_field(FieldCheck(check="equals"), value, expected, "") == points


@pytest.mark.parametrize(("value", "expected", "points"), [
    pytest.param({"a": 1, "b": [2.0]}, {"b": [2], "a": 1}, 1.0, id="order of keys, 2.0"),
    pytest.param(["AC", "HS"], ["HS", "AC"], 0.0, id="order of a list"),
    pytest.param({"a": 1}, {"a": True}, 0.0, id="true is not 1"),
    pytest.param({"a": 1}, {"a": "1"}, 0.0, id="text is no number"),
    pytest.param({"a": None}, {}, 0.0, id="null is not absent"),
    pytest.param({"a": 1}, None, 0.0, id="should be left out"),
    pytest.param(None, {"a": 1}, 0.0, id="left out"),
    pytest.param(None, None, 1.0, id="rightly left out"),
    pytest.param("AC", ["AC"], 0.0, id="text for a list"),
])
def test_json_compares_the_whole_value(value, expected, points):
    assert check_field(FieldCheck(check="json"), value, expected, "") == points


NESTED = Task.model_validate({"format": "json", "headline": "all", "fields": {
    "dose": {"check": "json"}, "every": {"path": "timing.repeat.period"}, "why": {"check": "verbatim", "path": "asNeeded.text"}}})


@pytest.mark.parametrize(("answer", "right"), [
    pytest.param({"dose": {"value": 1}, "timing": {"repeat": {"period": 6}}, "asNeeded": {"text": "pain"}}, {"dose", "every", "why"}, id="all"),
    pytest.param({"dose": {"value": 2}, "timing": {"repeat": {"period": 6}}, "asNeeded": {"text": "pain"}}, {"every", "why"}, id="one wrong"),
    pytest.param({"dose": {"value": 1}, "timing": "6", "asNeeded": ["pain"]}, {"dose"}, id="no objects where they belong"),
    pytest.param({"timing.repeat.period": 6}, set(), id="a key with dots is not a place"),
])
def test_nested_values_are_found_by_their_path(answer, right):
    expected = NESTED.written({"dose": {"value": 1}, "every": 6, "why": "pain"})
    found = score(NESTED, json.dumps(answer), expected, "1 tab q6h prn pain")
    assert {name for name in NESTED.fields if found[name]} == right
    assert headline(NESTED, found) == found["all"] == float(len(right) == 3)


def test_a_quote_may_be_rightly_left_out():
    expected = NESTED.written({"dose": {"value": 1}, "every": 6, "why": None})
    assert json.loads(expected) == {"dose": {"value": 1}, "timing": {"repeat": {"period": 6}}}
    assert score(NESTED, expected, expected, "1 tab q6h")["why_verbatim"] == 1.0
    added = NESTED.written({"dose": {"value": 1}, "every": 6, "why": "tab"})
    assert score(NESTED, added, expected, "1 tab q6h") == {
        "valid": 1.0, "dose": 1.0, "every": 1.0, "why": 0.0, "why_verbatim": 1.0, "all": 0.0}


def test_two_fields_cannot_stand_at_the_same_place():
    with pytest.raises(ValidationError, match=r"same place: timing and timing\.repeat"):
        Task.model_validate({"fields": {"timing": {}, "timer": {}, "often": {"path": "timing.repeat"}}})


ENTRY = Task.model_validate({"format": "json", "fields": {"debit": {"check": "json", "balances": "credit"}, "credit": {"check": "json"}}})
POSTED = '{"debit": {"Cleaning": 120.10, "VAT": 24.02}, "credit": {"Creditors": 144.12}}'


@pytest.mark.parametrize(("debit", "right", "balanced"), [
    pytest.param('{"Cleaning": 120.10, "VAT": 24.02}', 1.0, 1.0, id="as expected"),
    pytest.param('{"VAT": 24.020, "Cleaning": 120.1}', 1.0, 1.0, id="any order, any trailing nought"),
    pytest.param('{"Laundry": 120.10, "VAT": 24.02}', 0.0, 1.0, id="another name still balances"),
    pytest.param('{"Cleaning": 144.12}', 0.0, 1.0, id="a name left out still balances"),
    pytest.param('{"Cleaning": 120.11, "VAT": 24.02}', 0.0, 0.0, id="a penny off"),
    pytest.param('{"Cleaning": 24.02, "VAT": 120.10}', 0.0, 1.0, id="numbers exchanged"),
    pytest.param('{"Cleaning": 120.10, "VAT": 24.02, "Rent": 0}', 0.0, 1.0, id="a name too many"),
    pytest.param('{"Cleaning": "120.10", "VAT": 24.02}', 0.0, 0.0, id="number as text"),
    pytest.param('{"Cleaning": 1e999, "VAT": 1}', 0.0, 0.0, id="beyond every number"),
    pytest.param('{"Cleaning": 1e300, "VAT": 1}', 0.0, 0.0, id="beyond every account"),
    pytest.param('{"Cleaning": true, "VAT": 143.12}', 0.0, 0.0, id="truth is no number"),
    pytest.param('{"Cleaning": null, "VAT": 144.12}', 0.0, 0.0, id="null"),
    pytest.param('{"Cleaning": {"net": 120.10}, "VAT": 24.02}', 0.0, 0.0, id="nested"),
    pytest.param("{}", 0.0, 0.0, id="empty"),
    pytest.param("144.12", 0.0, 0.0, id="a bare number"),
])
def test_both_sides_balance_or_not_whether_or_not_they_are_right(debit, right, balanced):
    answer = '{"debit": ' + debit + ', "credit": {"Creditors": 144.12}}'
    found = score(ENTRY, answer, POSTED, "")
    assert found == {"valid": 1.0, "debit": right, "credit": 1.0, "debit_balances": balanced}
    assert headline(ENTRY, found) == (right + 1) / 2


def test_nothing_balances_without_a_readable_answer():
    assert score(ENTRY, "no entry", POSTED, "") == {"valid": 0.0, "debit": 0.0, "credit": 0.0, "debit_balances": 0.0}
    assert score(ENTRY, '{"debit": {"A": 1}}', POSTED, "")["debit_balances"] == 0.0
    assert score(ENTRY, "{}", "{}", "")["debit_balances"] == 0.0


def test_tenths_add_up():
    entry = '{"debit": {"A": 0.1, "B": 0.2}, "credit": {"C": 0.3}}'
    assert score(ENTRY, entry, entry, "")["debit_balances"] == 1.0


@pytest.mark.parametrize("other", ["total", "type"])
def test_a_field_can_only_balance_another_that_is_checked_as_json(other):
    with pytest.raises(ValidationError, match=f"debit balances {other}"):
        Task.model_validate({"format": "json", "fields": {"debit": {"check": "json", "balances": other}, "type": {}}})


@pytest.mark.parametrize(("answer", "exact", "f1"), [(" Paris\n", 1.0, 1.0), ("Paris, France", 0.0, 2 / 3), ("Rome", 0.0, 0.0)])
def test_a_text_task_has_exact_match_and_f1(answer, exact, f1):
    found = score(Task(format="text", fields={}), answer, "Paris", "Which city?")
    assert found == {"exact": exact, "f1": pytest.approx(f1)}
    assert headline(Task(format="text", fields={}), found) == pytest.approx(f1)


def test_the_headline_of_a_json_task_is_the_mean_of_its_fields_alone():
    assert headline(TASK, {"valid": 1.0, "expression": 1.0, "category": 0.0, "quote": 0.5, "quote_verbatim": 1.0}) == 0.5


def test_an_unknown_check_is_refused():
    with pytest.raises(ValidationError, match="verbatim"):
        Task.model_validate({"format": "json", "fields": {"a": {"check": "fuzzy"}}})


# -- refusals -------------------------------------------------------------------------------------------------------
REFUSING = TASK.model_copy(update={"behaviour_field": "refusal"})
REFUSAL = '{"refusal": "out of scope"}'


@pytest.mark.parametrize(("answer", "refused"), [
    pytest.param(REFUSAL, 1.0, id="as expected"),
    pytest.param(' {\n"refusal": "out of scope"} ', 1.0, id="other white space"),
    pytest.param('{"refusal": "not advice"}', 0.0, id="for another reason"),
    pytest.param('{"refusal": "Out of scope"}', 0.0, id="other case"),
    pytest.param('{"refusal": "out of scope", "quote": "x"}', 0.0, id="refuses and answers"),
    pytest.param(json.dumps(RIGHT), 0.0, id="answers"),
    pytest.param("I cannot answer that: out of scope", 0.0, id="says it in prose"),
    pytest.param("", 0.0, id="empty"),
])
def test_a_question_to_refuse_is_right_only_with_that_refusal_and_nothing_else(answer, refused):
    found = score(REFUSING, answer, REFUSAL, "What is the weather?")
    assert found == {"refused": refused}
    assert headline(REFUSING, found) == refused


@pytest.mark.parametrize("answer", [REFUSAL, json.dumps(RIGHT | {"refusal": "not advice"})])
def test_an_answer_that_refuses_a_task_question_has_no_field_right(answer):
    found = score(REFUSING, answer, json.dumps(RIGHT), NOTICE)
    assert refusal(REFUSING, answer)
    assert found == {"valid": 1.0, "expression": 0.0, "category": 0.0, "quote": 0.0, "quote_verbatim": 0.0}


@pytest.mark.parametrize("answer", ['{"refusal": ""}', '{"refusal": null}', "{}", "no JSON", json.dumps(RIGHT)])
def test_an_empty_refusal_is_none(answer):
    assert refusal(REFUSING, answer) == ""


def test_without_a_behaviour_field_nothing_is_a_refusal():
    assert refusal(TASK, REFUSAL) == ""
    assert score(TASK, json.dumps(RIGHT | {"refusal": "x"}), json.dumps(RIGHT), NOTICE)["quote"] == 1.0


def test_the_behaviour_field_cannot_be_one_of_the_tasks_own():
    with pytest.raises(ValidationError, match="also a field of the task"):
        Task.model_validate({"format": "json", "fields": {"refusal": {}}, "behaviour_field": "refusal"})
