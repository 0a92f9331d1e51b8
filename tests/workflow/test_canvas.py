"""The picture of a document: cards, links, refusals with their reason, and the newest run's states."""

from __future__ import annotations

import pytest

from app.config import yaml_source
from app.config.yaml_source import parse
from app.errors import ConfigError
from app.store import Store
from app.store.profile import project_dir
from app.workflow import canvas

TEXT = """name: Sample
base_model: smollm2-135m-instruct
steps:
  source: {node: dataset.import, path: rows.jsonl}
  refine: {node: data.refine, needs: source}
  train: {node: train.qlora, needs: refine}
  evaluate: {node: evaluate.compare, needs: train}
  export: {node: model.export, needs: train}
  register: {node: model.register, needs: [export, evaluate]}
"""


def links(text: str) -> set[tuple[str, str, str, str, str]]:
    return {(link.source, link.output, link.target, link.port, link.way) for link in canvas.picture(text).links}


def test_links_say_what_flows_and_whether_it_is_written():
    assert links(TEXT) == {
        ("source", "rows", "refine", "rows", "needs"), ("refine", "rows", "train", "rows", "needs"),
        ("refine", "rows", "evaluate", "rows", "implied"), ("train", "model", "evaluate", "model", "needs"),
        ("train", "model", "export", "model", "needs"), ("refine", "rows", "export", "rows", "implied"),
        ("export", "model", "register", "model", "needs"), ("evaluate", "evaluation", "register", "evaluation", "needs"),
        ("export", "proof", "register", "proof", "needs")}


@pytest.mark.parametrize("kit", sorted(file.parent.name for file in project_dir().glob("kits/*/kit.yaml")))
def test_every_kit_has_a_picture_without_trouble(kit):
    file = project_dir() / "kits" / kit / "kit.yaml"
    shown = canvas.picture(file.read_text(encoding="utf-8"), str(file))
    assert [card.trouble for card in shown.cards] == [""] * len(shown.cards)
    assert all(card.own and card.line for card in shown.cards)
    assert len(shown.links) >= len(shown.cards) - 1


@pytest.mark.parametrize("text", [
    pytest.param("steps:\n  a: {node: nothing.here, needs: [a, b, 3]}\n  b: 5\n  c: {}\n", id="odd steps"),
    pytest.param("steps:\n  a: {node: data.refine, needs: b}\n  b: {node: data.refine, needs: a}\n", id="a circle"),
    pytest.param("steps: [1]\ncanvas: 3\n", id="odd kinds"),
    pytest.param("", id="nothing"),
    pytest.param("steps:\n  a: {node: data.refine, position: [x], inputs: {rows: 3, what: a.rows}}\ncanvas: {notes: {n: 1}}\n",
                 id="odd values"),
])
def test_a_faulty_document_still_has_a_picture(text):
    shown = canvas.picture(text)
    assert all(card.position is None for card in shown.cards)
    assert canvas.refusal(shown, "a", "rows", "a", "rows")


def test_a_text_that_is_no_yaml_has_none():
    with pytest.raises(ConfigError) as caught:
        canvas.picture("steps: [\n")
    assert caught.value.where.line


def test_an_inherited_step_is_shown_as_such():
    shown = canvas.picture("extends: kits/legal\nsteps:\n  train: {epochs: 2}\n")
    assert {card.id: card.own for card in shown.cards}["train"]
    assert not {card.id: card.own for card in shown.cards}["refine"]
    assert shown.card("train").node == "train.qlora"


@pytest.mark.parametrize(("source", "output", "target", "port", "reason"), [
    ("evaluate", "evaluation", "train", "rows", "train takes rows at “rows”, but evaluate gives report at “evaluation”."),
    ("refine", "rows", "refine", "rows", "refine cannot feed itself."),
    ("train", "model", "train", "rows", "train cannot feed itself."),
    ("export", "model", "export", "model", "export cannot feed itself."),
    ("register", "model", "export", "model", "register comes after export; this link would make a circle."),
    ("gone", "model", "export", "model", "One of the two steps is gone."),
    ("source", "rows", "train", "rows", ""),
])
def test_a_wrong_link_is_refused_with_the_reason(source, output, target, port, reason):
    assert canvas.refusal(canvas.picture(TEXT), source, output, target, port) == reason
    if reason:
        with pytest.raises(ConfigError, match=reason.split("“")[0].rstrip(".")):
            canvas.connected(TEXT, "", source, output, target, port)


