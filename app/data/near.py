"""Repeats: exact ones by the hash of the folded text, near ones by MinHash candidates that the true Jaccard confirms.

32 bands of 4 over 128 permutations find all pairs at .7 that a test of 20,000 documents held (16 bands: 95 %); the exact
Jaccard of word 3-shingles then throws out what only looks alike.  Up to IN_MEMORY rows the index is rensa's, in memory
(about 1.5 kB a row); beyond, it lies in an encrypted scratch file, slower but of any size.
"""

from __future__ import annotations

import re
import secrets
import struct
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import xxhash

PERMUTATIONS, BANDS = 128, 32
IN_MEMORY = 200_000
_WORD = re.compile(r"\w+")
_BAND = struct.Struct(f"{PERMUTATIONS // BANDS}I")
Text = Callable[[int], str]


def folded_hash(text: str) -> int:
    """63-bit hash of a text without case and with single blanks: equal for rows that differ in these alone."""
    return int(xxhash.xxh3_64_intdigest(" ".join(text.casefold().split()).encode())) >> 1


def shingles(text: str) -> frozenset[str]:
    """Word 3-shingles, case folded; a shorter text is one shingle."""
    words = _WORD.findall(text.casefold())
    return frozenset(" ".join(words[start : start + 3]) for start in range(max(len(words) - 2, 1)))


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """Size of the intersection over size of the union, 0..1."""
    return len(first & second) / (len(first | second) or 1)


class _Index(Protocol):
    """Positions by exact hash and by signature."""

    def exact(self, digest: int) -> int | None:
        """The position remembered for this hash."""

    def candidates(self, signature: Any) -> Iterable[int]:
        """Positions that share a band."""

    def remember(self, position: int, digest: int, signature: Any) -> None:
        """Add a position that is kept.  signature: None where near repeats do not count."""

    def close(self) -> None:
        """Free what it holds."""


class MemoryIndex:
    """Both indexes in memory."""

    def __init__(self, threshold: float) -> None:
        from rensa import RMinHashLSH

        self._exact: dict[int, int] = {}
        self._near = RMinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, num_bands=BANDS)

    def exact(self, digest: int) -> int | None:
        return self._exact.get(digest)

    def candidates(self, signature: Any) -> Iterable[int]:
        found: Iterable[int] = self._near.query(signature)
        return found

    def remember(self, position: int, digest: int, signature: Any) -> None:
        self._exact[digest] = position
        if signature is not None:
            self._near.insert(position, signature)

    def close(self) -> None:
        self._exact.clear()


class DiskIndex:
    """Both indexes in a file with a key of its own, which nobody keeps; the file goes with :meth:`close`."""

    def __init__(self, folder: Path) -> None:
        from app.store.connection import connect

        self._path = folder / f"near-{secrets.token_hex(6)}.db"
        self._conn = connect(self._path, secrets.token_hex(32))
        for statement in (
            "PRAGMA synchronous = OFF",
            "PRAGMA secure_delete = OFF",
            "PRAGMA cache_size = -65536",
            "CREATE TABLE exact (hash INTEGER PRIMARY KEY, position INTEGER NOT NULL)",
            "CREATE TABLE bands (band INTEGER, position INTEGER, PRIMARY KEY (band, position)) WITHOUT ROWID",
            "BEGIN",
        ):
            self._conn.execute(statement)

    def exact(self, digest: int) -> int | None:
        found = self._conn.execute("SELECT position FROM exact WHERE hash = ?", (digest,)).fetchone()
        return int(found[0]) if found else None

    def candidates(self, signature: Any) -> Iterable[int]:
        bands = ",".join(map(str, _bands(signature)))
        return [row[0] for row in self._conn.execute(f"SELECT DISTINCT position FROM bands WHERE band IN ({bands})")]

    def remember(self, position: int, digest: int, signature: Any) -> None:
        self._conn.execute("INSERT OR IGNORE INTO exact VALUES (?, ?)", (digest, position))
        if signature is not None:
            rows = [(band, position) for band in _bands(signature)]
            self._conn.executemany("INSERT OR IGNORE INTO bands VALUES (?, ?)", rows)

    def close(self) -> None:
        self._conn.close()
        for ending in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)


def _bands(signature: Any) -> list[int]:
    """A 63-bit hash of each band with its number."""
    numbers, width = signature.digest(), PERMUTATIONS // BANDS
    return [
        xxhash.xxh3_64_intdigest(_BAND.pack(*numbers[band * width : (band + 1) * width]), seed=band) >> 1 for band in range(BANDS)
    ]


class Repeats:
    """Remembers texts by position and finds an earlier one that a text repeats.

    near: whether near repeats count, from ``threshold`` on.  text_of(position) reads a text again, for the Jaccard.
    rows: how many will come.  folder: where a scratch file may lie.
    """

    def __init__(self, *, near: bool, threshold: float, seed: int, text_of: Text, rows: int, folder: Path) -> None:
        from rensa import RMinHash

        self._near, self._threshold, self._seed = near, threshold, seed
        self._make = RMinHash
        self._index: _Index = MemoryIndex(threshold) if rows <= IN_MEMORY else DiskIndex(folder)
        self._shingles = lru_cache(maxsize=2000)(lambda position: shingles(text_of(position)))

    def find_or_add(self, position: int, text: str) -> tuple[int, float] | None:
        """(position, likeness 0..1) of the earlier text this one repeats most; None, and then it is remembered.

        Only texts that repeat nothing are remembered, so that the answer always names a text that was kept.
        """
        digest = folded_hash(text)
        earlier = self._index.exact(digest)
        if earlier is not None:
            return earlier, 1.0
        signature, best = self._find_near(text) if self._near else (None, None)
        if best is None:
            self._index.remember(position, digest, signature)
        return best

    def _find_near(self, text: str) -> tuple[Any, tuple[int, float] | None]:
        own = shingles(text)
        signature = self._make(num_perm=PERMUTATIONS, seed=self._seed)
        signature.update(list(own))
        best: tuple[int, float] | None = None
        for other in sorted(self._index.candidates(signature)):
            alike = jaccard(own, self._shingles(other))
            if alike >= self._threshold and (best is None or alike > best[1]):
                best = (other, alike)
        return signature, best

    def close(self) -> None:
        self._index.close()
