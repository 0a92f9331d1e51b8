"""How fast this machine has trained a model before, from the store.  Light: no torch."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from typing import Any

from app.store import Store

RUNS_LOOKED_AT = 50
STEPS_NEEDED = 5
"""Fewer steps say little; the first one warms up and is left out."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a speed depends on; it travels in the run's estimate event."""

    model: str
    method: str
    threads: int
    processor: str
    card: str


def measured_speed(store: Store, setting: Setting) -> float | None:
    """Tokens a second through the model, the median of the newest run with this very setting; None if there is none.

    Tokens through the model are fewer than training tokens where rows share their start (shared_start.py); the event's
    ``through`` is their ratio.
    """
    said = store.rows("SELECT run, step, data FROM events WHERE kind = 'estimate' ORDER BY id DESC LIMIT ?", (RUNS_LOOKED_AT,))
    for event in said:
        data: dict[str, Any] = json.loads(event["data"])
        if data.get("setting") != asdict(setting):
            continue
        rows = store.rows("SELECT value FROM metrics WHERE run = ? AND step = ? AND name = 'train.tokens_per_second' ORDER BY id",
                          (event["run"], event["step"]))
        if len(rows) > STEPS_NEEDED:
            return statistics.median(float(row["value"]) for row in rows[1:]) * float(data["through"])
    return None
