"""What a running node sees: the step worker's side of :class:`app.config.node.StepContext`."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.errors import Cancelled
from app.store import Store
from app.store.series import SeriesWriter

CANCEL_MODES = ("save", "discard", "pause")


@dataclass
class Signs:
    """What the node last said, shared with the pulse thread.  Times are monotonic seconds."""

    fraction: float = 0.0
    message: str = ""
    last_word: float = field(default_factory=time.monotonic)
    cancel: str | None = None
    cancel_seen: bool = False
    changed: threading.Event = field(default_factory=threading.Event)

    def word(self) -> None:
        self.last_word = time.monotonic()


class WorkerContext:
    """The context of one step in its worker process.  Thread-safe except ``input``."""

    def __init__(self, store: Store, run: str, step: str, *, seed: int, base_model: str, folder: Path,
                 inputs: Mapping[str, Any], series: SeriesWriter, signs: Signs) -> None:
        self.run, self.step, self.seed, self.base_model, self.store = run, step, seed, base_model, store
        self.workdir, self.outputs_dir = folder / "work", folder / "outputs"
        self._inputs, self._series, self._signs = dict(inputs), series, signs
        for part in (self.workdir, self.outputs_dir):
            part.mkdir(parents=True, exist_ok=True)

    def input(self, name: str) -> Any:
        """The artifact on an input port; KeyError where an optional port is unbound."""
        return self._inputs[name]

    def has_input(self, name: str) -> bool:
        """Whether an optional port is bound."""
        return name in self._inputs

    def progress(self, fraction: float, message: str = "") -> None:
        """Report 0..1; written at most twice a second.  Raises Cancelled if asked to stop."""
        self._signs.fraction = min(max(float(fraction), 0.0), 1.0)
        if message:
            self._signs.message = message
        self._signs.word()
        self.check_cancelled()

    def check_cancelled(self) -> None:
        """Raise Cancelled if the user asked to stop."""
        self._signs.word()
        self.check_waiting()

    def check_waiting(self) -> None:
        """The same while others work: no sign of life."""
        mode = self._asked()
        if mode is not None:
            raise Cancelled(save=mode != "discard")

    def cancel_requested(self) -> str | None:
        """"save", "discard", "pause" or None.  Asking is a sign of life."""
        self._signs.word()
        return self._asked()

    def _asked(self) -> str | None:
        mode = self._signs.cancel
        if mode is not None:
            self._signs.cancel_seen = True
        return mode

    def metric(self, name: str, value: float, *, unit: str = "", x: float | None = None) -> None:
        """Record one figure of a series."""
        self._signs.word()
        self._series.metric(name, value, unit=unit, x=x)

    def event(self, message: str, *, level: str = "info", kind: str = "note",
              data: Mapping[str, Any] | None = None) -> None:
        """Say something a user should read."""
        self._signs.word()
        self._series.event(message, level=level, kind=kind, data=data)
