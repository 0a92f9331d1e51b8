"""What the Runs page, the rail and the Home page read: small dataclasses, no pydantic, no numpy.

Times are Unix seconds, durations seconds, money in the currency that the usage rows name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from app.config.verdicts import Verdict, verdict
from app.errors import NeuroWeaverError, from_record
from app.store import Store

LOG_BYTES = 40_000
EVENTS = 200
NEWEST = 2000
"""Runs in the list, in which names, tags and notes are searched; 300 of them take 25 ms to read (measured)."""


@dataclass(frozen=True, slots=True)
class StepView:
    """One step.  state: queued, running, paused, failed, cancelled, done.  eta: seconds left or None."""

    id: str
    node: str
    title: str
    state: str
    cached: bool
    progress: float
    message: str
    eta: float | None
    started: float | None
    ended: float | None
    flagged: str
    why: NeuroWeaverError | None
    outputs: Mapping[str, Any]

    @property
    def seconds(self) -> float | None:
        """How long it took, once ended."""
        return self.ended - self.started if self.started is not None and self.ended is not None else None


@dataclass(frozen=True, slots=True)
class Money:
    """What a run has cost so far.  source: where the energy figure comes from (nvml, rapl, estimate)."""

    energy: float
    wear: float
    watt_hours: float
    source: str
    currency: str

    @property
    def total(self) -> float:
        return self.energy + self.wear


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run in the list."""

    id: str
    number: int
    name: str
    kit: str
    state: str
    created: float
    started: float | None
    ended: float | None
    progress: float
    step: str
    verdict: Verdict | None
    cost: Money | None
    kit_version: int | None = None
    kit_hash: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    idle: float = 0.0
    waits_for: int = 0
    """Number of the run that holds up its next step; 0 where none does."""

    @property
    def seconds(self) -> float | None:
        """How long it ran, once ended, without the time between a stop and its resume."""
        return self.ended - self.started - self.idle if self.started is not None and self.ended is not None else None


@dataclass(frozen=True, slots=True)
class RunView:
    """Everything the run page shows beside the curves."""

    line: RunLine
    steps: list[StepView]
    why: NeuroWeaverError | None
    cancel: str
    settings: str
    base_model: str
    machine: Mapping[str, Any]
    watts_source: str
    rest: float | None
    """Seconds that the steps not yet begun took in earlier runs on this computer; None where one never ran."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something said about a run."""

    at: float
    step: str
    level: str
    message: str
    detail: str




def _json(text: str | None, default: Any) -> Any:
    return orjson.loads(text) if text else default


def _error(text: str | None) -> NeuroWeaverError | None:
    record = _json(text, None)
    return from_record(record) if isinstance(record, dict) and record.get("code") else None


def runs(store: Store, limit: int = NEWEST) -> list[RunLine]:
    """The newest runs first."""
    found = store.rows("SELECT * FROM runs ORDER BY number DESC LIMIT ?", (limit,))
    return [_line(store, row) for row in found]


_HELD_UP = ("(runs.state = 'running' AND runs.cancel IS NULL AND EXISTS (SELECT 1 FROM steps WHERE state = 'running') "
            "AND NOT EXISTS (SELECT 1 FROM steps WHERE run = runs.id AND state = 'running'))")
"""A run between two steps, while another run is in one: as a rule both want the processor or the card for themselves."""
WAIT = f"(runs.state = 'queued' OR {_HELD_UP})"
"""Runs that can go on only when another one lets them."""


def going(store: Store) -> list[RunLine]:
    """Runs that are in a step now or between two, however old they are; not those that wait for another one."""
    found = store.rows(f"SELECT * FROM runs WHERE state = 'running' AND NOT {WAIT} ORDER BY number")
    return [_line(store, row) for row in found]


def waiting(store: Store) -> list[RunLine]:
    """Runs that wait, in the order in which they will start or go on."""
    found = store.rows(f"SELECT * FROM runs WHERE {WAIT} ORDER BY priority DESC, number")
    return [_line(store, row) for row in found]


def _line(store: Store, row: Mapping[str, Any]) -> RunLine:
    steps = store.rows("SELECT title, state, progress FROM steps WHERE run = ? ORDER BY position", (row["id"],))
    done = sum(1.0 if step["state"] == "done" else float(step["progress"]) for step in steps)
    now = next((step["title"] for step in steps if step["state"] in ("running", "failed", "paused")), "")
    return RunLine(
        id=row["id"], number=row["number"], name=row["name"], kit=row["kit"] or "", state=row["state"],
        created=row["created"], started=row["started"], ended=row["ended"],
        progress=done / len(steps) if steps else 0.0, step=now, verdict=verdict(store, row["id"]),
        cost=cost(store, row["id"]), kit_version=row["kit_version"], kit_hash=row["kit_hash"] or "",
        tags=tuple(_json(row["tags"], [])), note=row["note"], idle=row["idle"], waits_for=_waits_for(store, row["id"]))


def _waits_for(store: Store, run: str) -> int:
    found = store.row("SELECT min(other.number) AS number FROM runs, steps JOIN runs AS other ON other.id = steps.run "
                      f"WHERE runs.id = ? AND {_HELD_UP} AND steps.state = 'running'", (run,))
    return int(found["number"] or 0) if found else 0


