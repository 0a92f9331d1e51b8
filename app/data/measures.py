"""What is measured of a row, by name.  Light: the window reads this and not what measures (quality.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Measure:
    """One score of a row.  ``name`` is stable: it is the score's name in the store.  ``title`` and ``meaning`` are for a person."""

    name: str
    title: str
    meaning: str
    better: Literal["high", "low", "middle"]
    unit: str = ""


MEASURES = (
    Measure("length", "Length", "Characters of question and answer together", "middle", "characters"),
    Measure("language", "Language", "How sure it is that the row is in a language of this dataset, 0 to 1", "high"),
    Measure("repetition", "Repetition", "Share of its words that repeat what it said before, 0 to 1", "low"),
    Measure("encoding", "Damaged characters", "Damaged places in 1,000 characters", "low", "in 1,000 characters"),
    Measure("complete", "Complete answer", "1: the answer ends; 0: it breaks off", "high"),
    Measure("relevance", "Answer fits question", "How much better the answer fits its question than other rows' answers do, in spreads",
            "high", "spreads"),
    Measure("overlap", "Shared words", "Share of the answer's own words that stand in the question, 0 to 1", "high"),
    Measure("agreement", "Label agreement", "Whether a model trained on the other rows would give this label, 0 to 1", "high"),
    Measure("toxicity", "Insults", "Insults and threats of a short list in 100 words", "low", "in 100 words"),
    Measure("ifd", "Difficulty", "Loss of the answer with its question over its loss alone, by the base model", "middle"),
    Measure("judge", "Judged", "What a served model says of the row by a rubric, 0 to 1", "high"),
    Measure("rds", "Like the query set", "Likeness to the nearest row of a query set in the base model's states, -1 to 1", "high"),
    Measure("quality", "Quality", "The weakest of its parts, 0 to 1", "high"),
)
BY_NAME = {measure.name: measure for measure in MEASURES}
