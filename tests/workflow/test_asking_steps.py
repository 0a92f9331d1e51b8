"""A step that asks a served model: its cache sees which version answers, its usage which tokens it asked for."""

from __future__ import annotations

import json

import pytest

from app.store import Store
from app.workflow.costs import RunCosts
from app.workflow.planning import served_version
from tests.data.served import deploy


def test_another_version_under_the_same_name_is_another_source(store: Store) -> None:
    deploy(store, version="teacher@1")
    first = served_version(store, "teacher")
    deploy(store, version="teacher@2")
    assert first
    assert served_version(store, "teacher") != first
    assert served_version(store, "nobody") == ""


@pytest.mark.parametrize(("outputs", "tokens"), [
    pytest.param({"training": {"summary": {"tokens": 90}}}, (90, 0), id="training"),
    pytest.param({"rows": {}, "report": {"summary": {"asked": {"tokens_in": 7, "tokens_out": 5}}}}, (7, 5), id="asking"),
    pytest.param({"proof": {"summary": {"tokens": 12}}}, (0, 0), id="other figures"),
    pytest.param(None, (0, 0), id="failed"),
])
def test_a_step_is_charged_with_the_tokens_it_reports(store: Store, outputs: object, tokens: tuple[int, int]) -> None:
    store.db.execute("INSERT INTO runs (id, number, name, document, document_hash, resolved, state, seed, created) "
                     "VALUES ('r', 1, 'r', '', '', '{}', 'done', 0, 1)")
    store.db.execute("INSERT INTO steps (run, id, position, node, title, needs, params, bindings, state, outputs) "
                     "VALUES ('r', 's', 0, 'n', 'n', '[]', '{}', '{}', 'done', ?)", (json.dumps(outputs) if outputs else None,))
    RunCosts(store).charge("r", "s", 2.0)
    assert store.row("SELECT tokens_in, tokens_out FROM usage") == {"tokens_in": tokens[0], "tokens_out": tokens[1]}
