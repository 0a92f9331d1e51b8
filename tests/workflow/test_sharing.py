"""A kit file made from a run carries no row and no name of the user's; one from a stranger is opened only if it is harmless."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from app.cli import main
from app.config import kit_file, kit_folders, views
from app.config.document import load
from app.config.kit import Measured
from app.config.shareable import shareable
from app.errors import ConfigError, NeuroWeaverError, UsageError
from app.evaluation.arms import Arm, divide, scored
from app.evaluation.checks import Task
from app.evaluation.report import keep, samples, summarise
from app.store import Store
from app.store.records import Row
from app.workflow import registry, runs
from app.workflow.kit_making import About, _lost, export_kit, make_kit
from app.workflow.kit_opening import open_kit, remove_kit, restore_kit
from tests.context import FakeContext
from tests.workflow import running

CANARY = "canary"
TASK = {"format": "json", "behaviour_field": "refusal", "fields": {"kind": {"check": "equals"}}}


def planted(number: int) -> dict[str, Any]:
    return {"frage": f"Canary question {number}", "antwort": json.dumps({"kind": "canary answer"}), "wo": "train" if number % 3 else "test",
            "canary_column": f"canary meta {number}"}


def document(folder: Path) -> str:
    """A workflow with a canary in every text that a user can write."""
    return yaml.safe_dump({
        "name": "Canary name", "description": "canary description", "base_model": str(folder / "canary-base"), "seed": 7,
        "environment": "canary_env", "environments": {"canary_env": {"seed": 9}},
        "steps": {
            "canary-in": {"node": "dataset.import", "title": "Canary title", "note": "canary note", "path": str(folder / "canary.jsonl"),
                          "name": "Canary dataset", "split_field": "wo", "mapping": {"shape": "chat", "prompt": "frage", "answer": "antwort"}},
            "canary-refine": {"node": "data.refine", "needs": "canary-in", "min_length": 3, "near_duplicates": {"threshold": 0.8}},
            "canary-train": {"node": "train.qlora", "inputs": {"rows": "canary-refine.rows"}, "epochs": 3,
                             "base_model": str(folder / "canary-other")},
            "canary-test": {"node": "evaluate.compare", "needs": ["canary-train", "canary-refine"], "task": TASK, "items": 11},
            "canary-out": {"node": "model.export", "needs": "canary-train", "quantization": "q8_0"},
            "canary-keep": {"node": "model.register", "needs": ["canary-out", "canary-test"], "name": "canary model", "note": "canary words"},
            "canary-serve": {"node": "model.deploy", "needs": ["canary-keep", "canary-test"], "alias": "canary-alias"},
        }}, sort_keys=False)


@pytest.fixture
def run(store: Store, tmp_path: Path) -> str:
    """A finished run whose data, metadata, names, paths, answers and events all hold canaries."""
    folder = tmp_path / "Canary folder"
    folder.mkdir()
    (folder / "canary.jsonl").write_text("".join(json.dumps(planted(number)) + "\n" for number in range(12)))
    identity = runs.submit_text(store, document(folder), "Canary run", path=str(folder / "canary.yaml"))
    resolved = orjson.loads(store.row("SELECT resolved FROM runs WHERE id = ?", (identity,))["resolved"])
    node = registry.find("dataset.import")
    made = node(node.params_model.model_validate(resolved["steps"]["canary-in"]["params"])).run(FakeContext(store, tmp_path))
    end(store, identity, {"canary-in": {name: one.model_dump(mode="json") for name, one in made.items()}})
    measure(store, identity)
    store.db.execute("INSERT INTO events (at, run, level, kind, message) VALUES (0, ?, 'info', 'note', 'canary event')", (identity,))
    return identity


def end(store: Store, run: str, outputs: dict[str, Any]) -> None:
    """As if it had run: the steps' outputs, the times, the machine."""
    for step, made in outputs.items():
        store.db.execute("UPDATE steps SET outputs = ? WHERE run = ? AND id = ?", (json.dumps(made), run, step))
    machine = json.dumps({"cores": 2, "processor": "canary processor", "memory_mb": 100})
    store.db.execute("UPDATE steps SET state = 'done' WHERE run = ?", (run,))
    store.db.execute("UPDATE runs SET state = 'done', started = 1000, ended = 1090.5, machine = ? WHERE id = ?", (machine, run))


