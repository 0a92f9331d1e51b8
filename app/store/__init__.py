"""The one store: an encrypted SQLite catalogue and one encrypted database for each dataset.

Everything that processes tell each other goes through here; see connection.py, catalogue.py and datasets.py.
``Store`` is imported on first use, so that the window can find its profile before it pays for the database driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.store.profile import Profile

if TYPE_CHECKING:
    from app.store.connection import Store

__all__ = ["Profile", "Store"]


def __getattr__(name: str) -> Any:
    if name == "Store":
        from app.store.connection import Store

        return Store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
