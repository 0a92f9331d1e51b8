"""sqlite-utils without pandas and numpy.

sqlite-utils imports both when they are installed, only to accept their scalars as values, which nothing here passes
it.  That costs every process about 3 s and 140 MB (measured), which neither the window nor the command line can pay.
Import ``Database`` and ``Migrations`` from here.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

_NOT_NEEDED = ("pandas", "numpy")


@contextlib.contextmanager
def _hidden() -> Iterator[None]:
    """Make these packages fail to import for a moment; those already imported stay as they are."""
    names = [name for name in _NOT_NEEDED if name not in sys.modules]
    for name in names:
        sys.modules[name] = None  # type: ignore[assignment]  # the documented way to make an import fail
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


with _hidden():
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

__all__ = ["Database", "Migrations"]
