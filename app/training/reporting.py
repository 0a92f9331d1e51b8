"""What a training says while it runs, and when it stops: a callback between trl's trainer and the step's context."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from app.config.node import StepContext
from app.errors import Cancelled
from app.training import checkpoints
from app.training.trouble import is_disk_full


@dataclass
class Limits:
    """When to stop, evaluate and save.  0 means no limit."""

    tokens: int = 0
    minutes: float = 0.0
    patience: int = 0
    checkpoint_steps: int = 0
    checkpoint_minutes: float = 2.0


@dataclass
class Reporter(TrainerCallback):
    """Sends curves and events, keeps the best adapter, asks the trainer to stop.

    ``stop`` is the user's mode ("save", "pause", "discard") once one was asked for.
    """

    ctx: StepContext
    limits: Limits
    best_folder: Path
    trainer: Any = None
    stop: str | None = None
    curve: list[dict[str, float]] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _saved_at: float = field(default_factory=time.monotonic)
    _last: tuple[float, int] = (0.0, 0)

    # -- state that survives a resume -----------------------------------------------------------------------------
    @property
    def extra(self) -> dict[str, Any]:
        kept: dict[str, Any] = self.trainer.extra
        return kept

    def seconds(self) -> float:
        """Time spent training, over all attempts."""
        return float(self.extra.get("seconds_before", 0.0)) + time.monotonic() - self._began

    def spent(self) -> float:
        """Share of the time limit that is used, 0..1; 0 without a limit."""
        return min(self.seconds() / (60 * self.limits.minutes), 1.0) if self.limits.minutes else 0.0

    # -- trainer's calls --------------------------------------------------------------------------------------------
    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began = self._saved_at = time.monotonic()
        self.curve = list(self.extra.get("curve", []))
        self._last = (time.monotonic(), self.trainer.tokens_seen)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:
            return
        step, now = state.global_step, time.monotonic()
        before, tokens = self._last
        self._last = (now, self.trainer.tokens_seen)
        speed = (self.trainer.tokens_seen - tokens) / max(now - before, 1e-6)
        self.curve.append({"step": step, "loss": logs["loss"], "tokens_per_second": round(speed, 1)})
        self.ctx.metric("train.loss", logs["loss"], unit="nats", x=step)
        self.ctx.metric("train.learning_rate", logs["learning_rate"], x=step)
        self.ctx.metric("train.grad_norm", logs.get("grad_norm", 0.0), x=step)
        self.ctx.metric("train.tokens_per_second", speed, unit="tokens/s", x=step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._hear(state)
        if self.stop:
            control.should_training_stop = True
            control.should_evaluate = False
            control.should_save = self.stop != "discard"
            return
        if self._spent_budget(state):
            control.should_training_stop = True
        if control.should_training_stop or state.global_step >= state.max_steps:
            control.should_evaluate = self.trainer.eval_dataset is not None
        control.should_save = self._save_due(state)

    def on_prediction_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        mode = self.ctx.cancel_requested()
        if mode:  # an evaluation can take longer than a user waits; the state at the last step is whole
            self.stop = mode
            raise Cancelled(save=mode != "discard")

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any) -> None:
        loss, step = metrics["eval_loss"], state.global_step
        self.extra.pop("evaluation_due", None)
        self._last = (time.monotonic(), self.trainer.tokens_seen)
        self.ctx.metric("train.eval_loss", loss, unit="nats", x=step)
        self.curve.append({"step": step, "eval_loss": loss})
        self.extra.setdefault("first_eval_loss", loss)
        if loss < self.extra.get("best_loss", float("inf")):
            self.extra.update(best_loss=loss, best_step=step, without_gain=0)
            self._keep_best(step, loss)
            return
        self.extra["without_gain"] = self.extra.get("without_gain", 0) + 1
        if self.limits.patience and self.extra["without_gain"] >= self.limits.patience:
            control.should_training_stop = True
            self.ctx.event(f"Stopped early at step {step}: no gain since step {self.extra['best_step']}.", kind="early_stop")

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._saved_at = time.monotonic()

    # -- parts ------------------------------------------------------------------------------------------------------
    def before_save(self) -> None:
        """Put what a resumed run needs into ``extra``."""
        self.extra.update(curve=self.curve, seconds_before=self.seconds())
        self._began = time.monotonic()

    def _hear(self, state: Any) -> None:
        done = max(state.global_step / max(state.max_steps, 1), self.spent())
        self.stop = self.ctx.cancel_requested()
        if self.stop:
            return
        try:
            self.ctx.progress(min(done, 1.0), f"Training, step {state.global_step} of {state.max_steps}")
        except Cancelled as asked:
            self.stop = self.ctx.cancel_requested() or ("save" if asked.save else "discard")

    def _spent_budget(self, state: Any) -> bool:
        if self.limits.tokens and self.trainer.tokens_seen >= self.limits.tokens:
            return True
        if self.limits.minutes and self.spent() >= 1.0:
            self.ctx.event(f"The time limit was reached at step {state.global_step}.", kind="limit")
            return True
        return False

    def _save_due(self, state: Any) -> bool:
        every, minutes = self.limits.checkpoint_steps, self.limits.checkpoint_minutes
        if every and state.global_step % every == 0:
            return True
        return bool(minutes) and time.monotonic() - self._saved_at >= 60 * minutes

    def _keep_best(self, step: int, loss: float) -> None:
        try:
            checkpoints.write(self.best_folder, step, self.trainer.save_adapter, {"step": step, "loss": loss})
        except OSError as problem:
            if not is_disk_full(problem):
                raise
            self.ctx.event(f"The best adapter (step {step}) could not be saved: {problem}. Training goes on.", level="error")
            return
        checkpoints.keep_newest(self.best_folder, 1)
        self.ctx.event(f"Best so far kept, step {step}", level="good", kind="best", data={"step": step, "eval_loss": loss})
