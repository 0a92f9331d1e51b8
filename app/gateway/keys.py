"""The endpoint's keys: one is made at the first start; a renewed one ends the old at once."""

from __future__ import annotations

import secrets
import time

from app.store import Store


def ensure(store: Store) -> str:
    """The key in force, made if there is none."""
    row = store.row("SELECT key FROM api_keys WHERE revoked IS NULL ORDER BY created DESC LIMIT 1")
    return str(row["key"]) if row else _make(store, "first")


def renew(store: Store) -> str:
    """A new key; every older one is refused from now on."""
    with store.write() as db:
        db.execute("UPDATE api_keys SET revoked = ? WHERE revoked IS NULL", (time.time(),))
        return _make(store, "renewed")


def _make(store: Store, name: str) -> str:
    key = "nw-" + secrets.token_urlsafe(32)
    store.db.execute(
        "INSERT INTO api_keys (id, name, key, created) VALUES (?, ?, ?, ?)",
        ("key_" + secrets.token_hex(4), name, key, time.time()),
    )
    return key
