"""The packaged encoder: likeness of meaning, and vectors that are made once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from app.data import embedding, rowtext
from app.data.embedding import DIMENSIONS, Encoder, RowVectors, text_vectors
from app.data.select import whole_text
from app.errors import EnvironmentFault
from app.store import Store
from app.store.datasets import DatasetDb, open_dataset
from app.store.records import Row
from tests.context import make_rows


@pytest.fixture
def db(store: Store) -> Iterator[DatasetDb]:
    rows = make_rows(store, [Row("text", text=f"text {number}", position=number) for number in range(1, 6)])
    with open_dataset(store, rows.dataset) as opened:
        yield opened


def _numbers(rows: list[Row]) -> np.ndarray:
    return np.array([[float(row.position), 1.0] for row in rows], np.float32)


def test_meaning_counts_and_an_empty_text_is_like_nothing(store: Store) -> None:
    vectors = Encoder(store).encode(["The cat sleeps on the sofa.", "A kitten naps on the couch.", "Invoice number 4711", " "])
    assert vectors.shape == (4, DIMENSIONS)
    likeness = vectors @ vectors.T
    assert likeness[0, 1] > 0.5 > likeness[0, 2]
    assert np.allclose(np.linalg.norm(vectors[:3], axis=1), 1, atol=1e-3)
    assert not vectors[3].any()


def test_order_and_company_of_texts_do_not_change_their_vectors_and_a_stop_is_looked_for_at_each_batch(
        store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, texts = Encoder(store), ["one", "a much longer text " * 20, "two words"]
    together = encoder.encode(texts)
    monkeypatch.setattr(embedding, "BATCH_PIECES", 1)
    looks: list[str] = []
    encoder.encode(texts, lambda: looks.append("looked"))
    assert len(looks) == 3
    for text, vector in zip(texts, together, strict=True):
        assert float(encoder.encode([text])[0] @ vector) > 0.999


def test_a_row_is_encoded_once_also_by_a_later_reader(db: DatasetDb) -> None:
    asked: list[int] = []

    def encode(rows: list[Row]) -> np.ndarray:
        asked.extend(row.position for row in rows)
        return _numbers(rows)

    rows = list(db.iter_rows(1))
    list(RowVectors(db, "test", encode).blocks(rows[:3]))
    found = [(row.position, vector.tolist()) for block, vectors in RowVectors(db, "test", encode).blocks(rows)
             for row, vector in zip(block, vectors, strict=True)]
    assert asked == [1, 2, 3, 4, 5]
    assert found == [(number, [float(number), 1.0]) for number in range(1, 6)]


def test_vectors_of_another_kind_are_made_anew(db: DatasetDb) -> None:
    rows = list(db.iter_rows(1))
    list(RowVectors(db, "one", _numbers).blocks(rows))
    (_, vectors), = RowVectors(db, "other", lambda found: _numbers(found) + 1).blocks(rows)
    assert vectors[0].tolist() == [2.0, 2.0]


def test_readers_of_other_parts_of_a_row_share_vectors_of_equal_words_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    class Loaded:
        def __init__(self, _store: Store) -> None: ...

        def encode(self, texts: list[str], _alive: Any) -> np.ndarray:
            read.extend(texts)
            return np.array([[float(len(text)), 1.0] for text in texts], np.float32)

    monkeypatch.setattr(embedding, "Encoder", Loaded)
    given = make_rows(store, [Row("preference", [{"role": "user", "content": "q"}], chosen="good", rejected="the worse answer"),
                              Row("text", text="plain")])
    with open_dataset(store, given.dataset) as db:
        for text_of in (whole_text, rowtext.text_of, whole_text):
            (rows, vectors), = text_vectors(db, text_of, lambda: None).blocks(db.iter_rows(1))
            assert vectors[:, 0].tolist() == [len(text_of(row)) for row in rows]
    assert read == ["q\n\ngood", "plain", "q\n\ngood\nthe worse answer"]


def test_a_machine_without_the_encoder_says_so(db: DatasetDb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "PACKAGE", "no_such_package")
    with pytest.raises(EnvironmentFault, match="not installed"):
        list(text_vectors(db, lambda row: row.text, lambda: None).blocks(db.iter_rows(1)))
