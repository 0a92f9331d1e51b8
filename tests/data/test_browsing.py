"""Finding rows by state, words, score and rating, in order, and reading them by their places."""

from __future__ import annotations

import pytest

from app.data import browse, by_hand, derive, search
from app.data.browse import RowFilter
from app.store.datasets import open_dataset
from tests.data.versions import chat, imported

ROWS = [chat(f"Notice {number} about {'licences' if number % 2 else 'Gebühren'}", "MIT" if number % 3 else "GNU General Public License",
             "test" if number % 5 == 0 else "train", source=f"doc-{number}") for number in range(1, 41)]


@pytest.fixture
def dataset(store):
    return imported(store, ROWS)


def prepare(store, dataset, version=1, words=True):
    while not search.prepare(store, dataset, version, words).complete:
        pass


def places(store, dataset, version, wanted):
    """All that a filter finds, slice by slice."""
    part = browse.find(store, dataset, version, wanted)
    found = list(part.places)
    while part.after is not None:
        part = browse.find(store, dataset, version, wanted, part.after)
        found += part.places
    return found


@pytest.fixture
def small_slices(monkeypatch):
    """So small that each walk goes on many times."""
    for name, value in (("SPAN", 3), ("FIRST_BATCH", 2), ("BATCH", 3), ("FIRST_SECONDS", 0), ("SLICE_SECONDS", 0)):
        monkeypatch.setattr(browse, name, value)


def test_a_version_without_gaps_is_a_range(store, dataset):
    assert browse.find(store, dataset, 1, RowFilter()).places == range(1, 41)


def test_a_gap_is_no_place(store, small_slices):
    dataset = imported(store, [chat("a", position=2), chat("b", position=9), chat("c", position=10)])
    assert places(store, dataset, 1, RowFilter()) == [2, 9, 10]


@pytest.mark.parametrize(("wanted", "found"), [
    pytest.param(RowFilter(split="test"), list(range(5, 41, 5)), id="use"),
    pytest.param(RowFilter("removed"), [], id="nothing removed"),
    pytest.param(RowFilter(words="gpl"), [], id="no such word"),
    pytest.param(RowFilter(words=" -- "), list(range(1, 41)), id="nothing that could be found"),
    pytest.param(RowFilter(words="GENERAL public"), list(range(3, 41, 3)), id="words in any case"),
    pytest.param(RowFilter(words='"public general"'), [], id="phrase in another order"),
    pytest.param(RowFilter(words='"general public"', split="test"), [15, 30], id="phrase and use"),
    pytest.param(RowFilter(words="gebuhr"), list(range(2, 41, 2)), id="beginning, without accents"),
    pytest.param(RowFilter(words="gebuhr "), [], id="whole word"),
    pytest.param(RowFilter(words="gebuhr* mit"), [n for n in range(2, 41, 2) if n % 3], id="beginning before a word"),
    pytest.param(RowFilter(words="doc-17"), [17], id="metadata"),
    pytest.param(RowFilter(words='no"quote'), [], id="a quotation mark in a word"),
])
def test_what_is_wanted_is_found_in_order(store, dataset, small_slices, wanted, found):
    prepare(store, dataset)
    assert list(browse.in_order(store, dataset, 1, wanted, places(store, dataset, 1, wanted))) == found


def scored(store, dataset):
    with open_dataset(store, dataset) as db:
        db.put_scores((row.hash, "quality", ((row.position * 7) % 40) / 40) for row in db.iter_rows(1))


def test_the_worst_rows_come_first(store, dataset, small_slices):
    scored(store, dataset)
    prepare(store, dataset, words=False)
    found = places(store, dataset, 1, RowFilter(score="quality", low=0.1, high=0.3))
    values = [row.score for row in browse.read_rows(store, dataset, 1, found, RowFilter(score="quality"))]
    assert values == [number / 40 for number in range(4, 13)]
    assert places(store, dataset, 1, RowFilter(score="quality", low=0.1, high=0.3, descending=True)) == found[::-1]


def test_found_by_words_in_the_order_of_a_score(store, dataset):
    scored(store, dataset)
    prepare(store, dataset)
    wanted = RowFilter(words="general", score="quality", high=0.5)
    found = browse.in_order(store, dataset, 1, wanted, places(store, dataset, 1, wanted))
    assert [row.score for row in browse.read_rows(store, dataset, 1, found, wanted)] == sorted(
        ((n * 7) % 40) / 40 for n in range(3, 41, 3) if (n * 7) % 40 <= 20)


def test_rated_rows_are_found_by_their_rating(store, dataset, small_slices):
    by_hand.rate(store, dataset, 1, [4, 8, 15], -1, "wrong licence")
    by_hand.rate(store, dataset, 1, [8], None)
    prepare(store, dataset, words=False)
    assert places(store, dataset, 1, RowFilter(rating=-1)) == [4, 15]
    assert browse.whole_row(store, dataset, 1, 15, RowFilter()).note == "wrong licence"


