"""Where the catalogue's key is kept: the system keyring, a passphrase, or (headless) a file that only its owner reads.

``profile.json`` says which, so that a locked keyring is never silently replaced by a weaker place.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app.errors import Place, StoreError
from app.store.faults import wrong_key
from app.store.profile import Profile

KEY_BYTES = 32
SERVICE = "NeuroWeaver"
Storage = Literal["keyring", "passphrase", "file"]


@dataclass(frozen=True, slots=True)
class CatalogueKey:
    """A raw 256-bit key and where it is kept.  ``repr`` never shows the key."""

    raw: bytes
    storage: Storage

    def __repr__(self) -> str:
        return f"CatalogueKey(storage={self.storage!r})"

    @property
    def hex(self) -> str:
        return self.raw.hex()


def obtain_key(profile: Profile, passphrase: str | None = None) -> CatalogueKey:
    """The key of this profile; made and kept on first use.

    passphrase: else NEUROWEAVER_PASSPHRASE.  Raises StoreError when the recorded place does not give the key.
    """
    passphrase = passphrase or os.environ.get("NEUROWEAVER_PASSPHRASE") or None
    record = _read_record(profile)
    if record is None:
        return _first_key(profile, passphrase)
    storage = record.get("key_storage")
    if storage == "passphrase":
        key = _from_passphrase(profile, record, passphrase)
    elif storage == "keyring":
        key = _from_keyring(profile, record)
    else:
        key = _from_file(profile)
    _compare(profile, record, key)
    return key


def check_key(profile: Profile, key: CatalogueKey) -> None:
    """Raises StoreError store.wrong_key if a key is not this profile's."""
    _compare(profile, _read_record(profile) or {}, key)


def _compare(profile: Profile, record: dict[str, Any], key: CatalogueKey) -> None:
    if record.get("key_check", _check(key.raw)) != _check(key.raw):
        raise wrong_key(profile.catalogue)


def _check(raw: bytes) -> str:
    """Tells a wrong key from a damaged database.  Eight bytes of a keyed hash say nothing of a 256-bit key."""
    return hashlib.blake2b(b"key check", key=raw, digest_size=8).hexdigest()


def _record_path(profile: Profile) -> Path:
    return profile.home / "profile.json"


def _key_path(profile: Profile) -> Path:
    return profile.home / "catalogue.key"


def _read_record(profile: Profile) -> dict[str, Any] | None:
    try:
        record = json.loads(_record_path(profile).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        raise StoreError("store.profile_damaged", "The profile's description cannot be read.",
                         where=Place.of(_record_path(profile)), why=f"{problem}.",
                         remedy="Restore profile.json from a backup. The data itself is untouched.") from problem
    return record if isinstance(record, dict) else {}


def _write_private(path: Path, text: str) -> None:
    """Write a file for its owner alone, whole or not at all."""
    beside = path.with_name(f".{path.name}.new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)


def _first_key(profile: Profile, passphrase: str | None) -> CatalogueKey:
    if profile.catalogue.exists():
        raise StoreError("store.key_missing", "The database is here, but nothing says where its key is kept.",
                         where=Place.of(_record_path(profile)), why="profile.json is missing.",
                         remedy="Restore profile.json from a backup. The database is untouched.")
    profile.create()
    record: dict[str, Any] = {"schema": 1, "id": secrets.token_hex(8)}
    if passphrase:
        record |= {"key_storage": "passphrase", "salt": secrets.token_hex(16)}
        key = _from_passphrase(profile, record, passphrase)
    else:
        raw = secrets.token_bytes(KEY_BYTES)
        kept = _put_in_keyring(profile, record["id"], raw)
        if not kept:
            _write_private(_key_path(profile), raw.hex())
        record["key_storage"] = "keyring" if kept else "file"
        key = CatalogueKey(raw, "keyring" if kept else "file")
    record["key_check"] = _check(key.raw)
    _write_private(_record_path(profile), json.dumps(record, indent=1))
    return key


def _keyring() -> Any:
    """The system's keyring backend, or None where there is none that is safe."""
    if os.environ.get("NEUROWEAVER_KEYRING", "").lower() == "off":
        return None
    import keyring
    from keyring.backends import chainer, fail, null

    backend = keyring.get_keyring()
    unusable = (fail.Keyring, null.Keyring)
    if isinstance(backend, unusable) or (isinstance(backend, chainer.ChainerBackend) and not backend.backends):
        return None
    return backend


def _put_in_keyring(profile: Profile, identity: str, raw: bytes) -> bool:
    """Whether the system keyring now holds the key.  False where there is no keyring at all.

    Raises StoreError store.keyring_locked where there is one that refuses: a key never goes to a weaker place unasked.
    """
    backend = _keyring()
    if backend is None:
        return False
    try:
        backend.set_password(SERVICE, identity, raw.hex())
        if backend.get_password(SERVICE, identity) == raw.hex():
            return True
        why = "It did not keep the key."
    except Exception as problem:  # every backend raises its own kinds
        why = f"{problem}." if str(problem) else f"{type(problem).__name__}."
    raise StoreError("store.keyring_locked", "The system keyring did not take the key; nothing was made.",
                     where=Place.of(profile.home), why=why,
                     remedy="Unlock the keyring and start again. Or set NEUROWEAVER_PASSPHRASE, or NEUROWEAVER_KEYRING=off to keep "
                            "the key in a file that only you can read.")


def _from_keyring(profile: Profile, record: dict[str, Any]) -> CatalogueKey:
    remedy = "Unlock or restore the system keyring and start again. The database is untouched."
    try:
        backend = _keyring()
        text = backend.get_password(SERVICE, record.get("id", "")) if backend else None
    except Exception as problem:  # every backend raises its own kinds
        raise StoreError("store.keyring_locked", "The system keyring did not give the key.",
                         where=Place.of(profile.catalogue), why=f"{problem}.", remedy=remedy) from problem
    if not text:
        raise StoreError("store.keyring_locked", "The system keyring holds no key for this profile.",
                         where=Place.of(profile.catalogue), why="It is locked, missing, or another user's.",
                         remedy=remedy)
    return CatalogueKey(bytes.fromhex(text), "keyring")


def _from_file(profile: Profile) -> CatalogueKey:
    path = _key_path(profile)
    try:
        raw = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as problem:
        raise StoreError("store.key_missing", "The key file cannot be read.", where=Place.of(path),
                         why=f"{problem}.",
                         remedy="Restore catalogue.key from a backup. The database is untouched.") from problem
    if len(raw) != KEY_BYTES:
        raise StoreError("store.key_missing", "The key file is damaged.", where=Place.of(path),
                         why=f"It holds {len(raw)} bytes; {KEY_BYTES} are needed.",
                         remedy="Restore catalogue.key from a backup. The database is untouched.")
    return CatalogueKey(raw, "file")


def _from_passphrase(profile: Profile, record: dict[str, Any], passphrase: str | None) -> CatalogueKey:
    if not passphrase:
        raise StoreError("store.passphrase_needed", "This profile opens with a passphrase.",
                         where=Place.of(profile.catalogue), why="None was given.",
                         remedy="Set NEUROWEAVER_PASSPHRASE, or type it when the window asks.")
    raw = hashlib.scrypt(passphrase.encode(), salt=bytes.fromhex(record["salt"]), n=2**15, r=8, p=1,
                         maxmem=64 * 2**20, dklen=KEY_BYTES)
    return CatalogueKey(raw, "passphrase")
