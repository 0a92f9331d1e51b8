"""The encrypted catalogue: three distinct failures, the file untouched, and nothing acknowledged is lost."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import StoreError
from app.store import Profile, Store, settings
from app.store.catalogue import SCHEMA
from app.store.key import CatalogueKey, obtain_key
from app.store.profile import project_dir
from app.store.series import SeriesWriter
from app.store.watcher import Watcher


def made(profile: Profile) -> bytes:
    """A profile with one row; returns the file's content."""
    with Store.open(profile) as store:
        settings.put(store, "threads", 3)
        store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return profile.catalogue.read_bytes()


def refused(profile: Profile, code: str, key: CatalogueKey | None = None) -> StoreError:
    with pytest.raises(StoreError) as caught:
        Store.open(profile, key=key)
    assert caught.value.code == code
    assert caught.value.remedy
    return caught.value


def test_the_file_is_encrypted_and_its_key_private(profile: Profile) -> None:
    content = made(profile)
    assert b"SQLite format" not in content
    assert b"threads" not in content
    assert stat.S_IMODE((profile.home / "catalogue.key").stat().st_mode) == 0o600
    assert "key" not in repr(obtain_key(profile)).replace("Key(", "")


def test_a_wrong_key_leaves_the_file_untouched(profile: Profile) -> None:
    before = made(profile)
    refused(profile, "store.wrong_key", CatalogueKey(b"\x01" * 32, "file"))
    assert profile.catalogue.read_bytes() == before


def test_a_newer_schema_is_refused_and_left_alone(profile: Profile) -> None:
    made(profile)
    with Store.open(profile) as store:
        store.db.execute(f"PRAGMA user_version = {SCHEMA + 1}")
        store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = profile.catalogue.read_bytes()
    assert str(SCHEMA + 1) in refused(profile, "store.newer_schema").why
    assert profile.catalogue.read_bytes() == before


def test_a_missing_key_file_is_its_own_failure(profile: Profile) -> None:
    made(profile)
    (profile.home / "catalogue.key").unlink()
    refused(profile, "store.key_missing")


def test_a_passphrase_opens_and_only_it(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROWEAVER_PASSPHRASE", "correct horse")
    made(profile)
    assert not (profile.home / "catalogue.key").exists()
    monkeypatch.setenv("NEUROWEAVER_PASSPHRASE", "wrong horse")
    refused(profile, "store.wrong_key")
    monkeypatch.delenv("NEUROWEAVER_PASSPHRASE")
    refused(profile, "store.passphrase_needed")


def test_a_locked_keyring_is_not_replaced_by_a_file(profile: Profile) -> None:
    made(profile)
    (profile.home / "profile.json").write_text('{"schema": 1, "id": "x", "key_storage": "keyring"}')
    refused(profile, "store.keyring_locked")


def test_a_deleted_shm_is_rebuilt(profile: Profile) -> None:
    made(profile)
    for file in profile.home.glob("catalogue.db-shm"):
        file.unlink()
    with Store.open(profile) as store:
        assert settings.get(store, "threads") == 3


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_profile_says_so(profile: Profile) -> None:
    profile.home.mkdir(parents=True)
    profile.home.chmod(0o500)
    refused(profile, "store.profile_unwritable")


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.write() as db:
        db.execute("INSERT INTO settings VALUES ('x', '1', 0)")
        raise RuntimeError
    assert store.row("SELECT * FROM settings WHERE key = 'x'") is None


def test_the_watcher_names_what_another_connection_changed(profile: Profile) -> None:
    with Store.open(profile) as mine, Store.open(profile) as theirs:
        watcher = Watcher(mine)
        assert watcher.poll() == set()
        settings.put(theirs, "threads", 1)
        assert watcher.poll() == {"settings"}
        assert watcher.poll() == set()


def test_series_are_written_in_order_and_nonsense_is_left_out(store: Store) -> None:
    with SeriesWriter(store, "run", "step") as series:
        for number in range(5):
            series.metric("loss", number, x=number)
        series.metric("loss", float("nan"))
    assert [row["value"] for row in store.rows("SELECT value FROM metrics ORDER BY id")] == [0, 1, 2, 3, 4]


WRITER = """
import sys
from app.store import Store
store = Store.open()
number = int(sys.argv[1])
while True:
    store.db.execute("INSERT INTO commands (kind, payload, created) VALUES ('test', ?, 0)", (str(number),))
    print(number, flush=True)
    number += 1
"""


def test_a_hundred_kills_lose_no_acknowledged_row(profile: Profile) -> None:
    with Store.open(profile) as store:
        store.db.execute("DELETE FROM commands")
    acknowledged: set[int] = set()
    for kill in range(100):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(kill * 1_000_000)], cwd=project_dir(), stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(1 + kill % 7):
            acknowledged.add(int(process.stdout.readline()))
        os.kill(process.pid, signal.SIGKILL)
        acknowledged.update(int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith(b"\n"))
        process.wait()
        process.stdout.close()
    with Store.open(profile) as store:
        found = {int(row["payload"]) for row in store.rows("SELECT payload FROM commands")}
        assert store.db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert store.db.execute("PRAGMA cipher_integrity_check").fetchall() == []
    assert len(acknowledged) >= 100
    assert acknowledged <= found


def test_flipped_bytes_are_found(profile: Profile) -> None:
    made(profile)
    path = Path(profile.catalogue)
    content = bytearray(path.read_bytes())
    content[-2000:-1990] = bytes(10)
    path.write_bytes(content)
    refused(profile, "store.damaged")
    assert path.read_bytes() == bytes(content)
