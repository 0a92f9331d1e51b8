"""Transactions, threads, refused files, and failures in words."""

from __future__ import annotations

import threading
import time

import pytest

from app.errors import StoreError
from app.store import Store, connection, settings
from app.store.backup import backup, backup_if_older, backups, restore
from app.store.key import obtain_key
from app.store.opening import wal


def test_each_thread_has_its_own_connection_and_ended_threads_leave_none(store):
    seen = []
    for _ in range(20):
        thread = threading.Thread(target=lambda: seen.append(store.db))
        thread.start()
        thread.join()
    assert len({id(database) for database in seen}) == 20
    assert store.db not in seen
    assert len(store._all._opened) <= 2  # this thread's, and the last one's


def test_threads_that_write_at_once_lose_nothing(store):
    def write(name: str) -> None:
        for number in range(20):
            with store.write() as db:
                db.execute("INSERT INTO settings VALUES (?, '1', 0)", (f"{name}{number}",))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.row("SELECT count(*) AS n FROM settings")["n"] == 80


def test_nested_writes_are_one_transaction(store):
    with pytest.raises(RuntimeError), store.write() as outer:
        outer.execute("INSERT INTO settings VALUES ('outer', '1', 0)")
        with store.write() as inner:
            inner.execute("INSERT INTO settings VALUES ('inner', '1', 0)")
        raise RuntimeError
    assert store.rows("SELECT * FROM settings") == []


def test_a_database_that_stays_locked_is_told(profile, monkeypatch):
    monkeypatch.setattr(connection, "BUSY_MS", 50)
    with Store.open(profile) as first, Store.open(profile) as second, first.write() as db:
        db.execute("INSERT INTO settings VALUES ('a', '1', 0)")
        with pytest.raises(StoreError) as caught:
            settings.put(second, "threads", 1)
        assert caught.value.code == "store.busy"


def test_a_mistake_in_a_statement_is_no_store_error(store):
    with pytest.raises(Exception, match="no such table") as caught:
        store.rows("SELECT * FROM nowhere")
    assert not isinstance(caught.value, StoreError)


def test_a_store_can_be_closed_twice_and_used_again(profile):
    store = Store.open(profile)
    settings.put(store, "threads", 1)
    store.close()
    store.close()
    assert not wal(profile.catalogue).exists()
    assert settings.get(store, "threads") == 1
    store.close()


def test_a_forgotten_store_closes_its_files(profile):
    store = Store.open(profile)
    settings.put(store, "threads", 1)
    assert wal(profile.catalogue).exists()
    del store
    import gc

    gc.collect()
    assert not wal(profile.catalogue).exists()
    assert not (profile.home / "catalogue.open").exists()


# ---- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", sorted(settings.DEFAULTS))
def test_every_default_is_a_value_that_can_be_kept(store, key):
    settings.put(store, key, settings.DEFAULTS[key])
    assert settings.get(store, key) == settings.DEFAULTS[key]


@pytest.mark.parametrize(
    ("key", "value"),
    [("hardware_life_hours", 0), ("tariff_per_kwh", -1), ("tariff_per_kwh", "0.3"), ("tariff_per_kwh", float("nan")),
     ("threads", 2.5), ("threads", True), ("endpoint.port", 70_000), ("theme", "pink"), ("offline", 1), ("currency", 3)],
)
def test_a_value_that_a_setting_cannot_have_is_refused(store, key, value):
    with pytest.raises(Exception, match=key.replace(".", r"\.")) as caught:
        settings.put(store, key, value)
    assert caught.value.code == "settings.value"
    assert settings.get(store, key) == settings.DEFAULTS[key]


def test_a_setting_that_does_not_exist_is_told(store):
    for ask in (lambda: settings.get(store, "colour"), lambda: settings.put(store, "colour", 1)):
        with pytest.raises(Exception, match="colour") as caught:
            ask()
        assert caught.value.code == "settings.unknown"


# ---- backups -------------------------------------------------------------------------------------------------------


def test_a_backup_made_while_others_write_is_whole(profile):
    with Store.open(profile) as store:
        with store.write() as db:
            db.conn.executemany("INSERT INTO settings VALUES (?, ?, 0)", ((f"k{n}", "x" * 4000) for n in range(500)))
        stop = threading.Event()

        def write() -> None:
            while not stop.wait(0.001):
                settings.put(store, "threads", 1)

        thread = threading.Thread(target=write)
        thread.start()
        copy = backup(store)
        stop.set()
        thread.join()
    restore(profile, obtain_key(profile), copy)
    with Store.open(profile) as store:
        assert store.row("SELECT count(*) AS n FROM settings WHERE key LIKE 'k%'")["n"] == 500


def test_seven_backups_are_kept_and_a_copy_is_encrypted(store):
    made = [backup(store) for _ in range(9)]
    assert backups(store.profile) == made[:1:-1]
    assert not made[-1].read_bytes().startswith(b"SQLite format")
    assert [file.name for file in store.profile.backups.iterdir() if file.name.startswith(".")] == []


def test_a_young_backup_is_enough(store):
    first = backup_if_older(store, 3600)
    assert first is not None
    assert backup_if_older(store, 3600) is None
    time.sleep(0.01)
    assert backup_if_older(store, 0.001) is not None


def test_nothing_is_restored_under_a_running_process(profile):
    with Store.open(profile) as store:
        backup(store)
        with pytest.raises(StoreError) as caught:
            restore(profile, store.key)
        assert caught.value.code == "store.in_use"


def test_a_damaged_backup_is_not_restored(profile):
    with Store.open(profile) as store:
        copy = backup(store)
    before = profile.catalogue.read_bytes()
    copy.write_bytes(b"\0" * 5000)
    with pytest.raises(StoreError):
        restore(profile, obtain_key(profile))
    assert profile.catalogue.read_bytes() == before


def test_restoring_without_a_backup_is_told(profile):
    Store.open(profile).close()
    with pytest.raises(Exception, match="no backup") as caught:
        restore(profile, obtain_key(profile))
    assert caught.value.code == "store.no_backup"
