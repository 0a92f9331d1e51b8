"""The encrypted catalogue: failures told apart, and a refused file untouched to the last byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import StoreError
from app.store import Profile, Store, settings
from app.store.catalogue import SCHEMA
from app.store.key import CatalogueKey, obtain_key
from app.store.opening import peek


def made(profile: Profile) -> dict[Path, bytes]:
    """A profile with one row; the content of every file in it."""
    with Store.open(profile) as store:
        settings.put(store, "threads", 3)
    return contents(profile)


def contents(profile: Profile) -> dict[Path, bytes]:
    """All files, but for the empty ones that serve as locks."""
    return {file: file.read_bytes() for file in profile.home.rglob("*") if file.is_file() and file.suffix not in (".lock", ".users")}


def refused(profile: Profile, code: str, key: CatalogueKey | None = None) -> StoreError:
    with pytest.raises(StoreError) as caught:
        Store.open(profile, key=key)
    assert caught.value.code == code
    assert caught.value.remedy
    assert caught.value.where.file == str(profile.catalogue)
    return caught.value


def test_the_file_is_encrypted(profile):
    content = made(profile)[profile.catalogue]
    assert not content.startswith(b"SQLite format")
    assert b"threads" not in content


def test_what_was_written_is_there_again(profile):
    made(profile)
    with Store.open(profile) as store:
        assert settings.get(store, "threads") == 3


def test_a_wrong_key_leaves_every_file_untouched(profile):
    before = made(profile)
    refused(profile, "store.wrong_key", CatalogueKey(b"\x01" * 32, "file"))
    assert contents(profile) == before


def test_a_newer_schema_leaves_every_file_untouched(profile):
    made(profile)
    with Store.open(profile) as store:
        store.db.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    before = contents(profile)
    assert str(SCHEMA + 1) in refused(profile, "store.newer_schema").why
    assert contents(profile) == before


def test_a_damaged_file_leaves_every_file_untouched(profile):
    made(profile)
    profile.catalogue.write_bytes(b"\0" * 4096 + profile.catalogue.read_bytes()[4096:])
    before = contents(profile)
    refused(profile, "store.damaged")
    assert contents(profile) == before


def test_a_file_that_is_no_database_leaves_every_file_untouched(profile):
    made(profile)
    profile.catalogue.write_text("hello\n" * 1000)
    before = contents(profile)
    refused(profile, "store.damaged")
    assert contents(profile) == before


def test_looking_at_a_database_in_use_disturbs_nobody(profile):
    with Store.open(profile) as store:
        key = obtain_key(profile)
        settings.put(store, "threads", 1)
        for _ in range(20):
            assert peek(profile.catalogue, key.hex) == SCHEMA
        settings.put(store, "threads", 2)
        assert settings.get(store, "threads") == 2


def test_the_settings_that_durability_and_privacy_rest_on(store):
    def pragma(name: str) -> object:
        return store.db.execute(f"PRAGMA {name}").fetchone()[0]

    assert (pragma("journal_mode"), pragma("synchronous"), pragma("foreign_keys")) == ("wal", 1, 1)
    assert pragma("secure_delete") == 1
    assert pragma("busy_timeout") == 10_000
    version = tuple(int(part) for part in store.db.execute("SELECT sqlite_version()").fetchone()[0].split("."))
    assert version >= (3, 51, 3)  # earlier ones can corrupt a database when the -wal is reset


def test_the_schema_number_is_the_number_of_migrations():
    from app.store.catalogue import migrations

    assert len(migrations._migrations) == SCHEMA
