"""extends, environments and --set: who wins, and what is refused."""

from __future__ import annotations

import pytest

from app.config.document import find_document, load, who_set
from app.errors import UsageError
from app.workflow import registry

BASE = "name: base\nseed: 1\nbase_model: m\nsteps:\n  train: {node: t.train, epochs: 3, lora: {threshold: 0.5}, layers: [1, 2, 3]}\n"


def test_mappings_merge_deeply_and_lists_are_replaced(read):
    document = read("extends: base.yaml\nsteps:\n  train: {lora: {threshold: 0.9}, layers: [7]}", files={"base.yaml": BASE})
    params = document.steps["train"].params
    assert (params["epochs"], params["lora"], params["layers"]) == (3, {"threshold": 0.9}, [7])
    assert (document.name, document.seed, document.base_model) == ("base", 1, "m")


def test_a_chain_of_documents_is_followed_from_folder_to_folder(read, tmp_path):
    files = {"a/b/base.yaml": "steps:\n  s: {node: t.source, path: rows.csv, other: x}", "a/mid.yaml": "extends: b/base.yaml\nseed: 5"}
    document = read("extends: a/mid.yaml\nsteps:\n  s: {other: mine}", files=files)
    assert document.seed == 5
    assert document.steps["s"].params["path"] == str(tmp_path / "a" / "b" / "rows.csv")
    assert document.steps["s"].params["other"] == str(tmp_path / "mine")
    assert who_set(document, "s.path") == f"{tmp_path / 'a' / 'b' / 'base.yaml'}:2"


def test_a_fault_in_an_inherited_document_is_told_with_that_file(faults, tmp_path):
    (fault,) = faults("extends: base.yaml", files={"base.yaml": BASE.replace("epochs", "epocs")})
    assert (fault.where.file, fault.where.line) == (str(tmp_path / "base.yaml"), 5)


@pytest.mark.parametrize(
    ("text", "files", "code"),
    [
        pytest.param("extends: flow.yaml", {}, "config.extends_cycle", id="itself"),
        pytest.param("extends: b.yaml", {"b.yaml": "extends: flow.yaml"}, "config.extends_cycle", id="each other"),
        pytest.param("extends: nix.yaml", {}, "config.extends_missing", id="missing"),
        pytest.param("extends: ~/../../etc", {}, "config.extends_missing", id="a folder outside"),
        pytest.param("extends: ~nobody-here/x", {}, "config.extends_missing", id="unknown home"),
        pytest.param("extends: [a]", {}, "config.extends", id="a list"),
        pytest.param("extends: b.yaml", {"b.yaml": "a: ["}, "config.syntax", id="broken"),
    ],
)
def test_what_cannot_be_extended_is_refused(faults, text, files, code):
    first, *others = faults(text + "\nseed: x\n" + BASE.replace("seed: 1\n", ""), files=files)
    assert code in [fault.code for fault in (first, *others)]
    assert "seed has a value it cannot have." in [fault.what for fault in (first, *others)]  # told together


def test_a_kit_can_be_extended_by_its_name(tmp_path):
    (tmp_path / "own.yaml").write_text("extends: kits/legal\nsteps:\n  train: {epochs: 7}\n", encoding="utf-8")
    document = load(tmp_path / "own.yaml", registry.find)
    assert document.kit == "legal"
    assert document.steps["train"].params["epochs"] == 7
    assert document.steps["source"].params["path"].startswith(str(find_document("legal").parent))


ENVIRONMENTS = BASE + "environments:\n  small: {seed: 7, steps: {train: {epochs: 1}}}\n  big: {steps: {train: {layers: [9]}}}\n"


@pytest.mark.parametrize(
    ("text", "options", "seed", "epochs"),
    [
        pytest.param(ENVIRONMENTS, {}, 1, 3, id="none chosen"),
        pytest.param("environment: small\n" + ENVIRONMENTS, {}, 7, 1, id="chosen in the document"),
        pytest.param(ENVIRONMENTS, {"environment": "small"}, 7, 1, id="chosen by the caller"),
        pytest.param("environment: small\n" + ENVIRONMENTS, {"environment": "big"}, 1, 3, id="the caller wins"),
        pytest.param(ENVIRONMENTS, {"overrides": {"environment": "small"}}, 7, 1, id="chosen with --set"),
        pytest.param("environment: small\n" + ENVIRONMENTS, {"overrides": {"train.epochs": "5"}}, 7, 5, id="--set wins over it"),
        pytest.param("environment: small\n" + ENVIRONMENTS, {"environment": ""}, 1, 3, id="switched off"),
    ],
)
def test_an_environment_is_laid_over_the_document(read, text, options, seed, epochs):
    document = read(text, **options)
    assert (document.seed, document.steps["train"].params["epochs"]) == (seed, epochs)


def test_an_unknown_environment_names_the_nearest(faults):
    (fault,) = faults("environment: smal\n" + ENVIRONMENTS)
    assert (fault.code, fault.where.line) == ("config.environment", 1)
    assert "'small'" in fault.remedy


def test_a_fault_inside_an_environment_is_told_on_its_line(faults):
    (fault,) = faults("environment: small\n" + ENVIRONMENTS.replace("epochs: 1", "epochs: none"))
    assert fault.where.line == 8


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("train.epochs", "1", ("epochs", 1)), ("steps.train.epochs", "1", ("epochs", 1)), ("train.rate", "1e-4", ("rate", 1e-4)),
        ("train.layers", "[4, 5]", ("layers", [4, 5])), ("train.lora.threshold", "0.25", ("lora", {"threshold": 0.25})),
        ("train.lora", {"threshold": 0.125}, ("lora", {"threshold": 0.125})),
    ],
)
def test_an_override_is_read_as_yaml(read, name, value, expected):
    key, wanted = expected
    assert read(BASE, overrides={name: value}).steps["train"].params[key] == wanted


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("trian.epochs", "1", "'train'"), ("train.epocs", "1", "'epochs'"), ("train..epochs", "1", "empty part"),
        ("train.epochs", "[", "not valid YAML"), ("train.epochs", "many", "valid integer"), ("extends", "x", "extends"),
        ("train", "5", "names no node"), ("steps.trian.epochs", "1", "'train'"), ("train.rate", "x", "Correct the value"), ("train.layers", "!!python/name:os.system x", "value"),
    ],
)
def test_a_bad_override_is_told_with_its_name(faults, name, value, words):
    found = faults(BASE, overrides={name: value})
    assert words in str(found[0])
    assert found[0].where.file == "--set"


def test_a_misspelt_kit_names_the_nearest():
    with pytest.raises(UsageError, match="'legal'"):
        find_document("leagl")


@pytest.mark.parametrize("name", ["nothing.yaml", "a\0b", "~nobody-here/x", "", "/proc/self/mem/x"])
def test_a_document_that_is_not_there_is_a_usage_error(name):
    with pytest.raises(UsageError) as caught:
        find_document(name)
    assert caught.value.code == "workflow.not_found"
