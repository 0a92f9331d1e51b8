"""Does an answer fit its question better than the answers of other rows do?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from app.data.quality import Values

if TYPE_CHECKING:
    from app.data.embedding import Encoder

REFERENCES, FEWEST = 128, 16
"""Answers that each row's own is compared with, and how few say nothing."""


class Relevance:
    """Compares by the packaged encoder with a fixed set of other rows' answers."""

    def __init__(self, encoder: Encoder, answers: Sequence[str]) -> None:
        self._encoder = encoder
        distinct = list(dict.fromkeys(answer for answer in answers if answer.strip()))[:REFERENCES]
        self._others = encoder.encode(distinct) if len(distinct) >= FEWEST else None

    def scores(self, questions: Sequence[str], answers: Sequence[str]) -> Values:
        """(rows,) float32: (likeness to the own answer - mean likeness to the others) / their standard deviation.

        About 0 for an answer that belongs to another question.  NaN where question or answer is empty, or where there are too few
        different answers to compare with (labels).
        """
        if self._others is None:
            return np.full(len(questions), np.nan, np.float32)
        asked, said = self._encoder.encode(questions), self._encoder.encode(answers)
        other = asked @ self._others.T
        spread = np.maximum(other.std(1), 1e-3)
        found = ((asked * said).sum(1) - other.mean(1)) / spread
        return np.where(asked.any(1) & said.any(1), found, np.nan).astype(np.float32)
