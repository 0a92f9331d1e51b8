"""The test nodes, and a scheduler in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.store import Store
from app.workflow import registry
from app.workflow.scheduler import Scheduler
from tests.workflow.running import NODES


@pytest.fixture(autouse=True)
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NEUROWEAVER_NODES", str(NODES))
    registry.reload()
    yield
    registry.reload()


@pytest.fixture
def scheduler(store: Store) -> Iterator[Scheduler]:
    made = Scheduler(store)
    made.start()
    yield made
    made.stop(5)
