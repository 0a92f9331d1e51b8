"""How many threads heavy arithmetic gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from app.store import settings

if TYPE_CHECKING:
    from app.store import Store


def free_cores() -> int:
    """Cores that nothing else keeps busy now, at least one; takes half a second to look."""
    cores: int = psutil.cpu_count(logical=False) or 1
    busy: float = psutil.cpu_percent(interval=0.5)
    return max(1, round(cores * (1 - busy / 100)))


def use_threads(store: Store) -> int:
    """Give torch the threads that Settings name; automatic: the cores that are free now, because two threads on one free core
    collapse.  Returns how many."""
    import torch

    wanted = int(settings.get(store, "threads"))
    if wanted < 1:
        wanted = free_cores()
    torch.set_num_threads(wanted)
    return wanted
