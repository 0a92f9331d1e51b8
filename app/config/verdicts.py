"""The newest evaluation of a run, as the Runs, Kits and Models pages read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the window reads the words of this module before it opens the store
    from app.store import Store

NLL = "nll"
"""The metric of texts without questions: mean negative log-likelihood, nats a token, lower is better.  Scores of all others are
fractions of 1, higher is better."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of evaluate.compare; scores are in the metric's unit, ``low`` and ``high`` bound the difference at 95 %.

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


def score(metric: str, value: float) -> str:
    """A score as it is printed: "83.5" of 100, or "1.711" nats a token."""
    return f"{value:.3f}" if metric == NLL else f"{100 * value:.1f}"


def margin(metric: str, difference: float, low: float, high: float) -> str:
    """A difference, tuned minus base, with its unit and its 95 % interval."""
    if metric == NLL:
        return f"{difference:+.3f} nats a word piece ({low:+.3f} to {high:+.3f})"
    return f"{100 * difference:+.1f} points ({100 * low:.1f} to {100 * high:.1f})"


def things(metric: str) -> str:
    """What was measured, one by one."""
    return "texts" if metric == NLL else "questions"


def gain(evaluation: Mapping[str, Any]) -> tuple[float, float]:
    """(how much better the tuned model is, the lower end of its 95 % interval), more is better whatever the metric.

    evaluation: the summary of evaluate.compare.  The difference of the scores; of a likelihood the share by which it falls,
    (base - tuned) / base.
    """
    difference, (low, high) = float(evaluation["difference"]), map(float, evaluation["interval"])
    if evaluation.get("metric") != NLL:
        return difference, low
    base = float(evaluation["base"]) or 1.0
    return -difference / base, -high / base


def gain_words(metric: str, wanted: float) -> str:
    """A gain that is asked for, as it is printed."""
    return f"{100 * wanted:.1f} % less than the base" if metric == NLL else f"{100 * wanted:+.1f} points"
