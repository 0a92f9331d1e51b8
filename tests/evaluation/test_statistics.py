"""The interval covers what it promises, and the verdict follows from it alone."""

from __future__ import annotations

import numpy as np
import pytest

from app.errors import EvaluationError
from app.evaluation.statistics import FEWEST, Paired, bootstrap_means, paired, wilson


def test_difference_and_means_are_plain_arithmetic():
    found = paired(np.array([0.0, 1.0, 0.0, 1.0]), np.array([1.0, 1.0, 0.5, 1.0]), 0)
    assert (found.first, found.second, found.difference) == (0.5, 0.875, 0.375)
    assert found.low <= found.difference <= found.high


def test_the_interval_equals_the_exact_bootstrap_distribution_of_two_items():
    """Two items with differences 0 and 1: means 0, .5, 1 with chances 1/4, 1/2, 1/4."""
    means = bootstrap_means(np.array([0.0, 1.0]), 0, 40_000)
    values, counts = np.unique(means, return_counts=True)
    assert values.tolist() == [0.0, 0.5, 1.0]
    assert counts / len(means) == pytest.approx([0.25, 0.5, 0.25], abs=0.01)


def test_the_standard_error_is_that_of_the_mean():
    values = np.random.default_rng(1).normal(size=400)
    assert bootstrap_means(values, 0).std() == pytest.approx(values.std() / 20, rel=0.03)


def test_the_interval_covers_the_true_difference_about_95_times_in_100():
    """600 simulated evaluations of 80 items with a true gain of .15 in shared difficulty."""
    generator, covered = np.random.default_rng(7), 0
    for number in range(600):
        hard = generator.uniform(0.1, 0.7, 80)
        base, tuned = generator.random(80) < hard, generator.random(80) < hard + 0.15
        found = paired(base.astype(float), tuned.astype(float), number, resamples=600)
        covered += found.low <= 0.15 <= found.high
    assert 0.92 <= covered / 600 <= 0.975


def test_no_true_difference_is_called_better_or_worse_about_1_time_in_20():
    generator, wrong = np.random.default_rng(8), 0
    for number in range(600):
        base, tuned = generator.random((2, 80)) < 0.5
        wrong += paired(base.astype(float), tuned.astype(float), number, resamples=600).verdict() != "no_difference"
    assert 0.02 <= wrong / 600 <= 0.085


@pytest.mark.parametrize(("items", "verdict"), [(1, "no_difference"), (FEWEST - 1, "no_difference"), (FEWEST, "better")])
def test_few_items_show_nothing_however_much_better_each_is(items, verdict):
    found = paired(np.zeros(items), np.linspace(0.5, 1.0, items), 0)
    assert found.verdict() == verdict
    assert (found.low > 0) == (verdict == "better")
    assert 2 * 0.5**FEWEST < 0.05 < 2 * 0.5 ** (FEWEST - 1)


def test_pairing_narrows_the_interval_where_items_share_their_difficulty():
    generator = np.random.default_rng(3)
    base = generator.normal(size=200)
    tuned = base + 0.2 + generator.normal(scale=0.1, size=200)
    together, apart = paired(base, tuned, 0), paired(base, generator.permutation(tuned), 0)
    assert together.high - together.low < (apart.high - apart.low) / 5
    assert (together.verdict(), apart.difference) == ("better", pytest.approx(together.difference))


@pytest.mark.parametrize(("low", "high", "difference", "verdict"), [
    pytest.param(0.01, 0.3, 0.1, "better", id="above zero"),
    pytest.param(-0.3, -0.01, -0.1, "worse", id="below zero"),
    pytest.param(-0.01, 0.5, 0.3, "no_difference", id="a large gain whose interval holds zero"),
    pytest.param(0.0, 0.4, 0.2, "no_difference", id="touches zero"),
    pytest.param(-0.4, 0.0, -0.2, "no_difference", id="touches zero from below"),
    pytest.param(0.0, 0.0, 0.0, "no_difference", id="all equal"),
])
def test_the_verdict_follows_from_the_interval_alone(low, high, difference, verdict):
    pair = Paired(0.5, 0.5 + difference, difference, low, high)
    assert pair.verdict() == verdict
    turned = {"better": "worse", "worse": "better"}.get(verdict, verdict)
    assert pair.verdict(lower_is_better=True) == turned


def test_the_same_seed_gives_the_same_interval():
    base, tuned = np.random.default_rng(0).random((2, 50))
    assert paired(base, tuned, 4) == paired(base, tuned, 4)
    assert paired(base, tuned, 4) != paired(base, tuned, 5)


@pytest.mark.parametrize(("base", "tuned"), [([], []), ([1.0], [1.0, 0.0])])
def test_nothing_to_pair_is_an_error_in_words(base, tuned):
    with pytest.raises(EvaluationError, match="nothing to compare"):
        paired(np.array(base), np.array(tuned), 0)


def test_memory_stays_bounded_for_many_items():
    import tracemalloc

    tracemalloc.start()
    bootstrap_means(np.zeros(5_000), 0, 1_500)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


@pytest.mark.parametrize(("right", "items"), [(0, 30), (1, 80), (27, 30), (30, 30), (1, 1), (500, 1000)])
def test_the_interval_of_a_share_equals_scipys(right, items):
    from scipy.stats import binomtest

    found = binomtest(right, items).proportion_ci(method="wilson")
    assert wilson(right, items) == pytest.approx((found.low, found.high), abs=1e-6)


def test_nothing_is_known_of_a_share_of_no_items():
    assert wilson(0, 0) == (0.0, 1.0)
