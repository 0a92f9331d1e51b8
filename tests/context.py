"""A step context for tests: what a node says is kept in lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from app.config.artifacts import Artifact, Rows
from app.errors import Cancelled
from app.store import Store
from app.store.datasets import create_dataset, open_dataset
from app.store.records import Row


class FakeContext:
    """Stands in for the step worker's context.

    ``metrics`` holds (name, value, x), ``events`` (level, message).  ``cancel`` is what cancel_requested answers:
    a mode, None, or a function asked every time.
    """

    def __init__(self, store: Store, tmp_path: Path, *, inputs: Mapping[str, Artifact] | None = None,
                 base_model: str = "", seed: int = 0, run: str = "run_test", step: str = "step") -> None:
        self.store, self.run, self.step, self.seed, self.base_model = store, run, step, seed, base_model
        self.workdir, self.outputs_dir = tmp_path / "work", tmp_path / "outputs"
        for folder in (self.workdir, self.outputs_dir):
            folder.mkdir(parents=True, exist_ok=True)
        self.inputs = dict(inputs or {})
        self.metrics: list[tuple[str, float, float | None]] = []
        self.events: list[tuple[str, str]] = []
        self.fraction, self.message = 0.0, ""
        self.cancel: str | Callable[[], str | None] | None = None

    def input(self, name: str) -> Any:
        return self.inputs[name]

    def has_input(self, name: str) -> bool:
        return name in self.inputs

    def progress(self, fraction: float, message: str = "") -> None:
        self.fraction, self.message = fraction, message or self.message
        self.check_cancelled()

    def check_cancelled(self) -> None:
        mode = self.cancel_requested()
        if mode is not None:
            raise Cancelled(save=mode != "discard")

    def check_waiting(self) -> None:
        self.check_cancelled()

    def cancel_requested(self) -> str | None:
        return self.cancel() if callable(self.cancel) else self.cancel

    def metric(self, name: str, value: float, *, unit: str = "", x: float | None = None) -> None:
        self.metrics.append((name, float(value), x))

    def event(self, message: str, *, level: str = "info", kind: str = "note",
              data: Mapping[str, Any] | None = None) -> None:
        self.events.append((level, message))

    def series(self, name: str) -> list[float]:
        """The values of one metric, in order."""
        return [value for known, value, _ in self.metrics if known == name]

    def said(self, words: str) -> bool:
        """Whether an event holds these words."""
        return any(words in message for _, message in self.events)


def make_rows(store: Store, rows: Iterable[Row], *, name: str = "test") -> Rows:
    """Put rows into a new dataset as version 1; returns the artifact that names it."""
    dataset, listed = create_dataset(store, name), list(rows)
    with open_dataset(store, dataset) as opened:
        opened.add_rows(1, listed)
    splits: dict[str, int] = {}
    for row in listed:
        splits[row.split] = splits.get(row.split, 0) + 1
    return Rows(content_hash=f"{dataset}:1", dataset=dataset, version=1, rows=len(listed), splits=splits)
