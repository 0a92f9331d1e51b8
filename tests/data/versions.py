"""Datasets for the tests of what reads versions: an import of some chats, and versions that a person or a step made of it."""

from __future__ import annotations

from collections.abc import Sequence

from app.data import derive
from app.store import Store
from app.store.blocks import pack
from app.store.datasets import create_dataset, open_dataset
from app.store.records import Row, encode
from app.store.versions import VersionWriter


def chat(question: str, answer: str = "MIT", split: str = "", position: int = 0, **meta: object) -> Row:
    return Row("chat", [{"role": "user", "content": question}, {"role": "assistant", "content": answer}], split=split,
               position=position, meta=meta)


def imported(store: Store, rows: Sequence[Row], name: str = "licences") -> str:
    """A dataset whose version 1 has these rows."""
    dataset = create_dataset(store, name)
    with open_dataset(store, dataset) as db, VersionWriter(store, db, origin={"file": f"{name}.jsonl"}) as writer:
        encoded = [encode(row) for row in rows]
        positions = [row.position or number for number, row in enumerate(rows, start=1)]
        writer.write(pack(positions, *zip(*encoded, strict=True), [row.split for row in rows]))
        made = derive.figures(db, writer.version)
        writer.finish(rows=made.rows, content_hash=made.content_hash, splits=made.splits, shape=rows[0].shape)
    return dataset
