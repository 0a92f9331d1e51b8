"""Look into safetensors files: names and shapes, files that are two things at once, and numbers that are not numbers."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.config.model_files import check_weights_file
from app.errors import ModelFileError, Place

_CHUNK = 8 * 2**20
# dtype → (bytes, bits of the exponent): a number whose exponent bits are all ones is infinite or not a number
_EXPONENT = {"F16": (2, 0x7C00), "BF16": (2, 0x7F80), "F32": (4, 0x7F800000), "F64": (8, 0x7FF0000000000000)}
Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of a file: outermost dimension first; begin and end are bytes from the start of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def entries(file: Path) -> list[Entry]:
    """All tensors of a checked file, in order.  Raises ModelFileError: damaged, a link, or also an archive."""
    check_weights_file(file)
    _refuse_archive(file)
    with file.open("rb") as stream:
        length = struct.unpack("<Q", stream.read(8))[0]
        header = json.loads(stream.read(length))
    header.pop("__metadata__", None)
    start = 8 + length
    found = [Entry(name, item["dtype"], tuple(item["shape"]), start + item["data_offsets"][0], start + item["data_offsets"][1])
             for name, item in header.items()]
    return sorted(found, key=lambda entry: entry.begin)


def _refuse_archive(file: Path) -> None:
    """A file that a zip reader opens too can be mistaken for a pickled model by a loader that looks at the content."""
    if zipfile.is_zipfile(file):
        raise ModelFileError("model.polyglot", "A weight file is an archive at the same time; it was not loaded.",
                             where=Place.of(file), why="Such a file is made to be taken for another one.",
                             remedy="Fetch the model from a source that you trust.")


def check_numbers(file: Path, tick: Tick | None = None) -> None:
    """Raise ModelFileError model.not_finite, naming the tensor, if a weight is infinite or not a number.

    Reads the whole file once in pieces of 8 MiB.
    """
    import numpy as np

    with file.open("rb") as stream:
        for entry in entries(file):
            if entry.dtype not in _EXPONENT:
                continue
            width, mask = _EXPONENT[entry.dtype]
            stream.seek(entry.begin)
            left = entry.end - entry.begin
            while left:
                data = np.frombuffer(stream.read(min(_CHUNK, left)), dtype=f"<u{width}")
                if bool(((data & mask) == mask).any()):
                    raise _not_finite(file, entry.name)
                left -= data.nbytes
                if tick is not None:
                    tick()


def _not_finite(file: Path, name: str) -> ModelFileError:
    return ModelFileError("model.not_finite", "The model holds weights that are infinite or not numbers; it was not loaded.",
                          where=Place.of(file, field=name[:120]), why="Every answer would be noise.",
                          remedy="Train it again, or fetch another copy.")
