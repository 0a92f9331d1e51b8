"""Which rows repeat each other, in letters, nearly, or in meaning; which contradict each other; and which row stays.

Of rows that repeat each other the best stays (ranking.py).  A removed row is itself as alike as asked to the row that it
names, so nothing goes because of a chain of likenesses.  Rows that give different answers to the same question are no
repeats, however alike they are, unless they stand in different splits: then the one in training is a leak.  An instruction that
many questions have in common counts as one word (frame.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from app.data.frame import Frame
from app.data.near import Near, Tell, find_near
from app.data.ranking import Numbers, Order, Ranking
from app.data.rowtext import question_and_answer
from app.data.shingle_file import ShingleFile
from app.store.datasets import DatasetDb
from app.store.records import Row

Flags = npt.NDArray[np.bool_]
Contradictions = Literal["flag", "keep_best", "remove", "ignore"]
EXACT, NEAR, SAME_MEANING, LEAK, CONTRADICTORY = "exact_duplicate", "near_duplicate", "semantic_duplicate", "leak", "contradictory"
REASONS = (EXACT, NEAR, SAME_MEANING, LEAK, CONTRADICTORY)
STAYS = "best_of_repeats"
MOST_ANSWERS = 20
"""A question with more different answers is an open one ("Tell me a joke"), and its answers do not contradict each other."""
SHORT_ANSWER = 12
"""Words up to which an answer contradicts another to the same question, however alike the rows are ("yes", "no")."""
NAMED = 5
"""Row numbers that are written out; of more, their count."""
_KINDS = ("", EXACT, NEAR, SAME_MEANING)


@dataclass(frozen=True, slots=True)
class RepeatRules:
    """What is looked for.  near, meaning: the threshold, Jaccard of word 3-shingles and cosine; None: not looked for."""

    exact: bool = True
    near: float | None = 0.7
    meaning: float | None = None
    contradictions: Contradictions = "flag"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a row: remove it, or flag it and let it stay.  reason and detail as for Derivation.remove."""

    position: int
    removed: bool
    reason: str
    detail: str


class Repeats:
    """The rows of one version come with :meth:`add`; then :meth:`verdicts` says what to do.  Use it in ``with``.

    rows: about how many will come.
    """

    def __init__(self, db: DatasetDb, version: int, rules: RepeatRules, rows: int) -> None:
        self._db, self._version, self._rules = db, version, rules
        self.unchecked = 0
        """Rows that were not compared with every row they could nearly repeat; told by :meth:`verdicts`."""
        self._ranking = Ranking()
        self._frame = Frame.of_version(db, version)
        self._file = ShingleFile(Path(db.store.profile.cache), rows)

    def add(self, row: Row) -> None:
        """One more row, in order of position."""
        self._ranking.add(row)
        asked = question_and_answer(row) if self._rules.contradictions != "ignore" else ("", "")
        self._file.add(self._frame.text_with_borders(row), *asked)

    def verdicts(self, tell: Tell) -> Iterator[Verdict]:
        """What to do with which rows; of all others there is nothing to say.  tell(fraction, message) may raise."""
        self._file.seal()
        found = _Decision(self._file, self._ranking, self._ranking.order(self._db, self._version))
        if self._rules.exact:
            found.exact()
        if self._rules.near is not None:
            self.unchecked = found.near(self._rules.near, tell)
        yield from found.contradictions(self._rules.contradictions)
        if self._rules.meaning is not None:
            found.meaning(self._rules.meaning, self._db, self._version, tell)
        yield from found.verdicts()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._file.__exit__(kind, problem, trace)


