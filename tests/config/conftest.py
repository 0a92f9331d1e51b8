"""A few small nodes, and documents written to a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from app.config.document import Document, load
from app.config.node import DocumentPath, Node, NodeClass, Params
from app.errors import ConfigError, NeuroWeaverError, Place


class Near(BaseModel):
    model_config = {"extra": "forbid"}
    threshold: float = Field(0.7, gt=0, le=1)


class SourceParams(Params):
    path: DocumentPath
    extra: list[DocumentPath] = []
    other: DocumentPath | None = None


class RefineParams(Params):
    near_duplicates: Near | None = Near()
    language: str = "en"
    mode: Literal["a", "b"] = "a"


class TrainParams(Params):
    epochs: int = Field(2, ge=1)
    rate: float = 1e-3
    lora: Near = Near()
    layers: list[int] = [1, 2]


def _node(name: str, params: type[Params]) -> NodeClass:
    return type(name, (Node,), {"name": name, "title": name.title(), "version": 1, "params_model": params})


NODES = {name: _node(name, params) for name, params in
         (("t.source", SourceParams), ("t.refine", RefineParams), ("t.train", TrainParams))}


def find(name: str, where: Place) -> NodeClass:
    if name not in NODES:
        raise ConfigError("workflow.unknown_node", f"There is no node {name!r}.", where=where)
    return NODES[name]


Read = Callable[..., Document]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write a document (and files beside it) and load it."""

    def reading(text: str, *, files: dict[str, str] | None = None, name: str = "flow.yaml", **options) -> Document:
        for file, content in {**(files or {}), name: text}.items():
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(content, encoding="utf-8")
        return load(tmp_path / name, find, **options)

    return reading


@pytest.fixture
def faults(read: Read) -> Callable[..., list[NeuroWeaverError]]:
    """All faults of a document, in the order told."""

    def finding(text: str, **options) -> list[NeuroWeaverError]:
        with pytest.raises(ConfigError) as caught:
            read(text, **options)
        return [caught.value, *caught.value.others]

    return finding
