"""Documents a second of near-duplicate removal, with its recall and precision on planted pairs, beside rensa in the same run.

Documents of some 96 words; one in ten is a changed copy of another, with a true Jaccard of word 3-shingles between .5 and 1.
Ours: from the texts to the decision, both cores.  Beside it, each in one thread, on the same texts: rensa's MinHash with 32
bands, candidates verified with the true Jaccard of Python strings; and the same with 16 bands, unverified.
Then the whole step data.refine from store to store, and duplicates in meaning: the notices of the legal kit by the packaged
encoder, the first time and once their vectors are kept, beside comparing every pair.
Usage: python tests/bench/near_duplicates.py [--documents 20000] [--rounds 3] [--threshold 0.7] [--step 50000] [--meaning 300]
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
from typing import Any

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
        store.db["dataset_versions"].insert({"dataset": given.dataset, "version": 1, "state": "ready", "rows": rows, "shape": "text",
                                             "origin": "{}", "created": 0.0})
        node = Refine(RefineParams.model_validate({"near_duplicates": {"threshold": threshold}}))
        began, used = time.perf_counter(), time.process_time()
        made: Any = node.run(FakeContext(store, Path(folder), inputs={"rows": given}))
        seconds, cost = time.perf_counter() - began, 1e6 * (time.process_time() - used) / rows
    return (f"data.refine, store to store: {rows / seconds:,.0f} rows/s ({cost:.1f} µs of processor time each), "
            f"{rows - made['rows'].rows:,} of {rows:,} removed")


def meaning(rows: int, threshold: float = 0.9) -> list[str]:
    """Rows a second of duplicates in meaning, and how many of those that comparing all pairs removes are found."""
    import json

    import numpy as np

    from app.data.embedding import text_vectors
    from app.data.meaning import find_same_meaning
    from app.data.near import Near
    from app.data.rowtext import text_of
    from app.store import Store
    from app.store.datasets import open_dataset
    from app.store.records import Row
    from tests.context import make_rows

    lines = (ROOT / "kits" / "legal" / "data" / "notices.jsonl").read_text(encoding="utf-8").splitlines()[:rows]
    texts = [json.loads(line)["messages"][0]["content"].partition("\n\n")[2] for line in lines]
    number = np.arange(len(texts))
    found, seconds = [], []
    with Store.open() as store:
        given = make_rows(store, (Row("text", text=text) for text in texts), name="meaning")
        with open_dataset(store, given.dataset) as db:
            for _ in range(2):
                began = time.perf_counter()
                found.append(find_same_meaning(db, 1, number + 1, number, number >= 0, threshold, lambda _share, _words: None,
                                               barred=lambda first, _second: first < 0))
                seconds.append(time.perf_counter() - began)
            vectors = np.concatenate([part for _, part in text_vectors(db, text_of, lambda: None).blocks(db.iter_rows(1))])
    cosine = np.triu(vectors @ vectors.T, 1)
    first, second = np.nonzero(cosine >= threshold)
    true = Near(number.copy(), np.zeros(len(texts)))
    true.settle(number, [(first, second, cosine[first, second].astype(float))])
    removed = [set(np.flatnonzero(one.keeper != number).tolist()) for one in (found[0], true)]
    return [f"duplicates in meaning, {len(texts)} notices: {len(texts) / seconds[0]:,.0f} rows/s, {len(texts) / seconds[1]:,.0f} once their "
            f"vectors are kept; {len(removed[0])} removed at {threshold}, all pairs remove {len(removed[1])}, "
            f"of which {len(removed[1] - removed[0])} name other numbers or denials"]


def main() -> int:
    """Measure, print; always 0: the aim is printed beside, and the machine decides."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threshold", type=float, default=0.7)
    parser.add_argument("--meaning", type=int, default=300, help="rows for duplicates in meaning; 0: leave it out")
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
    with tempfile.TemporaryDirectory(prefix="neuroweaver-bench-") as home:
        os.environ |= {"NEUROWEAVER_HOME": home, "NEUROWEAVER_KEYRING": "off"}
        if given.step:
            print(step(given.step, given.threshold), flush=True)
        if given.meaning:
            print("\n".join(meaning(given.meaning)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
