"""Finding or starting the service that carries out a command's run."""

from __future__ import annotations

import os
import threading
import time
from types import SimpleNamespace

import pytest

from app.config.presence import FOUND_ANOTHER, Presence, announce
from app.config.subprocess_tools import started_at
from app.errors import WorkflowError
from app.store import Store, settings
from app.workflow import follow


def child(code: int | None) -> SimpleNamespace:
    """A started service that has ended with a code, or has not (None)."""
    return SimpleNamespace(poll=lambda: code, kill=lambda: None, terminate=lambda: None, wait=lambda seconds: None)


def us(base_url: str | None) -> Presence:
    return Presence(os.getpid(), started_at(os.getpid()) or 0.0, base_url)


def test_of_two_commands_at_once_the_second_waits_for_the_firsts_service(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "start_child", lambda *_, **__: child(FOUND_ANOTHER))
    first = threading.Timer(0.3, announce, (store.profile, us("http://127.0.0.1:1/v1")))
    first.start()
    with follow.service_for(store) as keeper:
        assert keeper.presence.base_url == "http://127.0.0.1:1/v1"
        assert "goes on in the background" in keeper.farewell(1)  # it is not ours to end
    first.join()


def test_a_service_that_fails_to_start_is_told_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "start_child", lambda *_, **__: child(1))
    with pytest.raises(WorkflowError, match="did not start"), follow.service_for(store):
        pass


@pytest.mark.parametrize("enabled", [True, False])
def test_only_an_endpoint_that_is_on_is_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch, enabled: bool) -> None:
    settings.put(store, "endpoint.enabled", enabled)
    monkeypatch.setattr(follow, "START_SECONDS", 0.5)

    def begin(*_: object, **__: object) -> SimpleNamespace:
        announce(store.profile, us(None))
        return child(None)

    monkeypatch.setattr(follow, "start_child", begin)
    began = time.monotonic()
    with follow.service_for(store):
        assert (time.monotonic() - began >= 0.5) == enabled
