"""What a person does to rows, what two versions do not share, and where versions come from."""

from __future__ import annotations

import json

import pytest

from app.data import browse, by_hand, derive, difference, lineage, search
from app.errors import DatasetError, UsageError
from app.store.datasets import open_dataset
from app.store.records import Row
from tests.data.versions import chat, imported


@pytest.fixture
def dataset(store):
    return imported(store, [chat(f"Notice {number}", "MIT", "train", source=f"doc-{number}") for number in range(1, 7)])


def answers(store, dataset, version):
    with open_dataset(store, dataset) as db:
        return {row.position: row.answer for row in db.iter_rows(version)}


def test_an_edited_row_is_a_new_version_and_the_original_stays(store, dataset):
    made = by_hand.edit(store, dataset, 1, 3, {"messages.1": "BSD"})
    assert (made.version, made.rows, made.splits) == (2, 6, {"train": 6})
    assert answers(store, dataset, 2)[3] == "BSD"
    assert answers(store, dataset, 1)[3] == "MIT"
    with open_dataset(store, dataset) as db:
        assert next(row for row in db.iter_rows(2) if row.position == 3).meta == {"source": "doc-3"}
    derive.undo(store, dataset, 2, [3])
    assert answers(store, dataset, 3)[3] == "MIT"


@pytest.mark.parametrize(("texts", "code"), [
    pytest.param({"messages.1": "MIT"}, "dataset.nothing_changed", id="the same"),
    pytest.param({"messages.1": "  "}, "dataset.bad_text", id="blank"),
    pytest.param({"messages.0": "a\x00b"}, "dataset.bad_text", id="NUL"),
    pytest.param({"messages.0": "a" * 2_000_001}, "dataset.bad_text", id="too long"),
])
def test_a_text_that_cannot_be_kept_makes_no_version(store, dataset, texts, code):
    with pytest.raises((UsageError, DatasetError)) as caught:
        by_hand.edit(store, dataset, 1, 3, texts)
    assert caught.value.code == code
    assert [story.version for story in lineage.history(store, dataset)] == [1]


def test_a_removed_row_is_not_edited(store, dataset):
    by_hand.take_out(store, dataset, 1, [3])
    with pytest.raises(UsageError, match="not in use"):
        by_hand.edit(store, dataset, 2, 3, {"messages.1": "BSD"})


def test_rows_taken_out_keep_their_places(store, dataset):
    made = by_hand.take_out(store, dataset, 1, [1, 6, 6])
    assert list(answers(store, dataset, 2)) == [2, 3, 4, 5]
    assert made.report["removed"] == {"removed_by_hand": 2}
    with pytest.raises(UsageError, match="No row would be left"):
        by_hand.take_out(store, dataset, 2, range(1, 7))
    with pytest.raises(UsageError, match="None of these"):
        by_hand.take_out(store, dataset, 2, [1])


def test_a_rating_follows_the_content_and_its_note_stays(store, dataset):
    assert by_hand.rate(store, dataset, 1, [2, 3], 0, "which one?") == 2
    by_hand.rate(store, dataset, 1, [2], 1)
    by_hand.edit(store, dataset, 1, 3, {"messages.1": "BSD"})
    with open_dataset(store, dataset) as db:
        found = db.conn.execute("SELECT v.position, g.rating, g.note FROM version_rows v JOIN ratings g ON g.row = v.row "
                                "WHERE v.version = 2").fetchall()
    assert found == [(2, 1, "which one?")]


@pytest.mark.parametrize("row", [
    Row("text", text="one"), Row("preference", [{"role": "user", "content": "q"}], chosen="a", rejected="b"),
    Row("chat", [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}])],
    ids=lambda row: row.shape)
def test_every_text_of_a_row_can_be_mended(row):
    texts = by_hand.texts_of(row)
    other = by_hand.with_texts(row, {name: text + "!" for name, text in texts.items()})
    assert by_hand.texts_of(other) == {name: text + "!" for name, text in texts.items()}
    assert by_hand.with_texts(other, texts).payload() == row.payload()


# ---- one sitting -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def each_alone(monkeypatch):
    """Every change begins another sitting."""
    monkeypatch.setattr(by_hand, "SITTING_SECONDS", -1.0)


def versions(store, dataset):
    return [story.version for story in lineage.history(store, dataset)]


