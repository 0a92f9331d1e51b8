"""Orders of choice: nested, repeatable, and true to what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from app.data import sampling


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _groups(sizes: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors close to one axis each, and which."""
    kinds = np.repeat(np.arange(len(sizes)), sizes)
    noise = np.random.default_rng(seed).normal(0, 0.02, (len(kinds), 16))
    return _unit(np.eye(16)[kinds] + noise), kinds


@pytest.mark.parametrize(("equal", "expected"), [
    pytest.param(False, [8, 2], id="in proportion"),
    pytest.param(True, [5, 5], id="equally"),
])
def test_the_first_rows_hold_the_strata_as_asked(equal: bool, expected: list[int]) -> None:
    strata = np.array([0] * 80 + [1] * 20)
    order = sampling.stratified(strata, 1, equal=equal)
    assert sorted(order.tolist()) == list(range(100))
    assert np.bincount(strata[order[:10]]).tolist() == expected


def test_a_small_stratum_gives_what_it_has() -> None:
    strata = np.array([0] * 20 + [1] * 2)
    assert np.bincount(strata[sampling.stratified(strata, 0, equal=True)[:10]]).tolist() == [8, 2]


def test_the_middle_of_a_score_leaves_out_both_ends_and_what_has_none() -> None:
    values = np.array([*range(100), np.nan], float)
    order = sampling.mid_range(values, 0.25, 0.75, 0)
    assert sorted(order.tolist()) == list(range(25, 75))
    assert not len(sampling.mid_range(np.array([np.nan]), 0, 1, 0))


def test_k_center_takes_one_of_each_group_before_a_second() -> None:
    vectors, kinds = _groups([50, 3, 1, 20])
    order = sampling.k_center([vectors[:30], vectors[30:]], len(vectors), 0.2, 0)
    assert len(order) == int(np.ceil(0.2 * len(vectors)))
    assert set(kinds[order[:4]]) == {0, 1, 2, 3}
    assert len(set(order.tolist())) == len(order)


def test_k_center_in_parts_still_covers_every_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "CHUNK", 25)
    vectors, kinds = _groups([40, 40, 10, 10])
    mixed = np.random.default_rng(1).permutation(len(vectors))
    order = sampling.k_center(np.array_split(vectors[mixed], 10), len(vectors), 0.3, 0)
    assert set(kinds[mixed][order[:12]]) == {0, 1, 2, 3}


def test_k_center_leaves_no_row_farther_than_twice_the_best_possible() -> None:
    vectors = _unit(np.random.default_rng(3).normal(size=(60, 16)))
    chosen = sampling.k_center([vectors], 60, 10 / 60, 0)[:10]
    distance = np.sqrt(np.maximum(2 - 2 * vectors @ vectors[chosen].T, 0)).min(1).max()
    others = np.random.default_rng(0)
    random = [np.sqrt(np.maximum(2 - 2 * vectors @ vectors[others.permutation(60)[:10]].T, 0)).min(1).max() for _ in range(200)]
    assert distance <= min(random) * 2
    assert distance < np.median(random)


def test_clusters_find_the_groups() -> None:
    vectors, kinds = _groups([30, 30, 30])
    found = sampling.clusters(lambda: np.array_split(vectors, 3), 90, 3, 0)
    assert len({(one, two) for one, two in zip(found.tolist(), kinds.tolist(), strict=True)}) == 3


def test_each_query_takes_its_turn() -> None:
    vectors, kinds = _groups([50, 50, 50])
    queries = _unit(np.eye(16)[[0, 2]])
    order, likeness = sampling.nearest_to_queries(np.array_split(vectors, 4), 150, queries, 20)
    assert np.bincount(kinds[order[:20]], minlength=3).tolist() == [10, 0, 10]
    assert likeness[kinds != 1].min() > 0.9 > likeness[kinds == 1].max()
    best = np.argsort(-(vectors @ queries[0]), kind="stable")[:10]
    assert sorted(order[:20:2].tolist()) == sorted(best.tolist())


def test_bounded_lists_still_give_all_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "LIST_NUMBERS", 1)
    vectors, _ = _groups([60, 40])
    order, _ = sampling.nearest_to_queries([vectors], 100, _unit(np.eye(16)[[0, 1]]), 90)
    assert len(set(order[:90].tolist())) == 90


def test_lists_that_are_sorted_out_on_the_way_hold_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MERGED", 8)
    vectors = _unit(np.random.default_rng(5).normal(size=(500, 16)))
    looks: list[None] = []
    order, likeness = sampling.nearest_to_queries(np.array_split(vectors, 9), 500, vectors[:3], 60, lambda: looks.append(None))
    alike = vectors @ vectors[:3].T
    assert np.allclose(likeness, alike.max(1), atol=1e-6)
    left, expected = set(range(500)), list[int]()
    for turn in range(60):
        best = max(left, key=lambda row: alike[row, turn % 3])
        left.remove(best)
        expected.append(best)
    assert order[:60].tolist() == expected
    assert len(looks) > 60


@pytest.mark.parametrize("make", [
    pytest.param(lambda seed: sampling.shuffled(200, seed), id="random"),
    pytest.param(lambda seed: sampling.stratified(np.arange(200) % 7, seed, equal=False), id="stratified"),
    pytest.param(lambda seed: sampling.k_center([_groups([100, 100])[0]], 200, 0.5, seed), id="diverse"),
])
def test_a_seed_repeats_an_order_and_another_gives_another(make) -> None:
    assert make(1).tolist() == make(1).tolist()
    assert make(1).tolist() != make(2).tolist()


def test_no_rows_give_no_order() -> None:
    assert not len(sampling.shuffled(0, 0))
    assert not len(sampling.stratified(np.zeros(0, np.int64), 0, equal=True))
    assert not len(sampling.k_center([], 0, 0.5, 0))
