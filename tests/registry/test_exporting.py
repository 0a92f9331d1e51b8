"""Exporting a version that is there: copies of its files, what could be made, and the run that makes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.config.artifacts import Artifact, Model, Report
from app.config.model_files import check_model_folder
from app.errors import Cancelled, NeuroWeaverError, RegistryError, UsageError
from app.registry import api, convert, exporting, files, views
from app.registry.attach_nodes import Attach, OpenModel, VersionParams
from app.registry.sizes import estimate_size
from app.store import Store
from app.workflow import runs
from tests.context import FakeContext
from tests.tiny import STARTER

Make = Callable[..., Model]


def trained_run(store: Store, model: Model) -> None:
    """A run whose training step left ``model`` and whose export step took it."""
    store.db.execute("INSERT INTO runs (id, number, name, document, document_hash, resolved, state, seed, packages, created) "
                     "VALUES ('r1', 1, 'x', '', 'abc', '{}', 'done', 7, '{}', 0)")
    for place, (step, node, outputs, bindings) in enumerate((
            ("train", "train.qlora", {"model": model.model_dump()}, {}), ("export", "model.export", {}, {"model": ["train", "model"]}))):
        store.db.execute("INSERT INTO steps (run, id, position, node, title, needs, params, bindings, state, outputs) "
                         "VALUES ('r1', ?, ?, ?, '', '[]', '{}', ?, 'done', ?)", (step, place, node, json.dumps(bindings), json.dumps(outputs)))


@dataclass(frozen=True)
class Tuned:
    """A version with a q8_0 file; what its training left; and what an export of two files gave."""

    version: api.Version
    original: Model
    model: Model
    proof: Report

    @property
    def id(self) -> str:
        return self.version.id


@pytest.fixture
def tuned(store: Store, small_model: Make, tmp_path: Path) -> Tuned:
    (tmp_path / "adapter").mkdir()
    original = Model(content_hash="a", path=str(tmp_path / "adapter"), format="lora", name="x", base=str(STARTER))
    trained_run(store, original)
    version = api.register(store, small_model("q8"), run="r1", proof={"passed": True, "files": []})
    made = small_model("f16")
    entries = [{**made.details["files"][0], "quantization": kind} for kind in ("q8_0", "f16")]
    proven = [{"quantization": kind, "passed": True, "quality_lost": 0.01} for kind in ("q8_0", "f16")]
    return Tuned(version, original, made.model_copy(update={"details": {"files": entries}}),
                 Report(content_hash="p", path="", summary={"passed": True, "files": proven}))


# -- copies -------------------------------------------------------------------------------------------------------------------
def test_a_copy_equals_the_file_and_takes_the_place_of_what_was_there(store: Store, small_model: Make, tmp_path: Path) -> None:
    version = api.register(store, small_model())
    (target := tmp_path / "mine.gguf").write_bytes(b"old")
    assert exporting.save_copy(store, version.id, "q8_0", target) == target
    assert target.read_bytes() == Path(version.path).read_bytes()
    assert sorted(one.name for one in tmp_path.glob("mine*")) == ["mine.gguf"]


@pytest.mark.parametrize(("quantization", "place", "words"), [
    pytest.param("q4_0", "mine.gguf", "has no q4_0 file", id="a file that is not there"),
    pytest.param("q8_0", "missing/mine.gguf", "folder does not exist", id="a folder that is not there"),
    pytest.param("q8_0", "home", "among the registry's own", id="the registry's folder"),
    pytest.param("q8_0", "taken", "could not be written", id="a folder of that name")])
def test_a_bad_copy_is_refused(store: Store, small_model: Make, tmp_path: Path, quantization: str, place: str, words: str) -> None:
    version = api.register(store, small_model())
    (tmp_path / "taken").mkdir()
    target = Path(version.path) if place == "home" else tmp_path / place
    with pytest.raises(UsageError, match=words):
        exporting.save_copy(store, version.id, quantization, target)
    assert not list(tmp_path.glob("*.partial"))


def test_a_file_that_changed_is_not_copied_and_what_was_there_stays(store: Store, small_model: Make, tmp_path: Path) -> None:
    version = api.register(store, small_model())
    with Path(version.path).open("ab") as stream:
        stream.write(b"x")
    (target := tmp_path / "mine.gguf").write_bytes(b"old")
    with pytest.raises(RegistryError, match="not as it was registered"):
        exporting.save_copy(store, version.id, "q8_0", target)
    assert target.read_bytes() == b"old"
    assert not list(tmp_path.glob("*.partial"))


def test_a_full_disk_is_said_before_the_copy(store: Store, small_model: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = api.register(store, small_model())
    monkeypatch.setattr(files, "free_space", lambda _folder: 3)
    with pytest.raises(RegistryError, match="too little disk space to save the copy"):
        exporting.save_copy(store, version.id, "q8_0", tmp_path / "mine.gguf")
    assert not (tmp_path / "mine.gguf").exists()


# -- what there is, and what could be made --------------------------------------------------------------------------------------
def by_kind(found: exporting.Choices) -> dict[str, exporting.Choice]:
    return {one.quantization: one for one in found.files}


def test_what_is_there_comes_first_and_the_rest_has_its_size_told(store: Store, tuned: Tuned) -> None:
    found = exporting.choices(store, tuned.id)
    kinds = by_kind(found)
    assert [one.quantization for one in found.files] == ["q8_0", "f16", "q5_k_m", "q4_k_m", "q4_0"]
    assert kinds["q8_0"].file.endswith(".gguf")
    assert kinds["f16"].file == "" == kinds["f16"].fault
    assert kinds["f16"].size == estimate_size(check_model_folder(tuned.original.base or ""), "f16")
    assert found.free > 0


def test_without_the_compiled_library_the_small_ones_say_why(store: Store, tuned: Tuned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "can_quantise", lambda: False)
    kinds = by_kind(exporting.choices(store, tuned.id))
    assert kinds["f16"].fault == ""
    assert "llama-cpp-python is not installed" in kinds["q4_k_m"].fault
    with pytest.raises(NeuroWeaverError, match="cannot write q4_k_m"):
        exporting.document(store, tuned.id, "q4_k_m")


@pytest.mark.parametrize(("gone", "words"), [("run", "not in the store"), ("adapter", "was deleted"), ("import", "came as a GGUF")])
def test_without_the_original_nothing_else_is_offered(store: Store, small_model: Make, tmp_path: Path, gone: str, words: str) -> None:
    if gone == "adapter":
        trained_run(store, Model(content_hash="a", path=str(tmp_path / "gone"), format="lora", name="x", base="/base"))
    origin = {"origin": "import"} if gone == "import" else None
    version = api.register(store, small_model(), run="r1" if gone == "adapter" else "", lineage=origin)
    kinds = by_kind(exporting.choices(store, version.id))
    assert kinds["q8_0"].fault == ""
    assert words in kinds["f16"].fault
    with pytest.raises(RegistryError, match=words):
        exporting.document(store, version.id, "f16")


# -- the run that makes one -----------------------------------------------------------------------------------------------------
def test_the_export_run_is_a_sound_workflow(store: Store, tuned: Tuned) -> None:
    found = runs.check_text(exporting.document(store, tuned.id, "f16")).sound()
    assert [step.node for step in found.steps.values()] == ["model.open", "model.export", "model.attach"]


def test_the_run_begins_from_what_training_left(store: Store, tuned: Tuned, tmp_path: Path) -> None:
    made = OpenModel(VersionParams(version=tuned.id)).run(FakeContext(store, tmp_path))["model"]
    assert made == tuned.original.model_copy(update={"name": tuned.version.model})


def test_new_files_join_the_version_with_their_proof_and_what_is_served_stays(store: Store, tuned: Tuned, tmp_path: Path) -> None:
    inputs: dict[str, Artifact] = {"model": tuned.model, "proof": tuned.proof}
    for _ in range(2):  # a run that is resumed adds nothing twice
        Attach(VersionParams(version=tuned.id)).run(FakeContext(store, tmp_path, inputs=inputs))
    view = views.version(store, tuned.id)
    assert view is not None
    assert view.path == tuned.version.path
    assert [(one.quantization, one.quality_lost, one.in_use) for one in view.files] == [("q8_0", None, True), ("f16", 0.01, False)]
    assert Path(view.files[1].path).read_bytes() == Path(tuned.model.path).read_bytes()
    assert Path(view.files[1].path).parent == Path(tuned.version.path).parent


def test_a_file_changed_since_its_proof_does_not_join(store: Store, tuned: Tuned) -> None:
    changed = tuned.model.model_copy(update={"details": {"files": [{**tuned.model.details["files"][1], "sha256": "0" * 64}]}})
    with pytest.raises(RegistryError, match="changed after it was proven"):
        exporting.attach(store, tuned.id, changed, tuned.proof.summary)
    assert [one["quantization"] for one in api.find_version(store, tuned.id).files] == ["q8_0"]


# -- a file that was lost -----------------------------------------------------------------------------------------------------------
def test_a_lost_file_can_be_made_again_while_its_original_is_there(store: Store, tuned: Tuned) -> None:
    Path(tuned.version.path).unlink()
    kinds = by_kind(exporting.choices(store, tuned.id))
    assert (kinds["q8_0"].missing, kinds["q8_0"].file, kinds["q8_0"].fault) == (True, "", "")
    assert [line.here for line in views.version_files(store, tuned.id)] == [False]
    assert runs.check_text(exporting.document(store, tuned.id, "q8_0")).sound().steps["export"].params["quantization"] == ["q8_0"]
    assert not kinds["f16"].missing


def test_a_lost_file_whose_original_is_gone_says_why_it_stays_lost(store: Store, small_model: Make) -> None:
    version = api.register(store, small_model())
    Path(version.path).unlink()
    kinds = by_kind(exporting.choices(store, version.id))
    assert kinds["q8_0"].fault.startswith("Its file is missing on this computer. No other file can be made of this version.")


def test_a_file_made_again_takes_the_place_of_the_lost_one(store: Store, tuned: Tuned, tmp_path: Path) -> None:
    Path(tuned.version.path).unlink()
    assert exporting.attach(store, tuned.id, tuned.model, dict(tuned.proof.summary)) == ["q8_0", "f16"]
    found = views.version_files(store, tuned.id)
    assert [(line.quantization, line.here, line.quality_lost) for line in found] == [("q8_0", True, 0.01), ("f16", True, 0.01)]
    assert found[0].in_use
    exporting.save_copy(store, tuned.id, "q8_0", tmp_path / "copy.gguf")
    assert (tmp_path / "copy.gguf").read_bytes() == Path(found[0].path).read_bytes()


def test_a_copy_tells_its_share_and_is_stopped_by_what_that_raises(store: Store, small_model: Make, tmp_path: Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    version = api.register(store, small_model())
    monkeypatch.setattr(files, "PIECE", 1000)
    monkeypatch.setattr(exporting, "PIECE", 1000)
    told: list[float] = []
    exporting.save_copy(store, version.id, "q8_0", tmp_path / "whole.gguf", told.append)
    assert told == sorted(set(told))
    assert told[-1] == 1.0

    def stop(_share: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        exporting.save_copy(store, version.id, "q8_0", tmp_path / "part.gguf", stop)
    assert not list(tmp_path.glob("part*"))
