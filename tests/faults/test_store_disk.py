"""What disks do: full, failing, read-only, flipped bytes, files gone (fault matrix 4, 6, 7, 8, 9, 10)."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from app.errors import StoreError
from app.store import Profile, Store, settings
from app.store.backup import backup, backups, restore
from app.store.datasets import create_dataset, erase_dataset
from app.store.integrity import check_all, check_catalogue
from app.store.key import obtain_key
from app.store.opening import wal
from app.store.profile import project_dir
from app.store.series import SeriesWriter
from tests.faults.kill_store import processes

pytestmark = pytest.mark.skipif(os.name != "posix", reason="mounts and resource limits")
ROOT = os.name == "posix" and os.geteuid() == 0


def fill(store: Store, rows: int = 3000) -> None:
    """Some 12 MB in one transaction."""
    with store.write() as db:
        db.conn.executemany("INSERT INTO settings VALUES (?, ?, 0)", ((f"k{n}", "x" * 4000) for n in range(rows)))


@contextlib.contextmanager
def small_disk(folder: Path, options: str = "size=6m") -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no mount here: {done.stderr}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(not ROOT, reason="only root mounts a small disk; test_a_full_database covers the rest")
def test_a_full_disk_is_told_and_writing_goes_on_when_there_is_room_again(tmp_path):
    with small_disk(tmp_path / "disk") as disk, Store.open(Profile(disk / "profile")) as store:
        settings.put(store, "threads", 3)
        (disk / "ballast").write_bytes(b"x" * 3_000_000)
        with pytest.raises(StoreError) as caught:
            fill(store)
        assert caught.value.code == "store.disk_full"
        assert settings.get(store, "threads") == 3  # reading goes on
        assert store.row("SELECT count(*) AS n FROM settings")["n"] == 1  # nothing of it is kept
        (disk / "ballast").unlink()
        fill(store, 100)
        assert check_catalogue(store) == []


@pytest.mark.skipif(not ROOT, reason="only root mounts a small disk")
def test_a_profile_on_a_full_disk_still_says_so_in_words(tmp_path):
    with small_disk(tmp_path / "disk", "size=2m,nr_inodes=64") as disk:
        Store.open(Profile(disk / "profile")).close()
        with contextlib.suppress(OSError):
            for number in range(100):
                (disk / f"ballast{number}").write_bytes(b"x" * 100_000)
        with pytest.raises(StoreError) as caught:
            Store.open(Profile(disk / "profile"))
        assert caught.value.code == "store.disk_full"


def test_a_full_database_is_told_and_recovers(store):
    pages = store.db.execute("PRAGMA page_count").fetchone()[0]
    store.db.execute(f"PRAGMA max_page_count = {pages + 20}")
    with pytest.raises(StoreError) as caught:
        fill(store)
    assert caught.value.code == "store.disk_full"
    with pytest.raises(StoreError):
        store.db.execute("INSERT INTO settings VALUES ('a', ?, 0)", ("x" * 400_000,))
    store.db.execute("PRAGMA max_page_count = 1000000")
    fill(store)
    assert store.row("SELECT count(*) AS n FROM settings")["n"] == 3000


def test_figures_wait_while_the_disk_is_full(store):
    pages = store.db.execute("PRAGMA page_count").fetchone()[0]
    with SeriesWriter(store, "run") as series:
        store.db.execute(f"PRAGMA max_page_count = {pages}")  # this thread's connection, which flush() uses
        for number in range(5000):
            series._metrics.append(("run", "", "loss", 0.0, number, float(number), ""))
        with pytest.raises(StoreError):
            series.flush()
        store.db.execute("PRAGMA max_page_count = 1000000")
        series.flush()
    assert [row["x"] for row in store.rows("SELECT x FROM metrics ORDER BY id")] == list(range(5000))


def write_past_a_limit(home: str, answer) -> None:
    """In a child: the kernel refuses to let files grow, which SQLite sees as a disk error."""
    store = Store.open(Profile(Path(home)))
    settings.put(store, "threads", 2)
    first = store.db
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limit[1]))
    try:
        fill(store)
        told = "nothing was raised"
    except StoreError as problem:
        told = problem.code
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    replaced = store.db is not first
    rows = store.row("SELECT count(*) AS n FROM settings")["n"]
    settings.put(store, "threads", 4)
    answer.send((told, replaced, rows, settings.get(store, "threads"), check_catalogue(store)))
    store.close()


def test_a_failing_disk_is_told_and_its_connection_thrown_away(profile):
    context = processes()
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=write_past_a_limit, args=(str(profile.home), theirs))
    child.start()
    assert ours.poll(60)
    assert ours.recv() == ("store.io", True, 1, 4, [])
    child.join(30)


READ_ONLY = """
import os, sys
from app.store.connection import Store
from app.errors import StoreError
import app.store.catalogue, sqlcipher3
if os.geteuid() == 0:
    os.setegid(65534); os.seteuid(65534)
