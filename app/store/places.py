"""Where the profile may live: the drives of this computer, and the choice made at the first start."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from app.errors import Place, StoreError
from app.store.profile import Profile, platform_folder, pointer_file

FOLDER = "NeuroWeaver"
ROOMY = 10e9
"""Bytes free from which a drive is recommended: a few models and their checkpoints."""
_NOT_DRIVES = {"squashfs", "overlay", "tmpfs", "devtmpfs", "iso9660", "proc", "sysfs"}


@dataclass(frozen=True, slots=True)
class Drive:
    """A drive that can be written to.  home: the folder that would be used there; sizes in bytes."""

    mount: str
    home: Path
    free: int
    total: int
    standard: bool
    """Whether it is the one that would be taken without a choice."""


def is_first_start() -> bool:
    """Whether nothing was ever stored here and nobody said where to."""
    return not os.environ.get("NEUROWEAVER_HOME") and not pointer_file().exists() and not Profile(platform_folder()).catalogue.exists()


def drives() -> list[Drive]:
    """The platform's own folder first, then every other writable drive, the roomiest first."""
    import psutil

    standard = platform_folder()
    base = next(parent for parent in (standard, *standard.parents) if parent.exists())
    found = [_drive(str(base), standard, standard=True)]
    device = base.stat().st_dev
    others = []
    for part in psutil.disk_partitions(all=False):
        mount = Path(part.mountpoint)
        if part.fstype in _NOT_DRIVES or "ro" in part.opts.split(",") or not os.access(mount, os.W_OK) or not mount.is_dir():
            continue
        if mount.stat().st_dev != device:
            others.append(_drive(part.mountpoint, mount / FOLDER, standard=False))
    return found + sorted(others, key=lambda one: -one.free)


def _drive(mount: str, home: Path, *, standard: bool) -> Drive:
    usage = shutil.disk_usage(mount)
    return Drive(mount, home, usage.free, usage.total, standard)


def choose_home(home: Path) -> Profile:
    """Use a folder from now on.  Raises StoreError where it cannot be written; then nothing is chosen."""
    profile = Profile(home.expanduser().absolute())
    profile.create()
    if profile.home != platform_folder():
        pointer = pointer_file()
        try:
            pointer.parent.mkdir(parents=True, exist_ok=True)
            pointer.write_text(str(profile.home), encoding="utf-8")
        except OSError as problem:
            raise StoreError("store.profile_unwritable", "The choice of the folder could not be kept.", where=Place.of(pointer),
                             why=f"{problem.strerror or problem}.", remedy="Name the folder in NEUROWEAVER_HOME instead.") from problem
    return profile
