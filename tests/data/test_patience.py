"""Waiting for a long call: its result and its failure come out, and a stop does not wait for it."""

from __future__ import annotations

import threading
from concurrent.futures import TimeoutError as NotYet

import pytest

from app.data import patience
from app.data.patience import patiently
from app.errors import Cancelled


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "LOOK_SECONDS", 0.01)


def test_the_result_comes_out_and_somebody_looks_meanwhile() -> None:
    looked = threading.Event()
    assert patiently(lambda: looked.wait(10), looked.set)


@pytest.mark.parametrize("problem", [ValueError("no"), NotYet("its own")])
def test_the_failure_comes_out(problem: Exception) -> None:
    def fail() -> None:
        raise problem

    with pytest.raises(type(problem), match=str(problem)):
        patiently(fail, lambda: None)


def test_a_stop_does_not_wait() -> None:
    end = threading.Event()

    def stop() -> None:
        raise Cancelled(save=True)

    with pytest.raises(Cancelled):
        patiently(lambda: end.wait(60), stop)
    end.set()