def test_what_is_mended_in_one_sitting_is_one_version(store, dataset):
    made = by_hand.edit(store, dataset, 1, 1, {"messages.1": "BSD"})
    for number in (2, 3, 4):
        made = by_hand.edit(store, dataset, made.version, number, {"messages.1": f"BSD-{number}"})
    made = by_hand.take_out(store, dataset, made.version, [6])
    assert versions(store, dataset) == [2, 1]
    assert answers(store, dataset, 2) == {1: "BSD", 2: "BSD-2", 3: "BSD-3", 4: "BSD-4", 5: "MIT"}
    assert set(answers(store, dataset, 1).values()) == {"MIT"}
    story = lineage.history(store, dataset)[0]
    assert (story.note, story.rows, story.removed) == ("Changed by hand", 5, 1)
    assert story.did["changed"] == {"edited_by_hand": 4}
    assert story.did["removed"] == {"removed_by_hand": 1}
    with open_dataset(store, dataset) as db:
        assert made.content_hash == derive.figures(db, 2).content_hash


def test_changes_of_a_sitting_are_taken_back_one_by_one(store, dataset):
    for text in ("BSD", "Apache"):
        by_hand.edit(store, dataset, max(versions(store, dataset)), 3, {"messages.1": text})
    by_hand.take_out(store, dataset, 2, [3])
    seen = []
    for _ in range(3):
        made = by_hand.take_back(store, dataset, 2, [3])
        seen.append(answers(store, dataset, 2)[3])
    assert seen == ["Apache", "BSD", "MIT"]
    assert made.report["restored"] == 1
    assert versions(store, dataset) == [2, 1]
    with pytest.raises(UsageError, match="not changed"):
        by_hand.take_back(store, dataset, 2, [3])
    assert answers(store, dataset, 2) == answers(store, dataset, 1)


def run_on(store, dataset, version):
    store.db["runs"].insert({"id": "r", "number": 1, "name": "Run", "document": "", "document_hash": "", "resolved": "{}",
                             "state": "done", "seed": 0, "created": 0})
    rows = {"kind": "rows", "dataset": dataset, "version": version, "rows": 6, "content_hash": "0", "splits": {}}
    store.db["steps"].insert({"run": "r", "id": "open", "position": 0, "node": "dataset.open", "title": "", "needs": "[]", "params": "{}",
                              "bindings": "{}", "state": "done", "outputs": json.dumps({"rows": rows})})


@pytest.mark.parametrize("end", [
    pytest.param(lambda store, dataset: store.db.execute("UPDATE dataset_versions SET finished = finished - 3600"), id="an hour ago"),
    pytest.param(lambda store, dataset: run_on(store, dataset, 2), id="a run took it"),
    pytest.param(lambda store, dataset: store.db["runs"].insert(
        {"id": "r", "number": 1, "name": "Run", "document": "", "document_hash": "", "resolved": f'{{"dataset": "{dataset}"}}',
         "state": "queued", "seed": 0, "created": 0}), id="a run waits for it"),
    pytest.param(lambda store, dataset: derive.undo(store, dataset, 2, [1]), id="another version came of it"),
])
def test_a_version_that_something_may_rest_on_is_not_changed(store, dataset, end):
    by_hand.edit(store, dataset, 1, 1, {"messages.1": "BSD"})
    end(store, dataset)
    made = by_hand.edit(store, dataset, 2, 2, {"messages.1": "BSD"})
    assert made.version == max(versions(store, dataset)) > 2
    assert answers(store, dataset, 2)[2] == "MIT"