def measure(store: Store, run: str) -> None:
    """An evaluation as evaluate.compare keeps it, with its samples."""
    chat = [Row("chat", [{"role": "user", "content": f"Canary {number}"}, {"role": "assistant", "content": answer}])
            for number, answer in enumerate([json.dumps({"kind": "canary"})] * 4 + [json.dumps({"refusal": "out of scope"})] * 2)]
    asked = divide(Task.model_validate(TASK), [], chat, 0)

    def arm(name: str, answers: list[str]) -> Arm:
        made = scored(name, answers, asked)
        made.nll, made.extra = 1.0, {"nll_items": [1.0] * 4}
        return made

    arms = [arm("base", ["canary"] * 6), arm("tuned", [row.answer for row in asked.asked])]
    keep(store, run, "canary-test", summarise(asked, arms, 0), samples(asked, arms))


def parts(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


# -- what it carries ------------------------------------------------------------------------------------------------
def test_a_kit_file_holds_no_canary(store, run, tmp_path):
    made = export_kit(store, run, tmp_path / "kit.nwkit")
    content = (tmp_path / "kit.nwkit").read_bytes()
    assert content == made.content
    planted_in = [bytes(str(row), "utf-8") for row in store.rows("SELECT document, resolved, machine FROM runs")]
    assert all(CANARY in one.decode().casefold() for one in planted_in)  # the search below would find them
    assert CANARY not in content.decode("latin-1").casefold()
    for text in (*parts(content), *parts(content).values()):
        assert CANARY not in text.casefold()
        assert str(tmp_path).casefold() not in text.casefold()
    assert "run_" not in str(parts(content))


def test_it_carries_steps_settings_columns_and_measured_figures(store, run):
    made = make_kit(store, run, About("Contract clauses", "Says what a clause is.", "legal", "CC0-1.0", 3))
    texts = parts(made.content)
    found = yaml.safe_load(texts["kit.yaml"])
    assert found["kit"]["needs_data"] == ["import.path"]
    assert {key: found["kit"][key] for key in ("title", "summary", "domain", "licence", "version")} == {
        "title": "Contract clauses", "summary": "Says what a clause is.", "domain": "legal", "licence": "CC0-1.0", "version": 3}
    assert found["kit"]["rows"] == {"test": 4, "train": 8}
    assert list(found["steps"]) == ["import", "refine", "qlora", "compare", "export", "register", "deploy"]
    source, refine, train, compare = (found["steps"][name] for name in ("import", "refine", "qlora", "compare"))
    assert (source["mapping"]["prompt"], source["mapping"]["answer"], source["split_field"]) == ("frage", "antwort", "wo")
    assert (refine["min_length"], refine["near_duplicates"]["threshold"], refine["needs"]) == (3, 0.8, ["import"])
    assert (train["epochs"], train["inputs"]) == (3.0, {"rows": "refine.rows"})
    assert (compare["items"], compare["task"]["behaviour_field"], list(compare["task"]["fields"])) == (11, "refusal", ["kind"])
    assert found["seed"] == 9
    assert set(made.carried) == {"frage", "antwort", "wo", "kind", "refusal"}
    assert {"import.path", "import.name", "register.name", "deploy.alias", "base_model"} <= set(made.left_out)


def test_the_figures_of_a_private_base_stand_in_the_card_alone(store, run):
    """They are of another model than the one that the kit names."""
    texts = parts(make_kit(store, run).content)
    assert "measured" not in yaml.safe_load(texts["kit.yaml"])["kit"]
    assert "another base model" in texts["model-card.md"]
    assert "tuned 100.0" in texts["model-card.md"]


def trained_on(store, file, content):
    """An ended run that trained the packaged base on a file."""
    file.write_text(content)
    identity = runs.submit_text(store, yaml.safe_dump({"base_model": "small", "steps": {
        "source": {"node": "dataset.import", "path": str(file)}, "train": {"node": "train.qlora", "needs": "source"}}}))
    end(store, identity, {})
    return identity


def test_the_figures_of_a_packaged_base_are_the_kits(store, tmp_path, monkeypatch):
    monkeypatch.setattr("app.workflow.kit_making.packaged", lambda: {"small": tmp_path})
    identity = trained_on(store, tmp_path / "rows.jsonl", '{"prompt": "a", "completion": "b"}\n')
    measure(store, identity)
    kit = yaml.safe_load(parts(make_kit(store, identity).content)["kit.yaml"])["kit"]
    assert kit["measured"] == {
        "date": "1970-01-01", "machine": "2 cores, no graphics card", "seconds": 90.5, "items": 4, "base": 0.0, "tuned": 1.0,
        "difference": 1.0, "interval": [0.0, 1.0], "verdict": "no_difference", "refused": {"out of scope": [2, 2]}, "refused_wrongly": [0, 4]}


def test_a_comparison_of_texts_is_shared_in_nats_and_opened_again(store, tmp_path, monkeypatch):
    monkeypatch.setattr("app.workflow.kit_making.packaged", lambda: {"small": tmp_path})
    identity = trained_on(store, tmp_path / "rows.txt", "One.\n\nTwo.\n")
    summary = {"metric": "nll", "items": 40, "base": 2.1, "tuned": 1.9, "difference": -0.2, "interval": [-0.25, -0.15], "verdict": "better",
               "table": [{"arm": "base", "score": 2.1}, {"arm": "tuned", "score": 1.9}]}
    keep(store, identity, "compare", summary, [])
    made = export_kit(store, identity, tmp_path / "texts.nwkit")
    texts = parts(made.content)
    assert "40 held-back texts: base 2.100, tuned 1.900, difference -0.200 nats a word piece (-0.250 to -0.150)" in texts["model-card.md"]
    assert yaml.safe_load(texts["kit.yaml"])["kit"]["measured"]["metric"] == "nll"
    assert open_kit(store, tmp_path / "texts.nwkit").version == 1
    shares = yaml.safe_load(texts["kit.yaml"])["kit"]["measured"] | {"metric": ""}
    with pytest.raises(ValueError, match="fractions of 1"):
        Measured.model_validate(shares)


def test_the_same_kit_is_the_same_bytes(store, run):
    first = make_kit(store, run, About("Same")).content
    time.sleep(0.01)
    assert make_kit(store, run, About("Same")).content == first
    assert list(parts(first)) == ["nwkit.json", "kit.yaml", "model-card.md"]


@pytest.mark.parametrize("state", ["queued", "running", "paused", "failed", "cancelled"])
def test_a_run_that_is_not_done_makes_no_kit(store, run, state):
    store.db.execute("UPDATE runs SET state = ? WHERE id = ?", (state, run))
    with pytest.raises(UsageError, match="is not done"):
        make_kit(store, run)


@pytest.mark.parametrize("about", [About(title="x" * 61), About(summary="x" * 601), About(version=0),
                                   About(summary="my key is sk-" + "a" * 24)], ids=["title", "summary", "version", "secret"])
def test_words_that_do_not_fit_are_told_before_anything_is_written(store, run, tmp_path, about):
    with pytest.raises(ConfigError):
        export_kit(store, run, tmp_path / "kit.nwkit", about)
    assert not (tmp_path / "kit.nwkit").exists()


@pytest.mark.parametrize(("said", "stated"), [
    ("", "NOASSERTION"), ("mit", "MIT"), ("cc0-1.0 and (MIT or GPL-2.0+)", "CC0-1.0 AND (MIT OR GPL-2.0-or-later)"),
    ("LicenseRef-our-house AND MIT", "LicenseRef-our-house AND MIT"), ("DocumentRef-x:LicenseRef-y", "DocumentRef-x:LicenseRef-y")])
def test_a_licence_is_stated_as_spdx_writes_it(store, run, said, stated):
    assert yaml.safe_load(parts(make_kit(store, run, About(licence=said)).content)["kit.yaml"])["kit"]["licence"] == stated


@pytest.mark.parametrize(("said", "why"), [
    ("All rights reserved", "'All rights reserved' is not on SPDX's list"), ("MIT AND", "breaks off"), ("MIT, CC0-1.0", "breaks off"),
    ("(MIT", "breaks off"), ("()", "breaks off"), ("MIT WITH MIT", "breaks off"), ("LicenseRef-", "not on SPDX's list"), ("MIT AND " * 60 + "MIT", "more than 400 characters")])
def test_what_is_no_spdx_expression_makes_no_kit(store, run, said, why):
    with pytest.raises(UsageError, match="is no SPDX expression") as told:
        make_kit(store, run, About(licence=said))
    assert why in told.value.why


def test_what_is_left_out_is_named_even_inside_a_parameter():
    assert list(_lost({"a": {"b": {"c": 1, "d": "x", "e": ""}}, "f": "y", "g": []}, {"a": {"b": {"c": 1}}})) == ["a.b.d", "f"]


def test_the_place_of_a_nested_answer_is_carried(store, run):
    step = "canary-test"
    row = orjson.loads(store.row("SELECT resolved FROM runs")["resolved"])
    row["steps"][step]["params"]["task"]["fields"]["kind"]["path"] = "timing.kind"
    store.db.execute("UPDATE runs SET resolved = ?", (orjson.dumps(row).decode(),))
    made = make_kit(store, run)
    assert yaml.safe_load(parts(made.content)["kit.yaml"])["steps"]["compare"]["task"]["fields"]["kind"]["path"] == "timing.kind"
    assert "timing.kind" in made.carried


def test_a_first_row_in_the_place_of_column_names_stays_here(store, run):
    """The file had no header, so that what the mapping names is what a row said."""
    mapping = {"shape": "chat", "prompt": "Anna Svensson phoned about her bill of May", "answer": "anna@mail.example"}
    store.db.execute("UPDATE dataset_versions SET origin = json_set(origin, '$.mapping', json(?))", (json.dumps(mapping),))
    made = make_kit(store, run)
    assert "import.mapping" in made.left_out
    assert not any(word in str(parts(made.content)) for word in ("Svensson", "anna@"))


@pytest.mark.parametrize(("node", "name"), [("data.select", "by"), ("data.split", "stratify_field"), ("data.refine", "group_field")])
def test_a_column_that_any_step_names_is_told_before_the_file_is_passed_on(store, run, node, name):
    row = orjson.loads(store.row("SELECT resolved FROM runs")["resolved"])
    refine = row["steps"]["canary-refine"]
    refine["node"], refine["params"] = node, {name: "Diagnose"}
    store.db.execute("UPDATE runs SET resolved = ?", (orjson.dumps(row).decode(),))
    assert "Diagnose" in make_kit(store, run).carried


MARKED = {
    "dataset.import": {"mapping", "split_field"},
    "data.assess": {"languages"},
    "data.select": {"by", "at_least", "at_most", "order_by"},
    "data.refine": {"languages", "split", "group_field"},
    "data.split": {"shares", "group_field", "stratify_field"},
    "evaluate.compare": {"task"},
}
"""Parameters whose texts may be shared, all of them names of columns, scores, languages, splits or answer fields.  Think before adding."""


def test_a_text_of_any_node_stays_unless_it_is_listed_here():
    nodes = registry.nodes()
    assert len(nodes) >= 7
    for node in nodes.values():
        for name, info in node.params_model.model_fields.items():
            for value in (CANARY, [CANARY], (CANARY, CANARY), {CANARY: CANARY}, {CANARY: 1}, {"path": CANARY, "name": CANARY}):
                kept = shareable(node.params_model, {name: value})
                assert CANARY not in str(kept) or name in MARKED.get(node.name, ()), (node.name, name, info)


# -- opening --------------------------------------------------------------------------------------------------------
def archive(*entries: tuple[Any, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in entries:
            made.writestr(name, content)
    return buffer.getvalue()


GOOD: dict[str, Any] = {
    "kit": {"title": "Mine", "domain": "own", "version": 1, "summary": "x", "licence": "CC0-1.0", "needs_data": ["import.path"]},
    "name": "Mine", "base_model": "smollm2-135m-instruct", "seed": 0,
    "steps": {"import": {"node": "dataset.import", "mapping": {"shape": "chat", "prompt": "frage", "answer": "antwort"}},
              "refine": {"node": "data.refine", "needs": ["import"]}}}


def packed(changed: dict[str, Any] | None = None, head: str = '{"format": 1, "kit": "mine"}', card: str = "# Mine\n") -> bytes:
    text = yaml.safe_dump({**GOOD, **(changed or {})}, sort_keys=False)
    return archive(("nwkit.json", head), ("kit.yaml", text), ("model-card.md", card))


def link() -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("kit.yaml")
    entry.create_system, entry.external_attr = 3, 0o120777 << 16
    return entry


def with_step(**params: Any) -> dict[str, Any]:
    return {"steps": {**GOOD["steps"], "import": {**GOOD["steps"]["import"], **params}}}


@pytest.mark.parametrize(("content", "code"), [
    pytest.param(b"", "damaged", id="empty"),
    pytest.param(b"PK\x03\x04" + b"\0" * 90, "damaged", id="no archive"),
    pytest.param(packed()[:-40], "damaged", id="cut short"),
    pytest.param(archive(("../kit.yaml", "x")), "unsafe", id="zip slip"),
    pytest.param(archive(("a/../../kit.yaml", "x")), "unsafe", id="zip slip inside"),
    pytest.param(archive(("..\\kit.yaml", "x")), "unsafe", id="zip slip with a backslash"),
    pytest.param(archive(("/etc/kit.yaml", "x")), "unsafe", id="absolute"),
    pytest.param(archive(("C:kit.yaml", "x")), "unsafe", id="drive"),
    pytest.param(archive((link(), "/etc/passwd")), "unsafe", id="symlink"),
    pytest.param(archive(("nwkit.json", '{"format": 1}'), ("kit.yaml", "x"), ("model-card.md", "x"), ("rows.jsonl", "x")),
                 "unknown_part", id="rows"),
    pytest.param(archive(("evil.py", "x")), "unknown_part", id="code"),
    pytest.param(archive(("nwkit.json", '{"format": 1}'), ("kit.yaml", "x")), "damaged", id="a part is missing"),
    pytest.param(packed(card="x" * 70_000), "bomb", id="a part too large"),
    pytest.param(archive(("kit.yaml", b"\0" * 200_000_000)), "bomb", id="bomb"),
    pytest.param(b"x" * 1_000_001, "bomb", id="file too large"),
    pytest.param(packed(head='{"format": 2, "kit": "mine"}'), "newer_format", id="newer format"),
    pytest.param(packed(head='{"format": "1"}'), "damaged", id="format is no number"),
    pytest.param(packed(head='{"format": true}'), "damaged", id="format is a truth"),
    pytest.param(packed(head="[" * 4000), "damaged", id="deep head"),
    pytest.param(packed(head='{"format": 1, "run": "rm"}'), "unknown_key", id="unknown key in the head"),
    pytest.param(packed({"extends": "kits/legal"}), "unknown_key", id="extends another document"),
    pytest.param(packed({"environments": {}}), "unknown_key", id="environments"),
    pytest.param(packed({"base_model": "/home/me/model"}), "private", id="base model by its path"),
    pytest.param(packed({"base_model": "../model"}), "private", id="base model beside it"),
    pytest.param(packed(with_step(path="/etc/passwd")), "private", id="a path of this computer"),
    pytest.param(packed(with_step(name="Ms Smith")), "private", id="a name"),
    pytest.param(packed({"kit": {**GOOD["kit"], "needs_data": ["import.path", "import.name"]}}), "damaged", id="asks for what is no file"),
    pytest.param(packed({"kit": {**GOOD["kit"], "needs_data": ["import.name"]}}), "config", id="asks for no file"),
    pytest.param(packed({"kit": {**GOOD["kit"], "needs_data": []}}), "damaged", id="asks for nothing"),
    pytest.param(packed({"steps": {"x": {"node": "shell.run"}}, "kit": {**GOOD["kit"], "needs_data": ["x.path"]}}), "config", id="unknown node"),
    pytest.param(packed({"kit": {**GOOD["kit"], "evil": 1}}), "config", id="unknown key of the kit"),
    pytest.param(packed(with_step(pathh="x")), "config", id="unknown parameter"),
    pytest.param(packed({"kit": {**GOOD["kit"], "version": "2"}}), "config", id="version is no number"),
])
def test_what_is_no_kit_file_is_refused_in_words_and_leaves_nothing(store, tmp_path, content, code):
    file = tmp_path / "given.nwkit"
    file.write_bytes(content)
    began = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        open_kit(store, file)
    assert caught.value.code.startswith(f"kitfile.{code}" if code != "config" else ("config.", "workflow.unknown_node"))
    assert caught.value.remedy
    assert not list(store.profile.kits.glob("*"))
    assert not (tmp_path / "kit.yaml").exists()
    assert time.monotonic() - began < 5


def test_a_size_that_lies_unpacks_no_more_than_its_limit(store, tmp_path):
    content = bytearray(archive(("kit.yaml", b"\0" * 50_000_000)))
    for marker, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):  # the size it claims
        at = content.find(marker) + offset
        content[at:at + 4] = (100).to_bytes(4, "little")
    (tmp_path / "liar.nwkit").write_bytes(content)
    with pytest.raises(ConfigError, match=r"damaged|grows"):
        open_kit(store, tmp_path / "liar.nwkit")


def test_a_file_that_is_not_there_is_told(store, tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        open_kit(store, tmp_path / "nosuch.nwkit")


def give(store: Store, tmp_path: Path, content: bytes) -> Any:
    (tmp_path / "given.nwkit").write_bytes(content)
    return open_kit(store, tmp_path / "given.nwkit")


def test_an_opened_kit_is_one_of_the_users_and_needs_data(store, tmp_path):
    done = give(store, tmp_path, packed())
    assert (done.name, done.needs_data, done.replaced, done.known) == ("mine", ("import.path",), None, False)
    card = next(card for card in views.kits(store) if card.name == "mine")
    assert (card.users, card.needs_data, card.problem) == (True, ("import.path",), "")
    assert [path.name for path in sorted((store.profile.kits / "mine").iterdir())] == ["kit.yaml", "model-card.md"]


def test_the_same_kit_again_changes_nothing_and_a_newer_version_takes_its_place(store, tmp_path):
    assert give(store, tmp_path, packed()).known is False
    assert give(store, tmp_path, packed()).known is True
    newer = give(store, tmp_path, packed({"kit": {**GOOD["kit"], "version": 2}}))
    assert (newer.name, newer.replaced) == ("mine", 1)
    older = give(store, tmp_path, packed({"seed": 5}))
    assert (older.name, older.replaced) == ("mine-2", None)
    assert kit_folders.identity(store.profile.kits / "mine" / "kit.yaml").version == 2


def test_a_newer_version_that_cannot_be_written_leaves_the_older(store, tmp_path, monkeypatch):
    give(store, tmp_path, packed())
    monkeypatch.setattr(Path, "rename", lambda *_a: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(ConfigError, match="No space left"):
        give(store, tmp_path, packed({"kit": {**GOOD["kit"], "version": 2}}))
    assert kit_folders.identity(store.profile.kits / "mine" / "kit.yaml").version == 1
    assert set(kit_folders.kit_files()) & {"mine", ".mine.new"} == {"mine"}


def test_a_kit_never_takes_the_name_of_one_of_ours(store, tmp_path):
    assert give(store, tmp_path, packed({"kit": {**GOOD["kit"], "title": "Legal"}})).name == "legal-2"


def test_removing_can_be_undone(store, tmp_path):
    give(store, tmp_path, packed())
    remove_kit(store, "mine")
    assert "mine" not in kit_folders.kit_files()
    restore_kit(store, "mine")
    assert "mine" in kit_folders.kit_files()


@pytest.mark.parametrize("name", ["legal", "nosuch", "../runs", ""])
def test_only_an_opened_kit_can_be_removed(store, name):
    with pytest.raises(UsageError, match="not one of your kits"):
        remove_kit(store, name)


# -- running --------------------------------------------------------------------------------------------------------
def test_all_faults_of_a_document_are_still_told_together(store, tmp_path):
    (tmp_path / "own.yaml").write_text("nmae: x\nsteps: {source: {node: dataset.import, path: a, path: b, pth: c}}\n")
    with pytest.raises(ConfigError) as caught:
        runs.submit(store, tmp_path / "own.yaml")
    assert len(caught.value.others) == 2


def test_a_kit_without_rows_asks_for_a_file(store, tmp_path):
    give(store, tmp_path, packed())
    with pytest.raises(UsageError, match="needs a file of yours") as caught:
        runs.submit(store, "mine")
    assert "main.py run mine --data FILE" in caught.value.remedy
    with pytest.raises(UsageError, match="brings its own data"):
        runs.submit(store, "legal", data=tmp_path / "x.jsonl")


def test_a_kit_made_from_a_run_runs_on_another_persons_file(store, tmp_path, monkeypatch):
    """Made, passed on, opened, run by the service on rows with the same columns."""
    rows = tmp_path / "first.jsonl"
    rows.write_text("".join(json.dumps(planted(number)) + "\n" for number in range(9)))
    first = runs.submit_text(store, yaml.safe_dump({"name": "First", "steps": {
        "source": {"node": "dataset.import", "path": str(rows), "mapping": {"shape": "chat", "prompt": "frage", "answer": "antwort"},
                   "split_field": "wo"},
        "refine": {"node": "data.refine", "needs": "source"}}}))
    theirs = tmp_path / "theirs.jsonl"
    theirs.write_text("".join(json.dumps({"frage": f"Wann {number} {number * 7}?", "antwort": f"Um {number}", "wo": "train"}) + "\n"
                              for number in range(5)))
    with running.service(store):
        assert running.ended(store, first) == "done"
        export_kit(store, first, tmp_path / "kit.nwkit", About("Passed on"))
        name = open_kit(store, tmp_path / "kit.nwkit").name
        second = runs.submit(store, name, data=theirs)
        assert running.ended(store, second) == "done"
    made = json.loads(running.step(store, second, "refine")["outputs"])["rows"]
    assert (made["rows"], made["splits"]) == (5, {"train": 5})
    line = runs.find_run(store, second)
    assert (line["kit"], line["kit_version"]) == (name, 1)


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = main([*words, "--json"], lambda _arguments: pytest.fail("The window was opened."))
    return code, json.loads(capsys.readouterr().out)


def test_the_command_line_makes_and_opens_a_kit(store, run, tmp_path, capsys):
    file = str(tmp_path / "kit.nwkit")
    code, made = told(capsys, "kits", "export", "1", "--to", file, "--title", "Clauses")
    assert (code, made["file"], made["title"], made["version"]) == (0, file, "Clauses", 1)
    assert made["size"] == Path(file).stat().st_size
    code, opened = told(capsys, "kits", "import", file)
    assert (code, opened) == (0, {"kit": "clauses", "title": "Clauses", "version": 1, "needs_data": ["import.path"]})
    code, listed = told(capsys, "kits")
    assert {kit["name"] for kit in listed["kits"]} >= {"legal", "clauses"}
    (tmp_path / "bad.nwkit").write_bytes(b"x")
    code, refused = told(capsys, "kits", "import", str(tmp_path / "bad.nwkit"))
    assert (code, refused["error"]["type"]) == (2, "kitfile.damaged")


def test_an_opened_kit_is_a_valid_document_once_data_is_given(store, run, tmp_path):
    export_kit(store, run, tmp_path / "kit.nwkit")
    name = open_kit(store, tmp_path / "kit.nwkit").name
    file = store.profile.kits / name / "kit.yaml"
    with pytest.raises(NeuroWeaverError, match="path"):
        load(file, registry.find)
    document = load(file, registry.find, overrides={"import.path": "/data/mine.jsonl"})
    assert document.steps["import"].params["path"] == "/data/mine.jsonl"


def test_the_form_is_documented_where_it_is_written():
    for words in (*kit_file.LARGEST, "1980-01-01", "stored"):
        assert words in kit_file.__doc__
