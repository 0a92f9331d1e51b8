"""A run with the starter model, the real service, engine, endpoint and step worker: nothing stands in for anything."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest

from app.store import Store
from app.store.datasets import open_dataset
from app.workflow import runs
from tests.workflow.running import ended, service, step

FACTS = (
    "The lighthouse of Kullen was lit for the first time in the year 1561. It is the brightest lighthouse in Scandinavia.",
    "Honey bees visit about two million flowers to make one pound of honey. A hive has a single queen.",
    "The Danube flows through ten countries before it reaches the Black Sea. It begins in the Black Forest in Germany.",
)


@pytest.mark.slow
def test_a_run_makes_rows_with_the_base_model_and_is_charged_once(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "facts.jsonl"
    source.write_text("".join(json.dumps({"text": text, "split": "train", "licence": "CC0"}) + "\n" for text in FACTS))
    document = {"name": "facts", "base_model": "smollm2-135m-instruct", "steps": {
        "source": {"node": "dataset.import", "path": str(source)},
        "make": {"node": "data.synthesise", "needs": "source", "rows": 1, "per_source": 1, "max_tokens": 64, "checks": {"test_meaning": 0}}}}
    with service(store):
        run = runs.submit_text(store, json.dumps(document), "facts")
        assert ended(store, run, 240) == "done", step(store, run, "make")["why"]
    found = step(store, run, "make")
    outputs = orjson.loads(found["outputs"])
    report = outputs["report"]["summary"]
    assert report["model"] == "base:smollm2-135m-instruct"
    assert report["candidates"] == report["made"] + sum(report["dropped"].values()) >= 1
    with open_dataset(store, outputs["rows"]["dataset"]) as db:
        for row in db.iter_rows(outputs["rows"]["version"], after=3):
            assert row.meta["licence"] == "CC0"
            assert row.meta["origin_quote"] in " ".join(FACTS)
    requests = store.row("SELECT count(*) AS n, sum(prompt_tokens) AS tokens_in, sum(completion_tokens) AS tokens_out FROM requests") or {}
    assert requests["n"] == report["asked"]["questions"]
    assert (requests["tokens_in"], requests["tokens_out"]) == (report["asked"]["tokens_in"], report["asked"]["tokens_out"])
    usage = store.rows("SELECT scope, tokens_out FROM usage WHERE step = 'make' OR scope = 'request'")
    assert usage == [{"scope": "step", "tokens_out": report["asked"]["tokens_out"]}]
    assert report["cost"] is None or report["cost"]["amount"] > 0
