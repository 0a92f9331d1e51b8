"""From the name of a base model to its folder."""

from __future__ import annotations

import difflib
from pathlib import Path

from app.config.model_files import check_model_folder
from app.errors import ConfigError, Place
from app.store import Store
from app.store.profile import share_dir


def packaged() -> dict[str, Path]:
    """Models that set-up put on this machine, by name."""
    folder = share_dir() / "models"
    return {path.name: path for path in sorted(folder.glob("*")) if (path / "config.json").is_file()}


def resolve_base(store: Store, name: str) -> Path:
    """The Hugging Face folder of a base model: a packaged name, a registered version, or a path.

    The folder has been checked.  Raises ConfigError if there is none of that name, ModelFileError if it is damaged or
    dangerous.
    """
    if name in packaged():
        return packaged()[name]
    row = store.row("SELECT path, format FROM model_versions WHERE id = ?", (name,))
    if row is not None:
        if row["format"] != "hf":
            raise ConfigError(
                "model.not_trainable",
                f"{name!r} cannot be trained further.",
                where=Place(field="base_model"),
                why=f"Its registered form is {row['format']}.",
                remedy="Name a Hugging Face folder instead.",
            )
        return check_model_folder(row["path"]).path
    if "/" in name or "\\" in name or Path(name).expanduser().is_dir():
        return check_model_folder(Path(name).expanduser()).path
    near = difflib.get_close_matches(name, packaged(), n=1)
    raise ConfigError(
        "model.unknown",
        f"There is no base model {name!r}.",
        where=Place(field="base_model"),
        why="It is neither packaged, nor registered, nor a folder.",
        remedy=f"Did you mean {near[0]!r}?" if near else f"Packaged: {', '.join(packaged()) or 'none; run packaging/setup.sh'}.",
    )
