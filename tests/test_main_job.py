"""The main job, end to end, as a user runs it: real data, real processes, a tiny random model, a real endpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest

from app.store.profile import project_dir
from tests.tiny import tiny_llama

STEPS = ("source", "refine", "train", "evaluate", "export", "register", "deploy")


def command(*words: str, timeout: float = 280) -> tuple[int, Any, str]:
    done = subprocess.run([sys.executable, "main.py", *words, "--json"], cwd=project_dir(), capture_output=True, text=True, timeout=timeout,
                          env={**os.environ, "OMP_NUM_THREADS": "2"}, check=False)
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1, done.stdout + done.stderr
    return done.returncode, json.loads(lines[0]), done.stderr


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """The legal kit on a tiny base, with a gate that a random model can pass."""
    base = tiny_llama(tmp_path / "tiny")
    text = f"""
extends: kits/legal
base_model: {base}
steps:
  train: {{max_steps: 2, eval_rows: 4}}
  evaluate: {{items: 4, examples: 1}}
  export: {{prompts: 3, new_tokens: 4, pass_mark: {{top1: 0.5, kl: 1.0}}}}
  deploy: {{gate: {{min_gain: -1, require_better: false}}, base_too: false}}
"""
    path = tmp_path / "job.yaml"
    path.write_text(text)
    return path


def test_one_command_goes_from_data_to_an_answer_from_the_endpoint(job: Path) -> None:
    code, result, told = command("run", str(job))
    assert code == 0, (result, told)
    assert [(step["id"], step["state"]) for step in result["steps"]] == [(name, "done") for name in STEPS]
    assert set(result["evaluation"]) == {"metric", "base", "tuned", "difference", "interval", "verdict"}
    assert Path(result["model"]["path"]).suffix == ".gguf"
    service = subprocess.Popen([sys.executable, "main.py", "service", "--json", "--port", "18620"], cwd=project_dir(),
                               stdout=subprocess.PIPE, text=True)
    try:
        assert service.stdout is not None
        told_by = json.loads(service.stdout.readline())
        client = openai.OpenAI(base_url=told_by["base_url"], api_key=told_by["key"], max_retries=0, timeout=60)
        answer = client.chat.completions.create(model=result["endpoint"]["model"], max_tokens=4,
                                                messages=[{"role": "user", "content": "This is under the MIT licence."}])
        assert answer.usage is not None
        assert answer.usage.completion_tokens >= 1
    finally:
        service.terminate()
        assert service.wait(30) == 0
    again, repeated, _ = command("run", str(job))
    assert again == 0
    assert [step["cached"] for step in repeated["steps"][:5]] == [True] * 5
    _, models, _ = command("models")
    assert models["models"][0]["live"] == result["model"]["id"]


@pytest.mark.parametrize(("words", "code", "kind"), [
    pytest.param(("run", "nothing"), 2, "workflow.not_found", id="no such kit"),
    pytest.param(("run", "legal", "--set", "train.epohs=1"), 2, "config.unknown_key", id="misspelt parameter"),
    pytest.param(("run", "legal", "--set", "nonsense"), 2, "usage.set", id="malformed override"),
    pytest.param(("frobnicate",), 2, "usage", id="unknown command"),
    pytest.param(("datasets", "import", "missing.csv"), 2, "dataset.no_such_file", id="missing file"),
    pytest.param(("datasets", "export", "nothing", "--to", "x.csv"), 2, "dataset.unknown", id="unknown dataset"),
    pytest.param(("models", "import", "missing.gguf"), 2, "model.", id="missing model"),
    pytest.param(("deploy", "nobody@1"), 2, "model.unknown", id="unknown model"),
    pytest.param(("cancel", "99"), 2, "run.unknown", id="unknown run"),
    pytest.param(("status",), 2, "run.unknown", id="nothing has run"),
])
def test_bad_input_is_one_json_error_with_exit_code_2(words: tuple[str, ...], code: int, kind: str) -> None:
    found, result, _ = command(*words, timeout=60)
    assert found == code
    assert result["error"]["type"].startswith(kind)
    assert result["error"]["message"]


def test_datasets_go_in_and_come_out(tmp_path: Path) -> None:
    source = tmp_path / "faq.csv"
    source.write_text("question,answer,page\nWhy?,Because.,3\nHow?,So.,4\n,empty,5\n")
    code, found, _ = command("datasets", "import", str(source))
    assert (code, found["rows"], found["rejected"], found["version"]) == (0, 2, 1, 1)
    assert json.loads(Path(found["rejects_file"]).read_text().splitlines()[0])["reason"]
    _, listed, _ = command("datasets")
    assert listed["datasets"][0]["versions"][0]["state"] == "ready"
    out = tmp_path / "out.jsonl"
    code, written, _ = command("datasets", "export", found["dataset"], "--to", str(out))
    assert (code, written["rows"]) == (0, 2)
    assert [json.loads(line)["page"] for line in out.read_text().splitlines()] == ["3", "4"]


def test_doctor_checks_what_the_house_plan_names() -> None:
    _, found, _ = command("doctor", timeout=120)
    names = {check["name"] for check in found["checks"]}
    assert {"Python", "Qt", "GPU", "RAM", "Disk", "SQLite", "Key storage", "torch", "xllamacpp", "Starter model"} <= names
    assert all(check["status"] in ("ok", "warning", "error") for check in found["checks"])
    assert all(check["hint"] for check in found["checks"] if check["status"] != "ok")


def test_help_is_light() -> None:
    code = "import sys, app.cli; app.cli.parser().format_help(); print([n for n in ('torch', 'pydantic', 'PySide6') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=project_dir(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
