"""Tags, notes, the queue's order, comparing, cloning and the command of a run."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from app.config.document import load
from app.errors import UsageError
from app.store import Store
from app.workflow import registry, runbook, runs, states, views

DOCUMENT = """name: {name}
base_model: smollm2-135m-instruct
seed: {seed}
steps:
  source: {{node: dataset.import, path: rows.jsonl}}
  refine: {{node: data.refine, needs: source, min_length: {length}}}
"""


def queue(store: Store, name: str = "Sample", seed: int = 0, length: int = 1) -> str:
    return runs.submit_text(store, DOCUMENT.format(name=name, seed=seed, length=length))


def test_tags_and_note_are_kept_with_the_run(store: Store) -> None:
    run = queue(store)
    assert runbook.set_tags(store, run, " first, second ,first,, ") == ["first", "second"]
    runbook.set_note(store, run, " a note ")
    line = views.runs(store)[0]
    assert (line.tags, line.note) == (("first", "second"), "a note")


@pytest.mark.parametrize(("act", "code"), [
    (lambda store, run: runbook.set_tags(store, run, "x" * 41), "run.tags"),
    (lambda store, run: runbook.set_tags(store, run, ",".join(map(str, range(21)))), "run.tags"),
    (lambda store, run: runbook.set_note(store, run, "x" * 4001), "run.note"),
    (lambda store, _run: runbook.set_note(store, "run_none", "x"), "run.unknown"),
    (lambda store, run: runbook.compare(store, [run, run]), "run.compare"),
    (lambda store, run: runbook.compare(store, [run, "run_none"]), "run.unknown"),
    (lambda store, run: runbook.forget_from(store, run, "none"), "run.unknown_step"),
    (lambda store, _run: runbook.command(store, "run_none"), "run.unknown"),
    (lambda store, _run: runbook.clone(store, "run_none"), "run.unknown")])
def test_what_does_not_fit_is_refused(store: Store, act, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        act(store, queue(store))
    assert caught.value.code == code


def test_what_a_kit_takes_is_told_by_a_run_of_the_kit_itself_that_took_nothing_from_earlier_ones(store: Store) -> None:
    for number, (cached, text) in enumerate(((0, "kit:"), (0, "kit:\n  summary: it\n    extends: nothing"), (1, "kit:"),
                                             (0, "name: a sample\nextends: kits/legal"), (0, "extends: kits/legal"))):
        run = queue(store, f"run {number}")
        store.db.execute("UPDATE runs SET kit = 'legal', state = 'done', document = ? WHERE id = ?", (text, run))
        store.db.execute("UPDATE steps SET cached = ? WHERE run = ? AND id = 'refine'", (cached, run))
    assert {kit: line.name for kit, line in views.last_of_kits(store).items()} == {"legal": "run 1"}


def test_waiting_runs_start_in_the_order_given(store: Store) -> None:
    first, second, third = (queue(store, name) for name in ("a", "b", "c"))
    runbook.reorder(store, [third, first, second])
    assert [line.id for line in views.waiting(store)] == [third, first, second]
    assert [row["id"] for row in states.active_runs(store)] == [third, first, second]
    fourth = queue(store, "d")
    assert [line.id for line in views.waiting(store)][-1] == fourth, "a new run goes to the end"
    runbook.reorder(store, [fourth, third, first, second])
    assert [line.id for line in views.waiting(store)] == [fourth, third, first, second]


def test_a_run_that_another_one_holds_up_waits_and_can_be_moved(store: Store) -> None:
    busy, held, fresh = (queue(store, name) for name in ("a", "b", "c"))
    for run in (busy, held):
        states.mark_running(store, run)
    number = store.row("SELECT number FROM runs WHERE id = ?", (busy,))["number"]
    assert [line.id for line in views.going(store)] == [busy, held]  # nothing is in a step yet: both are about to be
    store.db.execute("UPDATE steps SET state = 'running' WHERE run = ? AND id = 'refine'", (busy,))
    assert [line.waits_for for line in views.runs(store)] == [0, number, 0]
    assert [line.id for line in views.going(store)] == [busy]
    runbook.reorder(store, [fresh, held])
    assert [line.id for line in views.waiting(store)] == [fresh, held]
    store.db.execute("UPDATE runs SET cancel = 'save' WHERE id = ?", (held,))
    assert [line.id for line in views.waiting(store)] == [fresh]  # it stops, and waits for nothing


def test_a_run_that_has_begun_is_not_moved(store: Store) -> None:
    first, second = queue(store, "a"), queue(store, "b")
    states.mark_running(store, first)
    runbook.reorder(store, [second, first])
    assert [line.id for line in views.waiting(store)] == [second]
    assert store.row("SELECT state, priority FROM runs WHERE id = ?", (first,)) == {"state": "running", "priority": 0}


def test_a_comparison_names_the_settings_that_differ_and_lays_curves_over_one_another(store: Store) -> None:
    one, other = queue(store, seed=1), queue(store, seed=2, length=9)
    for run, loss in ((one, 2.0), (other, 1.0)):
        store.db.execute("UPDATE runs SET started = 100.0 WHERE id = ?", (run,))
        store.db.execute("INSERT INTO metrics (run, step, name, at, x, value) VALUES (?, 'train', 'train.loss', 101, 1, ?)", (run, loss))
    found = runbook.compare(store, [one, other])
    assert [(row.path, row.values) for row in found.differences] == [("seed", ("1", "2")), ("refine.min_length", ("1", "9"))]
    assert found.curves["train.loss"] == ([(1.0, 2.0)], [(1.0, 1.0)])
    assert [line.id for line in found.lines] == [one, other]


def test_the_command_makes_the_same_run_again(store: Store) -> None:
    run = queue(store, seed=3, length=7)
    words = shlex.split(runbook.command(store, run))
    assert words[1:3] == ["main.py", "run"]
    again = load(Path(words[3]), registry.find)
    assert again.resolved == load_resolved(store, run)


def load_resolved(store: Store, run: str):
    import orjson

    return orjson.loads(store.row("SELECT resolved FROM runs WHERE id = ?", (run,))["resolved"])


def test_a_clone_is_a_document_of_its_own(store: Store) -> None:
    run = queue(store, length=7)
    again = load(Path(runbook.clone(store, run)), registry.find)
    assert again.steps == load(Path(shlex.split(runbook.command(store, run))[3]), registry.find).steps
