"""Near repeats: the same words and sets as ``re`` finds, exactly the pairs that brute force finds, in bounded time for crowds."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.data import near
from app.data.near import Near, find_clusters, find_near
from app.data.shingle_file import ShingleFile
from app.data.shingles import Shingler

ODD = "aA bßİ ſK ÅÅé\u0301_9٣ \n\t\u2028\xa0\x1c.,-'\u200b中文字🙂ﬁ\ud800\uffff"


def shingles(text: str) -> frozenset[str]:
    """What a text's set is by definition: case-folded words of ``\\w+``, three in a row; a shorter text is one."""
    words = re.findall(r"\w+", text.casefold())
    return frozenset(" ".join(words[start : start + 3]) for start in range(max(len(words) - 2, 1))) if words else frozenset()


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    return len(first & second) / len(first | second)


def odd_texts(count: int) -> list[str]:
    chance = random.Random(3)
    texts = ["".join(chance.choices(ODD, k=chance.randint(0, 60))) for _ in range(count)]
    return [*texts, *(text.upper() for text in texts[::5]), *(" ".join(text.split()) for text in texts[::5]), "", "...", "plain ASCII, too"]


@pytest.mark.parametrize("piece", [pytest.param(1 << 17, id="together"), pytest.param(70, id="in pieces")])
def test_hashed_sets_are_those_of_the_words_in_every_script(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.data.shingles.PIECE", piece)
    texts, chance = odd_texts(800), random.Random(4)
    made = Shingler().batch(texts)
    ends = np.cumsum(made.counts)
    hashed = [set(made.shingles[end - count : end].tolist()) for end, count in zip(ends, made.counts, strict=True)]
    true = [shingles(text) for text in texts]
    assert [len(one) for one in hashed] == [len(one) for one in true]
    pairs = [chance.sample(range(len(texts)), 2) for _ in range(20_000)]
    assert [len(hashed[one] & hashed[other]) for one, other in pairs] == [len(true[one] & true[other]) for one, other in pairs]


def test_text_longer_than_a_piece_has_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.data.shingles.PIECE", 100)
    text = " ".join(f"word{number}" for number in range(500))
    made = Shingler().batch([text, "short", f"{text} and more"])
    assert made.counts.tolist() == [498, 1, 500]


def test_digests_are_equal_where_case_and_blanks_alone_differ() -> None:
    texts = odd_texts(800)
    folded: dict[str, set[int]] = {}
    for text, digest in zip(texts, Shingler().digests(texts).tolist(), strict=True):
        folded.setdefault(" ".join(text.casefold().split()), set()).add(digest)
    assert {len(digests) for digests in folded.values()} == {1}
    assert len(set.union(*folded.values())) == len(folded)


def test_hashes_of_two_runs_have_nothing_in_common() -> None:
    first, second = (Shingler().batch(["the same three words"]).shingles for _ in range(2))
    assert not set(first.tolist()) & set(second.tolist())


def test_scratch_file_has_no_name_while_it_is_open(tmp_path: Path) -> None:
    with ShingleFile(tmp_path, 1) as file:
        file.add("some words of a private text")
        file.seal()
        assert list(tmp_path.iterdir()) == []


def test_shingles_that_were_written_are_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.data.shingle_file.PIECE", 600)
    with ShingleFile(tmp_path, 1) as file:
        for number in range(400):
            file.add(" ".join(f"w{number}x{place}" for place in range(40)))
        held = [batch.shingles if batch.shingles.base is None else batch.shingles.base for batch in file._done]
        assert len(held) > 20
        assert sum(array.size for array in held) == 0
        file.seal()


# -- pairs ----------------------------------------------------------------------------------------------------------------------


def search(folder: Path, texts: list[str], rank: list[int], threshold: float) -> Near:
    with ShingleFile(folder, len(texts)) as file:
        for text in texts:
            file.add(text)
        file.seal()
        return find_near(file, np.array(rank, np.int64), np.ones(len(texts), bool), threshold, lambda _share, _words: None)


def stays_by_brute_force(texts: list[str], rank: list[int], threshold: float) -> list[bool]:
    """A text stays unless it is as alike as the threshold to a better one that stays."""
    sets, kept = [shingles(text) for text in texts], [False] * len(texts)
    for number in sorted(range(len(texts)), key=rank.__getitem__):
        kept[number] = not sets[number] or not any(
            kept[other] and sets[other] and jaccard(sets[number], sets[other]) >= threshold for other in range(len(texts)))
    return kept


def families(seed: int) -> list[str]:
    """Changed copies of a few texts, over vocabularies so small that unrelated texts share shingles too."""
    chance = random.Random(seed)
    vocabulary = [f"w{number}" for number in range(chance.choice([3, 8, 40, 400]))]
    roots = [chance.choices(vocabulary, k=chance.randint(0, 40)) for _ in range(chance.randint(1, 12))]
    texts = []
    for _ in range(chance.randint(0, 80)):
        words = list(chance.choice(roots))
        for _ in range(chance.randint(0, 6) if words else 0):
            at = chance.randrange(len(words) + 1)
            words[at : at + chance.randint(0, 1)] = chance.choices(vocabulary, k=chance.randint(0, 1))
        texts.append(" ".join(words))
    return texts


@pytest.mark.parametrize("small_group", [1, 2, 8])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.9, 1.0])
def test_what_stays_is_what_brute_force_keeps(threshold: float, small_group: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "SMALL_GROUP", small_group)
    monkeypatch.setattr(near, "MOST_POSTINGS", 400 * small_group)  # several passes
    monkeypatch.setattr(near, "MOST_PAIRS", 40)
    monkeypatch.setattr("app.data.shingle_file.PIECE", 600)
    removed = 0
    for seed in range(12):
        texts = families(seed)
        rank = random.Random(seed).sample(range(len(texts)), len(texts))
        found = search(tmp_path, texts, rank, threshold)
        keeper = found.keeper.tolist()
        assert found.unchecked == 0
        assert [keeper[number] == number for number in range(len(texts))] == stays_by_brute_force(texts, rank, threshold), seed
        for number, kept in enumerate(keeper):
            if kept != number:
                removed += 1
                assert keeper[kept] == kept, "a removed text names one that stays"
                assert found.alike[number] == jaccard(shingles(texts[number]), shingles(texts[kept])) >= threshold
    assert removed > 20


