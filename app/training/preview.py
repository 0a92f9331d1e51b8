"""What the model is fed for one row: the exact text, and which part of it carries loss.

A child process makes it (``python -m app.training.preview``), because reading a tokenizer holds Python's lock for longer than a
window may stand still.  The row goes through a pipe, so that no other user of this computer can read it off the command line.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from app.config.models import packaged, resolve_base
from app.errors import ModelFileError, NeuroWeaverError, Place, TrainingError
from app.store import Store
from app.store.records import Row, decode, encode

PATIENCE = 60.0
DEFAULT_LENGTH = 1024
"""As train.qlora's ``max_length``."""


@dataclass(frozen=True, slots=True)
class Fed:
    """One row as tokens.  prompt: the text without loss; answer: the text that is learned.  left_out: why training would skip it."""

    model: str
    prompt: str
    answer: str
    tokens: int
    learned: int
    left_out: str = ""


def models(store: Store) -> list[str]:
    """Base models whose template can be shown: the packaged ones, then those registered as folders."""
    found = store.rows("SELECT id FROM model_versions WHERE format = 'hf' AND state != 'retired' ORDER BY created DESC")
    return [*packaged(), *(str(row["id"]) for row in found)]


def fed(store: Store, row: Row, base_model: str = "", max_length: int = DEFAULT_LENGTH) -> Fed:
    """What the trainer makes of a row.  base_model: "" for the first of :func:`models`.

    Raises ConfigError or ModelFileError for a model that cannot be used, TrainingError training.template.
    """
    model = base_model or next(iter(models(store)), "")
    folder = resolve_base(store, model)
    said = _ask_child({"folder": str(folder), "row": encode(row)[1].decode(), "max_length": max_length})
    if "error" in said:
        raise _told(said["error"], folder)
    return Fed(model, said["prompt"], said["answer"], said["tokens"], said["learned"], said["left_out"])


def _ask_child(job: dict[str, Any]) -> dict[str, Any]:
    from app.config.subprocess_tools import kill_tree, start_child
    from app.store.profile import project_dir

    child = start_child([sys.executable, "-m", "app.training.preview"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL, cwd=project_dir(), env={**os.environ, "PYTHONPATH": str(project_dir())})
    try:
        out, _ = child.communicate(orjson.dumps(job), timeout=PATIENCE)
        found: dict[str, Any] = orjson.loads(out)
        return found
    except (subprocess.TimeoutExpired, orjson.JSONDecodeError) as problem:
        raise TrainingError("training.no_preview", "The row could not be shown as the model sees it.",
                            why=f"The process that reads the tokenizer gave no answer ({type(problem).__name__}).",
                            remedy="Try again, or choose another base model.") from problem
    finally:
        if child.poll() is None:
            kill_tree(child.pid)
            child.wait()


def _told(said: dict[str, str], folder: Path) -> NeuroWeaverError:
    kind = ModelFileError if said["code"].startswith("model.") else TrainingError
    return kind(said["code"], said["what"], where=Place.of(folder), why=said["why"], remedy=said["remedy"])


def render(folder: Path, row: Row, max_length: int) -> dict[str, Any]:
    """The answer of the child: texts and counts from what the trainer itself calls."""
    from app.training.examples import IGNORED, encode_rows, prompt_and_answer
    from app.training.light_tokenizer import LightTokenizer

    tokenizer = LightTokenizer(folder)
    prompt, answer = prompt_and_answer(row, tokenizer)
    whole = encode_rows([row], tokenizer, sys.maxsize)
    if not whole.examples:
        return {"prompt": prompt, "answer": answer, "tokens": 0, "learned": 0, "left_out": "It has no answer to learn."}
    example = whole.examples[0]
    count = len(example.input_ids)
    left_out = f"It is longer than {max_length:,} word pieces." if count > max_length else ""
    return {"prompt": prompt, "answer": answer, "tokens": count, "learned": sum(label != IGNORED for label in example.labels),
            "left_out": left_out}


def main() -> int:
    """Read a job, write the answer."""
    from app.config import offline

    offline.begin("preview")
    job = orjson.loads(sys.stdin.buffer.read())
    try:
        answer = render(Path(job["folder"]), decode(job["row"].encode()), job["max_length"])
    except NeuroWeaverError as problem:
        answer = {"error": {"code": problem.code, "what": problem.what, "why": problem.why, "remedy": problem.remedy}}
    except Exception as problem:  # a template that refuses the row, in its own words
        answer = {"error": {"code": "training.template", "what": "The model's chat template cannot take this row.",
                            "why": f"{type(problem).__name__}: {problem}"[:400],
                            "remedy": "Mend the row, or use another base model."}}
    sys.stdout.buffer.write(orjson.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
