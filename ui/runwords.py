"""What the run page says in words.  Plain functions over the views, so that tests read them without a window."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ui import words

Curves = Mapping[str, list[tuple[float, float]]]
_EVIDENCE_SECONDS = 10
_SOURCES = {"nvml": "measured at the card", "rapl": "measured at the processor", "estimate": "estimated"}


def power_source(source: str) -> str:
    """"measured" or "estimated", from the name of the sensor."""
    return _SOURCES.get(source, "estimated" if "estim" in source else "measured" if source else "")


def subtitle(view: Any) -> str:
    """What it is doing, on what."""
    state: str = view.line.state
    line, model = view.line, words.model_name(view.base_model)
    cores = view.machine.get("cores")
    place = f" on {cores} cores" if cores and not view.machine.get("gpus") else ""
    if line.waits_for:
        return "Waits for its turn"
    if line.state == "running":
        return f"{line.step or 'Starting'}{', ' + model if model else ''}{place}"
    return {"queued": "Waits for its turn", "paused": "Paused. You can continue.", "failed": f"Failed at {line.step}",
            "cancelled": "Stopped", "done": f"Done {words.day(line.ended or line.created)}"}.get(state, state)


def time_left(view: Any, now: float | None = None) -> tuple[str, str]:
    """The big words at the top left and the line under them."""
    line = view.line
    if line.state == "running":
        return _running(view, now if now is not None else time.time())
    if line.state == "done":
        return f"Done in {words.duration(line.seconds or 0)}", words.day(line.ended or 0)
    if line.state == "queued":
        return "Waiting", "starts when the run before it ends"
    where = next((step for step in view.steps if step.state in ("failed", "paused", "cancelled")), None)
    under = f"at {where.title}, {100 * where.progress:.0f} % done" if where is not None else ""
    return words.STATES.get(line.state, line.state), under


def _running(view: Any, now: float) -> tuple[str, str]:
    step = next((step for step in view.steps if step.state == "running"), None)
    if view.cancel:
        return "Stopping", "saving what it has reached"
    if view.line.waits_for:
        return "Waiting", f"for run {view.line.waits_for}, which is at work on this computer"
    if step is None:
        return "Starting", "preparing the next step"
    if step.eta is None or step.started is None or now - step.started < _EVIDENCE_SECONDS:
        return "Measuring speed", f"{step.title} has just begun"
    rest = view.rest
    if rest is None:
        return words.left(step.eta), f"in {step.title}; later steps are not measured yet"
    return words.left(step.eta + rest), f"done about {words.clock(now + step.eta + rest)}, as in earlier runs"


def answers(view: Any, curves: Curves) -> list[tuple[str, str]]:
    """Is it better, is it safe, what does it cost."""
    return [_better(view, curves), _safe(view, curves), _cost(view)]


def _better(view: Any, curves: Curves) -> tuple[str, str]:
    found = view.line.verdict
    if found is not None:
        word = words.VERDICTS[found.verdict][0]
        refused = next(iter((found.report.get("behaviour") or {}).get("sentences") or ()), "")
        shown = words.margin(found.metric, found.difference, found.low, found.high)
        tuned, base = (words.score(found.metric, value) for value in (found.tuned, found.base))
        if words.is_nll(found.metric):
            return word, f"{shown} on {found.items:,} held-back texts: {tuned} against {base}."
        return word, f"{shown} on {found.items:,} held-back questions: {tuned} against {base}. {refused}".strip()
    unseen = curves.get("train.eval_loss", [])
    if len(unseen) < 2:
        return "Not measured yet", "The verdict comes with Evaluate, on questions held back from training."
    first, last = unseen[0][1], min(point[1] for point in unseen)
    if last < first:
        return "Improving so far", (f"Mistakes on unseen answers fell from {first:.2f} to {last:.2f}. "
                                    "The verdict comes with Evaluate.")
    return "Not improving so far", f"Mistakes on unseen answers went from {first:.2f} to {unseen[-1][1]:.2f}."


def _safe(view: Any, curves: Curves) -> tuple[str, str]:
    proof = next((step.outputs["proof"]["summary"] for step in view.steps
                  if step.node == "model.export" and "proof" in step.outputs), None)
    if proof is not None:
        files = proof.get("files", [])
        best = max((file.get("same_answers", 0.0) for file in files), default=None)
        same = f" {100 * best:.0f} % of its answers are the same." if best is not None else ""
        return ("Export proof passed" if proof.get("passed") else "Export proof failed",
                f"The exported file was loaded and asked the same questions.{same}")
    flagged = next((step for step in view.steps if step.flagged), None)
    if flagged is not None:
        return "Look at this", f"{flagged.title} is {flagged.flagged}."
    if view.line.state == "failed":
        return "Not measured", "The run stopped before the export proof."
    if curves.get("train.loss"):
        return "Nothing wrong so far", "All figures are sound. The exported file is checked after training."
    return "Not measured yet", "The exported file is checked against the original before it is served."


def _cost(view: Any) -> tuple[str, str]:
    cost = view.line.cost
    if cost is None:
        return "Not measured yet", "Counted as each step ends: electricity and wear of the machine."
    done = " so far" if view.line.state in ("running", "queued", "paused") else ""
    source = power_source(cost.source)
    return (f"{words.money(cost.total, cost.currency)}{done}",
            f"Power {words.money(cost.energy, cost.currency)} ({words.energy(cost.watt_hours)}, {source}), "
            f"wear {words.money(cost.wear, cost.currency)}.")
