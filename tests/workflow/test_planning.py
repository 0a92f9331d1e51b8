"""What decides whether a step is run again: also what stands in the store beside its rows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.config.artifacts import Rows
from app.data.redaction import rules
from app.store import Store
from app.store.datasets import open_dataset
from app.store.records import Row
from app.workflow.planning import plan_step
from tests.context import make_rows

SAME = "the content of both"


def given(store: Store, name: str) -> Rows:
    return make_rows(store, [Row("text", text="The same file.")], name=name).model_copy(update={"content_hash": SAME})


def key(store: Store, rows: Rows, node: str, **params: Any) -> str | None:
    """The hash of a step that is given these rows."""
    with store.write() as db:
        db.execute("DELETE FROM steps")
        db.execute("INSERT OR IGNORE INTO runs (id, number, name, document, document_hash, resolved, state, seed, created) "
                   "VALUES ('r', 1, 'r', '', '', '{}', 'running', 0, 1)")
        for step, kind, bindings, outputs in (("source", "dataset.open", {}, {"rows": rows.model_dump()}),
                                              ("step", node, {"rows": ["source", "rows"]}, None)):
            db.execute("INSERT INTO steps (run, id, position, node, title, needs, params, bindings, state, outputs) "
                       "VALUES ('r', ?, 0, ?, '', '[]', ?, ?, 'waiting', ?)",
                       (step, kind, json.dumps(params if outputs is None else {"dataset": rows.dataset}), json.dumps(bindings), json.dumps(outputs)))
    return plan_step(store, "r", "step").hash


@pytest.mark.parametrize(("node", "again"), [
    pytest.param("data.clean", True, id="makes a version"), pytest.param("data.assess", True, id="keeps scores beside the rows"),
    pytest.param("train.qlora", False, id="learns the same from the same")])
def test_equal_rows_of_another_dataset_are_another_source_for_what_makes_versions_alone(store: Store, node: str, again: bool) -> None:
    first, second = given(store, "first"), given(store, "second")
    assert key(store, first, node) == key(store, first, node)
    assert (key(store, first, node) != key(store, second, node)) is again


def test_a_redaction_is_made_again_when_a_rule_says_otherwise(store: Store) -> None:
    rows, rule = given(store, "letters"), rules.Rule("*", "project falcon", "redact")
    before = key(store, rows, "data.redact")
    with open_dataset(store, rows.dataset) as db, db.write() as conn:
        rules.store(conn, rule)
    ruled = key(store, rows, "data.redact")
    with open_dataset(store, rows.dataset) as db, db.write() as conn:
        rules.forget(conn, rule)
    assert (ruled != before, key(store, rows, "data.redact") == before) == (True, True)


def test_a_choice_by_likeness_is_made_again_when_the_dataset_that_it_is_like_changes(store: Store) -> None:
    rows, like = given(store, "many"), given(store, "few")
    store.db["dataset_versions"].insert({"dataset": like.dataset, "version": 1, "state": "ready", "content_hash": "1", "rows": 1, "created": 0.0})
    before = key(store, rows, "data.select", method="similar", like="few")
    store.db.execute("UPDATE dataset_versions SET content_hash = '2'")
    assert key(store, rows, "data.select", method="similar", like="few") != before
