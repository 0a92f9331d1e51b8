"""Paired differences, their intervals, and the verdict that follows from them alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from app.errors import EvaluationError

Array = npt.NDArray[np.float64]
Verdict = Literal["better", "worse", "no_difference"]
RESAMPLES = 10_000
FEWEST = 6
"""Items below which nothing is shown at 95 %: five of five in one direction still come by chance once in sixteen (sign test)."""
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Paired:
    """Two means over the same items and the 95 % interval of their difference (second minus first)."""

    first: float
    second: float
    difference: float
    low: float
    high: float

    def verdict(self, *, lower_is_better: bool = False) -> Verdict:
        """ "better" or "worse" only where the interval excludes zero."""
        if not (self.low > 0.0 or self.high < 0.0):  # so that no number is no difference either
            return "no_difference"
        return "better" if (self.difference > 0) != lower_is_better else "worse"

    def as_json(self) -> dict[str, Any]:
        """Plain figures for the report."""
        return {"difference": self.difference, "interval": [self.low, self.high]}


def paired(first: Array, second: Array, seed: int, resamples: int = RESAMPLES) -> Paired:
    """Percentile bootstrap of the mean difference over items, both (items,) float.

    Items are resampled together, so that what they share cancels.  Of fewer than FEWEST items the interval reaches zero: the
    bootstrap of one item has no width at all.  Raises EvaluationError if there are no items or the two do not belong
    together.  Source: Efron and Tibshirani 1993, chapter 13.
    """
    if len(first) == 0 or len(first) != len(second):
        raise EvaluationError(
            "evaluation.no_items",
            "There is nothing to compare.",
            why=f"{len(first)} and {len(second)} items were scored.",
            remedy="Give the dataset a test split with at least one row.",
        )
    differences = np.asarray(second, float) - np.asarray(first, float)
    means = bootstrap_means(differences, seed, resamples)
    low, high = np.quantile(means, [0.025, 0.975])
    if len(differences) < FEWEST:
        low, high = min(low, 0.0), max(high, 0.0)
    return Paired(float(np.mean(first)), float(np.mean(second)), float(np.mean(differences)), float(low), float(high))


def wilson(right: int, items: int) -> tuple[float, float]:
    """The 95 % interval of a share of ``items``, fractions of 1; it is sound for few items and for none or all right.

    (0.0, 1.0) for no items.  Source: Wilson 1927.
    """
    if not items:
        return 0.0, 1.0
    z, share = 1.959964, right / items
    centre, spread = share + z * z / (2 * items), z * math.sqrt(share * (1 - share) / items + z * z / (4 * items * items))
    low, high = ((centre + side * spread) / (1 + z * z / items) for side in (-1, 1))
    return max(low, 0.0), min(high, 1.0)


def bootstrap_means(values: Array, seed: int, resamples: int = RESAMPLES) -> Array:
    """Means of ``resamples`` draws with replacement, (resamples,); memory stays bounded for any number of values."""
    generator = np.random.default_rng(seed)
    parts = []
    for start in range(0, resamples, _CHUNK):
        drawn = generator.integers(0, len(values), (min(_CHUNK, resamples - start), len(values)))
        parts.append(values[drawn].mean(axis=1))
    return np.concatenate(parts)
