"""Divide groups (a document, say) into train, calibration and test by numbers that are drawn for each.

A group's number depends on its name and the seed alone, so that it stays in its split when the dataset grows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Shares = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
TRAIN = "train"


def draw(seed: int, group: str) -> float:
    """A number in 0..1 that depends on seed and group alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{group}".encode("utf-8", "replace")).digest()[:8], "big") / 2**64


def assign(drawn: Shares, shares: Mapping[str, float]) -> Numbers:
    """For each group the number of its split: 0 for train, 1, 2, ... for those of ``shares`` in their order.

    drawn: (groups,) 0..1.  shares: of each split but train, which gets what is left over.
    A split that would stay empty takes from the largest one the group that was drawn nearest to zero, as long as there
    are groups enough; with a single group everything is train.
    """
    wanted = [share for name, share in shares.items() if name != TRAIN]
    chosen = np.digitize(drawn, np.cumsum(wanted)) + 1
    chosen[chosen > len(wanted)] = 0
    if len(drawn) == 1:
        return np.zeros(1, np.int64)
    needed = [0, *(number for number, share in enumerate(wanted, start=1) if share > 0)][: len(drawn)]
    for number in needed:
        counts = np.bincount(chosen, minlength=len(wanted) + 1)
        if not counts[number]:
            counts[needed] -= 1  # what must not become empty itself gives its last group away last
            donor = int(counts.argmax())
            lowest = np.flatnonzero(chosen == donor)
            chosen[lowest[np.argmin(drawn[lowest])]] = number
    return chosen


def fill(drawn: Shares, sizes: Numbers, shares: Mapping[str, float]) -> Numbers:
    """As :func:`assign`, but so that the rows of each split come as near to its share as whole groups allow.

    sizes: (groups,) rows.  Groups go in the order of their numbers; where a dataset grows, a group may change its split.
    """
    chosen, total, taken = np.zeros(len(drawn), np.int64), int(sizes.sum()), 0.0
    order = np.argsort(drawn, kind="stable")
    middle = np.cumsum(sizes[order]) - sizes[order] / 2
    for number, share in enumerate((share for name, share in shares.items() if name != TRAIN), start=1):
        chosen[order[(middle > taken) & (middle <= taken + share * total)]] = number
        taken += share * total
    return chosen
