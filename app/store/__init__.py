"""The one store: an encrypted SQLite catalogue and one encrypted database for each dataset.

Everything that processes tell each other goes through here; see connection.py, catalogue.py and datasets.py.
"""

from app.store.light import import_sqlite_utils

import_sqlite_utils()  # before anything else imports it with pandas

from app.store.connection import Store  # noqa: E402
from app.store.profile import Profile  # noqa: E402

__all__ = ["Profile", "Store"]
