"""What a user does with runs besides running them: tags, notes, the order of the queue, comparing, cloning, the command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml

from app.config.views import keep_draft
from app.errors import UsageError
from app.store import Store
from app.workflow import views
from app.workflow.curves import curves

MOST_COMPARED = 4
MOST_TAGS, LONGEST_TAG, LONGEST_NOTE = 20, 40, 4000
SHARED = ("train.loss", "train.eval_loss", "train.learning_rate", "train.grad_norm", "train.tokens_per_second", "cost.total")
"""Curves that are laid over one another."""


def set_tags(store: Store, run: str, text: str) -> list[str]:
    """Keep tags, given with commas between them; returns them as kept.  Raises UsageError for too many or too long ones."""
    tags = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if len(tags) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in tags):
        raise UsageError("run.tags", "These tags were not kept.", why=f"At most {MOST_TAGS} tags of {LONGEST_TAG} characters.",
                         remedy="Write fewer or shorter ones; a longer remark fits the note.")
    _update(store, run, "tags", orjson.dumps(tags).decode())
    return tags


def set_note(store: Store, run: str, text: str) -> None:
    """Keep a remark.  Raises UsageError for one that is too long."""
    if len(text) > LONGEST_NOTE:
        raise UsageError("run.note", "The note was not kept.", why=f"It has more than {LONGEST_NOTE:,} characters.",
                         remedy="Shorten it.")
    _update(store, run, "note", text.strip())


def _update(store: Store, run: str, column: str, value: str) -> None:
    with store.write() as db:
        if db.execute(f"UPDATE runs SET {column} = ? WHERE id = ?", (value, run)).rowcount == 0:
            raise UsageError("run.unknown", f"There is no run {run!r}.", remedy="List them with: main.py status")


def reorder(store: Store, wanted: Sequence[str]) -> None:
    """Put waiting runs into an order, the first to start first.  Runs that wait no longer, or are not named, keep their place."""
    with store.write() as db:
        waiting = {row["id"] for row in store.rows(f"SELECT id FROM runs WHERE {views.WAIT}")}
        order = [run for run in wanted if run in waiting]
        top = max((row["priority"] for row in store.rows(f"SELECT priority FROM runs WHERE {views.WAIT}")), default=0)
        for place, run in enumerate(order):
            db.execute("UPDATE runs SET priority = ? WHERE id = ?", (max(top, len(order)) - place, run))


# ---- comparing -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting in which runs differ: its dotted path, and its value in each ("" where a run has none)."""

    path: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two to four runs side by side.  curves: by series name, one list of points for each run."""

    lines: tuple[views.RunLine, ...]
    curves: Mapping[str, tuple[list[tuple[float, float]], ...]]
    differences: tuple[Difference, ...]


def compare(store: Store, wanted: Sequence[str]) -> Comparison:
    """Lay runs over one another.  Raises UsageError for fewer than two, more than four, or unknown ones."""
    if not 2 <= len(set(wanted)) <= MOST_COMPARED:
        raise UsageError("run.compare", "These runs cannot be compared.", why=f"There are {len(set(wanted))} of them.",
                         remedy=f"Choose two to {MOST_COMPARED} runs.")
    found = [(run, views.run(store, run)) for run in dict.fromkeys(wanted)]
    missing = next((run for run, view in found if view is None), None)
    if missing is not None:
        raise UsageError("run.unknown", f"There is no run {missing!r}.", remedy="List them with: main.py status")
    drawn = [curves(store, run, SHARED) for run, _ in found]
    return Comparison(
        lines=tuple(view.line for _, view in found if view is not None),
        curves={name: tuple(one.get(name, []) for one in drawn) for name in SHARED if any(name in one for one in drawn)},
        differences=tuple(_differences([_settings(store, run) for run, _ in found])))


def _settings(store: Store, run: str) -> dict[str, str]:
    row = store.row("SELECT resolved FROM runs WHERE id = ?", (run,))
    flat: dict[str, str] = {}
    _flatten(orjson.loads(row["resolved"]) if row else {}, "", flat)
    return flat


def _flatten(value: Any, path: str, into: dict[str, str]) -> None:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            name = key if key != "params" else ""
            _flatten(part, ".".join(one for one in (path, name) if one), into)
    else:
        into[path.removeprefix("steps.")] = value if isinstance(value, str) else orjson.dumps(value).decode()


def _differences(settings: Sequence[Mapping[str, str]]) -> list[Difference]:
    paths = dict.fromkeys(path for one in settings for path in one)
    rows = [Difference(path, tuple(one.get(path, "") for one in settings)) for path in paths]
    return [row for row in rows if len(set(row.values)) > 1]


# ---- doing it again --------------------------------------------------------------------------------------------------------


def clone(store: Store, run: str) -> str:
    """A draft of the run's workflow with everything written out, to be changed and run: its file."""
    row = _row(store, run)
    return keep_draft(store, _document(row), f"{row['name']}, copy of run {row['number']}")


def forget_from(store: Store, run: str, step: str) -> list[str]:
    """Let a step of a run, and all that builds on it, be run anew the next time: their ids.

    Their results are only not used again; the run keeps its own.  Raises UsageError run.unknown, or run.unknown_step.
    """
    _row(store, run)
    rows = store.rows("SELECT id, needs, hash FROM steps WHERE run = ? ORDER BY position", (run,))
    if step not in [row["id"] for row in rows]:
        raise UsageError("run.unknown_step", f"The run has no step {step!r}.", why="The document has changed since.",
                         remedy="Run the document; what has changed runs anew by itself.")
    anew = [step]
    for row in rows:  # in the order of the run: what a step needs stands before it
        if set(orjson.loads(row["needs"])) & set(anew):
            anew.append(row["id"])
    with store.write() as db:
        db.conn.executemany("DELETE FROM step_cache WHERE hash = ?", [(row["hash"],) for row in rows if row["id"] in anew])
    return anew


def command(store: Store, run: str) -> str:
    """A command line that makes the same run again; the workflow it names is written into the run's folder.

    Everything inherited and every default is written out, with absolute paths, so that a later change of a kit changes nothing.
    """
    row = _row(store, run)
    folder = store.profile.runs / run
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', row['name']).strip('-.') or 'workflow'}.yaml"
    file.write_text(_document(row), encoding="utf-8")
    return shlex.join([*_program(), "run", str(file)])


def _program() -> list[str]:
    """What starts this product on a command line: the interpreter and main.py, or a package's program."""
    import sys

    from app.store.profile import project_dir

    python = Path(sys.executable)
    if getattr(sys, "frozen", False):
        return [str(python)]
    return [str(python.relative_to(project_dir())) if python.is_relative_to(project_dir()) else str(python), "main.py"]


def _row(store: Store, run: str) -> dict[str, Any]:
    row = store.row("SELECT * FROM runs WHERE id = ?", (run,))
    if row is None:
        raise UsageError("run.unknown", f"There is no run {run!r}.", remedy="List them with: main.py status")
    return row


def _document(row: Mapping[str, Any]) -> str:
    """The resolved document as a workflow of its own."""
    resolved = orjson.loads(row["resolved"])
    steps = {name: {"node": step["node"], "title": step["title"],
                    **({"needs": step["needs"]} if step["needs"] else {}), **({"inputs": step["inputs"]} if step["inputs"] else {}),
                    **step["params"]} for name, step in resolved["steps"].items()}
    whole = {"name": resolved["name"], "base_model": resolved["base_model"], "seed": resolved["seed"], "steps": steps}
    head = f"# Run {row['number']}, with everything it inherited and every default written out\n"
    return head + str(yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=120))
