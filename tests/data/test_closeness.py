"""The row that a text repeats is found, whatever the number of rows, and the form that all rows share does not count."""

from __future__ import annotations

import random

import pytest

from app.data import closeness
from app.data.closeness import Form, Nearest, jaccard, shingle_set
from app.store.records import Row


def rows(texts: list[str]) -> list[Row]:
    return [Row("text", text=text, position=number) for number, text in enumerate(texts)]


def words(chance: random.Random, count: int) -> list[str]:
    return [f"w{chance.randrange(3000)}" for _ in range(count)]


def test_planted_repeats_are_found_from_the_threshold_on_and_none_below() -> None:
    chance = random.Random(1)
    texts = [words(chance, 60) for _ in range(2000)]
    nearest = Nearest(rows([" ".join(text) for text in texts]), Form(), lambda position: " ".join(texts[position]))
    above = found = 0
    for number in range(600):
        changed = [*texts[number][: 60 - number % 20], *words(chance, number % 20)]
        alike = jaccard(shingle_set(" ".join(texts[number])), shingle_set(" ".join(changed)))
        answer = nearest.find(" ".join(changed), 0.7)
        above += alike >= 0.7
        found += answer is not None and answer[0] == number
        assert answer is None or answer[1] >= 0.7
    assert above > 200
    assert found >= 0.995 * above


def test_the_most_alike_row_is_named_also_among_those_just_added() -> None:
    nearest = Nearest(rows(["a b c d e f g h i j"]), Form(), lambda _: "a b c d e f g h i j")
    nearest.add(7, "a b c d e f g h i k")
    assert nearest.find("A b c d e f g h i k", 0.5) == (7, 1.0)
    assert nearest.find("entirely other words here", 0.1) is None


def test_words_that_most_rows_share_are_the_form() -> None:
    order = "read this notice and answer with the name of the licence"
    texts = [f"{order}: {' '.join(words(random.Random(number), 9))}" for number in range(20)]
    form = Form.of(rows(texts))
    assert order.split()[3] not in form.own_words(texts[0])
    assert texts[0].split()[-1] in form.own_words(texts[0])
    assert [texts[0][start:end] for start, end in form.fixed_spans(texts[0])] == order.split()
    assert form.own(order) == shingle_set(order)


def test_a_handful_of_rows_has_no_form() -> None:
    assert not Form.of(rows(["the same words again"] * 5)).usual


def test_made_texts_are_found_also_when_they_left_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closeness, "REMEMBERED", 5)
    chance = random.Random(4)
    texts = {position: " ".join(words(chance, 12)) for position in range(40)}
    asked_for: list[int] = []
    nearest = Nearest(rows([texts[0]]), Form(), lambda position: asked_for.append(position) or texts[position])  # type: ignore[func-returns-value]  # append gives None: that is used
    for position in range(1, 40):
        nearest.add(position, texts[position])
    assert [nearest.find(text, 0.9) for text in texts.values()] == [(position, 1.0) for position in texts]
    assert 3 in asked_for
    assert 39 not in asked_for
