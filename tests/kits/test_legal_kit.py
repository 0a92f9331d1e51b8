"""The legal kit: rows that can be rebuilt, checked and traced, and no family of notices on both sides of the split."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import yaml

from app.config.document import load
from app.evaluation.checks import headline, refusal, score
from app.store.profile import project_dir
from app.workflow import registry

KIT = project_dir() / "kits" / "legal"
ALL = [json.loads(line) for line in (KIT / "data" / "notices.jsonl").read_text(encoding="utf-8").splitlines()]
ROWS = [row for row in ALL if row["kind"] == "task"]
REFUSED = [row for row in ALL if row["kind"] != "task"]


def notice(row: dict) -> str:
    return row["messages"][0]["content"].split("\n\n", 1)[1]


def answer(row: dict) -> dict:
    return json.loads(row["messages"][1]["content"])


# -- the committed rows ---------------------------------------------------------------------------------------------
def shingles(text: str) -> set[tuple[str, ...]]:
    """Written again here, not imported: the build's own mistake must not hide itself."""
    words = re.sub(r"[^a-z0-9.+]", " ", text.lower()).split()
    return {tuple(words[at:at + 3]) for at in range(max(len(words) - 2, 1))}


@pytest.mark.parametrize(("held", "others"), [("test", ("train", "calibration")), ("calibration", ("train",))])
def test_no_held_out_notice_has_a_near_duplicate_elsewhere(held, others):
    known = [shingles(notice(row)) for row in ROWS if row["split"] in others]
    closest = 0.0
    for row in (row for row in ROWS if row["split"] == held):
        own = shingles(notice(row))
        closest = max(closest, *(len(own & other) / len(own | other) for other in known))
    assert 0.2 < closest < 0.5


def test_counts_are_those_of_the_kit():
    about = yaml.safe_load((KIT / "kit.yaml").read_text(encoding="utf-8"))["kit"]
    assert dict(Counter(row["split"] for row in ALL)) == about["rows"]
    assert dict(Counter(row["split"] for row in ROWS)) == {"train": 620, "calibration": 40, "test": 120}


def test_every_row_names_its_source_and_licence():
    assert all(re.fullmatch(r"licensedcode/data/rules/[\w.+-]+\.RULE", row["source"]) for row in ROWS)
    assert {(row["licence"], row["package"], row["version"]) for row in ROWS} == {("CC-BY-4.0", "scancode-toolkit-mini", "32.5.0")}
    assert len({row["source"] for row in ROWS}) == len(ROWS)


def test_every_expected_answer_passes_its_own_checks(task):
    for row in ROWS:
        scores = score(task, row["messages"][1]["content"], row["messages"][1]["content"], notice(row))
        assert headline(task, scores) == 1.0, row
        assert set(answer(row)) == set(task.fields)


# -- what should be refused -----------------------------------------------------------------------------------------
def question(row: dict) -> str:
    return row["messages"][0]["content"].rpartition("\n\n")[2]


def test_rows_to_refuse_are_ours_and_free(task):
    assert {(row["source"], row["licence"], row["package"]) for row in REFUSED} == {
        ("kits/legal/behaviour.yaml", "CC0-1.0", "written for this kit")}
    kinds = {"out_of_scope": "out of scope", "advice": "not advice"}
    assert all(answer(row) == {"refusal": kinds[row["kind"]]} for row in REFUSED)
    assert {refusal(task, row["messages"][1]["content"]) for row in REFUSED} == set(kinds.values())
    assert not any(refusal(task, row["messages"][1]["content"]) for row in ROWS)


@pytest.mark.parametrize("kind", ["out_of_scope", "advice"])
def test_there_are_enough_rows_of_each_kind_to_tell(kind):
    assert Counter(row["split"] for row in REFUSED if row["kind"] == kind)["test"] == 30
    asked_alone = [row for row in REFUSED if row["kind"] == kind and "\n\n" not in row["messages"][0]["content"]]
    assert 0.3 < len(asked_alone) / sum(row["kind"] == kind for row in REFUSED) < 0.7


