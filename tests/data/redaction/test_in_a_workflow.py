"""data.redact as a step: planned between refining and training, run by the command line in offline mode, exported redacted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.config import offline
from app.errors import ConfigError
from app.store import Profile, Store, settings
from app.store.profile import project_dir
from app.workflow import runs

STEPS = """
name: redacted
base_model: smollm2-135m-instruct
steps:
  source: {node: dataset.import, path: letters.jsonl}
  refine: {node: data.refine, needs: source}
  redact: {node: data.redact, needs: refine, languages: [en, de], mode: placeholder}
"""


def command(*words: str) -> Any:
    done = subprocess.run([sys.executable, "main.py", *words, "--json"], cwd=project_dir(), capture_output=True, text=True, timeout=280,
                          env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_training_takes_what_redacting_gives() -> None:
    document = runs.check_text(STEPS + "  train: {node: train.qlora, needs: redact}\n").sound()
    assert list(document.steps) == ["source", "refine", "redact", "train"]


def test_a_misspelt_entity_is_named_before_any_work() -> None:
    with pytest.raises(ConfigError, match="EMIAL"):
        runs.check_text(STEPS.replace("mode: placeholder", "entities: [EMIAL]")).sound()


def test_a_run_in_offline_mode_redacts_and_exports_without_any_call(profile: Profile, tmp_path: Path) -> None:
    with Store.open(profile) as store:
        settings.put(store, "offline", True)
    rows = [{"prompt": f"Summarise letter {number}", "completion": f"Mr. John Whitfield writes about lease {number}. Mail j{number}@example.com",
             "author": "John Whitfield"} for number in range(40)]
    (tmp_path / "letters.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "job.yaml").write_text(STEPS)
    done = command("run", str(tmp_path / "job.yaml"))
    assert [step["state"] for step in done["steps"]] == ["done"] * 3
    (dataset,) = command("datasets")["datasets"]
    newest = max(one["version"] for one in dataset["versions"])
    command("datasets", "export", dataset["dataset"], "--version", str(newest), "--to", str(tmp_path / "out.jsonl"))
    text = (tmp_path / "out.jsonl").read_text()
    assert "Whitfield" not in text
    assert "@example" not in text
    assert {json.loads(line)["author"] for line in text.splitlines()} == {"[PERSON_1]"}
    assert offline.refused(profile.logs) == (0, [])
