"""The command line: exit codes, one JSON object on standard output, no traceback, quick to start."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app import doctor
from app.cli import main, overrides
from app.config.presence import Presence
from app.errors import UsageError
from app.store import Store
from app.store.profile import project_dir
from app.training import hardware
from tests.serving.harness import FAKE, deploy, endpoint


def window(arguments: list[str]) -> int:
    raise AssertionError("The window was opened.")


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = main([*words, "--json"], window)
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(("words", "kind", "part"), [
    pytest.param(["frob"], "usage", "invalid choice: 'frob'", id="unknown command"),
    pytest.param(["run"], "usage", "required: FILE|KIT", id="missing argument"),
    pytest.param(["run", "x.yaml", "--frob"], "usage", "--frob", id="unknown flag"),
    pytest.param(["run", "nosuch"], "workflow.not_found", "nosuch", id="unknown kit"),
    pytest.param(["run", "legal", "--set", "epochs"], "usage.set", "a.b=c", id="override without a value"),
    pytest.param(["run", "legal", "--set", "extends=kits/finance"], "config.override", "decides its keys", id="override of what it extends"),
    pytest.param(["service", "--port", "many"], "usage", "'many' is not a port", id="port that is no number"),
    pytest.param(["service", "--port", "99999"], "usage", "from 0 to 65535", id="port beyond all ports"),
    pytest.param(["service", "--port=-1"], "usage", "from 0 to 65535", id="negative port"),
    pytest.param(["status", "nosuch"], "run.unknown", "nosuch", id="unknown run"),
    pytest.param(["status"], "run.unknown", "Nothing has run yet", id="no run at all"),
    pytest.param(["cancel", "7"], "run.unknown", "7", id="cancel of an unknown run"),
    pytest.param(["resume", "7"], "run.unknown", "7", id="resume of an unknown run"),
    pytest.param(["datasets", "export", "ds_x", "--to", "x.jsonl"], "dataset.unknown", "ds_x", id="unknown dataset"),
    pytest.param(["models", "import", "nosuch.gguf"], "model", "nosuch.gguf", id="model file that is not there"),
    pytest.param(["deploy", "nosuch"], "", "nosuch", id="unknown model"),
])
def test_bad_input_gives_one_error_object_and_exit_code_two(
    capsys: pytest.CaptureFixture[str], words: list[str], kind: str, part: str
) -> None:
    code, found = told(capsys, *words)
    assert code == 2
    assert found["error"]["type"].startswith(kind)
    assert part in json.dumps(found["error"])


@pytest.mark.parametrize(("base", "kind", "place"), [
    pytest.param("smollm2-135m-instrct", "model.unknown", {"line": 1, "column": 1, "field": "base_model"}, id="misspelt"),
    pytest.param("/nowhere/model", "model.not_a_folder", {"file": "/nowhere/model"}, id="no such folder"),
])
def test_a_base_model_that_is_not_there_is_bad_input_and_no_run(
        capsys: pytest.CaptureFixture[str], tmp_path: Path, base: str, kind: str, place: dict[str, Any]) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(f"base_model: {base}\nsteps:\n  source: {{node: dataset.import, path: x.jsonl}}\n")
    code, found = told(capsys, "run", str(file))
    assert (code, found["error"]["type"]) == (2, kind)
    assert place.items() <= found["error"].items()
    with Store.open() as store:
        assert store.rows("SELECT id FROM runs") == []


@pytest.mark.parametrize("stopped", [False, True])
def test_chat_with_what_is_not_served_says_so_before_a_service_is_started(
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, stopped: bool) -> None:
    monkeypatch.setattr("app.workflow.follow.service_for", lambda store: 1 / 0)
    with Store.open() as store:
        deploy(store, alias="other")
        if stopped:
            deploy(store, alias="mine")
            store.db.execute("UPDATE deployments SET state = 'stopped' WHERE alias = 'mine'")
    code, found = told(capsys, "chat", "mine")
    assert (code, found["error"]["type"]) == (2, "deploy.unknown")
    assert found["error"]["message"] == "Nothing is served as 'mine'. Served: other."


def test_chat_answers_line_by_line_and_with_json_in_one_object(
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    deploy(store)
    with endpoint(store, worker=FAKE) as serving:
        keeper = SimpleNamespace(presence=Presence(1, 1.0, f"{serving.root}/v1"), wait_for_others=lambda *_: None)
        monkeypatch.setattr("app.workflow.follow.service_for", lambda store: contextlib.nullcontext(keeper))
        monkeypatch.setattr("sys.stdin", io.StringIO("count 2 every 0\n\ncount 1 every 0\n"))
        code, found = told(capsys, "chat", "m")
        assert (code, found) == (0, {"model": "m", "answers": [{"question": "count 2 every 0", "answer": "0 1 "},
                                                               {"question": "count 1 every 0", "answer": "0 "}]})
        monkeypatch.setattr("sys.stdin", io.StringIO("count 2 every 0\n"))
        assert main(["chat", "m"], window) == 0
    assert capsys.readouterr().out == "0 1 \n"


def test_without_json_an_error_goes_to_standard_error_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "nosuch"], window) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "There is no run 'nosuch'" in output.err


@pytest.mark.parametrize(("given", "found"), [
    (["train.epochs=1"], {"train.epochs": "1"}),
    (["a.b=x=y", "c="], {"a.b": "x=y", "c": ""}),
    ([], {}),
])
def test_overrides_are_split_at_the_first_equals_sign(given: list[str], found: dict[str, str]) -> None:
    assert overrides(given) == found


@pytest.mark.parametrize("given", ["epochs", "=1", " =1"])
def test_an_override_needs_a_name_and_a_value(given: str) -> None:
    with pytest.raises(UsageError):
        overrides([given])


def test_a_file_goes_in_and_comes_out_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    source, back = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"prompt": "a", "completion": "b"}\nbroken\n{"prompt": "c", "completion": "d"}\n')
    code, done = told(capsys, "datasets", "import", str(source))
    assert code == 0
    assert set(done) == {"dataset", "version", "rows", "rejected", "rejects_file", "warnings"}
    assert (done["rows"], done["rejected"]) == (2, 1)
    code, listed = told(capsys, "datasets")
    assert listed["datasets"][0]["dataset"] == done["dataset"]
    assert set(listed["datasets"][0]) == {"dataset", "name", "versions"}
    assert listed["datasets"][0]["versions"] == [{"version": 1, "rows": 2, "state": "ready"}]
    code, out = told(capsys, "datasets", "export", done["dataset"], "--to", str(back))
    assert code == 0
    assert out == {"dataset": done["dataset"], "version": 1, "rows": 2, "file": str(back)}
    assert [json.loads(line)["prompt"] for line in back.read_text().splitlines()] == ["a", "c"]


@pytest.mark.parametrize(("given", "found"), [
    pytest.param([], "dataset.unknown_shape", id="not told"),
    pytest.param(["--map", "prompt=Sachverhalt", "--map", "answer=Beurteilung"], ["Beurteilung", "Sachverhalt"], id="question and answer"),
    pytest.param(["--map", "text=Sachverhalt"], ["Beurteilung", "Sachverhalt"], id="text"),
    pytest.param(["--map", "prompt=Sachverhalt"], "dataset.bad_mapping", id="half"),
    pytest.param(["--map", "question=Sachverhalt"], "usage.map", id="no such part"),
    pytest.param(["--map", "prompt"], "usage.map", id="no column"),
    pytest.param(["--map", "prompt=Sachverhalt", "--map", "text=Beurteilung"], "usage.map", id="parts of two shapes"),
    pytest.param(["--map", "prompt=Sachverhalt", "--map", "context=Beurteilung"], "dataset.bad_mapping", id="no answer"),
])
def test_the_parts_of_columns_are_told_on_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path, given: list[str],
                                                           found: str | list[str]) -> None:
    source, back = tmp_path / "in.csv", tmp_path / "out.jsonl"
    source.write_text("Sachverhalt;Beurteilung\na;b\n", encoding="utf-8")
    code, done = told(capsys, "datasets", "import", str(source), *given)
    if isinstance(found, str):
        assert (code, done["error"]["type"]) == (2, found)
        return
    told(capsys, "datasets", "export", done["dataset"], "--to", str(back))
    assert sorted(json.loads(back.read_text())) == found


def test_the_doctor_checks_everything_and_never_imports_torch(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = told(capsys, "doctor")
    assert code in (0, 1)
    checks = {check["name"]: check for check in found["checks"]}
    assert {"Python", "Qt", "GPU", "RAM", "Disk", "SQLite", "Key storage", "Starter model", "torch", "xllamacpp"} <= set(checks)
    for check in checks.values():
        assert set(check) == {"name", "status", "detail", "hint"}
        assert check["status"] in ("ok", "warning", "error")
        assert check["hint"] or check["status"] == "ok", check


@pytest.mark.parametrize(("build", "told_of"), [("2.13.0+cpu", True), ("2.13.0", False)])
def test_the_doctor_tells_of_a_card_that_torch_cannot_use(monkeypatch: pytest.MonkeyPatch, build: str, told_of: bool) -> None:
    card = hardware.Gpu("H100", 80 * 10**9, 70 * 10**9, "570", (9, 0))
    machine = dataclasses.replace(hardware.probe(), gpus=(card,))
    monkeypatch.setattr("app.training.hardware.probe", lambda *_: machine)
    monkeypatch.setattr("app.doctor._version", lambda name: build)
    assert ("CUDA" in [name for name, *_ in doctor._machine()]) == told_of


def test_help_loads_nothing_heavy() -> None:
    code = ("import sys\nfrom app.cli import main\nfrom app.cli import parser\nparser().format_help()\n"
            "print([name for name in ('torch', 'transformers', 'PySide6', 'numpy', 'fastapi', 'uvicorn', 'pydantic') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], cwd=project_dir(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_a_command_the_window_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    assert main([], lambda arguments: seen.append(arguments) or 0) == 0
    assert seen == [["neuroweaver"]]


def test_without_a_display_the_starter_kit_runs_and_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    asked: list[str] = []
    monkeypatch.setattr("app.cli._run", lambda given: asked.append(given.source) or 0)
    assert main([], window) == 0
    assert asked == ["legal"]
    assert "no display" in capsys.readouterr().err


def test_a_flag_alone_starts_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("app.cli._run", lambda _given: pytest.fail("a run was started"))
    code, found = told(capsys)
    assert (code, found["error"]["type"]) == (2, "usage")
    assert "main.py --help" in found["error"]["hint"]


def test_a_file_alone_is_imported_in_the_window(tmp_path: Path) -> None:
    seen: list[list[str]] = []
    file = tmp_path / "mine.csv"
    file.touch()
    assert main([str(file)], lambda arguments: seen.append(arguments) or 0) == 0
    assert seen == [["neuroweaver", str(file)]]


def test_without_a_display_a_file_alone_is_refused_with_the_command_that_imports_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "mine.csv"
    file.touch()
    assert main([str(file)], window) == 2
    assert f"main.py datasets import {file}" in capsys.readouterr().err
