"""What the runner's tests share: documents of test nodes, waiting, the service as a process."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from app.store import Store
from app.store.profile import project_dir
from app.workflow import runs

NODES = Path(__file__).parent


def document(act: str, text: str = "x", **params: Any) -> str:
    return json.dumps({"name": "test", "steps": {"make": {"node": "test.make", "text": text},
                                                 "act": {"node": "test.act", "needs": "make", "act": act, **params}}})


def wait(check: Callable[[], Any], seconds: float = 30.0) -> Any:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if found := check():
            return found
        time.sleep(0.05)
    raise AssertionError("It did not happen in time.")


def state(store: Store, run: str) -> str:
    return str(runs.find_run(store, run)["state"])


def ended(store: Store, run: str, seconds: float = 40.0) -> str:
    return str(wait(lambda: state(store, run) if state(store, run) not in ("queued", "running") else None, seconds))


def step(store: Store, run: str, name: str = "act") -> dict[str, Any]:
    return store.row("SELECT * FROM steps WHERE run = ? AND id = ?", (run, name)) or {}


def running(store: Store, run: str) -> Any:
    return wait(lambda: step(store, run)["state"] == "running" and step(store, run)["progress"] > 0)


@contextlib.contextmanager
def service(store: Store) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "main.py", "service", "--json", "--port", "18520"], cwd=project_dir(),
                               stdout=subprocess.PIPE, text=True, env={**os.environ, "NEUROWEAVER_NODES": str(NODES)})
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["pid"] == process.pid
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def read(path: Path | None) -> str:
    return path.read_text() if path is not None else ""


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
