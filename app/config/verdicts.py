"""The newest evaluation of a run, as the Runs, Kits and Models pages read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.store import Store


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of evaluate.compare; scores are fractions of 1, ``low`` and ``high`` bound the difference at 95 %.

    ``report["arms"]``: label, score and scores by field, as the report's table lists them.
    """

    metric: str
    items: int
    base: float
    tuned: float
    difference: float
    low: float
    high: float
    verdict: str
    report: Mapping[str, Any] = field(default_factory=dict)


def verdict(store: Store, run: str | None) -> Verdict | None:
    """The newest evaluation of a run, or None."""
    row = store.row("SELECT * FROM evaluations WHERE run = ? ORDER BY id DESC LIMIT 1", (run,))
    if row is None:
        return None
    return Verdict(row["metric"], row["items"], row["base"], row["tuned"], row["difference"], row["low"], row["high"],
                   row["verdict"], json.loads(row["report"] or "{}"))
