"""One real service with the packaged starter model, shared by this folder's tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.registry.bases import packaged_file
from app.store import Profile, Store
from app.store.profile import project_dir, share_dir


@dataclass(frozen=True)
class Running:
    """A service that answers."""

    base_url: str
    key: str
    pid: int
    home: Path

    @property
    def root(self) -> str:
        return self.base_url.removesuffix("/v1")


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service, with the starter model served as "starter"."""
    home = tmp_path_factory.mktemp("gateway") / "profile"
    environment = {**os.environ, "NEUROWEAVER_HOME": str(home), "NEUROWEAVER_KEYRING": "off"}
    before = os.environ.get("NEUROWEAVER_KEYRING")
    os.environ["NEUROWEAVER_KEYRING"] = "off"
    file = packaged_file(share_dir() / "models" / "smollm2-135m-instruct")
    with Store.open(Profile(home)) as store:
        store.db.execute("INSERT INTO deployments (alias, model_version, engine, path, state, options, gate, created, updated) "
                         "VALUES ('starter', 'starter@1', 'llama.cpp', ?, 'starting', '{\"slots\": 4, \"context\": 1024}', '{}', 1, 1)",
                         (str(file),))
    if before is None:
        del os.environ["NEUROWEAVER_KEYRING"]
    process = subprocess.Popen([sys.executable, "main.py", "service", "--json", "--port", "18420"], cwd=project_dir(), env=environment,
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    yield Running(told["base_url"], told["key"], told["pid"], home)
    process.terminate()
    began = time.monotonic()
    assert process.wait(30) == 0
    assert time.monotonic() - began < 15