def test_the_same_content_twice_is_found_at_both_places(store, small_slices):
    dataset = imported(store, [chat("twin"), chat("other"), chat("twin")])
    prepare(store, dataset)
    assert places(store, dataset, 1, RowFilter(words="twin")) == [1, 3]


def test_states_are_told_against_the_parent_or_another_version(store, dataset, small_slices, monkeypatch):
    monkeypatch.setattr(by_hand, "SITTING_SECONDS", -1.0)  # each change is a version
    by_hand.take_out(store, dataset, 1, [2, 3])
    by_hand.edit(store, dataset, 2, 7, {"messages.1": "BSD"})
    derive.undo(store, dataset, 3, [3])
    states = {row.position: row.state for row in browse.read_rows(store, dataset, 4, [2, 3, 7, 8], RowFilter())}
    assert states == {2: "removed", 3: "back", 7: "kept", 8: "kept"}
    against = [places(store, dataset, 4, RowFilter(state, against=1)) for state in ("removed", "changed", "back", "added")]
    assert against == [[2], [7], [], []]
    assert places(store, dataset, 4, RowFilter("removed")) == [2]
    assert places(store, dataset, 4, RowFilter("removed", reason="removed_by_hand")) == [2]
    assert browse.whole_row(store, dataset, 4, 7, RowFilter(against=1)).before.answer == "MIT"


def test_a_page_keeps_the_order_of_its_places(store, dataset):
    assert [row.position for row in browse.read_rows(store, dataset, 1, [9, 3, 40], RowFilter())] == [9, 3, 40]


def test_what_was_set_aside_is_read_by_its_number(store, dataset, small_slices):
    with open_dataset(store, dataset) as db:
        db.conn.executemany("INSERT INTO rejects VALUES (1, ?, 'not valid JSON', ?)", [(n, f"{{bad {n}") for n in (12, 11, 99, 50)])
    wanted = RowFilter("set_aside")
    rows = browse.read_rows(store, dataset, 1, places(store, dataset, 1, wanted), wanted)
    assert [(row.position, row.reason) for row in rows] == [(n, "not valid JSON") for n in (11, 12, 50, 99)]
    assert len(places(store, dataset, 1, RowFilter("set_aside", words="99"))) == 1


# ---- the search index --------------------------------------------------------------------------------------------------------


def test_a_later_version_adds_only_its_new_rows(store, dataset):
    prepare(store, dataset)
    with open_dataset(store, dataset) as db:
        before = db.conn.execute("SELECT count(*) FROM row_words_docsize").fetchone()[0]
    by_hand.edit(store, dataset, 1, 7, {"messages.1": "Mozilla"})
    assert not search.state(store, dataset, 2).complete
    prepare(store, dataset, 2)
    with open_dataset(store, dataset) as db:
        assert db.conn.execute("SELECT count(*) FROM row_words_docsize").fetchone()[0] == before + 1
    assert places(store, dataset, 2, RowFilter(words="mozilla")) == [7]
    assert places(store, dataset, 1, RowFilter(words="mozilla")) == []


def test_an_index_that_was_cut_off_is_gone_on_with(store, dataset, monkeypatch):
    monkeypatch.setattr(search, "BATCH", 7)
    monkeypatch.setattr(search, "SLICE_SECONDS", 0)
    with open_dataset(store, dataset) as db:
        with db.write() as conn:
            for statement in search._TABLES:
                conn.execute(statement)
            search._add_batch(conn, 1)
        with pytest.raises(RuntimeError), db.write() as conn:
            search._add_batch(conn, 1)
            raise RuntimeError("killed")
    half = search.state(store, dataset, 1)
    assert not half.complete
    assert 0 < half.share < 1
    monkeypatch.setattr(search, "SLICE_SECONDS", 1)
    prepare(store, dataset)
    assert places(store, dataset, 1, RowFilter(words="notice")) == list(range(1, 41))


def test_the_index_holds_no_text(store, dataset):
    prepare(store, dataset)
    with open_dataset(store, dataset) as db:
        assert db.conn.execute("SELECT words FROM row_words LIMIT 1").fetchone()[0] is None


@pytest.mark.parametrize(("typed", "asked"), [
    pytest.param("lien", '"lien"*', id="still being typed"), pytest.param("lien ", '"lien"', id="typed"),
    pytest.param("a lien", '"a" AND "lien"*', id="two words"), pytest.param('"tax lien', '"tax lien"*', id="phrase not closed"),
    pytest.param('"tax lien"', '"tax lien"', id="phrase"),
    pytest.param("no* x", '"no"* AND "x"', id="a star; one letter is no beginning"), pytest.param(" -- ", "", id="no word"),
    pytest.param("a AND NOT b", '"a" AND "AND" AND "NOT" AND "b"', id="no operators"),
])
def test_what_is_typed_becomes_a_query(typed, asked):
    assert search.match_of(typed) == asked
