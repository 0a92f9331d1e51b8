"""Workflow documents: each fault has its place, all are told together, and what is right comes out complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.config.checks import STEP
from app.config.document import document_schema, load_text, who_set
from app.config.merging import TOP
from app.errors import ConfigError, UsageError
from tests.config.conftest import NODES, find

GOOD = """\
name: Small
base_model: smollm2-135m-instruct
seed: 3
steps:
  source: {node: t.source, path: data/rows.jsonl}
  refine: {node: t.refine, needs: source, near_duplicates: {threshold: 0.8}}
  train:
    node: t.train
    needs: [refine]
    epochs: 4
"""


def test_a_good_document_is_complete(read, tmp_path):
    document = read(GOOD)
    assert document.steps["train"].params == {
        "epochs": 4, "rate": 0.001, "lora": {"threshold": 0.7}, "layers": [1, 2]}
    assert document.steps["train"].needs == ("refine",)
    assert document.steps["source"].params["path"] == str(tmp_path / "data" / "rows.jsonl")
    assert (document.name, document.seed, document.base_dir) == ("Small", 3, str(tmp_path))


@pytest.mark.parametrize(("text", "code"), [
    pytest.param("steps:\n  train: {node: t.train, epochs: .nan}", "config.number", id="number"),
    pytest.param("steps:\n  train: !!python/object/apply:os.system [ls]", "config.tag", id="tag"),
    pytest.param("steps:\n  a: &b {node: t.train}\n  c: {<<: *b}", "config.merge_key", id="merge key"),
])
def test_what_cannot_be_read_is_the_only_fault_at_its_place(read, text, code):
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert [fault.code for fault in (caught.value, *caught.value.others)] == [code]


def one(param: str) -> str:
    return f"steps:\n  train:\n    node: t.train\n    {param}\n"


@pytest.mark.parametrize(
    ("text", "code", "line", "words"),
    [
        pytest.param("nme: x\n" + GOOD, "config.unknown_key", 1, "'nme'.*'name'", id="unknown key"),
        pytest.param(one("epocs: 1"), "config.unknown_key", 4, "'epocs'.*'epochs'", id="unknown parameter"),
        pytest.param(one("lora: {treshold: 1}"), "config.unknown_key", 4, "'treshold'.*'threshold'", id="unknown nested"),
        pytest.param("steps:\n  r:\n    node: t.refine\n    near_duplicates:\n      treshold: 1", "config.unknown_key", 5,
                     "'threshold'", id="unknown inside an optional model"),
        pytest.param(one("epochs: many"), "config.value", 4, "valid integer.*'many'", id="wrong type"),
        pytest.param(one("epochs: 0"), "config.value", 4, "greater than or equal to 1", id="out of range"),
        pytest.param(one("layers: [1, x]"), "config.value", 4, "layers.1", id="wrong item"),
        pytest.param("steps:\n  r: {node: t.refine, language: 1e3}", "config.value", 2, "quotes", id="number where a text belongs"),
        pytest.param("steps:\n  s:\n    node: t.source", "config.missing", 2, "'path'", id="missing parameter"),
        pytest.param("steps:\n  s: {path: x}", "config.step", 2, "no node", id="no node"),
        pytest.param("steps:\n  s:\n    node: t.nothing", "workflow.unknown_node", 3, "t.nothing", id="unknown node"),
        pytest.param("steps:\n  S s: {node: t.train}", "config.step_id", 2, "'S s'", id="step name"),
        pytest.param("name: x", "config.no_steps", 1, "no steps", id="no steps"),
        pytest.param("", "config.no_steps", 1, "no steps", id="an empty file"),
        pytest.param("steps: [a]", "config.no_steps", 1, "no steps", id="steps is a list"),
        pytest.param("- a", "config.not_a_mapping", 1, "not a mapping", id="a list"),
        pytest.param("just words", "config.not_a_mapping", 1, "not a mapping", id="a text"),
        pytest.param(one("needs: refin") + "  refine: {node: t.refine}", "config.unknown_need", 4, "'refine'", id="unknown need"),
        pytest.param(one("needs: {a: b}"), "config.needs", 4, "must name steps", id="needs is a mapping"),
        pytest.param(one("needs: train"), "config.cycle", 4, "needs itself", id="needs itself"),
        pytest.param("steps:\n  a: {node: t.train, needs: c}\n  b: {node: t.train, needs: a}\n  c: {node: t.train, needs: b}",
                     "config.cycle", 2, "a → c → b → a", id="circle"),
        pytest.param(one("inputs: {rows: nowhere.rows}"), "config.unknown_need", 4, "nowhere", id="input of an unknown step"),
        pytest.param(one("inputs: [a]"), "config.inputs", 4, "step.output", id="inputs is a list"),
        pytest.param(one("title: 3"), "config.value", 4, "text", id="title is a number"),
        pytest.param("seed: -1\n" + one("epochs: 1"), "config.value", 1, "whole number", id="negative seed"),
        pytest.param("seed: true\n" + one("epochs: 1"), "config.value", 1, "whole number", id="seed is a truth value"),
        pytest.param("seed: 1.5\n" + one("epochs: 1"), "config.value", 1, "whole number", id="seed is a fraction"),
        pytest.param("name: 3\n" + one("epochs: 1"), "config.value", 1, "quotes", id="name is a number"),
        pytest.param('steps:\n  s: {node: t.source, path: "a\\0b"}', "config.path", 2, "null", id="NUL in a path"),
        pytest.param("steps:\n  s: {node: t.source, path: ~nobody-here/x}", "config.path", 2, "home", id="unknown home"),
        pytest.param(one("note: token is hf_abcdefghijklmnopqrstuvwx"), "config.secret", 4, "access key", id="inline secret"),
    ],
)
def test_a_fault_is_told_with_its_line_and_a_way_out(faults, tmp_path, text, code, line, words):
    (fault,) = faults(text)
    assert (fault.code, fault.where.line) == (code, line)
    assert fault.where.file == str(tmp_path / "flow.yaml")
    assert re.search(words, str(fault))
    assert fault.remedy or code == "workflow.unknown_node"


def test_a_fault_names_its_column_and_field(faults):
    (fault,) = faults(one("lora: {treshold: 0.5}"))
    assert (fault.where.column, fault.where.field) == (12, "steps.train.lora.treshold")


def test_all_faults_are_told_together_in_the_order_of_their_lines(faults):
    found = faults("nam: x\nseed: z\nsteps:\n  a: {node: t.train, epocs: 1, rate: fast}\n  a2: {node: t.nix, needs: b}\n  c: {}\n  c: 1\n")
    assert [fault.where.line for fault in found] == [1, 2, 4, 4, 5, 5, 6, 7]


def test_a_secret_is_never_repeated(faults):
    secret = "sk-" + "a1B2" * 8
    (first, *rest) = faults(f"steps:\n  t: {{node: t.train, epochs: {secret}}}")
    assert {fault.code for fault in (first, *rest)} == {"config.secret", "config.value"}
    assert not any(secret in str(fault) + str(fault.as_json()) for fault in (first, *rest))


@pytest.mark.parametrize("text", ["; rm -rf x", "$(reboot)", "~/../../etc", "../../x y"])
def test_odd_paths_stay_literal_texts(read, tmp_path, text):
    path = Path(read(f"steps:\n  s: {{node: t.source, path: '{text}'}}").steps["s"].params["path"])
    assert path == (tmp_path / Path(text).expanduser()).resolve()


def test_paths_inside_lists_and_optional_fields_are_absolute(read, tmp_path):
    params = read("steps:\n  s: {node: t.source, path: a, extra: [b, /c], other: d}").steps["s"].params
    assert params == {"path": str(tmp_path / "a"), "extra": [str(tmp_path / "b"), "/c"], "other": str(tmp_path / "d")}


@pytest.mark.parametrize(("given", "kept"), [("smollm2-135m-instruct", "smollm2-135m-instruct"), ("./model", "{}/model"),
                                             ("/models/x", "/models/x"), ("licence@3", "licence@3")])
def test_a_base_model_is_a_name_or_a_path_from_the_document(read, tmp_path, given, kept):
    assert read(f"base_model: {given}\n" + one("epochs: 1")).base_model == kept.format(tmp_path)


def test_the_hash_depends_on_content_not_on_order_or_words_around_it(read):
    first = read("seed: 1\nname: n\n" + one("epochs: 1\n    rate: 0.5"))
    same = read("# a remark\nname: n\nseed: 1\n" + one("rate: 0.5\n    epochs: 1"))
    spelt_out = read("name: n\nseed: 1\n" + one("rate: 0.5\n    epochs: 1\n    layers: [1, 2]"))
    other = read("name: n\nseed: 1\n" + one("rate: 0.5\n    epochs: 2"))
    assert first.hash == same.hash == spelt_out.hash != other.hash


def test_a_text_without_a_file_is_checked_too():
    document = load_text(one("epochs: 1"), find)
    assert (document.name, document.file) == ("Workflow", None)


def test_who_set_a_value(read, tmp_path):
    document = read(GOOD, overrides={"train.lora": "{threshold: 0.2}", "seed": "9"})
    assert who_set(document, "train.epochs") == f"{tmp_path / 'flow.yaml'}:10"
    assert who_set(document, "steps.refine.near_duplicates.threshold") == f"{tmp_path / 'flow.yaml'}:6"
    assert who_set(document, "train.lora.threshold") == "--set"
    assert who_set(document, "seed") == "--set"
    assert who_set(document, "train.rate") == "default"
    with pytest.raises(UsageError, match=r"train\.nothing"):
        who_set(document, "train.nothing")


def test_the_schema_knows_exactly_the_keys_that_the_loader_knows():
    schema = document_schema(NODES)
    assert set(schema["properties"]) == set(TOP)
    steps = {step["properties"]["node"]["const"]: step for step in schema["properties"]["steps"]["additionalProperties"]["anyOf"]}
    assert set(steps["t.train"]["properties"]) == {*STEP, "epochs", "rate", "lora", "layers"}
    assert all(part["additionalProperties"] is False for part in (schema, *steps.values()))


def _references(schema) -> list[str]:
    if isinstance(schema, dict):
        own = [schema["$ref"]] if "$ref" in schema else []
        return own + [found for part in schema.values() for found in _references(part)]
    return [found for part in schema for found in _references(part)] if isinstance(schema, list) else []


def test_every_reference_of_the_schema_leads_somewhere():
    schema = document_schema(NODES)
    found = _references(schema)
    assert "#/$defs/t.refine.Near" in found
    assert {reference.removeprefix("#/$defs/") for reference in found} <= set(schema["$defs"])
    assert schema["$defs"]["t.refine.Near"]["properties"]["threshold"]["maximum"] == 1


def test_the_real_nodes_give_a_schema_with_every_field_described():
    from app.workflow import registry

    steps = document_schema(registry.nodes())["properties"]["steps"]["additionalProperties"]["anyOf"]
    assert len(steps) == len(registry.nodes()) >= 7
    silent = [f"{step['properties']['node']['const']}.{name}" for step in steps for name, field in step["properties"].items()
              if name != "node" and not field.get("description")]
    assert silent == []
