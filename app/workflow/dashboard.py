"""What Home shows once there is something to show: the machine now, work, spending, models, what is wrong, what to do next."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from app.config.offline import refused
from app.costguard import views as costs
from app.costguard.history import Points, history
from app.store import Store, settings
from app.workflow import views

SPAN_SECONDS = 900.0
GAUGE_BUCKETS = 90
"""Ten seconds each: a gauge is some 150 px wide, and is drawn again and again."""
LITTLE_DISK = 10e9
FAILED_SECONDS = 7 * 86400.0
"""Failures older than a week are no news."""
BUDGET_WARN = 0.8
GAUGES = (("system.cpu_percent", "Processor", "%"), ("system.memory_mb", "Memory", "GB"), ("system.watts", "Power", "W"),
          ("system.gpu_percent", "Graphics card", "%"), ("system.gpu_memory_mb", "Card memory", "GB"),
          ("system.gpu_temperature", "Card temperature", "°C"), ("system.cpu_temperature", "Processor temperature", "°C"),
          ("system.disk_free_gb", "Free on disk", "GB"))


@dataclass(frozen=True, slots=True)
class Gauge:
    """One thing of the machine: its newest value and the last quarter of an hour (seconds before now, value)."""

    name: str
    words: str
    unit: str
    now: float
    points: Points


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """A served model.  state: ready, idle, starting, failed, stopped; why: what is wrong, or ""."""

    alias: str
    state: str
    why: str


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that wants to be seen.  level: "danger" or "warning"; page and argument lead to it."""

    level: str
    words: str
    page: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to do next, and where."""

    words: str
    button: str
    page: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """budget: money a month, 0 for none.  started: whether anything ever ran here."""

    gauges: tuple[Gauge, ...]
    running: tuple[views.RunLine, ...]
    waiting: tuple[views.RunLine, ...]
    today: costs.Spend
    month: costs.Spend
    budget: float
    currency: str
    models: tuple[ModelHealth, ...]
    alerts: tuple[Alert, ...]
    next: NextStep
    started: bool


def dashboard(store: Store) -> Dashboard:
    """Everything at once, from the store alone: it is the same after a restart."""
    now = time.time()
    lines = views.runs(store, 50)
    month = costs.since(store, costs.month_start(now))
    budget = float(settings.get(store, "budget_per_month"))
    models = tuple(_models(store))
    return Dashboard(
        gauges=gauges(store), running=tuple(views.going(store)),
        waiting=tuple(views.waiting(store)), today=costs.since(store, costs.day_start(now)), month=month, budget=budget,
        currency=str(settings.get(store, "currency")), models=models,
        alerts=tuple(_alerts(store, lines, models, month.total, budget, now)), next=_next(store, lines, models), started=bool(lines))


def gauges(store: Store) -> tuple[Gauge, ...]:
    """The machine's figures alone, which are new every second while it works."""
    return tuple(_gauges(store, time.time()))


def _gauges(store: Store, now: float) -> Iterator[Gauge]:
    for name, words, unit in GAUGES:
        points = history(store, name, now - SPAN_SECONDS, now, buckets=GAUGE_BUCKETS)
        if points:
            scale = 1000.0 if name.endswith("_mb") else 1.0
            scaled = [(at, value / scale) for at, value in points]
            yield Gauge(name, words, unit, scaled[-1][1], scaled)


def _models(store: Store) -> Iterator[ModelHealth]:
    for row in store.rows("SELECT alias, state, why FROM deployments ORDER BY alias"):
        why = orjson.loads(row["why"]) if row["why"] and row["why"].startswith("{") else {}
        yield ModelHealth(row["alias"], row["state"], str(why.get("what") or row["why"] or ""))


def _alerts(store: Store, lines: list[views.RunLine], models: tuple[ModelHealth, ...], spent: float, budget: float,
            now: float) -> Iterator[Alert]:
    free = shutil.disk_usage(store.profile.home).free
    if free < LITTLE_DISK:
        yield Alert("danger" if free < LITTLE_DISK / 5 else "warning", f"{free / 1e9:.1f} GB are free on the data drive.", "settings")
    if budget > 0 and spent >= BUDGET_WARN * budget:
        over = spent >= budget
        yield Alert("danger" if over else "warning", f"{100 * spent / budget:.0f} % of this month's budget is spent.", "costs")
    for model in models:
        if model.state == "failed":
            yield Alert("danger", f"{model.alias} is not served: {model.why or 'its engine stopped'}".rstrip(".") + ".", "endpoint")
    newest: dict[str, views.RunLine] = {}
    for line in lines:
        newest.setdefault(line.name, line)
    for line in newest.values():
        if line.state in ("failed", "paused") and now - (line.ended or line.created) < FAILED_SECONDS:
            word = "failed" if line.state == "failed" else "is paused"
            yield Alert("danger" if line.state == "failed" else "warning", f"{line.name}, run {line.number}, {word}{_at(line)}.",
                        "runs", line.id)
    for row in store.rows("SELECT v.dataset, v.version, d.name FROM dataset_versions v JOIN datasets d ON d.id = v.dataset "
                          "WHERE v.state = 'paused' AND d.key IS NOT NULL"):
        yield Alert("warning", f"{row['name']}, version {row['version']}, is half done; resume the run that makes it.", "datasets",
                    row["dataset"])
    count, _ = refused(store.profile.logs, 0)
    if count:
        yield Alert("warning", f"Offline mode refused {count:,} connection{'s' if count != 1 else ''} to other computers.", "settings")


def _at(line: views.RunLine) -> str:
    """The step it stopped at; nothing where that was between two."""
    return f" at {line.step}" if line.step else ""


def _next(store: Store, lines: list[views.RunLine], models: tuple[ModelHealth, ...]) -> NextStep:
    """One thing, the first that applies."""
    going = next((line for line in lines if line.state == "running" and not line.waits_for), None)
    if going is not None:
        return NextStep(f"{going.name} is being made{': ' if going.step else ''}{going.step}.", "Watch it", "runs", going.id)
    stopped = next((line for line in lines[:1] if line.state in ("failed", "paused")), None)
    if stopped is not None:
        return NextStep(f"{stopped.name} stopped{_at(stopped)}. It can go on from there.", "Look at it", "runs", stopped.id)
    if not lines:
        return NextStep("Run a kit once: it shows the whole way, from data to an answer.", "Open kits", "kits")
    if not any(model.state in ("ready", "idle", "starting") for model in models):
        return NextStep("Nothing is served. Release a model version to use it from other programs.", "Open models", "models")
    own = store.row("SELECT 1 FROM datasets WHERE key IS NOT NULL AND id NOT IN (SELECT dataset FROM dataset_versions "
                    "WHERE json_extract(origin, '$.run') IS NOT NULL) LIMIT 1")
    if own is not None and not any(not line.kit for line in lines):
        return NextStep("Your data is here. Build a workflow on it.", "Open workflow", "workflow")
    return NextStep("Ask base and tuned the same question and judge for yourself.", "Open playground", "playground")
