"""The profile folder: where one user's store, runs and models live.

    catalogue.db     encrypted catalogue            datasets/<id>.db   one encrypted database a dataset
    profile.json     how the key is kept            runs/<run>/<step>/ work and outputs of a step
    models/<id>/     registered model files         logs/              capped logs
    service.json     the running service, if any    cache/             may be deleted at any time
    catalogue.open   mark of an open catalogue      backups/           copies of the catalogue
    kits/<name>/     kits that the user opened
"""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from app.errors import Place, StoreError


@dataclass(frozen=True, slots=True)
class Profile:
    """Paths inside one profile folder.  Nothing is created until :meth:`create`."""

    home: Path
    chosen_by_user: bool = False
    """The folder was chosen and used before: where it is missing, its drive is, and no new one is begun in its place."""

    @classmethod
    def default(cls) -> Profile:
        """The folder that NEUROWEAVER_HOME names, else the one chosen at the first start, else the platform's data folder."""
        if named := os.environ.get("NEUROWEAVER_HOME"):
            return cls(Path(named).expanduser().resolve())
        chosen = _chosen_home()
        return cls(chosen, chosen_by_user=True) if chosen is not None else cls(platform_folder())

    @property
    def catalogue(self) -> Path:
        return self.home / "catalogue.db"

    @property
    def datasets(self) -> Path:
        return self.home / "datasets"

    @property
    def runs(self) -> Path:
        return self.home / "runs"

    @property
    def models(self) -> Path:
        return self.home / "models"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    @property
    def backups(self) -> Path:
        return self.home / "backups"

    @property
    def kits(self) -> Path:
        return self.home / "kits"

    @property
    def service_file(self) -> Path:
        return self.home / "service.json"

    def step_folder(self, run: str, step: str) -> Path:
        """The folder of one step of one run."""
        return self.runs / run / step

    def create(self) -> None:
        """Make the folders, readable by their owner alone.  Raises StoreError where that is not possible."""
        if self.chosen_by_user and not self.home.is_dir():
            raise StoreError("store.home_missing", "The data folder is not there.", where=Place.of(self.home),
                             why="Its drive is not connected, or the folder was moved.",
                             remedy=f"Connect the drive and start again. To begin anew elsewhere, delete {pointer_file()}.")
        try:
            for folder in (self.home, self.datasets, self.runs, self.models, self.logs, self.cache):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe = self.home / f".writable-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as problem:
            if problem.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
                raise StoreError("store.disk_full", "The disk is full; nothing can be written.", where=Place.of(self.home),
                                 why=f"{problem.strerror}.",
                                 remedy="Make room on this disk and try again. Earlier data is untouched.") from problem
            raise StoreError(
                "store.profile_unwritable",
                "The profile folder cannot be written.",
                where=Place.of(self.home),
                why=f"{problem.strerror or problem}.",
                remedy="Give yourself write access to it, or name another folder in NEUROWEAVER_HOME.",
            ) from problem


def pointer_file() -> Path:
    """Where the folder chosen at the first start is written down."""
    return platform_folder() / "location.txt"


def _chosen_home() -> Path | None:
    try:
        text = pointer_file().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return Path(text) if text else None


def platform_folder() -> Path:
    """The platform's place for data of a program."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "NeuroWeaver"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "NeuroWeaver"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "neuroweaver"


def share_dir() -> Path:
    """Where setup puts what ships with the product but not in git: the starter model and llama.cpp's converter.

    share_dir()/"models"/"smollm2-135m-instruct" is a Hugging Face folder (safetensors);
    share_dir()/"llama.cpp"/"convert_hf_to_gguf.py" is the converter.
    """
    named = os.environ.get("NEUROWEAVER_SHARE")
    return Path(named) if named else Path(sys.prefix) / "share" / "neuroweaver"


def project_dir() -> Path:
    """The folder that holds app/, ui/, kits/ and resources/."""
    return Path(__file__).resolve().parents[2]
