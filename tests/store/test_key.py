"""Keys: keyring, passphrase, file; never a weaker place unasked, never a file changed by a wrong key."""

from __future__ import annotations

import json
import os
import stat

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from app.errors import StoreError
from app.store import Profile, Store, settings
from app.store.key import CatalogueKey, obtain_key


class FakeKeyring(KeyringBackend):
    """A keyring that can be locked."""

    priority = 5

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False
        self.forgetful = False

    def _check(self) -> None:
        if self.locked:
            raise KeyringLocked("Failed to unlock the collection!")

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        if not self.forgetful:
            self.kept[service, username] = password


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> FakeKeyring:
    fake = FakeKeyring()
    monkeypatch.delenv("NEUROWEAVER_KEYRING")
    monkeypatch.setattr(keyring, "get_keyring", lambda: fake)
    return fake


def refused(profile: Profile, code: str, key: CatalogueKey | None = None) -> StoreError:
    with pytest.raises(StoreError) as caught:
        Store.open(profile, key=key)
    assert caught.value.code == code
    assert caught.value.remedy
    return caught.value


def test_the_keyring_holds_the_key_and_no_file_does(profile, ring):
    with Store.open(profile) as store:
        assert store.key.storage == "keyring"
    assert list(ring.kept.values()) == [store.key.hex]
    assert not (profile.home / "catalogue.key").exists()
    assert store.key.hex not in (profile.home / "profile.json").read_text()
    Store.open(profile).close()


def test_a_locked_keyring_asks_and_changes_nothing(profile, ring):
    Store.open(profile).close()
    before = {file: file.read_bytes() for file in profile.home.iterdir() if file.is_file()}
    ring.locked = True
    assert "unlock" in refused(profile, "store.keyring_locked").remedy.lower()
    assert {file: file.read_bytes() for file in profile.home.iterdir() if file.is_file()} == before
    ring.locked = False
    Store.open(profile).close()


@pytest.mark.parametrize("fault", ["locked", "forgetful"])
def test_a_keyring_that_refuses_at_first_start_is_not_replaced_by_a_file(profile, ring, fault):
    setattr(ring, fault, True)
    refused(profile, "store.keyring_locked")
    assert not (profile.home / "catalogue.key").exists()
    assert not profile.catalogue.exists()
    setattr(ring, fault, False)
    Store.open(profile).close()


def test_a_keyring_that_lost_the_key_is_told(profile, ring):
    Store.open(profile).close()
    ring.kept.clear()
    refused(profile, "store.keyring_locked")


def test_without_a_keyring_the_key_lies_in_a_private_file(profile):
    with Store.open(profile) as store:
        assert store.key.storage == "file"
    assert stat.S_IMODE((profile.home / "catalogue.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(profile.home.stat().st_mode) == 0o700
    assert store.key.hex not in repr(store.key) + str(store.key)


def test_a_passphrase_opens_and_only_it(profile, monkeypatch):
    monkeypatch.setenv("NEUROWEAVER_PASSPHRASE", "correct horse")
    with Store.open(profile) as store:
        settings.put(store, "threads", 3)
    before = profile.catalogue.read_bytes()
    assert not (profile.home / "catalogue.key").exists()
    monkeypatch.setenv("NEUROWEAVER_PASSPHRASE", "wrong horse")
    refused(profile, "store.wrong_key")
    monkeypatch.delenv("NEUROWEAVER_PASSPHRASE")
    refused(profile, "store.passphrase_needed")
    assert profile.catalogue.read_bytes() == before
    monkeypatch.setenv("NEUROWEAVER_PASSPHRASE", "correct horse")
    with Store.open(profile) as store:
        assert settings.get(store, "threads") == 3


@pytest.mark.parametrize("content", ["", "zz", "ab" * 31, None], ids=["empty", "not hexadecimal", "too short", "gone"])
def test_a_key_file_that_cannot_be_used_is_told(profile, content):
    Store.open(profile).close()
    path = profile.home / "catalogue.key"
    path.unlink()
    if content is not None:
        path.write_text(content)
    refused(profile, "store.key_missing")


def test_another_key_file_is_a_wrong_key_not_damage(profile):
    Store.open(profile).close()
    before = profile.catalogue.read_bytes()
    (profile.home / "catalogue.key").write_text("ab" * 32)
    refused(profile, "store.wrong_key")
    assert profile.catalogue.read_bytes() == before


@pytest.mark.parametrize("text", ["{", "", "\0"], ids=["cut", "empty", "NUL"])
def test_a_damaged_profile_description_is_told(profile, text):
    Store.open(profile).close()
    (profile.home / "profile.json").write_text(text)
    refused(profile, "store.profile_damaged")


def test_a_database_without_its_description_is_never_given_a_new_key(profile):
    Store.open(profile).close()
    (profile.home / "profile.json").unlink()
    refused(profile, "store.key_missing")


def test_the_description_holds_no_key(profile, monkeypatch):
    monkeypatch.setenv("NEUROWEAVER_PASSPHRASE", "correct horse")
    key = obtain_key(profile)
    record = json.loads((profile.home / "profile.json").read_text())
    assert set(record) == {"schema", "id", "key_storage", "salt", "key_check"}
    assert key.hex not in json.dumps(record)
    assert "horse" not in json.dumps(record)
    assert len(record["key_check"]) == 16
    assert os.environ["NEUROWEAVER_PASSPHRASE"] == "correct horse"
