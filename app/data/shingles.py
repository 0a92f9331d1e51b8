"""Texts as sets of hashed word 3-shingles, made for a whole batch at once in numpy (which lets go of Python's lock).

A text is read as tokens: words, as ``\\w+`` finds them in the case-folded text in any script, and single signs between them.
A token's hash is a polynomial mod 2^64 in random odd numbers that stand for its characters; a shingle's hash mixes those of
three neighbouring words.  The class of each code point comes from ``re`` itself, so nothing but ``re`` decides what a word is.
All factors are drawn anew for each Shingler and kept nowhere, so that hashes in a scratch file say nothing about a text.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
HASH_BITS = 52
"""The number of its text in the batch stands above a shingle's hash while it is sorted.  Two texts of 100 words have one of
10^11 chances to share a hash that they should not."""
MOST_TEXTS = 1 << (64 - HASH_BITS)
"""Texts of one batch."""
PIECE = 1 << 17
"""Characters that are hashed at once, so that the arrays stay in the processor's cache; a longer text is cut at a blank."""
WIDTH = 3
_ASCII, _ALL = 0x80, 0x110000
_BLANK, _SIGN, _WORD = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Batch:
    """What is known of some texts.

    shingles: the hashes of all texts one after the other, each text's sorted and without repeats; counts: how many are whose.
    A text of one or two words has one, a text without any word none.
    digests: one hash a text, equal for texts that differ in case and blanks alone.
    """

    shingles: Hashes
    counts: Numbers
    digests: Hashes


@dataclass(frozen=True, slots=True)
class _Tokens:
    """All tokens of some texts; counts: how many each text has.  blank: whether one stands before the token."""

    hashes: Hashes
    word: Flags
    blank: Flags
    counts: Numbers


class Shingler:
    """Hashes texts with factors of its own.  May be used by several threads at once."""

    def __init__(self) -> None:
        self._chance = chance = np.random.default_rng(int.from_bytes(secrets.token_bytes(16), "big"))
        self._letters: dict[int, Hashes] = {_ASCII: _odd(chance, _ASCII) * (_classes(_ASCII) != _BLANK)}
        self._making = threading.Lock()
        base = int(chance.integers(1 << 61)) * 8 + 3  # the powers of such a number repeat as late as they can
        self._powers, self._inverse = _powers(base), _powers(pow(base, -1, 1 << 64))
        self._factors = _odd(chance, 7)

    def batch(self, texts: Sequence[str]) -> Batch:
        """The shingles and digests of at most MOST_TEXTS texts."""
        tokens = self._tokens(texts)
        return Batch(*self._shingles(tokens), self._digests(tokens))

    def digests(self, texts: Sequence[str]) -> Hashes:
        """One hash a text, equal for texts that differ in case and blanks alone."""
        return self._digests(self._tokens(texts))

    def said(self, texts: Sequence[str]) -> tuple[Hashes, Numbers]:
        """(one hash a text, equal for texts with the same words in the same order; how many words it has).  Of a text without
        words the signs count."""
        tokens = self._tokens(texts)
        owner = np.repeat(np.arange(len(texts)), tokens.counts)
        words = np.bincount(owner[tokens.word], minlength=len(texts))
        counted = tokens.word | (words[owner] == 0)
        left = np.bincount(owner[counted], minlength=len(texts))
        return self._digests(_Tokens(tokens.hashes[counted], tokens.word[counted], np.zeros(int(counted.sum()), bool), left)), words

    def _tokens(self, texts: Sequence[str]) -> _Tokens:
        counts, parts = np.zeros(len(texts), np.int64), [_NOTHING]
        for run in _runs([text.casefold() for text in texts]):
            found = self._hashed([piece for _, piece in run])
            np.add.at(counts, [owner for owner, _ in run], found.counts)
            parts.append(found)
        return _Tokens(
            np.concatenate([part.hashes for part in parts]),
            np.concatenate([part.word for part in parts]),
            np.concatenate([part.blank for part in parts]),
            counts,
        )

    def _hashed(self, pieces: list[str]) -> _Tokens:
        ends = np.cumsum(np.fromiter(map(len, pieces), np.int64, len(pieces)) + 1)
        codes, known = _codes(pieces)
        classes = _classes(known).take(codes)
        first = classes == _WORD
        first[1:] &= classes[:-1] != _WORD
        first |= classes == _SIGN
        starts = np.flatnonzero(first)
        if not len(starts):
            return _Tokens(_NOTHING.hashes, _NOTHING.word, _NOTHING.blank, np.zeros(len(pieces), np.int64))
        values = self._numbers(known).take(codes)
        values *= self._powers[: len(values)]
        hashes = np.add.reduceat(values, starts)
        hashes *= self._inverse.take(starts)  # as if each token began at 0
        hashes ^= hashes >> np.uint64(29)
        hashes *= self._factors[0]
        hashes ^= hashes >> np.uint64(32)
        blank = classes.take(starts - 1) == _BLANK  # before the first there is the end of the last, a blank
        return _Tokens(hashes, classes.take(starts) == _WORD, blank, np.diff(np.searchsorted(starts, ends), prepend=0))

    def _numbers(self, known: int) -> Hashes:
        """What stands for each of the first ``known`` code points: 0 for blanks.  The long table is made when it is needed."""
        with self._making:
            if known not in self._letters:
                more = _odd(self._chance, known - _ASCII) * (_classes(known)[_ASCII:] != _BLANK)
                self._letters[known] = np.concatenate([self._letters[_ASCII], more])
            return self._letters[known]

    def _digests(self, tokens: _Tokens) -> Hashes:
        ends, full = np.cumsum(tokens.counts), tokens.counts > 0
        place = np.arange(len(tokens.hashes)) - np.repeat(ends - tokens.counts, tokens.counts)
        parts = tokens.hashes ^ (tokens.blank * self._factors[5])
        parts *= self._powers.take(place, mode="wrap")
        sums = np.zeros(len(full), np.uint64)
        if len(parts):
            sums[full] = np.add.reduceat(parts, (ends - tokens.counts)[full])
        sums *= self._factors[6]
        return sums ^ tokens.counts.astype(np.uint64)

    def _shingles(self, tokens: _Tokens) -> tuple[Hashes, Numbers]:
        words = tokens.hashes[tokens.word]
        counts = np.diff(np.concatenate([[0], np.cumsum(tokens.word)])[np.cumsum(tokens.counts)], prepend=0)
        total, ends = len(words), np.cumsum(counts)
        ahead = np.concatenate([words, np.zeros(WIDTH - 1, np.uint64)])
        whole, mixed = np.ones(total, bool), words * self._factors[1]
        for step in range(1, WIDTH):
            part = ahead[step : step + total] * self._factors[step + 1]
            part[(ends - counts)[(counts > 0) & (counts <= step)]] = 0  # a short text's only shingle
            mixed += part
            whole[ends[counts > step] - step] = False  # would reach into the next text
        mixed ^= mixed >> np.uint64(31)
        mixed *= self._factors[4]
        mixed >>= np.uint64(64 - HASH_BITS)
        mixed |= np.repeat(np.arange(len(counts), dtype=np.uint64) << np.uint64(HASH_BITS), counts)
        mixed = mixed[whole]
        mixed.sort()
        mixed = mixed[np.concatenate([[True], mixed[1:] != mixed[:-1]])] if total else mixed
        sizes = np.bincount((mixed >> np.uint64(HASH_BITS)).astype(np.int64), minlength=len(counts))
        return mixed & np.uint64((1 << HASH_BITS) - 1), sizes