@pytest.mark.parametrize(("held", "others"), [("test", ("train", "calibration")), ("calibration", ("train",))])
def test_no_held_out_phrasing_of_a_refusal_is_trained_on(held, others):
    known = [shingles(question(row)) for row in ALL if row["split"] in others]
    closest = max(len(own & other) / len(own | other) for row in REFUSED if row["split"] == held
                  for own in [shingles(question(row))] for other in known)
    assert closest < 0.3


def test_no_two_rows_ask_the_same():
    asked = [row["messages"][0]["content"] for row in ALL]
    assert len(set(asked)) == len(asked)


def test_the_committed_refusals_are_those_that_the_build_makes(build):
    assert list(build.behaviour_rows()) == REFUSED


def test_no_answer_names_a_licence_that_cannot_be_guessed():
    assert not [row for row in ROWS if "LicenseRef" in row["messages"][1]["content"]]


def test_the_data_is_small_enough_to_commit():
    assert sum(file.stat().st_size for file in (KIT / "data").iterdir()) < 3_000_000


def test_the_readme_gives_the_attribution_that_the_licence_asks_for():
    text = (KIT / "README.md").read_text(encoding="utf-8")
    for words in ("scancode-toolkit-mini 32.5.0", "nexB", "creativecommons.org/licenses/by/4.0", "Changed here",
                  "github.com/nexB/scancode-toolkit", "kits/legal/build.py"):
        assert words in text
    assert (KIT / "model-card.md").is_file()


def test_the_workflow_runs_from_import_to_endpoint(document):
    nodes = [spec.node for spec in document.steps.values()]
    assert nodes == ["dataset.import", "data.refine", "train.qlora", "evaluate.compare", "model.export", "model.register",
                     "model.deploy"]
    assert document.steps["deploy"].params["gate"]


def test_a_smoke_run_is_two_settings_away():
    found = load(KIT / "kit.yaml", registry.find, overrides={"train.max_steps": 4, "evaluate.items": 8})
    assert (found.steps["train"].params["max_steps"], found.steps["evaluate"].params["items"]) == (4, 8)