def test_a_change_that_fails_leaves_the_sitting_as_it_was(store, dataset, monkeypatch):
    by_hand.edit(store, dataset, 1, 1, {"messages.1": "BSD"})
    before = store.row("SELECT * FROM dataset_versions WHERE version = 2")
    monkeypatch.setattr(by_hand.search, "add_rows", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        by_hand.edit(store, dataset, 2, 2, {"messages.1": "BSD"})
    assert store.row("SELECT * FROM dataset_versions WHERE version = 2") == before
    assert answers(store, dataset, 2)[2] == "MIT"


def test_a_row_mended_after_the_index_was_made_is_found_by_its_new_words(store, dataset):
    by_hand.edit(store, dataset, 1, 1, {"messages.1": "BSD"})
    while not search.prepare(store, dataset, 2).complete:
        pass
    by_hand.edit(store, dataset, 2, 2, {"messages.1": "Mozilla"})
    assert list(browse.find(store, dataset, 2, browse.RowFilter(words="mozilla")).places) == [2]


# ---- two versions ----------------------------------------------------------------------------------------------------------


def test_two_versions_differ_by_kind_and_reason(store, dataset, each_alone):
    by_hand.take_out(store, dataset, 1, [1, 2])
    by_hand.edit(store, dataset, 2, 4, {"messages.1": "BSD"})
    derive.undo(store, dataset, 3, [2])
    found = difference.compare(store, dataset, 1, 4)
    assert found.kinds == {"removed": {"removed_by_hand": 1}, "changed": {"edited_by_hand": 1}}
    assert difference.compare(store, dataset, 2, 4).count("back") == 1
    assert difference.compare(store, dataset, 4, 4).kinds == {}


def test_use_that_changed_and_places_that_went_are_counted(store, dataset):
    by_hand.take_out(store, dataset, 1, [1])
    with open_dataset(store, dataset) as db:
        db.conn.execute("UPDATE version_rows SET split = 'test' WHERE version = 2 AND position IN (5, 6)")
        db.conn.execute("DELETE FROM version_rows WHERE version = 2 AND position = 2")
    found = difference.compare(store, dataset, 1, 2)
    assert (found.moved, found.count("gone")) == (2, 1)


@pytest.mark.parametrize(("before", "after", "pieces"), [
    pytest.param("a b c", "a b c", [("same", "a b c")], id="equal"),
    pytest.param("Call Jane Doe now", "Call [PERSON_1] now", [("same", "Call "), ("out", "Jane Doe"),
                                                               ("in", "[PERSON_1]"), ("same", " now")], id="replaced"),
    pytest.param("", "new", [("in", "new")], id="from nothing"), pytest.param("old", "", [("out", "old")], id="to nothing"),
    pytest.param("a a", "a a a", [("same", "a a"), ("in", " a")], id="one more"),
])
def test_words_that_went_and_came(before, after, pieces):
    found = difference.word_diff(before, after)
    assert "".join(text for kind, text in found if kind != "in") == before
    assert "".join(text for kind, text in found if kind != "out") == after
    assert found == pieces


def test_two_long_texts_are_compared_at_once():
    old, new = " ".join(f"a{n}" for n in range(100_000)), " ".join(f"b{n}" for n in range(100_000))
    assert [kind for kind, _ in difference.word_diff(f"x {old} y", f"x {new} y")] == ["same", "out", "in", "same"]


# ---- lineage ---------------------------------------------------------------------------------------------------------------


def test_each_version_says_what_its_step_did_and_who_used_it(store, dataset):
    by_hand.take_out(store, dataset, 1, [1])
    derive.undo(store, dataset, 2, [1])
    store.db["runs"].insert({"id": "r1", "number": 4, "name": "Licences", "document": "", "document_hash": "", "resolved": "{}",
                             "state": "done", "seed": 0, "created": 0})
    rows = {"kind": "rows", "dataset": dataset, "version": 2, "rows": 5, "content_hash": "0", "splits": {}}
    store.db["steps"].insert({"run": "r1", "id": "refine", "position": 0, "node": "data.refine", "title": "", "needs": "[]", "params": "{}",
                              "bindings": "{}", "state": "done", "outputs": json.dumps({"rows": rows})})
    store.db["models"].insert({"id": "m", "name": "licence-model", "created": 0})
    store.db["model_versions"].insert({"id": "licence-model@1", "model": "m", "version": 1, "state": "registered", "format": "gguf",
                                       "path": "", "lineage": json.dumps({"dataset": dataset, "dataset_version": 2}), "created": 0})
    third, second, first = lineage.history(store, dataset)
    assert (first.file, first.parent, first.did) == ("licences.jsonl", None, {})
    assert (second.note, second.did) == ("Removed by hand", {"removed": {"removed_by_hand": 1}})
    assert [(one.kind, one.name) for one in second.used_by] == [("run", "Run 4, Licences"), ("model", "licence-model, version 1")]
    assert (third.parent, third.did) == (2, {"restored": {"": 1}})


def test_a_dataset_takes_a_name_that_no_other_has(store, dataset):
    other = imported(store, [chat("a")], "other")
    assert lineage.rename(store, dataset, "  Contracts ") == "Contracts"
    for name in ("", "Contracts"):
        with pytest.raises(UsageError):
            lineage.rename(store, other, name)


def test_what_erasing_takes_is_counted(store, dataset):
    by_hand.take_out(store, dataset, 1, [1])
    goes = lineage.what_goes(store, dataset)
    assert (goes["versions"], goes["rows"], goes["models"]) == (2, 6, 0)
    assert goes["bytes"] > 16_384
