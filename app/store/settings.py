"""User settings: one JSON value a key, each with a stated default."""

from __future__ import annotations

import time
from typing import Any

import orjson

from app.errors import UsageError
from app.store.connection import Store

DEFAULTS: dict[str, Any] = {
    "theme": "system",  # system, light, dark
    "threads": 0,  # 0: all physical cores
    "tariff_per_kwh": 0.31,  # money for one kWh
    "currency": "EUR",
    "hardware_price": 1500.0,
    "hardware_life_hours": 20_000.0,
    "cpu_watts_idle": 10.0,  # used where no sensor can be read
    "cpu_watts_full": 45.0,
    "endpoint.port": 8420,
    "endpoint.enabled": True,
    "keep_serving_after_close": False,
    "offline": True,
    "window.geometry": "",
    "engine.idle_seconds": 900,
}


def get(store: Store, key: str) -> Any:
    """The value of a setting, or its default.  Raises UsageError for a key that does not exist."""
    if key not in DEFAULTS:
        raise UsageError("settings.unknown", f"There is no setting {key!r}.", remedy=f"One of: {', '.join(DEFAULTS)}.")
    found = store.row("SELECT value FROM settings WHERE key = ?", (key,))
    return DEFAULTS[key] if found is None else orjson.loads(found["value"])


def put(store: Store, key: str, value: Any) -> None:
    """Keep a setting."""
    get(store, key)
    store.db.execute(
        "INSERT INTO settings (key, value, updated) VALUES (?, ?, ?) "
        "ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated = excluded.updated",
        (key, orjson.dumps(value).decode(), time.time()))