# -- crowds larger than the window ------------------------------------------------------------------------------------------


def crowd() -> list[str]:
    """Texts of three families in turn, all with the same rare words: near ones in the file are not alike."""
    chance = random.Random(8)
    common = [f"common{place}" for place in range(30)]
    roots = [[*common, *(f"f{family}x{place}" for place in range(25))] for family in range(3)]
    return [" ".join([*roots[number % 3][:50], *(f"own{chance.randrange(9)}" for _ in range(5))]) for number in range(60)]


def clusters_by_brute_force(texts: list[str], threshold: float) -> list[int]:
    """The lowest member of each text's set, sets being linked by pairs that are alike."""
    sets, first = [shingles(text) for text in texts], list(range(len(texts)))
    for one in range(len(texts)):
        for other in range(one):
            if jaccard(sets[one], sets[other]) >= threshold and first[one] != first[other]:
                low, high = sorted((first[one], first[other]))
                first = [low if number == high else number for number in first]
    return first


@pytest.mark.parametrize("threshold", [0.4, 0.6, 0.8])
@pytest.mark.parametrize("window", [1, 4, 64])
def test_clusters_are_those_of_brute_force_whatever_the_window(threshold: float, window: int, tmp_path: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "WINDOW", window)
    texts = crowd() + [text for seed in range(4) for text in families(seed)]
    texts = [text for text in texts if shingles(text)]
    with ShingleFile(tmp_path, len(texts)) as file:
        for text in texts:
            file.add(text)
        file.seal()
        found, unchecked = find_clusters(file, threshold, lambda _share, _words: None)
    assert unchecked == 0
    assert found.tolist() == clusters_by_brute_force(texts, threshold)


def test_what_the_bound_leaves_out_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "WINDOW", 2)
    monkeypatch.setattr(near, "SMALL_GROUP", 1_000)
    texts = crowd()
    whole = search(tmp_path, texts, list(range(60)), 0.6)
    assert whole.unchecked == 0
    monkeypatch.setattr(near, "MOST_FURTHER", 3)
    cut = search(tmp_path, texts, list(range(60)), 0.6)
    assert 0 < cut.unchecked <= 60
    assert (cut.keeper == np.arange(60)).sum() > (whole.keeper == np.arange(60)).sum()


def _copy(words: list[str], changed: int, number: int) -> str:
    """The text with its last words exchanged."""
    return " ".join([*words[: len(words) - changed], *(f"new{number}x{place}" for place in range(changed))])


def test_planted_pairs_are_found_from_the_threshold_on_and_stay_below_it(tmp_path: Path) -> None:
    originals = [[f"w{number}x{place}" for place in range(96)] for number in range(1200)]
    copies = [_copy(words, number % 34, number) for number, words in enumerate(originals)]
    texts = [*(" ".join(words) for words in originals), *copies]
    alike = [jaccard(shingles(first), shingles(second)) for first, second in zip(texts, copies, strict=False)]
    assert sum(share >= 0.7 for share in alike) > 400
    assert sum(0.5 <= share < 0.7 for share in alike) > 200
    found = search(tmp_path, texts, list(range(len(texts))), 0.7)
    assert found.keeper.tolist() == [*range(1200), *(number if share >= 0.7 else 1200 + number for number, share in enumerate(alike))]


@pytest.mark.parametrize("make", [
    pytest.param(lambda number: f"{' '.join(f't{place}' for place in range(80))} case {number}", id="one text with a number each"),
    pytest.param(lambda number: " ".join(f"w{number * 5 + place}" for place in range(60)), id="a chain of windows"),
    pytest.param(lambda number: " ".join([*(f"t{place}" for place in range(60)), *(f"o{number}x{place}" for place in range(22))]),
                 id="a form that fills three quarters"),
])
def test_crowds_of_like_texts_are_not_compared_pair_by_pair(
    make: Callable[[int], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared, shared, count = [0], ShingleFile.shared, 4000

    def counting(self: ShingleFile, first: Any, second: Any) -> Any:
        compared[0] += len(first)
        return shared(self, first, second)

    monkeypatch.setattr(ShingleFile, "shared", counting)
    found = search(tmp_path, [make(number) for number in range(count)], list(range(count)), 0.7)
    assert found.unchecked == 0
    assert compared[0] < 10 * count, "there are eight million pairs"