_NOTHING = _Tokens(np.zeros(0, np.uint64), np.zeros(0, bool), np.zeros(0, bool), np.zeros(0, np.int64))


def _odd(chance: np.random.Generator, size: int) -> Hashes:
    numbers: Hashes = chance.integers(1 << 62, dtype=np.uint64, size=size) * np.uint64(2) + np.uint64(1)
    return numbers


def _powers(base: int) -> Hashes:
    """base^0, base^1, ... mod 2^64, one for each character of a run."""
    factors = np.full(2 * PIECE, base, np.uint64)
    factors[0] = 1
    return np.multiply.accumulate(factors)


@cache
def _classes(known: int) -> npt.NDArray[np.uint8]:
    """_WORD, _SIGN or _BLANK for each of the first ``known`` code points."""
    every = "".join(map(chr, range(known))).encode("utf-32-le", "surrogatepass").decode("utf-32-le", "replace")
    found = np.zeros(known, np.uint8)
    for kind, expression in ((_SIGN, r"\S+"), (_WORD, r"\w+")):
        for run in re.finditer(expression, every):
            found[run.start() : run.end()] = kind
    return found


def _codes(texts: Sequence[str]) -> tuple[Numbers, int]:
    """(code points of all texts, each followed by a line end; how many first code points hold them all)."""
    joined = "\n".join([*texts, ""])
    if joined.isascii():  # a short table stays in the processor's cache
        return np.frombuffer(joined.encode("ascii"), np.uint8).astype(np.int64), _ASCII
    return np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64), _ALL


def _runs(texts: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """(number, text or a piece of it), as many together as may be hashed at once."""
    run: list[tuple[int, str]] = []
    size = 0
    for number, text in enumerate(texts):
        for piece in _pieces(text):
            if run and size + len(piece) > PIECE:
                yield run
                run, size = [], 0
            run.append((number, piece))
            size += len(piece) + 1
    if run:
        yield run


def _pieces(text: str) -> Iterator[str]:
    """The text, a long one cut at blanks (a word that is longer than all that is cut too)."""
    start = 0
    while len(text) - start > PIECE:
        end = max(text.rfind(" ", start, start + PIECE), text.rfind("\n", start, start + PIECE))
        end = end if end > start else start + PIECE
        yield text[start:end]
        start = end
    yield text[start:]
