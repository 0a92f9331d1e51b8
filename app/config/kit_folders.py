"""Where kits are: those that ship with the product and those a user opened; and what identifies a kit's content."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.config.yaml_source import parse, read_text
from app.errors import NeuroWeaverError
from app.store.profile import Profile, project_dir

NAME = re.compile(r"[A-Za-z0-9_-]+")
DECIDING = ("data", "evaluation")
"""Folders of a kit whose files decide a result, beside its document."""


@dataclass(frozen=True, slots=True)
class KitIdentity:
    """version: as the kit states it, 0 where it states none.  hash: sha256 of what decides a result."""

    version: int
    hash: str


def kit_files() -> dict[str, Path]:
    """The kit.yaml of each kit by name; a kit that ships with the product comes before a user's of the same name."""
    homes = (Profile.default().kits, project_dir() / "kits")
    found = (file for home in homes for file in sorted(home.glob("*/kit.yaml")))
    return {file.parent.name: file for file in found if NAME.fullmatch(file.parent.name)}  # a folder being written has a dot


def kit_file(name: str) -> Path | None:
    """The kit.yaml of a kit by its name ("legal", "kits/legal"), or None."""
    plain = name.removeprefix("kits/")
    return kit_files().get(plain) if NAME.fullmatch(plain) else None


def is_users(file: Path) -> bool:
    """Whether a kit was opened by the user, and does not ship with the product."""
    return file.parent.parent == Profile.default().kits


def needs_data(content: Mapping[str, Any]) -> tuple[str, ...]:
    """The parameters of a kit's document that the user's own file fills, as in --set; () for a kit with rows."""
    about = content.get("kit")
    named = about.get("needs_data") if isinstance(about, Mapping) else None
    return tuple(str(one) for one in named) if isinstance(named, list) else ()


def identity(file: Path, content: Mapping[str, Any] | None = None) -> KitIdentity:
    """Version and content hash of a kit: its document without the measured figures, and the files of its DECIDING folders.

    content: the document, where it was read already.  Raises ConfigError for one that cannot be read.
    """
    found = content if content is not None else parse(read_text(file), file).value
    document = dict(found) if isinstance(found, Mapping) else {}
    about = document.get("kit")
    about = {key: value for key, value in about.items() if key != "measured"} if isinstance(about, Mapping) else {}
    digest = hashlib.sha256(json.dumps({**document, "kit": about}, sort_keys=True, default=str).encode())
    for part in sorted(path for name in DECIDING for path in (file.parent / name).rglob("*") if path.is_file()):
        digest.update(f"\0{part.relative_to(file.parent).as_posix()}\0{part.stat().st_size}\0".encode())
        with part.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    version = about.get("version", 1 if about else 0)
    return KitIdentity(version if isinstance(version, int) else 0, digest.hexdigest())


def identity_of(kit: str) -> KitIdentity | None:
    """The identity of a kit as it is now, by name; None where there is no such kit or it cannot be read."""
    file = kit_file(kit) if kit else None
    if file is None:
        return None
    try:
        return identity(file)
    except (NeuroWeaverError, OSError):
        return None
