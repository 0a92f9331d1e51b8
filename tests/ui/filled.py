"""A store with runs in every state, for the pages' tests and pictures: plausible rows, none of them a measurement."""

from __future__ import annotations

import json
import math
import time

from app.errors import TrainingError
from app.store import Store
from app.store.series import SeriesWriter

DOCUMENT = """name: Sample
base_model: smollm2-135m-instruct
seed: 7
steps:
  source:   {node: dataset.import, path: notices.jsonl}
  refine:   {node: data.refine, needs: source}
  train:    {node: train.qlora, needs: refine, epochs: 2}
  evaluate: {node: evaluate.compare, needs: train}
  export:   {node: model.export, needs: train, quantization: q8_0}
  register: {node: model.register, needs: export}
  deploy:   {node: model.deploy, needs: [export, evaluate]}
"""
_NODES = ("dataset.import", "data.refine", "train.qlora", "evaluate.compare", "model.export", "model.register",
          "model.deploy")
_IDS = ("source", "refine", "train", "evaluate", "export", "register", "deploy")
_TOOK = (2.0, 14.0, 250.0, 160.0, 22.0, 1.0, 3.0)
REPORT = {"table": [
    {"arm": "constant", "fields": {"expression": 0.05, "quote": 0.0}, "score": 0.03},
    {"arm": "classic", "fields": {"expression": 0.72, "quote": None}, "score": 0.36},
    {"arm": "base", "fields": {"expression": 0.0, "quote": 0.1}, "score": 0.05},
    {"arm": "base_examples", "fields": {"expression": 0.4, "quote": 0.18}, "score": 0.29},
    {"arm": "tuned", "fields": {"expression": 0.82, "quote": 0.85}, "score": 0.835}],
    "behaviour": {
        "kinds": [{"kind": "out of scope", "arms": {"base": {"count": 0, "items": 30, "interval": [0.0, 0.114]},
                                                    "tuned": {"count": 27, "items": 30, "interval": [0.744, 0.965]}}}],
        "refused_wrongly": {"base": {"count": 0, "items": 60, "interval": [0.0, 0.060]},
                            "tuned": {"count": 1, "items": 60, "interval": [0.003, 0.089]}},
        "sentences": ["Out of scope: 27 of 30 refused as it should; 1 of 60 task questions refused wrongly."]},
    "advice": ["On the expression alone a classic classifier comes close; it cannot quote."]}


def fill(store: Store) -> dict[str, str]:
    """Add a done, a running and a failed run; returns their ids by state."""
    now = time.time()
    _run(store, "run_done", 1, "done", now - 3600, 7)
    _run(store, "run_failed", 2, "failed", now - 1800, 2)
    _run(store, "run_live", 3, "running", now - 170, 2)
    _verdict(store, "run_done")
    _samples(store)
    _curves(store, "run_done", now - 3580, 240)
    _curves(store, "run_live", now - 150, 146)
    store.db["deployments"].insert({
        "alias": "sample", "model_version": "sample@1", "engine": "llama_cpp", "path": "sample.gguf", "state": "ready",
        "created": now, "updated": now})
    return {"done": "run_done", "failed": "run_failed", "running": "run_live"}


def _run(store: Store, run: str, number: int, state: str, started: float, ended_steps: int) -> None:
    ended = started + sum(_TOOK) if state != "running" else None
    why = TrainingError("training.nan", "Training stopped: the numbers became invalid at step 31.",
                        why="The step size is too large for this data.",
                        remedy="Step 20 is saved. Resume with a smaller step size.").as_record() if state == "failed" else None
    store.db["runs"].insert({
        "id": run, "number": number, "name": "Sample", "kit": "sample", "document": DOCUMENT, "document_hash": "0",
        "resolved": json.dumps({"base_model": "smollm2-135m-instruct"}), "state": state, "seed": 7,
        "why": json.dumps(why) if why else None, "machine": json.dumps({"cores": 2, "memory_mb": 24000}),
        "created": started - 1, "started": started, "ended": ended})
    at = started
    for position, (step, node, took) in enumerate(zip(_IDS, _NODES, _TOOK, strict=True)):
        own = "done" if position < ended_steps else state if position == ended_steps else "queued"
        _step(store, run, position, step, node, own, at, took, why)
        at += took


