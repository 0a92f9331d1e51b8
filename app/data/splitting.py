"""Divide rows into train, calibration and test so that no group (a document, say) stands in two of them.

A group's place depends on its name and the seed alone, so that it stays in its split when the dataset grows.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping


def draw(seed: int, group: str) -> float:
    """A number in 0..1 that depends on seed and group alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{group}".encode("utf-8", "replace")).digest()[:8], "big") / 2**64


def choose_split(drawn: float, shares: Mapping[str, float]) -> str:
    """The split in whose share of 0..1 the number falls; what is left over goes to train."""
    for name, share in shares.items():
        if drawn < share:
            return name
        drawn -= share
    return "train"


def assign(groups: Mapping[str, int], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """A split for each group.  groups: rows of each.  shares: of each split but train.

    A split that would stay empty takes from the largest one the group that was drawn nearest to zero, as long as there
    are groups enough; with a single group everything is train.
    """
    drawn = {group: draw(seed, group) for group in groups}
    chosen = {group: choose_split(number, shares) for group, number in drawn.items()}
    if len(groups) == 1:
        return dict.fromkeys(groups, "train")
    wanted = ["train", *(name for name, share in shares.items() if share > 0 and name != "train")]
    needed = wanted[: len(groups)]
    for name in needed:
        counts = Counter(chosen.values())
        if not counts[name]:
            donors = [other for other in wanted if counts[other] > (1 if other in needed else 0)]
            donor = max(donors, key=counts.__getitem__)
            chosen[min((group for group in chosen if chosen[group] == donor), key=drawn.__getitem__)] = name
    return chosen
