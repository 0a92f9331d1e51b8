"""Where a version comes from, as a graph: what is known is drawn, what is not is left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.registry import views
from app.registry.lineage_graph import LineageGraph
from app.store import Store


def version(store: Store, number: int, **more: Any) -> None:
    store.db["model_versions"].insert({
        "id": f"m@{number}", "model": "m", "version": number, "state": "registered", "format": "gguf", "path": "/x/q8.gguf",
        "files": json.dumps([{"quantization": "q8_0", "path": "/x/q8.gguf", "size": 5}]), "proof": "{}", "lineage": "{}",
        "created": number, **more})


def graph(store: Store, number: int) -> LineageGraph:
    found = views.version(store, f"m@{number}")
    assert found is not None
    return found.lineage


@pytest.fixture
def whole(store: Store) -> Store:
    """Three versions; the third has data in three versions, a run of all steps, and is served."""
    store.db["models"].insert({"id": "m", "name": "m", "created": 0})
    store.db["datasets"].insert({"id": "d", "name": "Notices", "created": 0})
    for number, parent in ((1, None), (2, 1), (3, 2)):
        store.db["dataset_versions"].insert({"dataset": "d", "version": number, "parent": parent, "state": "ready", "created": 0})
    store.db["runs"].insert({"id": "r", "number": 12, "name": "x", "document": "", "document_hash": "abcdef1234", "resolved": "{}",
                             "state": "done", "seed": 7, "created": 0})
    for place, node in enumerate(("train.qlora", "evaluate.compare", "model.export")):
        store.db["steps"].insert({"run": "r", "id": node, "position": place, "node": node, "title": "", "needs": "[]", "params": "{}",
                                  "bindings": "{}", "state": "done"})
    version(store, 1)
    version(store, 2)
    version(store, 3, run="r", base="/models/small", lineage=json.dumps({"dataset": "d", "dataset_version": 3}))
    store.db["deployments"].insert({"alias": "notices", "model_version": "m@3", "engine": "x", "path": "/x", "state": "ready",
                                    "created": 0, "updated": 0})
    return store


def test_a_version_leads_back_to_its_data_and_on_to_its_name(whole: Store) -> None:
    found = graph(whole, 3)
    assert sorted(found.edges) == sorted([
        ("imported", "data"), ("data", "train"), ("base", "train"), ("run", "train"), ("train", "evaluate"), ("train", "export"),
        ("evaluate", "version"), ("export", "version"), ("m@1", "m@2"), ("m@2", "version"), ("version", "served notices")])
    assert {one for edge in found.edges for one in edge} == set(found.nodes)


def test_each_box_names_the_page_that_shows_it(whole: Store) -> None:
    nodes = graph(whole, 3).nodes
    assert {name: (one.page, one.argument) for name, one in nodes.items()} == {
        "imported": ("datasets", "d"), "data": ("datasets", "d"), "base": ("", ""), "run": ("runs", "r"), "train": ("runs", "r"),
        "evaluate": ("runs", "r"), "export": ("runs", "r"), "version": ("", ""), "m@2": ("models", "m@2"), "m@1": ("models", "m@1"),
        "served notices": ("playground", "notices")}
    assert (nodes["imported"].detail, nodes["data"].detail, nodes["base"].title) == ("version 1", "version 3", "small")
    assert [name for name, one in nodes.items() if one.current] == ["version"]


def test_only_the_two_versions_before_are_drawn(whole: Store) -> None:
    for number in (4, 5):
        version(whole, number)
    assert [name for name in graph(whole, 5).nodes if name.startswith("m@")] == ["m@4", "m@3"]


def test_of_an_imported_version_only_itself_is_known(whole: Store) -> None:
    found = graph(whole, 1)
    assert (list(found.nodes), found.edges) == (["version"], [])


def test_a_step_that_is_not_done_is_left_out(whole: Store) -> None:
    whole.db.execute("UPDATE steps SET state = 'failed' WHERE node LIKE 'train.%' OR node LIKE 'evaluate.%'")
    found = graph(whole, 3)
    assert {("data", "run"), ("base", "run"), ("run", "export"), ("export", "version")} <= set(found.edges)
    assert not {"train", "evaluate"} & set(found.nodes)
