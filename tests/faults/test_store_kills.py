"""SIGKILL at any moment: in a commit, in step k of a migration, in a backup (fault matrix 1, 2, 3)."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from app.store import Profile, Store, catalogue, settings
from app.store.backup import backup, backups, restore
from app.store.integrity import check_catalogue
from app.store.key import obtain_key
from app.store.light import Migrations
from app.store.opening import peek
from tests.faults.kill_store import campaign, processes

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
FIRST = catalogue.SCHEMA


def test_a_hundred_kills_lose_no_acknowledged_row(profile):
    outcome = campaign(profile.home, 100)
    assert (outcome.missing, outcome.problems) == ([], [])
    assert outcome.acknowledged > 200


# ---- migrations --------------------------------------------------------------------------------------------------


def newer_version(die_at: str = "") -> None:
    """Teach this process two more migrations; SIGKILL at a named moment."""

    def moment(name: str) -> None:
        if name == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def second(db) -> None:
        moment("before the first step")
        db.execute("CREATE TABLE extra (id INTEGER PRIMARY KEY, text TEXT)")
        moment("inside the first step")
        db.execute("INSERT INTO extra (text) SELECT key FROM settings")
        db.execute(f"PRAGMA user_version = {FIRST + 1}")

    def third(db) -> None:
        moment("between the steps")
        db.execute("ALTER TABLE extra ADD COLUMN more TEXT")
        db.execute("UPDATE extra SET more = 'filled'")
        moment("inside the last step")
        db.execute(f"PRAGMA user_version = {FIRST + 2}")

    more = Migrations("catalogue")
    for one in catalogue.migrations._migrations:
        more(name=one.name)(one.fn)
    more(name="m_second")(second)
    more(name="m_third")(third)
    catalogue.migrations, catalogue.SCHEMA = more, FIRST + 2


def migrate_and_die(home: str, die_at: str) -> None:
    newer_version(die_at)
    Store.open(Profile(Path(home))).close()


MOMENTS = ["before the first step", "inside the first step", "between the steps", "inside the last step"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_migration_leaves_the_old_schema_and_the_next_start_finishes_it(profile, moment, monkeypatch):
    with Store.open(profile) as store:
        settings.put(store, "threads", 5)
    child = processes().Process(target=migrate_and_die, args=(str(profile.home), moment))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert peek(profile.catalogue, obtain_key(profile).hex) == FIRST
    with Store.open(profile) as store:  # the old version still opens it
        assert settings.get(store, "threads") == 5
        assert store.db.execute("SELECT name FROM sqlite_master WHERE name = 'extra'").fetchone() is None
        assert store.gap == ""
    monkeypatch.setattr(catalogue, "migrations", catalogue.migrations)
    monkeypatch.setattr(catalogue, "SCHEMA", catalogue.SCHEMA)
    newer_version()
    with Store.open(profile) as store:
        assert store.rows("SELECT text, more FROM extra") == [{"text": "threads", "more": "filled"}]
        assert store.db.execute("PRAGMA user_version").fetchone()[0] == FIRST + 2
        assert check_catalogue(store) == []


def test_a_file_with_data_is_backed_up_before_it_is_migrated(profile, monkeypatch):
    with Store.open(profile) as store:
        settings.put(store, "threads", 5)
    assert backups(profile) == []
    monkeypatch.setattr(catalogue, "migrations", catalogue.migrations)
    monkeypatch.setattr(catalogue, "SCHEMA", catalogue.SCHEMA)
    newer_version()
    Store.open(profile).close()
    (copy,) = backups(profile)
    assert peek(copy, obtain_key(profile).hex) == FIRST


def open_at_once(home: str, start) -> None:
    start.wait(30)
    with Store.open(Profile(Path(home))) as store:
        store.db.execute("INSERT INTO commands (kind, payload, created) VALUES ('t', '', 0)")


def test_eight_processes_that_start_at_once_make_one_profile(profile):
    context = processes()
    start = context.Barrier(8)
    children = [context.Process(target=open_at_once, args=(str(profile.home), start)) for _ in range(8)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 8
    with Store.open(profile) as store:
        assert store.row("SELECT count(*) AS n FROM commands")["n"] == 8


# ---- backup ------------------------------------------------------------------------------------------------------


def back_up_for_ever(home: str, ready) -> None:
    with Store.open(Profile(Path(home))) as store:
        while True:
            ready.set()
            backup(store)


def test_a_killed_backup_leaves_the_earlier_ones_usable(profile):
    with Store.open(profile) as store:
        store.db.conn.executemany("INSERT INTO settings VALUES (?, ?, 0)", ((f"k{n}", "x" * 4000) for n in range(1000)))
        first = backup(store)
    chance, context = random.Random(0), processes()
    for _ in range(8):
        ready = context.Event()
        child = context.Process(target=back_up_for_ever, args=(str(profile.home), ready))
        child.start()
        assert ready.wait(30)
        time.sleep(chance.random() * 0.08)
        child.kill()
        child.join()
        assert backups(profile)
    key = obtain_key(profile)
    for copy in backups(profile):
        assert peek(copy, key.hex) == FIRST
    assert first.exists() or len(backups(profile)) == 7
    profile.catalogue.write_bytes(b"")
    aside = restore(profile, key)
    assert aside.read_bytes() == b""
    with Store.open(profile) as store:
        assert store.row("SELECT count(*) AS n FROM settings")["n"] == 1000
        assert check_catalogue(store) == []