class _Decision:
    """keeper: for each row the row that stays for it, its own number if it stays itself."""

    def __init__(self, file: ShingleFile, ranking: Ranking, order: Order) -> None:
        self._file, self._order = file, order
        self._splits = np.array(ranking.splits, np.int64)
        self._rows = np.arange(len(order.rank))
        self._within = np.ones(len(order.rank), bool)
        self._keeper = self._rows.copy()
        self._kind = np.zeros(len(order.rank), np.int8)
        self._alike = np.zeros(len(order.rank))
        self._disputes: dict[int, str] = {}

    # -- finding ------------------------------------------------------------------------------------------------------------

    def contradictions(self, what: Contradictions) -> Iterator[Verdict]:
        """Rows that give another answer to a question than a row of their split."""
        if what == "ignore":
            return
        for group in self._disputed():
            answers = self._file.answers[group]
            other = int(group[np.flatnonzero(answers != answers[0])[0]])
            for row, differs in zip(group.tolist(), (answers != answers[0]).tolist(), strict=True):
                best = int(group[0])
                detail = f"row {self._position(best if differs else other)} answers the same question otherwise"
                gone = what == "remove" or (what == "keep_best" and differs)
                if gone and what == "keep_best":
                    detail += f" and stays: {self._order.why(best, [row])}"
                self._within[row] &= not gone
                self._disputes[row] = detail
                yield Verdict(self._position(row), gone, CONTRADICTORY, detail)

    def _disputed(self) -> Iterator[Numbers]:
        """Rows of one split and question that have 2 to MOST_ANSWERS different answers, the best first."""
        asked = np.flatnonzero(self._file.asked & self._stays())
        asked = asked[np.lexsort((self._order.rank[asked], self._file.questions[asked], self._splits[asked]))]
        starts, lengths = _groups(asked, self._splits, self._file.questions)
        if not len(starts):
            return
        answers = self._file.answers[asked]
        differ = np.minimum.reduceat(answers, starts) != np.maximum.reduceat(answers, starts)
        for start, length in zip(starts[differ].tolist(), lengths[differ].tolist(), strict=True):
            if len(np.unique(answers[start : start + length])) <= MOST_ANSWERS:
                yield asked[start : start + length]

    def exact(self) -> None:
        """Rows that differ in case and blanks alone."""
        among = np.flatnonzero(self._within)
        among = among[np.lexsort((self._order.rank[among], self._file.digests[among]))]
        starts, lengths = _groups(among, self._file.digests)
        self._keeper[among] = np.repeat(among[starts], lengths)
        self._kind[self._keeper != self._rows] = _KINDS.index(EXACT)
        self._alike[self._keeper != self._rows] = 1.0

    def near(self, threshold: float, tell: Tell) -> int:
        """Rows that share most of their shingles; how many were not compared with all."""
        stays = self._stays()
        found = find_near(self._file, self._order.rank, stays, threshold, tell, barred=self._contradict)
        self._replace(found, NEAR)
        return found.unchecked

    def meaning(self, threshold: float, db: DatasetDb, version: int, tell: Tell) -> None:
        """Rows that say the same in other words."""
        from app.data.meaning import find_same_meaning

        stays = self._stays()
        found = find_same_meaning(db, version, self._order.positions, self._order.rank, stays, threshold, tell, barred=self._contradict)
        self._replace(found, SAME_MEANING)

    def _stays(self) -> Flags:
        stays: Flags = self._within & (self._keeper == self._rows)
        return stays

    def _contradict(self, first: Numbers, second: Numbers) -> Flags:
        """Whether two rows give different answers to the same question, in the same split, and one of them is short.  (Long
        answers that are so alike are one answer with a word changed.)"""
        file = self._file
        both: Flags = file.asked[first] & file.asked[second] & (file.questions[first] == file.questions[second])
        both &= np.minimum(file.answer_words[first], file.answer_words[second]) <= SHORT_ANSWER
        both &= (file.answers[first] != file.answers[second]) & (self._splits[first] == self._splits[second])
        return both

    def _replace(self, found: Near, kind: str) -> None:
        """Rows that stayed so far go for a better one; copies that they stood for name that one too."""
        copies = (found.keeper != self._rows)[self._keeper]  # a row that goes now is its own keeper
        self._alike[copies] = found.alike[self._keeper[copies]]
        self._kind[copies] = _KINDS.index(kind)
        self._keeper = found.keeper[self._keeper]

    # -- saying -------------------------------------------------------------------------------------------------------------

    def verdicts(self) -> Iterator[Verdict]:
        """Each removed row with the row that stays for it, and each that stays with those it stays for."""
        gone = np.flatnonzero(self._keeper != self._rows)
        gone = gone[np.lexsort((gone, self._keeper[gone]))]
        for start, length in zip(*(values.tolist() for values in _groups(gone, self._keeper)), strict=True):
            others = gone[start : start + length].tolist()
            best = int(self._keeper[others[0]])
            if not self._within[best]:  # copies of a row that went for its contradiction
                yield from (Verdict(self._position(row), True, CONTRADICTORY, self._disputes[best]) for row in others)
                continue
            for row in others:
                yield self._removal(row, best)
            stays = f"stays for {self._named(others)}: {self._order.why(best, others)}"
            dispute = self._disputes.get(best)
            yield Verdict(self._position(best), False, CONTRADICTORY if dispute else STAYS, f"{dispute}; {stays}" if dispute else stays)

    def _removal(self, row: int, best: int) -> Verdict:
        kind, alike = _KINDS[self._kind[row]], float(self._alike[row])
        likeness = {EXACT: "", NEAR: f", {100 * alike:.0f} % alike", SAME_MEANING: f", {alike:.2f} alike in meaning"}[kind]
        reason = kind if self._splits[row] == self._splits[best] else LEAK
        return Verdict(self._position(row), True, reason,
                       f"row {self._position(best)}{likeness}; that row stays: {self._order.why(best, [row])}")

    def _position(self, row: int) -> int:
        return int(self._order.positions[row])

    def _named(self, rows: list[int]) -> str:
        names = ", ".join(str(self._position(row)) for row in rows[:NAMED])
        more = f" and {len(rows) - NAMED:,} more" if len(rows) > NAMED else ""
        return f"row{'s' if len(rows) > 1 else ''} {names}{more}"


def _groups(rows: Numbers, *keys: npt.NDArray[Any]) -> tuple[Numbers, Numbers]:
    """(start, length) of each stretch of rows that are equal in all keys; keys: of every row there is."""
    new = np.ones(len(rows), bool)
    if len(rows):
        new[1:] = np.logical_or.reduce([key[rows[1:]] != key[rows[:-1]] for key in keys])
    starts = np.flatnonzero(new)
    return starts, np.diff(starts, append=len(rows))
