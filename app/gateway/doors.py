"""What the platform routes may do, given by the service: the gateway imports no workflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.store import Store

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Doors:
    """The same functions that the window and the command line call; each takes the store first."""

    create_workflow: Callable[[Store, str, str], str]
    """(text, name) → run id."""
    kits: Callable[[Store], list[Json]]
    run_result: Callable[[Store, str], Json]
    import_file: Callable[[Store, Path, str | None], Json]
    deploy: Callable[[Store, str, str | None], str]
    metrics: Callable[[Store], Json]
