"""Try a GGUF file in a child process: does the serving engine load it and write a few tokens?"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from app.config.subprocess_tools import Finished, run_child
from app.errors import ModelFileError, Place
from app.registry.convert import QUIET
from app.registry.files import Tick
from app.store.profile import project_dir

SECONDS = 300.0


def try_file(file: Path, tick: Tick | None = None) -> None:
    """Raise ModelFileError model.not_loadable if the engine refuses the file, crashes or gives no answer in 5 minutes."""
    job = {"path": str(file), "threads": 1, "context": 256, "new_tokens": 4, "top": 1, "conversations": [], "texts": [],
           "questions": [{"prompt": "Hello"}], "measured": []}
    with tempfile.TemporaryDirectory(prefix="neuroweaver-trial-", dir=file.parent) as folder:
        place, answer = Path(folder) / "job.json", Path(folder) / "answer.json"
        place.write_text(json.dumps(job), encoding="utf-8")
        try:
            done = run_child([sys.executable, "-m", "app.registry.engine_child", place, answer], cwd=project_dir(),
                             environment=QUIET, tick=tick, timeout=SECONDS, need="loopback")
        except TimeoutError as problem:
            raise _refuse(file, f"It gave no answer in {SECONDS / 60:g} minutes.") from problem
        if done.code != 0 or not answer.exists():
            raise _refuse(file, why(done))


def why(done: Finished) -> str:
    """Why a child that tried a file gave no answer, in words."""
    if done.code < 0 or done.code > 128:
        return f"The engine crashed (signal {-done.code if done.code < 0 else done.code - 128})."
    lines = [line.strip() for line in done.tail.splitlines() if line.strip()]
    return f"The engine says: {lines[-1][:200]}" if lines else f"The engine ended with exit code {done.code}."


def _refuse(file: Path, reason: str) -> ModelFileError:
    return ModelFileError("model.not_loadable", "The serving engine cannot use this file; it was not imported.",
                          where=Place.of(file.name), why=reason, remedy="Use a file that llama.cpp supports.")
