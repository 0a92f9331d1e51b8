"""A tiny training in seconds."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from app.store.records import Row
from tests.context import FakeContext, make_rows
from tests.tiny import tiny_llama

WORDS = ["alpha", "beta", "gamma", "delta", "river", "stone", "cloud", "paper", "contract", "notice", "licence", "permission"]


def lesson_rows(count: int = 60) -> list[Row]:
    chance = random.Random(0)
    rows = []
    for number in range(count):
        text = " ".join(chance.choice(WORDS) for _ in range(chance.randint(4, 30)))
        rows.append(Row("chat", [{"role": "user", "content": text}, {"role": "assistant", "content": text.split()[0]}],
                        split="calibration" if number % 5 == 0 else "train", position=number + 1))
    return rows


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny32(tmp_path_factory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("tiny32"), dtype="float32")


@pytest.fixture
def lesson(store, tmp_path, tiny, monkeypatch):
    """A function that makes a context with rows; contexts of the same name share a work folder (a resumed step)."""
    from app.training import session

    monkeypatch.setattr(session, "_base", lambda ctx, params: Path(params.base_model or ctx.base_model))
    monkeypatch.setattr(session, "_set_threads", lambda ctx: None)
    rows = make_rows(store, lesson_rows())

    def make(name: str = "one", base: Path = tiny) -> FakeContext:
        return FakeContext(store, tmp_path / name, base_model=str(base), inputs={"rows": rows})

    return make
