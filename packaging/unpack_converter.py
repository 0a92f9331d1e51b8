"""Unpack llama.cpp's Hugging Face converters from the source release of llama-cpp-python.

Usage: unpack_converter.py SDIST TARGET_FOLDER
The release vendors convert_hf_to_gguf.py, its package conversion/ and gguf-py/; the built wheel leaves them out.
Only regular files below those names are written, so a changed archive cannot place files elsewhere.
"""

from __future__ import annotations

import shutil
import sys
import tarfile
from pathlib import Path, PurePosixPath

WANTED = ("convert_hf_to_gguf.py", "convert_lora_to_gguf.py", "conversion", "gguf-py", "LICENSE")


def wanted_path(name: str) -> PurePosixPath | None:
    """The path below vendor/llama.cpp if this member is one of ours, else None."""
    parts = PurePosixPath(name).parts
    if len(parts) < 4 or parts[1:3] != ("vendor", "llama.cpp") or ".." in parts:
        return None
    inside = PurePosixPath(*parts[3:])
    return inside if inside.parts[0] in WANTED else None


def unpack(sdist: Path, target: Path) -> int:
    """Write the converter to ``target`` and return how many files it has."""
    beside = target.with_name(target.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    count = 0
    with tarfile.open(sdist) as archive:
        for member in archive:
            inside = wanted_path(member.name)
            if inside is None or not member.isreg():
                continue
            stream = archive.extractfile(member)
            if stream is None:
                continue
            place = beside / inside
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(stream.read())
            count += 1
    if not (beside / WANTED[0]).exists():
        raise SystemExit(f"{sdist} holds no {WANTED[0]}; it is not the source release that was expected.")
    shutil.rmtree(target, ignore_errors=True)
    beside.rename(target)
    return count


if __name__ == "__main__":
    print(unpack(Path(sys.argv[1]), Path(sys.argv[2])), "files")