try:
    Store.open()
except StoreError as problem:
    print(problem.code, bool(problem.remedy))
"""


def test_a_read_only_profile_is_told(profile):
    Store.open(profile).close()
    before = {file: file.read_bytes() for file in profile.home.iterdir() if file.is_file()}
    for folder in profile.home.parents[:3]:
        with contextlib.suppress(OSError):
            folder.chmod(0o755)
    profile.home.chmod(0o555)
    done = subprocess.run([sys.executable, "-c", READ_ONLY], capture_output=True, text=True, cwd=project_dir(), timeout=60, check=False)
    profile.home.chmod(0o700)
    assert done.stdout.split() == ["store.profile_unwritable", "True"], done.stderr
    assert {file: file.read_bytes() for file in profile.home.iterdir() if file.is_file()} == before


# ---- damage --------------------------------------------------------------------------------------------------------


def flip(path: Path, offset: int) -> bytes:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0xFF
    path.write_bytes(content)
    return bytes(content)


@pytest.fixture
def filled(profile) -> Profile:
    with Store.open(profile) as store:
        fill(store, 200)
        backup(store)
    return profile


@pytest.mark.parametrize("offset", [0, 16, 100, 4000], ids=["salt", "page 1", "schema", "HMAC of page 1"])
def test_damage_on_the_first_page_is_told_and_nothing_is_changed(filled, offset):
    before = flip(filled.catalogue, offset)
    with pytest.raises(StoreError) as caught:
        Store.open(filled)
    assert caught.value.code == "store.damaged"
    assert str(filled.backups) in caught.value.remedy
    assert filled.catalogue.read_bytes() == before
    assert not wal(filled.catalogue).exists()


def test_damage_further_in_is_told_when_it_is_read_and_by_the_check(filled):
    size = filled.catalogue.stat().st_size
    before = flip(filled.catalogue, size // 2)
    with Store.open(filled) as store:
        with pytest.raises(StoreError) as caught:
            store.rows("SELECT * FROM settings")
        assert caught.value.code == "store.damaged"
        assert check_all(store)["catalogue"]
    assert filled.catalogue.read_bytes() == before


def _ours(command: str, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = main([command, *words, "--json"], lambda _: 1)
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("make", ["flipped", "flipped further in", "emptied"])
def test_the_doctor_tells_damage_and_puts_the_newest_backup_in_its_place(filled, capsys, make):
    spoil = {"flipped": lambda: flip(filled.catalogue, 100), "emptied": lambda: filled.catalogue.write_bytes(b""),
             "flipped further in": lambda: flip(filled.catalogue, filled.catalogue.stat().st_size // 2)}
    spoil[make]()
    told = {check["name"]: check for check in _ours("doctor", capsys)[1]["checks"]}
    assert "main.py doctor --restore" in (told.get("Store") or told["Database"])["hint"]
    code, done = _ours("doctor", capsys, "--restore")
    assert (code, Path(done["kept"]).parent) == (0, filled.home)
    with Store.open(filled) as store:
        assert store.row("SELECT count(*) AS n FROM settings")["n"] == 200
    code, refused = _ours("doctor", capsys, "--restore")
    assert (code, refused["error"]["type"]) == (2, "store.sound")


def test_what_to_do_about_damage_without_a_backup_names_none(filled):
    shutil.rmtree(filled.backups)
    flip(filled.catalogue, 100)
    with pytest.raises(StoreError) as caught:
        Store.open(filled)
    assert "there is no backup yet" in caught.value.remedy


def test_an_erased_dataset_is_in_no_backup(profile):
    with Store.open(profile) as store:
        dataset = create_dataset(store, "d")
        first = backup(store)
        erase_dataset(store, dataset)
        assert first not in backups(profile)
    restore(profile, obtain_key(profile))
    with Store.open(profile) as store:
        assert store.rows("SELECT key FROM datasets") == [{"key": None}]


def test_the_newest_backup_takes_the_place_of_a_damaged_file(filled):
    before = flip(filled.catalogue, 100)
    aside = restore(filled, obtain_key(filled))
    assert aside.read_bytes() == before
    with Store.open(filled) as store:
        assert store.row("SELECT count(*) AS n FROM settings")["n"] == 200
        assert store.gap == ""


@pytest.mark.parametrize("cut", [0, 4096, 5000], ids=["emptied", "one page left", "half a page left"])
def test_a_truncated_file_is_told_and_never_made_anew(filled, cut):
    content = filled.catalogue.read_bytes()[:cut]
    filled.catalogue.write_bytes(content)
    with pytest.raises(StoreError) as caught, Store.open(filled) as store:
        store.rows("SELECT * FROM settings")
    assert caught.value.code in ("store.damaged", "store.missing")
    assert filled.catalogue.read_bytes() == content


# ---- files that go missing ---------------------------------------------------------------------------------------


def write_and_die(home: str) -> None:
    store = Store.open(Profile(Path(home)))
    settings.put(store, "threads", 7)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def killed(profile) -> Profile:
    """A profile whose last process was killed with commits in the -wal."""
    Store.open(profile).close()
    child = processes().Process(target=write_and_die, args=(str(profile.home),))
    child.start()
    child.join(60)
    assert wal(profile.catalogue).stat().st_size > 0
    return profile


def test_the_wal_of_a_killed_process_is_read(killed):
    with Store.open(killed) as store:
        assert settings.get(store, "threads") == 7
        assert store.gap == ""


def test_a_deleted_wal_opens_the_last_checkpoint_and_reports_the_gap(killed):
    wal(killed.catalogue).unlink()
    killed.catalogue.with_name("catalogue.db-shm").unlink(missing_ok=True)
    with Store.open(killed) as store:
        assert settings.get(store, "threads") == settings.DEFAULTS["threads"]
        assert "write-ahead" in store.gap
        assert [row["kind"] for row in store.rows("SELECT kind FROM events")] == ["store.gap"]
        assert check_catalogue(store) == []
    with Store.open(killed) as store:
        assert store.gap == ""  # told once


def test_a_deleted_shm_is_rebuilt(killed):
    killed.catalogue.with_name("catalogue.db-shm").unlink()
    with Store.open(killed) as store:
        assert settings.get(store, "threads") == 7


@pytest.mark.parametrize("change", ["wrong key", "newer schema"])
def test_a_refused_file_keeps_its_unfinished_wal(killed, change, monkeypatch):
    from app.store import catalogue
    from app.store.key import CatalogueKey

    before = (killed.catalogue.read_bytes(), wal(killed.catalogue).read_bytes())
    key = CatalogueKey(b"\1" * 32, "file") if change == "wrong key" else None
    if key is None:
        monkeypatch.setattr(catalogue, "SCHEMA", catalogue.SCHEMA - 1)
    with pytest.raises(StoreError) as caught:
        Store.open(killed, key=key)
    assert caught.value.code == ("store.wrong_key" if key else "store.newer_schema")
    assert (killed.catalogue.read_bytes(), wal(killed.catalogue).read_bytes()) == before


def test_an_orderly_end_without_close_reports_no_gap(profile):
    code = "from app.store import Store, settings\ns = Store.open()\nsettings.put(s, 'threads', 9)\n"
    subprocess.run([sys.executable, "-c", code], cwd=project_dir(), timeout=60, check=True)
    with Store.open(profile) as store:
        assert (settings.get(store, "threads"), store.gap) == (9, "")


def test_a_catalogue_that_is_gone_is_not_replaced_by_an_empty_one(filled):
    filled.catalogue.unlink()
    with pytest.raises(StoreError) as caught:
        Store.open(filled)
    assert caught.value.code == "store.missing"
    assert not filled.catalogue.exists()
    shutil.rmtree(filled.backups)
    Store.open(filled).close()  # nothing is left that would miss it
