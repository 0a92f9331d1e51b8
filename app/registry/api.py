"""What the window, the command line and HTTP call."""

from __future__ import annotations

from pathlib import Path

from app.registry.versions import find_version, list_models, promote, roll_back, serve, serve_base, withdraw
from app.store import Store

__all__ = ["deploy", "find_version", "import_model", "list_models", "promote", "roll_back", "serve", "serve_base", "withdraw"]


def deploy(store: Store, model: str, *, alias: str | None = None) -> str:
    """Release a version (or a model's newest one) and serve it; returns the alias.  Raises RegistryError, UsageError."""
    row = find_version(store, model)
    name = promote(store, row["id"], alias=alias)
    if row["base"]:
        serve_base(store, row["base"])
    return name


def import_model(store: Store, path: str | Path, *, name: str | None = None) -> str:
    """Import a GGUF file or a safetensors folder; returns the version's id.  Damaged and dangerous ones are refused."""
    from app.registry.import_model import import_model as bring

    return bring(store, Path(path), name=name)