def _step(store: Store, run: str, position: int, step: str, node: str, state: str, at: float, took: float,
          why: object) -> None:
    going = state in ("running", "failed")
    store.db["steps"].insert({
        "run": run, "id": step, "position": position, "node": node, "title": step.capitalize(), "needs": "[]",
        "params": "{}", "bindings": "{}", "state": state, "progress": 1.0 if state == "done" else 0.61 if going else 0.0,
        "message": "step 146 of 240" if going else "", "eta": 96.0 if state == "running" else None,
        "started": at if state != "queued" else None, "ended": at + took if state == "done" else None,
        "why": json.dumps(why) if state == "failed" else None,
        "outputs": json.dumps(_outputs(node)) if state == "done" else None})
    if state == "done":
        store.db["usage"].insert({
            "at": at + took, "scope": "step", "run": run, "step": step, "seconds": took, "energy_wh": took * 28 / 3600,
            "energy_source": "estimate", "energy_cost": took * 28 / 3.6e6 * 0.31, "wear_cost": took / 3600 * 0.075,
            "currency": "EUR"})


def _outputs(node: str) -> dict[str, object]:
    if node != "model.export":
        return {}
    files = [{"quantization": "q8_0", "same_answers": 1.0, "size": 145_000_000}]
    return {"proof": {"kind": "report", "path": "", "content_hash": "0", "summary": {"passed": True, "files": files}}}


def _verdict(store: Store, run: str) -> None:
    store.db["evaluations"].insert({
        "run": run, "step": "evaluate", "metric": "score", "items": 60, "base": 0.29, "tuned": 0.835, "difference": 0.545,
        "low": 0.46, "high": 0.63, "verdict": "better", "report": json.dumps(REPORT), "created": time.time()})


def _samples(store: Store) -> None:
    for position, (base, tuned, score) in enumerate([("no idea", "GPL-2.0-only", 0.0), ("none", "MIT", 1.0)]):
        store.db["samples"].insert({"evaluation": 1, "position": position, "prompt": f"Notice {position}", "expected": "MIT",
                                    "base": base, "tuned": tuned, "base_score": 0.0, "tuned_score": score})


def _curves(store: Store, run: str, start: float, steps: int) -> None:
    with SeriesWriter(store, run, "train") as series:
        series.metric("train.total_steps", 240, x=0)
        for step in range(1, steps + 1):
            series.metric("train.loss", 1.2 + 1.7 * math.exp(-step / 80) + 0.1 * math.sin(step * 1.7), x=step)
            series.metric("train.learning_rate", 1e-3 * min(step / 12, 0.5 + 0.5 * math.cos(step / 240 * 3.14)), x=step)
            series.metric("train.grad_norm", 0.4 + 0.1 * math.sin(step), x=step)
            if step % 20 == 0:
                series.metric("train.eval_loss", 1.3 + 1.6 * math.exp(-step / 80), x=step)
        series.event("Training started", kind="state", data={"detail": "240 steps, 2 epochs"})
        series.event("Best so far kept, step 120", level="good", data={"detail": "unseen 1.66"})
        series.event("The served model was unloaded to make room", level="warning")
    for second in range(0, steps, 2):
        at = start + second
        for name, value in (("system.cpu_percent", 96 + second % 3), ("system.memory_mb", 7000.0),
                            ("system.watts", 28 + second % 2)):
            _metric(store, "", name, at, value)
        for name, value in (("train.tokens_per_second", 310 + second % 7), ("cost.total", second * 3e-5),
                            ("cost.energy", second * 1e-5)):
            _metric(store, run, name, at, value)


def _metric(store: Store, run: str, name: str, at: float, value: float) -> None:
    store.db.execute("INSERT INTO metrics (run, step, name, at, value) VALUES (?, '', ?, ?, ?)", (run, name, at, value))
