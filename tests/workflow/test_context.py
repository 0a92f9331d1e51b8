"""Asking whether to stop is a sign of life, save while others work."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import Cancelled
from app.store import Store
from app.store.series import SeriesWriter
from app.workflow.context import Signs, WorkerContext


def test_waiting_for_others_obeys_a_stop_and_is_no_sign_of_life(store: Store, tmp_path: Path) -> None:
    signs = Signs(last_word=0.0)
    with SeriesWriter(store, "run", "step") as series:
        context = WorkerContext(store, "run", "step", seed=0, base_model="", folder=tmp_path, inputs={}, series=series, signs=signs)
        context.check_waiting()
        assert signs.last_word == 0.0
        context.check_cancelled()
        assert signs.last_word > 0.0
        signs.cancel = "save"
        with pytest.raises(Cancelled):
            context.check_waiting()
        assert signs.cancel_seen
