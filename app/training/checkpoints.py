"""Folders that are either whole or not there: written beside, hashed, synced, marked complete, then renamed.

    step-00000140/
        ...              what the caller writes (safetensors and JSON, never a pickle)
        manifest.json    {"meta": {...}, "files": {name: {"sha256", "size"}}}
        COMPLETE         the sha256 of manifest.json

A power cut or kill at any moment leaves the older folders as they were.  Nothing goes through $TMPDIR.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST, MARK = "manifest.json", "COMPLETE"
_PREFIX, _PARTIAL = "step-", "partial-"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A checkpoint that cannot be trusted, and why."""

    path: Path
    reason: str


def write(root: Path, step: int, fill: Callable[[Path], None], meta: dict[str, Any]) -> Path:
    """Make the checkpoint of a step.  ``fill`` writes its files into the folder it is given.

    Raises OSError if the volume is full or gone; then nothing of the new checkpoint stays and older ones are intact.
    The folder above ``root`` must exist: where it does not, its volume is gone, and what was written would go elsewhere.
    """
    final, partial = root / f"{_PREFIX}{step:08d}", root / f"{_PARTIAL}{step:08d}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        root.mkdir(exist_ok=True)
        partial.mkdir()
        fill(partial)
        _seal(partial, meta)
        _replace(partial, final)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _sync_folder(root)
    return final


def _seal(folder: Path, meta: dict[str, Any]) -> None:
    files = {}
    for file in sorted(item for item in folder.iterdir() if item.is_file()):
        _sync_file(file)
        files[file.name] = {"sha256": digest(file), "size": file.stat().st_size}
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps({"meta": meta, "files": files}, indent=1), encoding="utf-8")
    _sync_file(manifest)
    mark = folder / MARK
    mark.write_text(digest(manifest), encoding="ascii")
    _sync_file(mark)
    _sync_folder(folder)


def _replace(partial: Path, final: Path) -> None:
    if not final.exists():
        partial.rename(final)
        return
    old = final.with_name(f"{_PARTIAL}old-{final.name}")
    shutil.rmtree(old, ignore_errors=True)
    final.rename(old)
    partial.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def verify(folder: Path) -> dict[str, Any]:
    """The meta of a whole checkpoint.  Raises ValueError that says what is wrong with it."""
    try:
        mark = (folder / MARK).read_text(encoding="ascii")
        if mark != digest(folder / MANIFEST):
            raise ValueError("its manifest does not match its mark")
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError as problem:
        raise ValueError("it was never finished") from problem
    for name, expected in manifest["files"].items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != expected["size"]:
            raise ValueError(f"{name} is missing or has another size")
        if digest(file) != expected["sha256"]:
            raise ValueError(f"the content of {name} was changed or damaged")
    meta: dict[str, Any] = manifest["meta"]
    return meta


def newest(root: Path) -> tuple[Path | None, list[Rejected]]:
    """The newest checkpoint that is whole, and the newer ones that were rejected."""
    rejected: list[Rejected] = []
    for folder in sorted(root.glob(f"{_PREFIX}*"), reverse=True):
        try:
            verify(folder)
        except (ValueError, OSError) as problem:
            rejected.append(Rejected(folder, str(problem)))
        else:
            return folder, rejected
    return None, rejected


def keep_newest(root: Path, count: int) -> None:
    """Delete all but the newest ``count`` checkpoints, and what interrupted writes left."""
    finished = sorted(root.glob(f"{_PREFIX}*"))
    for folder in [*finished[: max(0, len(finished) - count)], *root.glob(f"{_PARTIAL}*")]:
        shutil.rmtree(folder, ignore_errors=True)


def digest(file: Path) -> str:
    """SHA-256 of a file, hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync_file(file: Path) -> None:
    descriptor = os.open(file, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder; its rename is journalled
        return
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