def test_a_link_is_written_as_a_need_where_that_says_it():
    text = TEXT + "  more: {node: data.refine}\n"
    changed = canvas.connected(text, "", "source", "rows", "more", "rows")
    assert parse(changed).value["steps"]["more"] == {"node": "data.refine", "needs": "source"}
    [link] = [link for link in canvas.picture(changed).links if link.target == "more"]
    assert canvas.disconnected(changed, "", link) == text


def test_a_link_that_a_need_would_not_say_is_bound():
    changed = canvas.connected(TEXT, "", "source", "rows", "evaluate", "rows")
    assert parse(changed).value["steps"]["evaluate"] == {
        "node": "evaluate.compare", "needs": "train", "inputs": {"rows": "source.rows"}}
    [link] = [link for link in canvas.picture(changed).links if (link.target, link.port) == ("evaluate", "rows")]
    assert (link.source, link.way) == ("source", "inputs")
    assert canvas.disconnected(changed, "", link) == TEXT


def test_an_implied_link_cannot_be_removed_and_says_why():
    [link] = [link for link in canvas.picture(TEXT).links if (link.target, link.port) == ("evaluate", "rows")]
    with pytest.raises(ConfigError, match="evaluate takes rows from refine because of what it needs"):
        canvas.disconnected(TEXT, "", link)


def test_the_palette_holds_every_node():
    names = {entry.node for entry in canvas.palette()}
    assert {"dataset.import", "data.refine", "train.qlora", "evaluate.compare", "model.export", "model.deploy"} <= names
    assert all(entry.about for entry in canvas.palette() if not entry.trouble)


def test_faults_are_told_with_step_and_field(store: Store):
    text = TEXT.replace("needs: refine}", "needs: refine, lora: {r: 0, rank: 3}}")
    found = canvas.status(store, text).faults
    assert {(fault.step, fault.field) for fault in found} == {("train", "lora.r"), ("train", "lora.rank")}
    assert all(fault.line == 6 for fault in found)


def test_a_check_reads_the_text_once(store: Store, monkeypatch):
    store.db["runs"].insert({"id": "run_1", "number": 1, "name": "Sample", "document": TEXT, "document_hash": "0", "resolved": "{}",
                             "state": "done", "seed": 0, "machine": "{}", "created": 1})
    loader, read = yaml_source._LOADER, []
    monkeypatch.setattr(yaml_source, "_LOADER", lambda text: read.append(text) or loader(text))
    assert canvas.status(store, TEXT).run == "run_1"
    assert read == [TEXT]


def test_states_come_from_the_newest_run_of_that_name(store: Store):
    for number, state in ((1, "failed"), (2, "done")):
        run = f"run_{number}"
        store.db["runs"].insert({"id": run, "number": number, "name": "Sample", "document": TEXT, "document_hash": "0",
                                 "resolved": "{}", "state": state, "seed": 0, "machine": "{}", "created": number})
        store.db["steps"].insert({"run": run, "id": "train", "position": 0, "node": "train.qlora", "title": "Train", "needs": "[]",
                                  "params": "{}", "bindings": "{}", "state": state, "progress": 1.0, "cached": 1,
                                  "started": 5.0, "ended": 9.0})
    found = canvas.status(store, TEXT)
    assert (found.run, found.number) == ("run_2", 2)
    state = found.states["train"]
    assert (state.state, state.cached, state.seconds, state.changed) == ("done", True, 4.0, True)
    assert canvas.status(store, TEXT.replace("Sample", "Other")).states == {}
