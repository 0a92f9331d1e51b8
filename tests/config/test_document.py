"""Workflow documents: places of faults, inheritance, overlays, overrides, and what YAML is not allowed to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.config.document import document_schema, find_document, load, load_text
from app.config.yaml_source import parse, parse_value
from app.errors import ConfigError, UsageError
from app.workflow import registry
from app.workflow.runs import check_text

GOOD = """
name: Sample
base_model: smollm2-135m-instruct
seed: 7
steps:
  source: {node: dataset.import, path: rows.jsonl}
  refine: {node: data.refine, needs: source, near_duplicates: {threshold: 0.8}}
"""


def read(text: str, **options: Any) -> Any:
    return load_text(text, registry.find, **options)


@pytest.mark.parametrize(("text", "code", "line"), [
    pytest.param("a: !!python/object/apply:os.system [ls]", "config.tag", 1, id="object tag"),
    pytest.param("name: x\nname: y", "config.duplicate_key", 2, id="duplicate key"),
    pytest.param("a: &a\n  b: *a", "config.recursive", None, id="recursive anchor"),
    pytest.param("a: [1, 2", "config.syntax", 1, id="unclosed list"),
    pytest.param("x: " + "[" * 60 + "]" * 60, "config.too_deep", 1, id="deep"),
    pytest.param("- a\n- b", "config.not_a_mapping", 1, id="a list"),
])
def test_a_broken_document_names_the_line(text: str, code: str, line: int | None) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert caught.value.code == code
    if line is not None:
        assert caught.value.where.line == line


def test_billion_laughs_is_refused_quickly() -> None:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(ConfigError, match="beyond all measure"):
        parse("\n".join(lines))


@pytest.mark.parametrize(("text", "value"), [
    ("no", "no"), ("yes", "yes"), ("on", "on"), ("1e3", 1000.0), ("012", 12), ("0x1F", 31), ("true", True), ("~", None),
    ("2026-01-01", "2026-01-01"), ("'1'", "1"), ('"; rm -rf x"', "; rm -rf x"),
])
def test_scalars_are_read_as_yaml_1_2(text: str, value: object) -> None:
    assert parse_value(text) == value


def test_all_faults_are_reported_together_with_their_lines() -> None:
    text = GOOD.replace("threshold: 0.8", "thresold: 0.8").replace("path: rows.jsonl", "path: rows.jsonl, nme: x") + "sed: 3\n"
    with pytest.raises(ConfigError) as caught:
        read(text)
    found = [caught.value, *caught.value.others]
    assert {fault.where.line for fault in found} == {6, 7, 8}
    words = " ".join(fault.remedy for fault in found)
    assert "'threshold'" in words
    assert "'name'" in words
    assert "'seed'" in words


def test_a_value_out_of_bounds_names_field_and_line() -> None:
    with pytest.raises(ConfigError, match=r"near_duplicates\.threshold") as caught:
        read(GOOD.replace("0.8", "1.8"))
    assert caught.value.where.line == 7


@pytest.mark.parametrize(("change", "words"), [
    pytest.param(("needs: source", "needs: sorce"), "'source'", id="unknown need"),
    pytest.param(("data.refine", "data.refin"), "'data.refine'", id="unknown node"),
    pytest.param(("refine:", "Refine:"), "small letter", id="bad id"),
])
def test_names_that_do_not_exist_get_the_nearest_one(change: tuple[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(GOOD.replace(*change))
    assert words in " ".join(fault.remedy for fault in (caught.value, *caught.value.others))


def test_a_cycle_is_refused() -> None:
    text = GOOD.replace("path: rows.jsonl", "path: rows.jsonl, needs: refine")
    with pytest.raises(ConfigError, match="circle"):
        check_text(text)


def test_extends_merges_deeply_and_replaces_lists(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(GOOD)
    (tmp_path / "own.yaml").write_text("extends: base.yaml\nsteps: {refine: {languages: [en], near_duplicates: {enabled: false}}}\n")
    found = load(tmp_path / "own.yaml", registry.find)
    refine = found.steps["refine"].params
    assert refine["near_duplicates"] == {"enabled": False, "threshold": 0.8}
    assert refine["languages"] == ["en"]
    assert found.seed == 7
    assert found.steps["source"].params["path"] == str(tmp_path / "rows.jsonl")


def test_documents_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(ConfigError, match="circle"):
        load(tmp_path / "a.yaml", registry.find)


def test_the_environment_overlays_and_set_wins() -> None:
    text = GOOD + "environments: {lab: {seed: 9, steps: {refine: {min_length: 5}}}}\nenvironment: lab\n"
    found = read(text, overrides={"refine.min_length": "8"})
    assert (found.seed, found.steps["refine"].params["min_length"]) == (9, 8)
    assert found.origin["steps.refine.min_length"].startswith("--set")
    with pytest.raises(ConfigError, match="no environment 'lib'"):
        read(text, environment="lib")


def test_the_same_document_has_the_same_hash_and_a_change_another() -> None:
    assert read(GOOD).hash == read(GOOD + "description: words do not count\n").hash
    assert read(GOOD).hash != read(GOOD.replace("0.8", "0.9")).hash


def test_a_kit_is_found_by_its_name_and_a_misspelt_one_by_likeness() -> None:
    assert find_document("legal").name == "kit.yaml"
    assert find_document("kits/legal") == find_document("legal")
    with pytest.raises(UsageError, match="legall") as caught:
        find_document("legall")
    assert "'legal'" in caught.value.remedy


def test_every_kit_checks_and_the_schema_knows_every_node() -> None:
    kits = sorted(Path("kits").glob("*/kit.yaml"))
    assert len(kits) >= 1
    for kit in kits:
        check_text(kit.read_text(encoding="utf-8"), str(kit.resolve()))
    schema = document_schema(registry.nodes())
    named = {one["properties"]["node"]["const"] for one in schema["properties"]["steps"]["additionalProperties"]["oneOf"]}
    assert {"dataset.import", "data.refine", "train.qlora", "evaluate.compare", "model.export", "model.register",
            "model.deploy"} <= named


def test_every_field_of_every_node_is_described() -> None:
    bare = [f"{name}.{field}" for name, node in registry.nodes().items()
            for field, info in node.params_model.model_fields.items() if not info.description]
    assert bare == []
    assert registry.broken() == {}
