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

    @classmethod
    def default(cls) -> Profile:
        """The folder that NEUROWEAVER_HOME names, or else the platform's data folder."""
        named = os.environ.get("NEUROWEAVER_HOME")
        return cls(Path(named).expanduser().resolve() if named else _platform_folder())

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


def _platform_folder() -> Path:
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
