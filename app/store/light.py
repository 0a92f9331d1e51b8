"""Import sqlite-utils without pandas and numpy.

sqlite-utils imports both when they are installed, only to accept their scalars as values, which nothing here passes
it.  That costs every process about 3 s and 140 MB (measured), which neither the window nor the command line can pay.
"""

from __future__ import annotations

import importlib
import sys

_NOT_NEEDED = ("pandas", "numpy")


def import_sqlite_utils() -> None:
    """Import sqlite_utils with the optional packages hidden; those already imported stay as they are."""
    if "sqlite_utils" in sys.modules:
        return
    hidden = [name for name in _NOT_NEEDED if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # the documented way to make an import fail
    try:
        importlib.import_module("sqlite_utils")
    finally:
        for name in hidden:
            del sys.modules[name]
