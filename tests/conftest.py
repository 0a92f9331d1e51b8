"""Every test gets its own user folder, no network beyond loopback, and closed databases."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config import offline
from app.store import Profile, Store


@pytest.fixture(autouse=True)
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """A fresh profile; child processes inherit it through the environment."""
    home = tmp_path / "profile"
    monkeypatch.setenv("NEUROWEAVER_HOME", str(home))
    monkeypatch.setenv("NEUROWEAVER_KEYRING", "off")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.delenv("NEUROWEAVER_PASSPHRASE", raising=False)
    monkeypatch.delenv(offline.VARIABLE, raising=False)
    return Profile(home)


@pytest.fixture
def store(profile: Profile) -> Iterator[Store]:
    """The catalogue of the test's own profile."""
    with Store.open(profile) as opened:
        yield opened


@pytest.fixture(autouse=True)
def online_again(profile: Profile) -> Iterator[None]:
    """A command that ran inside the test process has switched it to offline mode; the next test begins without."""
    yield
    offline.enforce(profile.logs, False, "")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections that leave this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0] if isinstance(address, tuple) else ""
            if host not in ("127.0.0.1", "::1", "localhost"):
                raise AssertionError(f"A test tried to reach {host!r}.")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)
