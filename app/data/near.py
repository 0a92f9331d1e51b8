"""Near repeats: all pairs whose word 3-shingles have a Jaccard similarity from a threshold on, exactly, and which text stays.

No sketch and no chance: sort each text's shingles by how rare they are in the dataset.  Two texts as alike as t must share
one of their first |x| - ⌈t·|x|⌉ + 1 (prefix filter), and the place of the first one they share bounds how many they can share
in all (position filter).  Shingles that only one text has cannot be shared; in most datasets they fill these prefixes, so that
few texts are compared at all.  What is left is compared shingle by shingle.
Source: Xiao, Wang, Lin, Yu 2008, Efficient similarity joins for near duplicate detection (PPJoin).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.data.shingle_file import ShingleFile
from app.data.shingles import HASH_BITS, MOST_TEXTS, PIECE, Flags, Hashes, Numbers

Shares = npt.NDArray[np.float64]
Places = npt.NDArray[np.int32]
Tell = Callable[[float, str], None]
Edges = tuple[Numbers, Numbers, Shares]
Barred = Callable[[Numbers, Numbers], Flags]
SMALL_GROUP = 8
"""Texts that share a rare shingle; larger groups lose the repeats of their best text first."""
ROUNDS = 64
WINDOW = 64
"""A text is compared with this many following ones of each group that is left, however many groups there are."""
MOST_FURTHER = 30_000_000
"""Pairs further apart than that which are compared too; one that need not be compared counts a sixteenth."""
MOST_PAIRS = 1_000_000
MOST_POSTINGS = 4_000_000
"""More rare shingles than these are looked at in several passes over the file, so that memory stays bounded."""
_OFTEN_BITS = 8
_SPARE = 1e-9


@dataclass(slots=True)
class Near:
    """For each text the number of the one that stays in its place (its own if it stays), and how alike they are, 0..1.

    unchecked: texts in groups so large that not every pair was compared; all others are exact.
    """

    keeper: Numbers
    alike: Shares
    unchecked: int = 0

    def settle(self, rank: Numbers, edges: list[Edges]) -> list[int]:
        """Let each text go that is like a better one which stays; returns who goes.  edges: (better, worse, how alike)."""
        if not edges:
            return []
        first, second, alike = (np.concatenate(column) for column in zip(*edges, strict=True))
        order = np.lexsort((alike, rank[second]))
        gone: dict[int, None] = {}
        for one, other, share in zip(first[order].tolist(), second[order].tolist(), alike[order].tolist(), strict=True):
            if one not in gone:
                gone[other] = None
                self.keeper[other], self.alike[other] = one, share
        return list(gone)


@dataclass(slots=True)
class _Postings:
    """Which text has which rare shingle at which place of its prefix, by shingle and then best text first."""

    shingle: Hashes
    text: Places
    place: Places

    def take(self, chosen: Flags | Numbers) -> _Postings:
        return _Postings(self.shingle[chosen], self.text[chosen], self.place[chosen])

    def groups(self) -> tuple[Numbers, Numbers]:
        """(where each group of one shingle starts, how long it is)."""
        starts = np.flatnonzero(np.concatenate([[True], self.shingle[1:] != self.shingle[:-1]])) if len(self.text) else _NONE
        return starts, np.diff(starts, append=len(self.text))

    def wider(self, distance: int, together: Numbers | None) -> _Postings:
        """Groups of more than ``distance`` texts that are not all together (of one number in ``together``)."""
        starts, lengths = self.groups()
        left = lengths > distance
        if together is not None and len(starts):
            sets = together[self.text]
            left &= np.minimum.reduceat(sets, starts) != np.maximum.reduceat(sets, starts)
        return self.take(np.repeat(left, lengths))

    def shared(self) -> _Postings:
        """Without shingles that one text alone has."""
        _, lengths = self.groups()
        return self.take(np.repeat(lengths > 1, lengths))


def _joined(parts: list[_Postings]) -> _Postings:
    return _Postings(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("shingle", "text", "place")))


_NONE: Numbers = np.zeros(0, np.int64)
_EMPTY = _Postings(np.zeros(0, np.uint64), np.zeros(0, np.int32), np.zeros(0, np.int32))


def find_near(
    file: ShingleFile, rank: Numbers, within: Flags, threshold: float, tell: Tell, *, barred: Barred | None = None
) -> Near:
    """Decide which texts stay: none that is ``threshold`` like a better one that stays, and every other.

    rank: a different number for each text, the best has the lowest.  within: texts that count; the others are left alone.
    threshold: 0 < t <= 1.  tell(fraction, message) is called between pieces of work and may raise.
    barred(first, second): which pairs do not count as repeats however alike they are.
    """
    search = _Search(file, rank, threshold, tell, barred)
    postings = search.postings(within)
    return search.decide(search.thin_out(postings))


def find_clusters(file: ShingleFile, threshold: float, tell: Tell) -> tuple[Numbers, int]:
    """((texts,) the number of the first text of each one's cluster, texts that were not compared with all they could be like).

    Texts are together where a chain of pairs that are ``threshold`` alike links them."""
    total = len(file.sizes)
    search = _Search(file, np.arange(total), threshold, tell)
    return search.clusters(search.postings(np.ones(total, bool)))


class _Search:
    """One search on its way."""

    def __init__(self, file: ShingleFile, rank: Numbers, threshold: float, tell: Tell, barred: Barred | None = None) -> None:
        self._file, self._rank, self._threshold, self._tell, self._barred = file, rank, threshold, tell, barred
        self._sizes = file.sizes
        self._found = Near(np.arange(len(rank)), np.zeros(len(rank)))

    # -- candidates ---------------------------------------------------------------------------------------------------------

    def postings(self, within: Flags) -> _Postings:
        """The rare shingles by which texts can be found."""
        parts, passes = [_EMPTY], 1
        while True:
            part, reached = self._pass(within, len(parts) - 1, passes)
            if reached < len(within):
                passes = 1 + int(1.2 * len(part.text) / MOST_POSTINGS * len(within) / reached)
                continue
            parts.append(self._useful(part))
            if len(parts) > passes:
                found = _joined(parts)
                return found.take(np.lexsort((self._rank[found.text], found.shingle)))

    def _pass(self, within: Flags, number: int, passes: int) -> tuple[_Postings, int]:
        """(what one of ``passes`` passes finds, by shingle; the first text that a first pass has not come to, as it found so many)."""
        parts, count, reached = [_EMPTY], 0, 0
        for reached, part in self._file.on_all_cores(lambda span: self._prefixes(*span, within), self._file.spans()):
            if passes > 1:
                part = part.take(part.shingle % np.uint64(passes) == number)
            parts.append(part)
            count += len(part.text)
            self._tell(0.5 * (number + reached / len(within)) / passes, f"{reached:,} of {len(within):,} rows prepared for comparison")
            if passes == 1 and count > MOST_POSTINGS:
                break
        found = _joined(parts)
        return found.take(np.argsort(found.shingle)).shared(), reached

    def _prefixes(self, first: int, last: int, within: Flags) -> tuple[int, _Postings]:
        """What texts first to last - 1 can be found by."""
        sizes = self._sizes[first:last]
        shingles, often = self._file.span(first, last)
        owner = np.repeat(np.arange(last - first), sizes)
        prefix = sizes - np.ceil(self._threshold * sizes - _SPARE).astype(np.int64) + 1
        alone = np.bincount(owner[often == 1], minlength=last - first)
        findable = within[first:last] & (sizes > 0) & (alone < prefix)
        chosen = findable[owner]
        owner = owner[chosen].astype(np.uint64)
        keys = shingles[chosen] >> np.uint64(_OFTEN_BITS)
        keys |= often[chosen].astype(np.uint64) << np.uint64(HASH_BITS - _OFTEN_BITS)
        keys |= owner << np.uint64(HASH_BITS)
        keys.sort()
        owner = (keys >> np.uint64(HASH_BITS)).astype(np.int64)
        keys &= np.uint64((1 << HASH_BITS) - 1)
        left = np.where(findable, sizes, 0)
        place = np.arange(len(keys)) - (np.cumsum(left) - left)[owner]
        useful = (place < prefix[owner]) & (keys >> np.uint64(HASH_BITS - _OFTEN_BITS) > 1)
        return last, _Postings(keys[useful], (owner[useful] + first).astype(np.int32), place[useful].astype(np.int32))

    def _possible(self, first: _Postings, second: _Postings) -> Flags:
        """Whether pairs can be alike enough, by their sizes and by the place of the shingle they share."""
        possible: Flags = self._sizes[second.text] <= self._largest_partner(first)
        possible &= self._sizes[first.text] <= self._largest_partner(second)
        return possible

    def _largest_partner(self, postings: _Postings) -> Shares:
        """The size of the largest text that can be alike enough if this shingle is the first one they share."""
        sizes = self._sizes[postings.text]
        return np.asarray((sizes - postings.place) * ((1 + self._threshold) / self._threshold) - sizes + _SPARE, np.float64)

    def _useful(self, postings: _Postings) -> _Postings:
        """Without what no other text of its group can be like.  (The words of a form that many texts fill in stand here.)"""
        starts, lengths = postings.groups()
        if not len(starts):
            return postings
        smallest = np.repeat(np.minimum.reduceat(self._sizes[postings.text], starts), lengths)
        return postings.take(self._largest_partner(postings) >= smallest).shared()

    # -- deciding -----------------------------------------------------------------------------------------------------------

    def thin_out(self, postings: _Postings) -> _Postings:
        """Take out of large groups the texts that repeat their best one, as long as it is sure that this one stays.

        A text is sure to stay if it is the best of all groups it is in.  All it can repeat is compared here, so it leaves too.
        """
        for number in range(ROUNDS):
            starts, lengths = postings.groups()
            if not len(starts) or lengths.max() <= SMALL_GROUP:
                break
            best = postings.text[starts]
            total = len(self._rank)
            sure = np.bincount(best, minlength=total) == np.bincount(postings.text, minlength=total)
            chosen = np.repeat(sure[best], lengths)
            leader = postings.take(np.repeat(starts, lengths)[chosen])
            member = postings.take(chosen)
            pairs = (leader.text != member.text) & self._possible(leader, member)
            gone = np.zeros(total, bool)
            gone[best[sure[best]]] = True
            for first, second, alike in self._alike(self._keys(leader.take(pairs), member.take(pairs))):
                order = np.argsort(alike)
                self._found.keeper[second[order]], self._found.alike[second[order]] = first[order], alike[order]
                gone[second] = True
            postings = self._useful(postings.take(~gone[postings.text]).shared())
            self._tell(0.5 + 0.2 * number / ROUNDS, f"{int((self._found.alike > 0).sum()):,} near duplicates so far")
        return postings

    def decide(self, postings: _Postings) -> Near:
        """Compare what is left, and keep each text that repeats no better one that is kept."""
        self._found.settle(self._rank, [edge for keys in _bunches(self._neighbours(postings)) for edge in self._alike(keys)])
        return self._found

    def clusters(self, postings: _Postings) -> tuple[Numbers, int]:
        """The first text of each one's cluster, and how many were not compared with all.  Texts that are known to be together are
        not compared again."""
        first = np.arange(len(self._rank))
        for keys in self._neighbours(postings, first):
            edges = list(self._alike(keys))
            if edges:
                first[:] = linked(first, *(np.concatenate(column) for column in list(zip(*edges, strict=True))[:2]))
        return first, self._found.unchecked

    def _neighbours(self, postings: _Postings, together: Numbers | None = None) -> Iterator[Numbers]:
        """Pairs of texts that share a rare shingle, as better * texts + worse, at most MOST_PAIRS at once, those that stand near each
        other in their group first.  Says at the end how many texts are in groups so large that pairs had to be left out.

        together: no pairs of one number in it; it may change on the way.
        """
        distance, further = 0, 0
        while further <= MOST_FURTHER:
            distance += 1
            if distance > WINDOW and (distance == WINDOW + 1 or not distance & (distance - 1)):
                postings = postings.wider(distance, together)
            same = np.flatnonzero(postings.shingle[distance:] == postings.shingle[:-distance])
            if not len(same):
                return
            for part in range(0, len(same), MOST_PAIRS):
                found = self._candidates(postings, same[part : part + MOST_PAIRS], distance, together)
                further += (len(found) + len(same[part : part + MOST_PAIRS]) // 16) if distance > WINDOW else 0
                yield found
            self._tell(0.7 + 0.3 * distance / (distance + WINDOW), "Comparing rows that share rare words")
        self._found.unchecked = len(np.unique(postings.wider(distance + 1, together).text))

    def _candidates(self, postings: _Postings, at: Numbers, distance: int, together: Numbers | None) -> Numbers:
        """Those of the pairs (place, place + distance) that can be alike enough."""
        if together is not None:
            at = at[together[postings.text[at]] != together[postings.text[at + distance]]]
        first, second = postings.take(at), postings.take(at + distance)
        possible = self._possible(first, second)
        return np.unique(self._keys(first.take(possible), second.take(possible)))

    def _keys(self, better: _Postings, worse: _Postings) -> Numbers:
        return better.text.astype(np.int64) * len(self._rank) + worse.text

    def _alike(self, pairs: Numbers) -> Iterator[Edges]:
        """(better, worse, Jaccard) of the pairs that reach the threshold."""
        first, second = np.divmod(np.unique(pairs), len(self._rank))
        if self._barred is not None:
            counts = ~self._barred(first, second)
            first, second = first[counts], second[counts]
        ends = np.cumsum(self._sizes[first] + self._sizes[second])

        def tasks() -> Iterator[slice]:
            start = 0
            while start < len(first):
                most = (ends[start - 1] if start else 0) + 2 * PIECE
                stop = min(max(int(np.searchsorted(ends, most, "right")), start + 1), start + MOST_TEXTS)
                yield slice(start, stop)
                start = stop

        def compare(part: slice) -> Edges:
            one, other = first[part], second[part]
            shared = self._file.shared(one, other)
            alike = shared / (self._sizes[one] + self._sizes[other] - shared)
            enough = alike >= self._threshold
            return one[enough], other[enough], alike[enough]

        yield from self._file.on_all_cores(compare, tasks())


def _bunches(parts: Iterator[Numbers]) -> Iterator[Numbers]:
    """The numbers of all parts without repeats, some MOST_PAIRS at once."""
    waiting = _NONE
    for part in parts:
        waiting = np.union1d(waiting, part)
        if len(waiting) >= MOST_PAIRS:
            yield waiting
            waiting = _NONE
    yield waiting


def linked(first: Numbers, one: Numbers, other: Numbers) -> Numbers:
    """The lowest member of each one's set, after the sets that some pairs (one, other) link have become one.

    first: (members,) the lowest member of each one's set before.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    every = np.arange(len(first))
    ends = np.concatenate([every, one]), np.concatenate([first, other])
    graph = coo_array((np.ones(len(ends[0]), bool), ends), shape=(len(first), len(first)))
    count, label = connected_components(graph, directed=False)
    lowest = np.full(count, len(first))
    np.minimum.at(lowest, label, every)
    found: Numbers = lowest[label]
    return found
