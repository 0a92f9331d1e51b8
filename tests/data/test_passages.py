"""Documents are cut at sentences, with overlap, and every passage knows its place."""

from __future__ import annotations

import itertools
import random

import pytest

from app.data.passages import passages, sentences

TEXT = "First things first. Dr. Smith paid €3.50 for it! Did he?\n\nA heading\n\nThe end came “soon.” Nobody knew"


def test_sentences_end_at_a_sign_or_an_empty_line() -> None:
    assert [TEXT[start:end] for start, end in sentences(TEXT)] == [
        "First things first.", "Dr.", "Smith paid €3.50 for it!", "Did he?", "A heading", "The end came “soon.”", "Nobody knew"]


@pytest.mark.parametrize(("size", "overlap"), [(200, 0), (200, 60), (60, 59), (50, 500), (1000, 100)])
def test_passages_cover_the_document_in_order_and_overlap_as_asked(size: int, overlap: int) -> None:
    chance = random.Random(size)
    text = " ".join("".join(chance.choices("abc de", k=chance.randint(5, 90))).strip() + "x." for _ in range(60))
    found = list(passages(text, size, overlap))
    assert all(text[one.start : one.end] == one.text and 0 < len(one.text) <= size for one in found)
    covered = set()
    for before, after in itertools.pairwise(found):
        assert before.start < after.start
        assert before.end < after.end
        assert before.end - after.start <= overlap
    for one in found:
        covered |= set(range(one.start, one.end))
    assert all(text[place].isspace() for place in range(len(text)) if place not in covered)


@pytest.mark.parametrize(("text", "count"), [("", 0), (" \n ", 0), ("x" * 950, 5), ("no end at all", 1)])
def test_odd_documents_are_cut_too(text: str, count: int) -> None:
    assert len(list(passages(text, 200, 20))) == count


@pytest.mark.parametrize("text", ["." * 300_000 + "x", "a" * 300_000, "\n" * 300_000, "a\n \n" * 60_000, '."' * 100_000])
def test_hostile_documents_take_no_longer_than_others(text: str) -> None:
    assert sum(one.end - one.start for one in passages(text, 2000, 0)) <= len(text)
