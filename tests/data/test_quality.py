"""Scores of a row, what they mean, and the figure of a dataset."""

from __future__ import annotations

import numpy as np
import pytest

from app.data import quality
from app.data.labels import LabelModels, fold_of, label_fields, label_values
from app.data.quality import BARE, CLOSED, OPEN, Languages

NAN = float("nan")


@pytest.mark.parametrize(("text", "low", "high"), [
    pytest.param("The court finds that the licence was granted in writing and for ever.", 0, 0, id="plain words"),
    pytest.param("buy now and save money today " * 10, 0.85, 1, id="one sentence over and over"),
    pytest.param("short", 0, 0, id="too short to repeat"),
    pytest.param("a" * 500, 0.8, 1, id="one letter without blanks"),
    pytest.param("", 0, 0, id="empty"),
])
def test_repetition_is_the_share_that_was_said_before(text: str, low: float, high: float) -> None:
    assert low <= quality.repetition(text) <= high


@pytest.mark.parametrize(("text", "damaged"), [
    pytest.param("Plain ASCII text.", False, id="ascii"),
    pytest.param("Füße, señor, naïve, 日本語 – fine.", False, id="other scripts"),
    pytest.param("The clientâ€™s cafÃ© is closed", True, id="utf-8 read as latin-1"),
    pytest.param("lost \ufffd character", True, id="replacement character"),
    pytest.param("a\x00b", True, id="control character"),
])
def test_damaged_characters_are_seen_and_other_scripts_are_not(text: str, damaged: bool) -> None:
    assert (quality.encoding_damage(text) > 0) == damaged


@pytest.mark.parametrize(("answer", "ending"), [
    pytest.param("It is granted.", CLOSED, id="full stop"),
    pytest.param('{"a": "b"}', CLOSED, id="json"),
    pytest.param('{"quote": "Version 2.0 (the"}', CLOSED, id="json that quotes an open bracket"),
    pytest.param('{"a": "b', OPEN, id="cut json"),
    pytest.param("The licensor grants, and", OPEN, id="cut after and"),
    pytest.param("Der Titel wird zugestellt und", OPEN, id="cut after und"),
    pytest.param("Se notifica al deudor que", OPEN, id="cut after que"),
    pytest.param("Den som betalar och", OPEN, id="cut after och"),
    pytest.param("The creditor then...", OPEN, id="three dots"),
    pytest.param("Permissive", BARE, id="a label"),
    pytest.param("a) first b) second.", CLOSED, id="list marks close nothing"),
    pytest.param("```python\nprint(1)", OPEN, id="open code fence"),
    pytest.param(" ", OPEN, id="nothing"),
])
def test_an_answer_that_breaks_off_is_seen(answer: str, ending: float) -> None:
    assert quality.completeness(answer) == ending


def test_a_bare_end_counts_as_cut_only_where_the_others_end_closed() -> None:
    closed, labels = np.array([CLOSED] * 9 + [BARE], np.float32), np.array([BARE] * 9 + [CLOSED], np.float32)
    assert quality.parts({"complete": closed})["complete"][-1] == 0
    assert quality.parts({"complete": labels})["complete"].tolist() == [1.0] * 10


@pytest.mark.parametrize(("text", "hits"), [
    pytest.param("You are an idiot, kill yourself", 2, id="a word and a phrase"),
    pytest.param("Du Arschloch", 1, id="German"),
    pytest.param("The slut station at the hora of the skit", 0, id="words that are harmless in another language"),
    pytest.param("Scunthorpe grants a licence", 0, id="inside another word"),
])
def test_insults_are_counted_in_100_words(text: str, hits: int) -> None:
    assert quality.toxicity(text) == pytest.approx(100 * hits / len(text.split()))


def test_words_of_the_answer_in_the_question() -> None:
    assert quality.overlap("Licensed under the MIT licence", "MIT licence") == 1
    assert quality.overlap("Licensed under MIT", "MIT Apache") == 0.5
    assert np.isnan(quality.overlap("anything", "?"))