# -- the build ------------------------------------------------------------------------------------------------------
LICENCES = {
    "mit": ("MIT", "Permissive", ""),
    "gpl-2.0": ("GPL-2.0-only", "Copyleft", ""),
    "own": ("LicenseRef-scancode-own", "Permissive", ""),
    "old": ("Old-1.0", "Permissive", "is_deprecated: yes\n"),
}
RULES = {
    "mit_1": ("mit", "is_license_notice: yes", "This program is made available to everyone under {{the MIT License}} as it stands"),
    "mit_2": ("mit", "is_license_notice: yes", "This program is made available to everyone under {{the MIT License}} as it was"),
    "both": ("mit OR gpl-2.0", "is_license_notice: yes", "Choose between {{MIT or\n  GPL version 2}} when you hand on copies of this library"),
    "gpl": ("gpl-2.0", "is_license_notice: yes", "You may redistribute under {{GNU GPL version 2}} and no other version of that licence"),
    "text": ("mit", "is_license_text: yes", "The text of a licence is not a notice, although it says {{MIT License}} here"),
    "own": ("own", "is_license_notice: yes", "A notice of a licence {{without an SPDX name}} cannot be guessed by anybody"),
    "old": ("old", "is_license_notice: yes", "A notice of a licence {{that is deprecated}} teaches what nobody should write"),
    "two": ("mit", "is_license_notice: yes", "Two marks {{MIT}} and {{License}} leave open which of them decides the answer here"),
    "none": ("mit", "is_license_notice: yes", "No mark at all, so nobody has said which words of this notice decide it"),
    "german": ("mit", "is_license_notice: yes\nlanguage: de", "Dieses Programm steht unter {{der MIT-Lizenz}} und darf weitergegeben werden"),
    "short": ("mit", "is_license_notice: yes", "{{MIT License}}"),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A licensedcode/data folder in small."""
    folder = tmp_path / "licensedcode" / "data"
    for name in ("rules", "licenses"):
        (folder / name).mkdir(parents=True)
    for key, (spdx, category, more) in LICENCES.items():
        (folder / "licenses" / f"{key}.LICENSE").write_text(
            f"---\nkey: {key}\nspdx_license_key: {spdx}\ncategory: {category}\n{more}---\n\nText\n", encoding="utf-8")
    for name, (expression, flags, text) in RULES.items():
        (folder / "rules" / f"{name}.RULE").write_text(
            f"---\nlicense_expression: {expression}\n{flags}\n---\n\n{text}\n", encoding="utf-8")
    return folder


def built(build, source: Path, target: Path) -> list[dict]:
    build.build(source, target)
    found = [json.loads(line) for line in (target / "notices.jsonl").read_text(encoding="utf-8").splitlines()]
    return [row for row in found if row["kind"] == "task"]


def test_only_marked_english_notices_with_spdx_names_become_rows(build, source, tmp_path):
    found = {Path(row["source"]).stem: answer(row) for row in built(build, source, tmp_path / "out")}
    assert set(found) - {"mit_2"} - {"mit_1"} == {"both", "gpl"}
    assert len(found) == 3  # of the family of two, the held-out split takes one
    assert found["both"] == {"expression": "MIT OR GPL-2.0-only", "category": "Copyleft", "quote": "MIT or GPL version 2"}


def test_a_family_is_what_shares_half_of_its_shingles(build, source):
    found = list(build.notices(source / "rules", build.licences(source / "licenses")))
    family = dict(zip([one.file for one in found], build.families(found), strict=True))
    assert family["mit_1.RULE"] == family["mit_2.RULE"]
    assert len(set(family.values())) == 3


def test_families_join_through_a_third_notice(build):
    words = [f"w{number}" for number in range(24)]
    texts = [" ".join(words[:16]), " ".join(words[4:20]), " ".join(words[8:24])]
    found = [build.Notice(str(number), text, "w", "MIT", "Permissive") for number, text in enumerate(texts)]
    first, _, last = map(build.shingles, texts)
    assert len(first & last) / len(first | last) < build.SAME_FAMILY
    assert len(set(build.families(found))) == 1


def test_the_split_takes_whole_families(build, monkeypatch):
    monkeypatch.setattr(build, "COUNTS", {"test": 3, "calibration": 2, "train": 100})
    found = [build.Notice(f"{group}-{number}", f"group {group} notice {number}", "x", "MIT", "Permissive")
             for group in range(12) for number in range(3)]
    parts = build.split(found, [int(one.file.split("-")[0]) for one in found])
    groups = {name: {one.file.split("-")[0] for one in part} for name, part in parts.items()}
    assert {name: len(part) for name, part in parts.items()} == {"train": 14, "test": 3, "calibration": 2}
    assert sum(map(len, groups.values())) == len(set().union(*groups.values())) == 12


def test_the_build_is_the_same_every_time_and_from_a_wheel(build, source, tmp_path):
    wheel = tmp_path / "small.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        for file in source.rglob("*.*"):
            packed.write(file, file.relative_to(tmp_path))
        packed.writestr("licensedcode/cache.py", "raise SystemExit('code of the package is never unpacked')")
    (tmp_path / "scratch").mkdir()
    unpacked = build.data_folder(wheel, tmp_path / "scratch")
    assert not list((tmp_path / "scratch").rglob("*.py"))
    assert built(build, source, tmp_path / "a") == built(build, source, tmp_path / "b") == built(build, unpacked, tmp_path / "c")


@pytest.mark.parametrize(("expression", "expected"), [
    ("mit", ("MIT", "Permissive")),
    ("mit AND gpl-2.0", ("MIT AND GPL-2.0-only", "Copyleft")),
    ("(mit or gpl-2.0) and mit", ("(MIT OR GPL-2.0-only) AND MIT", "Copyleft")),
    ("mit AND unheard-of", None),
    ("own", None),
])
def test_scancode_expressions_become_spdx(build, source, expression, expected):
    assert build.spdx_expression(expression, build.licences(source / "licenses")) == expected