def cost(store: Store, run: str) -> Money | None:
    """The sum of what was charged to a run's steps, or None when nothing was."""
    row = store.row("SELECT sum(energy_cost) AS energy, sum(wear_cost) AS wear, sum(energy_wh) AS wh, "
                    "max(energy_source) AS source, max(currency) AS currency, count(*) AS n "
                    "FROM usage WHERE run = ? AND scope = 'step'", (run,))
    if row is None or not row["n"]:
        return None
    return Money(row["energy"], row["wear"], row["wh"], row["source"], row["currency"])


def run(store: Store, identity: str) -> RunView | None:
    """One run, or None if there is none of that id."""
    row = store.row("SELECT * FROM runs WHERE id = ?", (identity,))
    if row is None:
        return None
    steps = store.rows("SELECT * FROM steps WHERE run = ? ORDER BY position", (identity,))
    resolved = _json(row["resolved"], {}) if row["resolved"].lstrip().startswith("{") else {}
    source = store.row("SELECT unit FROM metrics WHERE run = '' AND name = 'system.watts' ORDER BY id DESC LIMIT 1")
    return RunView(
        line=_line(store, row), steps=[_step(step) for step in steps], why=_error(row["why"]),
        cancel=row["cancel"] or "", settings=row["document"], base_model=str(resolved.get("base_model", "")),
        machine=_json(row["machine"], {}), watts_source=source["unit"] if source else "", rest=_rest(store, steps))


def _rest(store: Store, steps: list[dict[str, Any]]) -> float | None:
    total = 0.0
    for step in steps:
        if step["state"] != "queued":
            continue
        earlier = store.row("SELECT ended - started AS seconds FROM steps WHERE node = ? AND params = ? AND state = 'done' "
                            "AND cached = 0 ORDER BY ended DESC LIMIT 1", (step["node"], step["params"]))
        if earlier is None or earlier["seconds"] is None:
            return None
        total += float(earlier["seconds"])
    return total


def _step(row: Mapping[str, Any]) -> StepView:
    return StepView(
        id=row["id"], node=row["node"], title=row["title"] or row["id"], state=row["state"], cached=bool(row["cached"]),
        progress=float(row["progress"]), message=row["message"] or "", eta=row["eta"], started=row["started"],
        ended=row["ended"], flagged=row["flagged"] or "", why=_error(row["why"]), outputs=_json(row["outputs"], {}))


def events(store: Store, identity: str, limit: int = EVENTS) -> list[Event]:
    """What was said about a run, the newest first."""
    found = store.rows("SELECT * FROM events WHERE run = ? ORDER BY id DESC LIMIT ?", (identity, limit))
    return [Event(row["at"], row["step"] or "", row["level"], row["message"],
                  str(_json(row["data"], {}).get("detail", ""))) for row in found]


def log(store: Store, identity: str) -> str:
    """The end of what the newest step's worker printed."""
    step = store.row("SELECT id FROM steps WHERE run = ? AND started IS NOT NULL AND cached = 0 "
                     "ORDER BY started DESC LIMIT 1", (identity,))
    if step is None:
        return ""
    folder = store.profile.step_folder(identity, step["id"])
    files = sorted((path for path in folder.rglob("output*") if path.is_file()), key=lambda path: path.stat().st_mtime)
    return _tail(files[-1]) if files else ""


def _tail(path: Path) -> str:
    """The end of a file, from the beginning of a line on; where it is not all, it says first where the rest is."""
    with path.open("rb") as stream:
        skipped = max(path.stat().st_size - LOG_BYTES, 0)
        stream.seek(skipped)
        if skipped:
            stream.readline(4000)  # of a line without an end only so much
        text = stream.read().decode("utf-8", errors="replace")
    return f"… earlier lines: {path}\n{text}" if skipped else text


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that ended.  started, ended: seconds since 1970, as if it had never been stopped."""

    id: str
    name: str
    state: str
    started: float
    ended: float


def ended_since(store: Store, since: float) -> list[EndedRun]:
    """Runs that ended after a moment, the earliest first."""
    found = store.rows("SELECT id, name, state, coalesce(started + idle, ended) AS started, ended FROM runs WHERE ended > ? "
                       "AND state IN ('done', 'failed', 'cancelled') ORDER BY ended", (since,))
    return [EndedRun(**row) for row in found]


def rail_marks(store: Store) -> dict[str, tuple[str, str]]:
    """Mark and dot colour of the rail's pages: percent of the running run, and whether the endpoint serves."""
    marks: dict[str, tuple[str, str]] = {}
    going = store.row("SELECT * FROM runs WHERE state = 'running' ORDER BY number LIMIT 1")
    if going is not None:
        marks["runs"] = (f"{100 * _line(store, going).progress:.0f} %", "accentText")
    serving = store.row("SELECT count(*) AS n FROM deployments WHERE state IN ('ready', 'idle')")
    if serving is not None and serving["n"]:
        marks["endpoint"] = ("on", "success")
    return marks


def last_of_kits(store: Store) -> dict[str, RunLine]:
    """The newest finished run of each kit on this computer that did all its work itself, by kit.

    One that took results of earlier runs, or of a document that extends the kit, says nothing about what the kit's run takes.
    """
    found = store.rows("WITH whole AS (SELECT * FROM runs WHERE state = 'done' AND kit IS NOT NULL AND NOT EXISTS "
                       "(SELECT 1 FROM steps WHERE run = runs.id AND cached = 1) "
                       "AND char(10) || document NOT LIKE '%' || char(10) || 'extends:%') "
                       "SELECT * FROM whole WHERE number IN (SELECT max(number) FROM whole GROUP BY kit)")
    return {row["kit"]: _line(store, row) for row in found}
