"""What running steps cost while they run, and the charge when one ends.  Steps that run together share the machine."""

from __future__ import annotations

import time
from dataclasses import dataclass

from app.costguard import meter
from app.store import Store

SERIES_SECONDS = 2.0
Key = tuple[str, str]


@dataclass
class _Spent:
    energy_wh: float = 0.0
    source: str = "estimate"


class RunCosts:
    """Owned by the scheduler's thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._steps: dict[Key, _Spent] = {}
        self._last = time.monotonic()
        self._written = 0.0

    def tick(self, running: dict[Key, float]) -> None:
        """Share the energy since the last tick among the running steps; running: key → monotonic start."""
        now = time.monotonic()
        passed, self._last = now - self._last, now
        if not running:
            return
        watts, source = meter.watts_now(self._store)
        for key in running:
            spent = self._steps.setdefault(key, _Spent())
            spent.energy_wh += watts * passed / 3600 / len(running)
            spent.source = source
        if now - self._written >= SERIES_SECONDS:
            self._written = now
            for run in {run for run, _ in running}:
                self._series(run, {key: now - began for key, began in running.items() if key[0] == run})

    def _series(self, run: str, seconds: dict[Key, float]) -> None:
        """The run's money so far: what was charged, and what its running steps have spent."""
        charged = (
            self._store.row(
                "SELECT coalesce(sum(energy_cost), 0) AS energy, coalesce(sum(wear_cost), 0) AS wear FROM usage "
                "WHERE run = ? AND scope = 'step'",
                (run,),
            )
            or {}
        )
        prices = meter.prices(self._store)
        parts = [prices.of(self._steps[key].energy_wh, passed) for key, passed in seconds.items()]
        energy = charged["energy"] + sum(part[0] for part in parts)
        wear = charged["wear"] + sum(part[1] for part in parts)
        now = time.time()
        with self._store.write() as db:
            db.conn.executemany(
                "INSERT INTO metrics (run, step, name, at, value, unit) VALUES (?, '', ?, ?, ?, ?)",
                [
                    (run, name, now, value, prices.currency)
                    for name, value in (("cost.energy", energy), ("cost.wear", wear), ("cost.total", energy + wear))
                ],
            )

    def charge(self, run: str, step: str, seconds: float) -> None:
        """A step's worker has ended: write its usage."""
        spent = self._steps.pop((run, step), _Spent())
        found = self._store.row("SELECT outputs FROM steps WHERE run = ? AND id = ?", (run, step))
        tokens_in, tokens_out = _tokens(found["outputs"] if found else None)
        meter.charge(
            self._store,
            scope="step",
            run=run,
            step=step,
            seconds=seconds,
            energy_wh=spent.energy_wh,
            energy_source=spent.source,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
        )

    def close(self, run: str) -> None:
        """A run has ended: forget what is left of it."""
        for key in [key for key in self._steps if key[0] == run]:
            del self._steps[key]


def _tokens(outputs: str | None) -> tuple[int, int]:
    """(word pieces read, written): what a training step says it has seen, and what other steps asked of a served model."""
    import orjson

    made = orjson.loads(outputs) if outputs else {}
    asked = [found for one in made.values() if isinstance(found := (one.get("summary") or {}).get("asked"), dict)]
    seen = int(((made.get("training") or {}).get("summary") or {}).get("tokens") or 0)
    return seen + sum(int(one["tokens_in"]) for one in asked), sum(int(one["tokens_out"]) for one in asked)
