"""A version is whole or not there at all: after a kill, a full disk, an error, and beside another writer."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.data import api
from app.errors import DatasetError, StoreError
from app.store import Store
from app.store.datasets import DatasetDb, open_dataset
from app.store.profile import project_dir
from app.store.versions import recover

_SLOW = """
import sys, time
from app.data import api
from app.store import Profile, Store
from pathlib import Path
def tell(fraction, message):
    print(message, flush=True)
    time.sleep(float(sys.argv[3]))
with Store.open(Profile(Path(sys.argv[1]))) as store:
    api.import_file(store, sys.argv[2], name="d", progress=tell)
"""


def sample(path: Path, rows: int, *, start: int = 0) -> Path:
    path.write_text("".join(
        json.dumps({"prompt": f"Question {number}", "answer": f"Answer {number}"}) + "\n" for number in range(start, start + rows)))
    return path


def counts(store: Store, dataset: str) -> dict[str, int]:
    with open_dataset(store, dataset) as db:
        return {name: db.conn.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("rows", "version_rows", "rejects")}


def importing(store: Store, path: Path, pause: float) -> subprocess.Popen[str]:
    """An import in another process, which has written its first rows."""
    child = subprocess.Popen([sys.executable, "-c", _SLOW, str(store.profile.home), str(path), str(pause)], text=True,
                             stdout=subprocess.PIPE, cwd=project_dir())
    assert child.stdout is not None
    while not child.stdout.readline().startswith(("4,000", "8,000")):
        assert child.poll() is None
    return child


@pytest.mark.parametrize("earlier", [pytest.param(True, id="into a dataset with a version"), pytest.param(False, id="first version")])
def test_killed_import_leaves_nothing_and_the_next_one_works(earlier: bool, tmp_path: Path, store: Store) -> None:
    path = sample(tmp_path / "d.jsonl", 12_000)
    first = api.import_file(store, sample(tmp_path / "e.jsonl", 100), name="d") if earlier else None
    child = importing(store, path, 60)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert store.row("SELECT state FROM dataset_versions WHERE state = 'writing'"), "the kill came while it wrote"
    listed = api.list_datasets(store)
    if first is None:
        assert listed == []
    else:
        assert [(one["version"], one["state"]) for one in listed[0]["versions"]] == [(1, "ready"), (2, "failed")]
        assert counts(store, first.dataset) == {"rows": 100, "version_rows": 100, "rejects": 0}
    again = api.import_file(store, path, name="d")
    assert again.rows == 12_000


def test_recovery_leaves_a_living_writer_alone(tmp_path: Path, store: Store) -> None:
    child = importing(store, sample(tmp_path / "d.jsonl", 12_000), 0.5)
    assert recover(store) == []
    assert child.wait(timeout=60) == 0
    assert api.list_datasets(store)[0]["versions"][0]["rows"] == 12_000


def test_second_writer_waits_for_the_first(tmp_path: Path, store: Store) -> None:
    child = importing(store, sample(tmp_path / "d.jsonl", 12_000), 0.5)
    said: list[str] = []
    done = api.import_file(store, sample(tmp_path / "e.jsonl", 50, start=11_990), name="d",
                           progress=lambda _fraction, message: said.append(message))
    assert child.wait(timeout=60) == 0
    assert any(message.startswith("Waiting") for message in said)
    assert done.version == 2
    assert counts(store, done.dataset) == {"rows": 12_040, "version_rows": 12_050, "rejects": 0}


@pytest.mark.parametrize("earlier", [pytest.param(0, id="first version"), pytest.param(100, id="second version")])
def test_full_disk_is_a_store_error_and_keeps_nothing(
    earlier: int, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself says that the disk is full: its page limit is the same failure (SQLITE_FULL) as ENOSPC."""
    if earlier:
        dataset = api.import_file(store, sample(tmp_path / "e.jsonl", earlier), name="d").dataset
    opened = DatasetDb.__init__

    def small(self: DatasetDb, *arguments: object) -> None:
        opened(self, *arguments)  # type: ignore[arg-type]
        self.conn.execute("PRAGMA max_page_count = 40")

    with monkeypatch.context() as patched:
        patched.setattr(DatasetDb, "__init__", small)
        with pytest.raises(StoreError) as caught:
            api.import_file(store, sample(tmp_path / "d.jsonl", 12_000), name="d")
    assert caught.value.code == "store.disk_full"
    assert not caught.value.bad_input
    if not earlier:
        assert api.list_datasets(store) == []
        return
    assert counts(store, dataset) == {"rows": earlier, "version_rows": earlier, "rejects": 0}
    assert api.import_file(store, tmp_path / "d.jsonl", name="d").rows == 12_000, "it recovers when there is room"


def test_too_little_room_is_said_before_the_start(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sample(tmp_path / "d.jsonl", 10)
    usage = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr("app.data.importer.shutil.disk_usage", lambda _folder: usage)
    with pytest.raises(StoreError, match="disk is full"):
        api.import_file(store, path)
    assert api.list_datasets(store) == []


def test_equal_rows_are_stored_once(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "d.jsonl"
    sample(path, 9000)
    path.write_text(path.read_text() * 2)
    done = api.import_file(store, path)
    assert (done.rows, counts(store, done.dataset)["rows"]) == (18_000, 9000)
    with open_dataset(store, done.dataset) as db:
        texts = [row.messages[0]["content"] for row in db.iter_rows(1)]
        assert texts == [f"Question {number % 9000}" for number in range(18_000)]
        assert db.conn.execute("PRAGMA index_list(rows)").fetchone()[2] == 1, "the index on hashes is back, and unique"
        assert db.conn.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_crash_of_the_reader_is_a_dataset_error(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile file may crash the native code that reads it: here the reading process kills itself."""
    monkeypatch.setattr("app.data.parsing.SMALL", 0)
    path = sample(tmp_path / "d.jsonl", 10)
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    started = subprocess.Popen

    def sabotaged(command: list[str], **options: object) -> object:
        return started([sys.executable, "-c", kill], **options)  # type: ignore[call-overload]

    monkeypatch.setattr("app.config.subprocess_tools.subprocess.Popen", sabotaged)
    with pytest.raises(DatasetError) as caught:
        api.import_file(store, path)
    assert caught.value.code == "dataset.unreadable"
    assert api.list_datasets(store) == []


def test_reader_that_gives_no_row_is_stopped(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.data.parsing.SMALL", 0)
    monkeypatch.setattr("app.data.parsing.BUSY_SECONDS", 0.5)
    started = subprocess.Popen
    monkeypatch.setattr("app.config.subprocess_tools.subprocess.Popen",
                        lambda command, **options: started([sys.executable, "-c", "while True: pass"], **options))
    began = time.monotonic()
    with pytest.raises(DatasetError, match="takes too long"):
        api.import_file(store, sample(tmp_path / "d.jsonl", 10))
    assert time.monotonic() - began < 20
