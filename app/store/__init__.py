"""The one store: an encrypted SQLite catalogue and one encrypted database for each dataset.

Everything that processes tell each other goes through here; see connection.py, catalogue.py and datasets.py.
"""

from app.store.connection import Store
from app.store.profile import Profile

__all__ = ["Profile", "Store"]
