"""Columns get other parts after the import: from the rows as they are, with all that came with them, as a version that can be undone."""

from __future__ import annotations

import json

import pytest

from app.config.artifacts import Rows
from app.data import api, lineage, remap
from app.data.mapping import ColumnMapping
from app.data.open_node import Open, OpenParams
from app.data.remap_node import Remap, RemapParams
from app.errors import DatasetError, UsageError
from app.store.datasets import open_dataset
from tests.context import FakeContext

SWAPPED = {"shape": "chat", "prompt": "antwort", "answer": "frage"}
LINES = [{"frage": f"q{number}", "antwort": f"a{number}", "source": f"doc-{number}", "split": "test" if number == 3 else "train"}
         for number in range(1, 6)]


@pytest.fixture
def dataset(store, tmp_path):
    """Imported with question and answer the wrong way round; two rows did not fit."""
    path = tmp_path / "foreign.jsonl"
    lines = [*LINES, {"frage": "", "antwort": "a6", "source": "doc-6", "split": "train"}, {"frage": "q7", "antwort": " "}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return api.import_file(store, path, mapping=SWAPPED).dataset


def run(store, tmp_path, dataset, version=0, **mapping):
    opened = Open(OpenParams(dataset=dataset, version=version)).run(FakeContext(store, tmp_path))["rows"]
    ctx = FakeContext(store, tmp_path, inputs={"rows": opened})
    made = Remap(RemapParams(mapping=ColumnMapping.model_validate(mapping))).run(ctx)
    return made["rows"], made["report"].summary, ctx


def rows(store, given: Rows):
    with open_dataset(store, given.dataset) as db:
        return {row.position: row for row in db.iter_rows(given.version)}


def test_a_mapping_that_was_wrong_is_mended_after_the_import(store, tmp_path, dataset):
    made, report, _ = run(store, tmp_path, dataset, shape="chat", prompt="frage", answer="antwort")
    found = rows(store, made)
    assert {place: (row.prompt[-1]["content"], row.answer, row.meta, row.split) for place, row in found.items()} == {
        number: (f"q{number}", f"a{number}", {"source": f"doc-{number}"}, LINES[number - 1]["split"]) for number in range(1, 6)}
    assert report["changed"] == {"mapped_anew": 5}
    assert remap.mapping_before(store, dataset, made.version)["prompt"] == "frage"


def test_every_column_comes_back_when_it_loses_its_part(store, tmp_path, dataset):
    made, _, _ = run(store, tmp_path, dataset, shape="text", text="antwort")
    assert store.row("SELECT shape FROM dataset_versions WHERE version = ?", (made.version,))["shape"] == "text"
    assert {row.text: row.meta for row in rows(store, made).values()} == {
        f"a{number}": {"source": f"doc-{number}", "frage": f"q{number}"} for number in range(1, 6)} | {
        "a6": {"frage": "", "source": "doc-6"}}
    back, _, _ = run(store, tmp_path, dataset, shape="chat", prompt="antwort", answer="frage")
    assert {place: row.payload() for place, row in rows(store, back).items()} == {
        place: row.payload() for place, row in rows(store, made.model_copy(update={"version": 1})).items()}


def test_what_was_set_aside_and_fits_now_comes_in(store, tmp_path, dataset):
    made, report, ctx = run(store, tmp_path, dataset, shape="text", text="antwort")
    assert report["added"] == {"fits_now": 1}
    assert ctx.said("1 that were set aside fit now")
    assert [row.split for row in rows(store, made).values()][-1] == "train"


def test_a_row_that_does_not_fit_is_taken_out_with_its_reason_and_can_be_taken_back(store, tmp_path, dataset):
    with open_dataset(store, dataset) as db:
        row = next(row for row in db.iter_rows(1) if row.position == 2)
        row.meta["source"] = ""
        db.conn.execute("UPDATE rows SET payload = ? WHERE hash = ?", (json.dumps(row.payload()).encode(), bytes.fromhex(row.hash)))
    made, report, _ = run(store, tmp_path, dataset, shape="chat", prompt="source", answer="frage")
    assert report["removed"] == {"does_not_fit": 1}
    assert sorted(rows(store, made)) == [1, 3, 4, 5]
    undone = api.undo(store, dataset, made.version, [2])
    assert 2 in rows(store, made.model_copy(update={"version": undone.version}))


@pytest.mark.parametrize(("mapping", "error", "words"), [
    pytest.param({"shape": "chat", "prompt": "frage"}, DatasetError, "answer", id="a part is missing"),
    pytest.param({"shape": "text", "text": "nowhere"}, UsageError, "remove every row", id="no such column"),
])
def test_a_mapping_that_fits_no_row_makes_no_version(store, tmp_path, dataset, mapping, error, words):
    with pytest.raises(error, match=words):
        run(store, tmp_path, dataset, **mapping)
    assert [story.version for story in lineage.history(store, dataset)] == [1]


def test_the_editor_shows_the_mapping_as_it_is_then_what_another_would_store(store, dataset):
    seen = remap.preview(store, dataset, 1)
    assert (seen.shape, seen.mapping, seen.usable) == ("prompt", {"prompt": "antwort", "answer": "frage"}, True)
    assert {one.name: one.role for one in seen.columns} == {"antwort": "prompt", "frage": "answer", "source": ""}
    other = remap.preview(store, dataset, 1, {"shape": "prompt", "prompt": "frage", "answer": "source"})
    assert other.rows[0].parts == [("user", "q1"), ("assistant", "doc-1")]
    assert other.rows[0].meta == {"antwort": "a1"}
    assert not remap.preview(store, dataset, 1, {"shape": "text"}).usable


def test_what_was_put_together_stays_together_and_is_said(store, tmp_path):
    path = tmp_path / "instructions.jsonl"
    path.write_text('{"instruction": "Translate", "input": "Frist", "output": "deadline"}\n', encoding="utf-8")
    dataset = api.import_file(store, path).dataset
    seen = remap.preview(store, dataset, 1)
    assert (seen.shape, seen.usable) == ("instruction", True)
    assert "stay together" in seen.notes[0]
    made, _, _ = run(store, tmp_path, dataset, shape="text", text="instruction")
    assert [(row.text, row.meta) for row in rows(store, made).values()] == [("Translate\n\nFrist", {"output": "deadline"})]


def test_a_step_that_was_killed_adds_no_row_twice(store, tmp_path, dataset, monkeypatch):
    from app.data.derive import Derivation

    finish = Derivation.finish
    monkeypatch.setattr(Derivation, "finish", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(store, tmp_path, dataset, shape="text", text="antwort")
    monkeypatch.setattr(Derivation, "finish", finish)
    made, report, _ = run(store, tmp_path, dataset, shape="text", text="antwort")
    assert (made.version, report["added"], made.rows) == (2, {"fits_now": 1}, 6)


def test_opening_a_dataset_takes_the_newest_version_and_changes_nothing(store, tmp_path, dataset):
    made, _, _ = run(store, tmp_path, dataset, shape="text", text="antwort")
    for name, version, found in ((dataset, 0, made.version), ("foreign", 1, 1)):
        opened = Open(OpenParams(dataset=name, version=version)).run(FakeContext(store, tmp_path))["rows"]
        assert (opened.dataset, opened.version) == (dataset, found)
    assert opened.splits == {"train": 4, "test": 1}
    with pytest.raises(UsageError, match="no dataset"):
        Open(OpenParams(dataset="nowhere")).run(FakeContext(store, tmp_path))
