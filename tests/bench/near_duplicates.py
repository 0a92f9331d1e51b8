"""Documents a second of near-duplicate removal, with its recall and precision on planted pairs, beside rensa in the same run.

Documents of some 96 words; one in ten is a changed copy of another, with a true Jaccard of word 3-shingles between .5 and 1.
Ours: from the texts to the decision, both cores.  Beside it, each in one thread, on the same texts: rensa's MinHash with 32
bands, candidates verified with the true Jaccard of Python strings; and the same with 16 bands, unverified.
Usage: python tests/bench/near_duplicates.py [--documents 20000] [--rounds 3] [--threshold 0.7] [--step 50000]
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AIM = 50_000
WORDS = 96
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Planted:
    """Texts, and the true similarity of each pair (earlier, later) that was planted."""

    texts: list[str]
    pairs: dict[tuple[int, int], float]


def shingles(text: str) -> frozenset[str]:
    words = _WORD.findall(text.casefold())
    return frozenset(" ".join(words[start : start + 3]) for start in range(max(len(words) - 2, 1)))


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    return len(first & second) / len(first | second)


def plant(count: int, seed: int = 0) -> Planted:
    """Unrelated texts with changed copies among them: words exchanged in one place or in many, added, left out."""
    chance = random.Random(seed)
    lexicon = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 11))) for _ in range(30_000)]
    texts: list[str] = []
    pairs: dict[tuple[int, int], float] = {}
    for number in range(count):
        if number % 10 != 9:
            texts.append(" ".join(chance.choices(lexicon, k=chance.randint(80, 112))))
            continue
        source = chance.randrange(number)
        while source % 10 == 9:
            source = chance.randrange(number)
        words = texts[source].split()
        at, size = chance.randrange(len(words)), chance.randint(0, 28)
        if chance.random() < 0.5:
            words[at : at + size] = chance.choices(lexicon, k=chance.randint(0, size))
        else:
            for _ in range(chance.randint(0, 9)):
                words[chance.randrange(len(words))] = chance.choice(lexicon)
        texts.append(" ".join(words).capitalize() + ".")
        pairs[source, number] = jaccard(shingles(texts[source]), shingles(texts[number]))
    return Planted(texts, pairs)


def ours(texts: list[str], threshold: float) -> set[tuple[int, int]]:
    """(kept, removed) by the product's own code."""
    import numpy as np

    from app.data.near import find_near
    from app.data.shingle_file import ShingleFile

    with tempfile.TemporaryDirectory() as folder, ShingleFile(Path(folder), len(texts)) as file:
        for text in texts:
            file.add(text)
        file.seal()
        found = find_near(file, np.arange(len(texts)), np.ones(len(texts), bool), threshold, lambda _share, _words: None)
    return {(keeper, number) for number, keeper in enumerate(found.keeper.tolist()) if keeper != number}


def rensa(bands: int, verified: bool) -> Callable[[list[str], float], set[tuple[int, int]]]:
    """(kept, removed) by MinHash of 128 permutations and locality-sensitive hashing."""

    def run(texts: list[str], threshold: float) -> set[tuple[int, int]]:
        from rensa import RMinHash, RMinHashLSH

        index = RMinHashLSH(threshold=threshold, num_perm=128, num_bands=bands)
        sets: dict[int, frozenset[str]] = {}
        removed: set[tuple[int, int]] = set()
        for number, text in enumerate(texts):
            own = shingles(text)
            signature = RMinHash(num_perm=128, seed=0)
            signature.update(list(own))
            found = index.query(signature)
            if verified:
                found = [other for other in found if jaccard(own, sets[other]) >= threshold]
            if found:
                removed.add((min(found), number))
            else:
                index.insert(number, signature)
                sets[number] = own
        return removed

    return run


def quality(removed: set[tuple[int, int]], planted: Planted, threshold: float) -> tuple[float, float, int]:
    """(recall of planted pairs from the threshold on, precision by the true Jaccard, pairs below it that were taken)."""
    gone = {later for _, later in removed}
    wanted = [pair for pair, alike in planted.pairs.items() if alike >= threshold]
    right = sum(jaccard(shingles(planted.texts[one]), shingles(planted.texts[other])) >= threshold for one, other in removed)
    below = sum(later in gone and alike < threshold for (_, later), alike in planted.pairs.items())
    return sum(later in gone for _, later in wanted) / len(wanted), right / max(len(removed), 1), below


def step(rows: int, threshold: float) -> str:
    """Rows a second of the whole step data.refine: read from the encrypted store, decide, write the new version."""
    from app.data.refine_node import Refine, RefineParams
    from app.store import Store
    from app.store.records import Row
    from tests.context import FakeContext, make_rows

    with Store.open() as store, tempfile.TemporaryDirectory() as folder:
        given = make_rows(store, (Row("text", text=text) for text in plant(rows).texts))
        node = Refine(RefineParams.model_validate({"near_duplicates": {"threshold": threshold}}))
        began = time.perf_counter()
        made = node.run(FakeContext(store, Path(folder), inputs={"rows": given}))
        seconds = time.perf_counter() - began
    return f"data.refine, store to store: {rows / seconds:,.0f} rows/s, {rows - made['rows'].rows:,} of {rows:,} removed"  # type: ignore[attr-defined]


def main() -> int:
    """Measure, print; always 0: the aim is printed beside, and the machine decides."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threshold", type=float, default=0.7)
    parser.add_argument("--step", type=int, default=50_000, help="rows of the whole step; 0: leave it out")
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    planted = plant(given.documents)
    arms = {"ours": ours, "rensa, 32 bands, verified": rensa(32, True), "rensa, 16 bands": rensa(16, False)}
    best: dict[str, float] = {}
    cost: dict[str, float] = {}
    said: dict[str, tuple[float, float, int]] = {}
    for _ in range(given.rounds):  # in turns, so that a busy moment meets all
        for name, arm in arms.items():
            began, used = time.perf_counter(), time.process_time()
            removed = arm(planted.texts, given.threshold)
            seconds = time.perf_counter() - began
            if seconds < best.get(name, float("inf")):
                best[name], cost[name] = seconds, time.process_time() - used
            said[name] = quality(removed, planted, given.threshold)
    between = sum(0.5 <= alike < given.threshold for alike in planted.pairs.values())
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{given.documents:,} documents of about {WORDS} words, {len(planted.pairs):,} planted pairs, {between:,} of them between .5 and "
          f"{given.threshold}; best of {given.rounds}; {os.cpu_count()} processors{load}; aim {AIM:,} documents/s")
    for name, seconds in best.items():
        recall, precision, below = said[name]
        print(f"{name}: {given.documents / seconds:,.0f} documents/s ({1e6 * cost[name] / given.documents:.1f} µs of processor time each), "
              f"recall {recall:.4f}, precision {precision:.4f}, {below} below the threshold taken")
    if given.step:
        with tempfile.TemporaryDirectory(prefix="neuroweaver-bench-") as home:
            os.environ |= {"NEUROWEAVER_HOME": home, "NEUROWEAVER_KEYRING": "off"}
            print(step(given.step, given.threshold))
    return 0


if __name__ == "__main__":
    sys.exit(main())