def test_a_language_is_told_only_where_there_is_text_enough() -> None:
    languages = Languages()
    languages.expected = frozenset({"en"})
    assert languages.look("This licence may be used by anyone for any purpose.") == ("en", pytest.approx(1, abs=0.1))
    assert languages.look("Diese Lizenz darf jeder für jeden Zweck benutzen, ohne zu zahlen.") == ("de", pytest.approx(0, abs=0.1))
    assert np.isnan(languages.look("GPL v2")[1])


def test_a_row_is_as_good_as_its_weakest_part_and_the_dataset_as_its_mean_row() -> None:
    made = {"language": np.array([1, 0.5, NAN], np.float32), "judge": np.array([0.2, 1, NAN], np.float32)}
    values = quality.weakest(made)
    assert values.tolist() == pytest.approx([0.2, 0.5, 1.0])
    score, each = quality.dataset_score(made, values)
    assert score == pytest.approx(100 * (0.2 + 0.5 + 1) / 3)
    assert each == pytest.approx({"language": 75.0, "judge": 60.0})


def test_only_what_lies_far_out_counts_against_a_row() -> None:
    lengths = np.array([*range(80, 121), 100_000, 1], np.float32)
    part = quality.parts({"length": lengths})["length"]
    assert part[:-2].min() == 1
    assert part[-2:].tolist() == [0, 0]


def test_the_bars_of_a_distribution_count_every_row() -> None:
    values = np.append(np.linspace(0, 1, 1000), [NAN, 1e9]).astype(np.float32)
    found = quality.histogram(values)
    assert found is not None
    assert len(found["edges"]) == quality.BINS + 1
    assert sum(found["counts"]) == 1001
    assert found["edges"][-1] < 1e6
    assert quality.histogram(np.array([NAN], np.float32)) is None
    assert quality.histogram(np.array([2, 2], np.float32)) == {"edges": [2, 2], "counts": [2]}


# -- labels -------------------------------------------------------------------------------------------------------------
def _labelled(count: int) -> tuple[list[str], list[str]]:
    words = {"fruit": ["apple", "pear", "plum", "cherry"], "metal": ["iron", "copper", "zinc", "silver"]}
    pairs = [(f"{words[kind][n % 4]} and {words[kind][(n + 1 + n // 4 % 3) % 4]} number{n}", kind)
             for n in range(count) for kind in words]
    return [question for question, _ in pairs], [answer for _, answer in pairs]


def test_a_wrong_label_disagrees_with_the_other_rows() -> None:
    questions, answers = _labelled(60)
    answers[0] = "metal"
    agreement = LabelModels(questions, answers, 0).agreement(questions, answers)
    assert agreement[0] < 0.3
    assert np.sort(agreement)[1] > 0.5


def test_a_copy_does_not_vouch_for_a_wrong_label() -> None:
    questions, answers = _labelled(60)
    questions += [questions[0].upper()] * 5
    answers += ["metal"] * 5
    answers[0] = "metal"
    assert LabelModels(questions, answers, 0).agreement(questions, answers)[0] < 0.3
    assert fold_of("A  b") == fold_of("a B")


def test_fields_of_a_json_answer_are_labels_only_if_they_repeat_and_are_not_quoted() -> None:
    rows = [label_values(f'{{"kind": "k{n % 3}", "quote": "q{n % 2}", "id": "{n}"}}') for n in range(30)]
    questions = [f"text with q{n % 2}" for n in range(30)]
    assert label_fields(questions, rows) == ["kind"]


def test_free_text_has_no_labels() -> None:
    answers = [f"A long answer number {n}, " * 8 for n in range(20)]
    models = LabelModels([f"q{n}" for n in range(20)], answers, 0)
    assert models.fields == []
    assert np.isnan(models.agreement(["q"], ["x"])).all()


def test_a_label_that_no_other_row_has_is_not_judged() -> None:
    questions, answers = _labelled(30)
    models = LabelModels(questions, answers, 0)
    assert np.isnan(models.agreement(["apple and iron"], ["never seen"])).all()
