"""Versions, their origin, releasing and rolling back, gates, deployments."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.config import presence
from app.config.artifacts import Model, Report
from app.config.subprocess_tools import started_at
from app.errors import RegistryError, ServingError, UsageError
from app.registry import api, deployments, views
from app.registry.deploy_node import Deploy, DeployParams
from app.registry.register_node import Register, RegisterParams
from app.store import Store
from tests.context import FakeContext

PASSED = {"passed": True, "files": []}
FAILED = {"passed": False, "reasons": ["It chooses the same next token in 12.0 % of cases."], "files": []}
Make = Callable[..., Model]


def row(store: Store, alias: str) -> dict[str, Any]:
    return store.row("SELECT * FROM deployments WHERE alias = ?", (alias,)) or {}


def two_versions(store: Store, make: Make) -> tuple[api.Version, api.Version]:
    return (api.register(store, make("one"), name="Notices", proof=PASSED),
            api.register(store, make("two"), name="Notices", proof=PASSED))


# -- registering ------------------------------------------------------------------------------------------------------------
def test_versions_count_up_and_keep_their_files(store: Store, small_model: Make) -> None:
    first, second = two_versions(store, small_model)
    assert (first.id, second.id) == ("notices@1", "notices@2")
    for version in (first, second):
        assert Path(version.path).is_relative_to(store.profile.models)
        assert version.files[0]["sha256"] == version.content_hash
        assert version.size == Path(version.path).stat().st_size


def test_registered_file_outlives_the_run_folder(store: Store, small_model: Make) -> None:
    model = small_model()
    version = api.register(store, model, proof=PASSED)
    Path(model.path).unlink()
    assert Path(version.path).stat().st_size == version.size


def test_same_content_is_one_version(store: Store, small_model: Make) -> None:
    model = small_model()
    assert api.register(store, model).id == api.register(store, model).id == "small@1"
    assert len(api.list_models(store)[0].versions) == 1


def test_file_changed_after_its_proof_is_not_registered(store: Store, small_model: Make) -> None:
    model = small_model()
    with Path(model.path).open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(RegistryError, match="changed after it was proven"):
        api.register(store, model)
    assert api.list_models(store) == []
    assert list((store.profile.models / "small").iterdir()) == []


def test_lineage_names_data_document_code_and_seed(store: Store, small_model: Make) -> None:
    store.db.execute("INSERT INTO runs (id, number, name, document, document_hash, resolved, state, seed, packages, created) "
                     "VALUES ('r1', 1, 'x', '', 'abc', '{}', 'running', 7, ?, 0)", (orjson.dumps({"torch": "2.13.0"}).decode(),))
    rows = {"rows": {"kind": "rows", "content_hash": "h", "dataset": "d1", "version": 2, "rows": 1, "splits": {}}}
    bound = {"rows": ["refine", "rows"]}
    for place, (step, node, outputs, bindings) in enumerate((
            ("refine", "data.refine", rows, {}), ("train", "train.qlora", {}, bound))):
        store.db.execute("INSERT INTO steps (run, id, position, node, title, needs, params, bindings, state, outputs) "
                         "VALUES ('r1', ?, ?, ?, '', '[]', '{}', ?, 'done', ?)",
                         (step, place, node, orjson.dumps(bindings).decode(), orjson.dumps(outputs).decode()))
    lineage = api.register(store, small_model(base="/models/base"), run="r1").lineage
    assert lineage | {"code": ""} == {
        "origin": "run", "run": "r1", "dataset": "d1", "dataset_version": 2, "document_hash": "abc", "seed": 7, "code": "",
        "base": "/models/base", "packages": {"torch": "2.13.0"}}
    assert len(lineage["code"]) == 12


@pytest.mark.parametrize(("name", "words"), [("notises@1", "notices@1"), ("qqq", "main.py models")])
def test_unknown_model_names_the_nearest(store: Store, small_model: Make, name: str, words: str) -> None:
    api.register(store, small_model(), name="Notices")
    with pytest.raises(UsageError, match=words):
        api.find_version(store, name)


@pytest.mark.parametrize(("name", "kept"), [
    ("Licence Notices!", "licence-notices"), ("../../etc/passwd", "passwd"), ("..", "model"), ("a" * 200, "a" * 80), ("日本", "model")])
def test_names_become_safe_folders(store: Store, small_model: Make, name: str, kept: str) -> None:
    version = api.register(store, small_model(), name=name)
    assert version.model == kept
    assert Path(version.path).parent == store.profile.models / kept / "1"


# -- releasing ----------------------------------------------------------------------------------------------------------------
def test_release_makes_live_serves_and_retires_the_one_before(store: Store, small_model: Make) -> None:
    first, second = two_versions(store, small_model)
    api.promote(store, first.id)
    assert row(store, "notices")["model_version"] == first.id
    api.promote(store, second.id)
    assert {one.id: (one.state, one.live) for one in api.list_models(store)[0].versions} == {
        "notices@1": ("retired", False), "notices@2": ("released", True)}
    assert (row(store, "notices")["model_version"], row(store, "notices")["state"]) == (second.id, "starting")
    assert api.find_version(store, "notices").id == second.id


def test_release_switches_every_name_of_the_model(store: Store, small_model: Make) -> None:
    first, second = two_versions(store, small_model)
    for alias in ("production", "test"):
        api.deploy(store, first.id, alias=alias)
    api.promote(store, second.id)
    assert {found["alias"]: found["model_version"] for found in store.rows("SELECT * FROM deployments")} == {
        "production": second.id, "test": second.id}


def test_roll_back_serves_the_version_before(store: Store, small_model: Make) -> None:
    first, second = two_versions(store, small_model)
    api.promote(store, first.id)
    api.promote(store, second.id)
    assert api.roll_back(store, "notices").id == first.id
    assert row(store, "notices")["path"] == first.path
    assert api.find_version(store, first.id).live
    assert api.roll_back(store, "notices").id == second.id


def test_nothing_to_roll_back_to_is_said(store: Store, small_model: Make) -> None:
    first, _ = two_versions(store, small_model)
    api.promote(store, first.id)
    with pytest.raises(RegistryError, match="No version was released before"):
        api.roll_back(store, "notices")


@pytest.mark.parametrize(("proof", "words"), [(None, "is missing"), (FAILED, r"failed\..*12\.0 %")])
@pytest.mark.parametrize("act", [api.promote, api.deploy])
def test_unproven_version_is_never_served(store: Store, small_model: Make, proof: Any, words: str, act: Any) -> None:
    version = api.register(store, small_model(), proof=proof)
    with pytest.raises(RegistryError, match=words):
        act(store, version.id)
    assert store.rows("SELECT * FROM deployments") == []
    assert not api.find_version(store, version.id).live


# -- deployments ----------------------------------------------------------------------------------------------------------------
def test_same_deployment_again_restarts_nothing(store: Store, small_model: Make) -> None:
    version = api.register(store, small_model(), proof=PASSED)
    api.deploy(store, version.id)
    store.db.execute("UPDATE deployments SET state = 'ready'")
    before = row(store, "small")
    api.deploy(store, version.id)
    assert row(store, "small") == before
    store.db.execute("UPDATE deployments SET state = 'idle'")
    api.deploy(store, version.id)
    assert row(store, "small")["state"] == "starting"


@pytest.mark.parametrize(("options", "code"), [
    pytest.param({"alias": "a b"}, "deploy.bad_alias", id="space"), pytest.param({"alias": "../x"}, "deploy.bad_alias", id="path"),
    pytest.param({"alias": "x" * 101}, "deploy.bad_alias", id="long"), pytest.param({"engine": "vllm"}, "deploy.bad_engine", id="engine"),
    pytest.param({"options": {"slot": 1}}, "deploy.bad_option", id="option")])
def test_bad_deployment_is_refused(store: Store, small_model: Make, options: dict[str, Any], code: str) -> None:
    version = api.register(store, small_model(), proof=PASSED)
    with pytest.raises(UsageError) as caught:
        api.deploy(store, version.id, **options)
    assert caught.value.code == code
    assert store.rows("SELECT * FROM deployments") == []


def test_missing_file_is_named(store: Store, small_model: Make) -> None:
    version = api.register(store, small_model(), proof=PASSED)
    Path(version.path).unlink()
    with pytest.raises(RegistryError, match="file is missing"):
        api.deploy(store, version.id)


def test_undeploy_stops_and_names_what_is_not_served(store: Store, small_model: Make) -> None:
    api.deploy(store, api.register(store, small_model(), proof=PASSED).id)
    api.undeploy(store, "small")
    assert row(store, "small")["state"] == "stopped"
    with pytest.raises(UsageError, match="Nothing is served as 'other'"):
        api.undeploy(store, "other")


def test_engine_that_fails_gives_its_own_error(store: Store, small_model: Make) -> None:
    api.deploy(store, api.register(store, small_model(), proof=PASSED).id)
    why = ServingError("engine.load", "The model could not be loaded.", why="No memory.")
    store.db.execute("UPDATE deployments SET state = 'failed', why = ?", (orjson.dumps(why.as_record()).decode(),))
    with pytest.raises(ServingError, match="No memory"):
        api.wait_ready(store, "small", 5)


def test_starter_base_is_served_from_the_packaged_file(store: Store) -> None:
    from tests.tiny import STARTER

    found = api.ensure_base_deployment(store, str(STARTER))
    assert (found.alias, found.model_version) == ("smollm2-135m-instruct-base", "base:smollm2-135m-instruct")
    assert found.path.endswith(".Q4_1.gguf")


# -- the nodes --------------------------------------------------------------------------------------------------------------------
def measured(difference: float, low: float, high: float, verdict: str) -> dict[str, Any]:
    return {"difference": difference, "interval": [low, high], "verdict": verdict}


BETTER, WORSE = measured(0.1, 0.05, 0.15, "better"), measured(-0.1, -0.2, -0.05, "worse")
UNSURE = measured(0.02, -0.01, 0.05, "no_difference")
LESS_LOSS = measured(-0.2, -0.3, -0.1, "better") | {"metric": "nll", "base": 2.0}  # a tenth less, at least a twentieth
GATES = [
    pytest.param({}, BETTER, PASSED, None, id="better, proven"),
    pytest.param({}, None, PASSED, None, id="nothing asked, nothing measured"),
    pytest.param({"min_gain": 0.0}, UNSURE, PASSED, None, id="not below the base"),
    pytest.param({"min_gain": 0.0}, None, PASSED, "gate.not_measured", id="gain asked, nothing measured"),
    pytest.param({}, WORSE, PASSED, "gate.worse", id="worse"),
    pytest.param({"min_gain": -0.5}, WORSE, PASSED, "gate.worse", id="worse, whatever the gate says"),
    pytest.param({"min_gain": 0.2}, BETTER, PASSED, "gate.too_small", id="gain too small"),
    pytest.param({"min_gain": 0.0}, measured(float("nan"), 0, 0, "no_difference"), PASSED, "gate.too_small", id="no number"),
    pytest.param({"require_better": True}, UNSURE, PASSED, "gate.not_shown", id="gain not certain"),
    pytest.param({"require_better": True}, BETTER, PASSED, None, id="gain certain"),
    pytest.param({"min_gain": 0.04, "require_better": True}, LESS_LOSS, PASSED, None, id="loss falls"),
    pytest.param({"min_gain": 0.11}, LESS_LOSS, PASSED, "gate.too_small", id="loss falls too little"),
    pytest.param({"min_gain": 0.06, "require_better": True}, LESS_LOSS, PASSED, "gate.not_shown", id="loss falls, not certain enough"),
    pytest.param({}, BETTER, None, "registry.not_proven", id="no proof"),
    pytest.param({}, BETTER, FAILED, "registry.not_proven", id="proof failed"),
    pytest.param({"require_proof": False}, BETTER, FAILED, None, id="proof failed, at your own risk"),
]


@pytest.mark.parametrize(("gate", "evaluation", "proof", "refused"), GATES)
def test_gate(store: Store, tmp_path: Path, small_model: Make, gate: Any, evaluation: Any, proof: Any, refused: str | None) -> None:
    given = {"evaluation": evaluation, "proof": proof}
    inputs: dict[str, Any] = {name: Report(content_hash="x", path="x", summary=summary) for name, summary in given.items() if summary}
    context = FakeContext(store, tmp_path, inputs={"model": small_model(), **inputs})
    node = Deploy(DeployParams.model_validate({"gate": gate}))
    if refused is None:
        summary = node.run(context)["deployment"].summary  # type: ignore[attr-defined]
        assert (summary["alias"], summary["model"], row(store, "small")["state"]) == ("small", "small@1", "starting")
        assert api.find_version(store, "small").live
        return
    with pytest.raises(RegistryError) as caught:
        node.run(context)
    assert caught.value.code == refused
    assert caught.value.remedy
    assert store.rows("SELECT * FROM deployments") == []
    assert api.find_version(store, "small").state == "refused"


def test_refused_version_leaves_the_live_one_serving(store: Store, tmp_path: Path, small_model: Make) -> None:
    live = api.promote(store, api.register(store, small_model("one"), proof=PASSED).id)
    inputs: dict[str, Any] = {"model": small_model("two"), "proof": Report(content_hash="x", path="x", summary=PASSED),
                              "evaluation": Report(content_hash="x", path="x", summary=WORSE)}
    with pytest.raises(RegistryError, match="worse than its base"):
        Deploy(DeployParams()).run(FakeContext(store, tmp_path, inputs=inputs))
    assert row(store, "small")["model_version"] == live.id
    assert api.find_version(store, "small").id == live.id


def test_register_then_deploy_is_one_version(store: Store, tmp_path: Path, small_model: Make) -> None:
    inputs: dict[str, Any] = {"model": small_model(), "proof": Report(content_hash="x", path="x", summary=PASSED)}
    context = FakeContext(store, tmp_path, inputs=inputs)
    model: Any = Register(RegisterParams(name="Notices")).run(context)["model"]
    assert (model.version, model.name) == ("notices@1", "notices")
    context.inputs["model"] = model
    Deploy(DeployParams(alias="served")).run(context)
    assert [one.id for one in api.list_models(store)[0].versions] == ["notices@1"]
    assert row(store, "served")["options"] == '{"context":2048,"slots":4}'
    assert context.said("when the service starts")


def test_deploy_waits_for_a_running_service(store: Store, tmp_path: Path, small_model: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    started = started_at(os.getpid())
    assert started is not None
    presence.announce(store.profile, presence.Presence(os.getpid(), started, "http://127.0.0.1:1/v1", 1))
    calls = []

    def sleep(seconds: float) -> None:
        calls.append(seconds)
        if len(calls) == 3:
            store.db.execute("UPDATE deployments SET state = 'ready'")

    monkeypatch.setattr(deployments.time, "sleep", sleep)
    inputs: dict[str, Any] = {"model": small_model(), "proof": Report(content_hash="x", path="x", summary=PASSED)}
    summary: Any = Deploy(DeployParams()).run(FakeContext(store, tmp_path, inputs=inputs))["deployment"]
    assert (len(calls), summary.summary["state"]) == (3, "ready")


def test_evaluation_of_the_run_is_tied_to_its_version(store: Store, small_model: Make) -> None:
    store.db.execute("INSERT INTO evaluations (run, step, metric, items, base, tuned, difference, low, high, verdict, report, created) "
                     "VALUES ('r9', 's', 'f1', 10, 0, 1, 1, 0.5, 1, 'better', '{}', ?)", (time.time(),))
    version = api.register(store, small_model(), run="r9", proof=PASSED)
    assert store.row("SELECT model_version FROM evaluations") == {"model_version": version.id}


def test_window_shows_proof_and_files(store: Store, small_model: Make) -> None:
    model = small_model()
    proof = {"passed": True, "files": [{"quantization": "q8_0", "same_answers": 0.9, "quality_lost": 0.01, "passed": True,
                                        "template_identical": True}]}
    api.promote(store, api.register(store, model, proof=proof).id)
    view = views.version(store, "small@1")
    assert view is not None
    assert view.line.live
    assert view.served_as == "small"
    assert [(file.quantization, file.same_answers, file.passed, file.in_use) for file in view.files] == [("q8_0", 0.9, True, True)]
