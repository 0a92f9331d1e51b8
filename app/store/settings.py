"""User settings: one JSON value a key, each with a stated default."""

from __future__ import annotations

import time
from typing import Any

import orjson

from app.errors import Place, UsageError
from app.store.connection import Store

DEFAULTS: dict[str, Any] = {
    "theme": "system",  # system, light, dark, contrast
    "shortcuts": {},  # action: keys, where they are not the default; see ui/shortcuts.py
    "notify": True,  # say so when long work ends
    "tour_seen": False,
    "threads": 0,  # 0: all physical cores
    "tariff_per_kwh": 0.31,  # money for one kWh
    "currency": "EUR",
    "budget_per_month": 0.0,  # money; 0: none
    "hardware_price": 1500.0,
    "hardware_life_hours": 20_000.0,
    "cpu_watts_idle": 10.0,  # used where no sensor can be read
    "cpu_watts_full": 45.0,
    "endpoint.port": 8420,
    "endpoint.enabled": True,
    "keep_serving_after_close": False,
    "offline": True,
    "window.geometry": "",
    "window.page": "home",
    "window.splits": {},  # sizes of movable parts, by name
    "engine.idle_seconds": 900,
}


_RANGES: dict[str, tuple[float, float]] = {
    "threads": (0, 1024),
    "tariff_per_kwh": (0, 1000),
    "budget_per_month": (0, 1e9),
    "hardware_price": (0, 1e9),
    "hardware_life_hours": (1, 1e6),
    "cpu_watts_idle": (0, 10_000),
    "cpu_watts_full": (0, 10_000),
    "endpoint.port": (0, 65_535),
    "engine.idle_seconds": (0, 10_000_000),
}
_CHOICES = {"theme": ("system", "light", "dark", "contrast")}


def get(store: Store, key: str) -> Any:
    """The value of a setting, or its default.  Raises UsageError for a key that does not exist."""
    _known(key)
    found = store.row("SELECT value FROM settings WHERE key = ?", (key,))
    return DEFAULTS[key] if found is None else orjson.loads(found["value"])


def put(store: Store, key: str, value: Any) -> None:
    """Keep a setting.  Raises UsageError for a key that does not exist or a value it cannot have."""
    _check(key, value)
    store.db.execute(
        "INSERT INTO settings (key, value, updated) VALUES (?, ?, ?) "
        "ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated = excluded.updated",
        (key, orjson.dumps(value).decode(), time.time()))


def _known(key: str) -> None:
    if key not in DEFAULTS:
        raise UsageError("settings.unknown", f"There is no setting {key!r}.", remedy=f"One of: {', '.join(DEFAULTS)}.")


def _check(key: str, value: Any) -> None:
    _known(key)
    default = DEFAULTS[key]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = number if isinstance(default, float) else type(value) is type(default)
    low, high = _RANGES.get(key, (float("-inf"), float("inf")))
    if fits and number:
        fits = low <= value <= high  # false for NaN
    if not fits or value not in _CHOICES.get(key, (value,)):
        bounds = f"from {low:g} to {high:g}" if key in _RANGES else " or ".join(_CHOICES.get(key, ())) or type(default).__name__
        raise UsageError("settings.value", f"The setting {key!r} cannot be {value!r}.", where=Place(field=key),
                         remedy=f"Give it a value {bounds}.")
