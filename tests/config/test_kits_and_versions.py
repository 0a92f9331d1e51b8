"""Kits in the folder, drafts, saved versions and base models."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.config import kit_folders, models, versions, views
from app.config.document import find_document, load
from app.errors import ConfigError, UsageError
from app.store.profile import project_dir
from app.workflow import registry

KITS = sorted((project_dir() / "kits").glob("*/kit.yaml"))


def test_there_are_kits():
    assert len(KITS) >= 1


@pytest.mark.parametrize("file", KITS, ids=lambda file: file.parent.name)
def test_every_kit_is_a_valid_document_with_named_sources(file):
    document = load(file, registry.find)
    assert document.kit == file.parent.name
    assert document.steps
    for spec in document.steps.values():
        if "path" in spec.params:
            assert Path(spec.params["path"]).is_file()


@pytest.fixture
def kits_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    (folder / "kits").mkdir(parents=True)
    shutil.copytree(project_dir() / "kits" / "legal", folder / "kits" / "legal", ignore=shutil.ignore_patterns("data"))
    monkeypatch.setattr(kit_folders, "project_dir", lambda: folder)
    return folder / "kits"


@pytest.mark.parametrize("text", ["kit: [", "name: x", "kit: legal", "- a", "a: &a [*a]", ""], ids=repr)
def test_a_broken_kit_says_why_and_hides_no_other(store, kits_folder, text):
    (kits_folder / "broken").mkdir()
    (kits_folder / "broken" / "kit.yaml").write_text(text, encoding="utf-8")
    cards = {card.name: card for card in views.kits(store)}
    assert cards["broken"].problem
    assert cards["legal"].problem == ""
    assert cards["legal"].rows == 1091


def test_a_misspelt_key_of_a_kit_is_told(tmp_path):
    (tmp_path / "kit.yaml").write_text((project_dir() / "kits/legal/kit.yaml").read_text().replace("  domain:", "  domian:"))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "kit.yaml", registry.find)
    told = "".join(str(fault) for fault in (caught.value, *caught.value.others))
    assert "'domian'" in told
    assert "'domain'" in told


def test_listing_kits_needs_neither_pydantic_nor_the_database():
    code = "import sys, app.config.views as v; v.kits(None); print(sorted({'pydantic', 'sqlcipher3', 'sqlite_utils'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=project_dir(), timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_a_version_is_made_only_when_the_text_changes(store):
    assert [versions.save(store, "flow", text) for text in ("a: 1", "a: 1", "a: 2", "a: 1")] == [1, 1, 2, 3]
    assert versions.save(store, "other", "a: 1") == 1
    assert [(found.version) for found in versions.versions(store, "flow")] == [3, 2, 1]
    assert len(versions.versions(store)) == 4
    assert (versions.text_of(store, "flow"), versions.text_of(store, "flow", 2)) == ("a: 1", "a: 2")


@pytest.mark.parametrize(("name", "version"), [("nix", None), ("flow", 9)])
def test_a_version_that_is_not_there_is_told(store, name, version):
    versions.save(store, "flow", "a: 1")
    with pytest.raises(UsageError, match=name):
        versions.text_of(store, name, version)


def test_saving_a_document_writes_it_and_keeps_a_version(store, tmp_path):
    views.save_document(store, str(tmp_path / "f.yaml"), "a: 1\r\nb: ü\n")
    assert (tmp_path / "f.yaml").read_bytes() == "a: 1\r\nb: ü\n".encode()
    assert versions.text_of(store, str(tmp_path / "f.yaml")) == "a: 1\r\nb: ü\n"


def test_saving_where_nothing_can_be_written_is_told(store, tmp_path):
    with pytest.raises(ConfigError) as caught:
        views.save_document(store, str(tmp_path / "nowhere" / "f.yaml"), "a: 1")
    assert caught.value.code == "config.unwritable"


def test_an_edited_kit_still_finds_its_data(store):
    kit = views.kit_document(store, "legal")
    draft = views.keep_draft(store, kit.text + "\n# edited\n", "legal", kit.path)
    document = load(Path(draft), registry.find)
    assert document.steps["source"].params["path"] == str(project_dir() / "kits/legal/data/notices.jsonl")
    assert document.kit == "legal"


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", ".hidden", ""])
def test_a_draft_stays_in_its_folder(store, name):
    assert Path(views.keep_draft(store, "a: 1", name)).parent == store.profile.cache / "drafts"


def test_an_unknown_base_model_names_the_nearest(store, monkeypatch, tmp_path):
    (tmp_path / "models" / "smollm2-135m-instruct").mkdir(parents=True)
    (tmp_path / "models" / "smollm2-135m-instruct" / "config.json").write_text("{}")
    monkeypatch.setattr(models, "share_dir", lambda: tmp_path)
    with pytest.raises(ConfigError, match="'smollm2-135m-instruct'"):
        models.resolve_base(store, "smollm2-135m-instrct")


# -- where kits are, and what identifies them -----------------------------------------------------------------------
def make_kit(folder: Path, name: str, text: str = "kit: {title: Mine, version: 3}\nsteps: {}\n") -> Path:
    file = folder / name / "kit.yaml"
    (file.parent / "data").mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    (file.parent / "data" / "rows.jsonl").write_text("{}\n", encoding="utf-8")
    return file


def test_a_users_kit_is_found_by_its_name_and_by_extends(store, profile, tmp_path):
    file = make_kit(profile.kits, "mine", "kit: {title: Mine}\nname: Base\nsteps: {source: {node: dataset.import, path: data/rows.jsonl}}\n")
    assert find_document("mine") == find_document("kits/mine") == file
    assert views.kit_document(store, "mine").path == str(file)
    users = {card.name: card.users for card in views.kits(store)}
    assert (users["mine"], users["legal"]) == (True, False)
    (tmp_path / "own.yaml").write_text("extends: kits/mine\nname: Own\n")
    document = load(tmp_path / "own.yaml", registry.find)
    assert document.steps["source"].params["path"] == str(file.parent / "data" / "rows.jsonl")


def test_a_users_kit_never_stands_in_for_one_of_ours(store, profile):
    make_kit(profile.kits, "legal")
    assert find_document("legal") == project_dir() / "kits" / "legal" / "kit.yaml"
    assert [card.users for card in views.kits(store) if card.name == "legal"] == [False]


@pytest.mark.parametrize("name", ["../legal", "a/b", "", ".", "x" * 5000, "kits/../legal"])
def test_a_name_never_leads_out_of_the_kits(name):
    assert kit_folders.kit_file(name) is None


@pytest.mark.parametrize(("change", "same"), [
    pytest.param(lambda file: None, True, id="nothing"),
    pytest.param(lambda file: file.write_text(file.read_text() + "# said\n"), True, id="a comment"),
    pytest.param(lambda file: file.write_text(file.read_text().replace("version: 3", "version: 3, measured: {items: 4}")), True,
                 id="measured figures"),
    pytest.param(lambda file: (file.parent / "README.md").write_text("about"), True, id="the readme"),
    pytest.param(lambda file: file.write_text(file.read_text() + "seed: 1\n"), False, id="a setting"),
    pytest.param(lambda file: (file.parent / "data" / "rows.jsonl").write_text("[]\n"), False, id="a row"),
    pytest.param(lambda file: (file.parent / "data" / "rows.jsonl").rename(file.parent / "data" / "x.jsonl"), False, id="a file's name"),
])
def test_the_hash_of_a_kit_changes_with_what_decides_a_result(tmp_path, change, same):
    file = make_kit(tmp_path, "mine")
    before = kit_folders.identity(file)
    change(file)
    after = kit_folders.identity(file)
    assert before.version == after.version == 3
    assert (before.hash == after.hash) is same


def test_a_run_records_the_version_and_the_content_of_its_kit(store, profile):
    from app.workflow import runs
    from app.workflow import views as workflow

    run = runs.submit(store, "legal")
    line = workflow.run(store, run).line
    card = next(card for card in views.kits(store) if card.name == "legal")
    assert (str(line.kit_version), line.kit_hash) == (card.version, card.hash)
    assert runs.details(store, run)["kit"] == {"name": "legal", "version": line.kit_version, "hash": line.kit_hash}
    own = runs.submit_text(store, "name: Own\nsteps: {source: {node: dataset.import, path: x.jsonl}}\n")
    assert (workflow.run(store, own).line.kit_version, "kit" in runs.details(store, own)) == (None, False)
