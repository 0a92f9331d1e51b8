"""Completion, hover, quick fixes and the resolved view are made from the nodes and the document."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config.document import load
from app.config.templates import templates
from app.errors import ConfigError
from app.store import Store
from app.workflow import assist, registry, runs
from app.workflow.canvas import status

DOCUMENT = """name: x
base_model: smollm2-135m-instruct
environments:
  long: {steps: {train: {epochs: 9}}}
steps:
  source: {node: dataset.import, path: a.jsonl}
  refine:
    node: data.refine
    needs: source
  train:
    node: train.qlora
    needs: refine
    epochs: 1
"""


def at(text: str) -> tuple[str, int, int]:
    before = text[: text.index("|")]
    return text.replace("|", ""), before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


@pytest.mark.parametrize(("typed", "expected"), [
    pytest.param("    epo|", ["epochs"], id="parameter"),
    pytest.param("    lora: {al|", ["alpha"], id="nested parameter"),
    pytest.param("    method: |", ["auto", "lora", "qlora"], id="choice, the default first"),
    pytest.param("    needs: |", ["source", "refine", "train"], id="steps"),
    pytest.param("    inputs: {|", ["rows"], id="ports"),
    pytest.param("    inputs: {rows: re|", ["refine.rows"], id="outputs that fit"),
    pytest.param("    no|", ["note"], id="common key"),
    pytest.param("descr|", ["description"], id="top"),
    pytest.param("extends: |", ["kits/legal"], id="kits")])
def test_what_may_stand_here_is_offered(store: Store, typed: str, expected: list[str]) -> None:
    step = "  again:\n    node: train.qlora\n" if typed.startswith(" ") else ""
    text, line, column = at(DOCUMENT + step + typed)
    found = [one.text for one in assist.complete(store, text, "", line, column).entries]
    assert [name for name in found if name in expected] == expected
    assert len(found) <= len(expected) + 12
    if typed.rstrip("|")[-1] != " " and not typed.endswith("{|"):
        assert found[0] == expected[0]


def test_a_key_that_is_there_is_not_offered_again(store: Store) -> None:
    text, line, column = at(DOCUMENT + "    ep|")
    assert "epochs" not in [one.text for one in assist.complete(store, text, "", line, column).entries]


def test_nodes_are_offered_with_their_titles(store: Store) -> None:
    text, line, column = at(DOCUMENT + "  more: {node: data.|")
    found = {one.text: one.note for one in assist.complete(store, text, "", line, column).entries}
    assert found["data.refine"] == "Refine"


@pytest.mark.parametrize(("typed", "words"), [
    pytest.param("    epo|chs: 1", ["Passes over the training rows", "More than 0", "Default: 2"], id="parameter"),
    pytest.param("base_mo|del:", ["A packaged or registered model"], id="top key"),
    pytest.param("    node: train.ql|ora", ["Fine-tune"], id="node"),
    pytest.param("    ne|eds: refine", ["Steps that must be done before"], id="common key")])
def test_hover_says_what_a_key_means(store: Store, typed: str, words: list[str]) -> None:
    text, line, column = at(DOCUMENT.replace(typed.replace("|", ""), typed) if typed.replace("|", "") in DOCUMENT else typed)
    said = assist.describe(store, text, "", line, column)
    assert all(word in said for word in words), said


def test_hover_says_which_kit_set_a_value(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text, line, column = at("extends: kits/legal\nsteps:\n  train: {ep|ochs: 3}\n")
    assert "Set by" not in assist.describe(store, text, str(file), line, column), "this document sets it itself"
    view = assist.resolved(text, str(file))
    origins = {one.text.strip(): one.origin for one in view.lines}
    assert origins["epochs: 3.0"] == "line 3"
    assert origins["near_duplicates:"] == ""
    assert origins["threshold: 0.9"].startswith("kits/legal, line ")
    assert origins["weight_decay: 0.0"] == "default"


def test_the_resolved_view_follows_the_environment(store: Store) -> None:
    view = assist.resolved(DOCUMENT, "", "long")
    assert (view.environments, view.chosen) == (("long",), "long")
    assert "    epochs: 9.0" in [one.text for one in view.lines]
    assert "    epochs: 1.0" in [one.text for one in assist.resolved(DOCUMENT, "").lines]
    assert "no environment" in assist.resolved(DOCUMENT, "", "longer").problem.lower()


@pytest.mark.parametrize(("right", "wrong", "words"), [
    pytest.param("epochs: 1", "epoch: 1", "Change “epoch” to “epochs”", id="key"),
    pytest.param("node: train.qlora", "node: train.qlorra", "Change “train.qlorra” to “train.qlora”", id="node"),
    pytest.param("needs: refine", "needs: refin", "Change “refin” to “refine”", id="need"),
    pytest.param("needs: source", "needs: [sourc]", "Change “sourc” to “source”", id="need in a list"),
    pytest.param("name: x", "name: 5", "Put it in quotes", id="number for a text")])
def test_a_quick_fix_mends_the_fault(store: Store, right: str, wrong: str, words: str) -> None:
    text = DOCUMENT.replace(right, wrong)
    faults = status(store, text).faults
    assert len(faults) == 1
    found = {one.words: one.text for one in assist.fixes(text, faults[0])}
    assert words in found
    assert status(store, found[words]).faults == ()


def test_an_unknown_key_can_be_removed(store: Store) -> None:
    text = DOCUMENT + "    zzz: 1\n"
    found = {one.words: one.text for one in assist.fixes(text, status(store, text).faults[0])}
    assert found["Remove “zzz”"] == DOCUMENT


def test_every_template_is_a_valid_document(store: Store) -> None:
    for one in templates():
        assert load(one.path, registry.find).steps, one.name
        assert len(one.description) > 20


@pytest.mark.parametrize(("last", "line", "column"), [
    pytest.param("  deploy: {node: model.deploy, needs: refine}\n", 14, 3, id="nothing that fits"),
    pytest.param("  deploy:\n    node: model.deploy\n    needs: refine\n    inputs: {model: refine.rows}\n", 17, 14, id="a wrong type"),
])
def test_a_wrong_link_has_its_line(store: Store, tmp_path: Path, last: str, line: int, column: int) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text(DOCUMENT + last, encoding="utf-8")
    (fault,) = status(store, DOCUMENT + last, str(path)).faults
    assert (fault.line, fault.column, fault.step) == (line, column, "deploy")
    with pytest.raises(ConfigError) as caught:
        runs.submit(store, path)
    assert (caught.value.where.file, caught.value.where.line, caught.value.where.column) == (str(path), line, column)


def test_a_fault_of_the_document_that_is_extended_is_told_where_it_is_extended(store: Store, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("name: base\n" + "#\n" * 5 + "nme: x\n" + DOCUMENT[8:], encoding="utf-8")
    (fault,) = status(store, "name: mine\nextends: base.yaml\n", str(tmp_path / "mine.yaml")).faults
    assert (fault.line, fault.column) == (2, 1)
    assert fault.message.startswith("In base.yaml, line 7: Unknown key 'nme'")
