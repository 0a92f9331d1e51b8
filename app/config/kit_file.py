"""The .nwkit file: a kit as one file that a user passes on.  It carries no rows.

Form: a zip archive that holds these three texts and nothing else, stored (not compressed), in this order, with the date
1980-01-01, so that the same kit is the same bytes:

    nwkit.json      {"format": 1, "kit": name}
    kit.yaml        kit:, name, base_model, seed, steps; kit.needs_data names the parameters that the user's own data fills
    model-card.md   what the kit is, how it was measured, what is not in it

Read as something a stranger made: names are compared with these three before anything is read, sizes are bounded, and
nothing is unpacked to disk.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from app.errors import ConfigError, Place

FORMAT = 1
SUFFIX = ".nwkit"
HEAD, DOCUMENT, CARD = "nwkit.json", "kit.yaml", "model-card.md"
LARGEST = {HEAD: 4_096, DOCUMENT: 262_144, CARD: 65_536}
"""Bytes of each part."""
LARGEST_FILE = 1_000_000
_LINK, _KIND = 0o120000, 0o170000


def pack(name: str, document: str, card: str) -> bytes:
    """The file's bytes.  Raises ConfigError kitfile.too_large."""
    parts = {HEAD: json.dumps({"format": FORMAT, "kit": name}), DOCUMENT: document, CARD: card}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for part, text in parts.items():
            content = text.encode()
            if len(content) > LARGEST[part]:
                raise ConfigError("kitfile.too_large", "This workflow is too large for a kit file.", where=Place(field=part),
                                  why=f"It has {len(content):,} bytes; at most {LARGEST[part]:,} fit.", remedy="Take steps out of it.")
            entry = zipfile.ZipInfo(part)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def unpack(file: Path) -> dict[str, str]:
    """The texts by name.  Raises ConfigError kitfile.*; the file is not changed and nothing is written."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(LARGEST_FILE + 1)
    except OSError as problem:
        raise _refused("unreadable", "The kit file cannot be read.", file, f"{problem.strerror}.", "Check its name.") from problem
    if len(raw) > LARGEST_FILE:
        raise _refused("bomb", "This is no kit file: it is too large.", file, f"A kit file has at most {LARGEST_FILE:,} bytes.")
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            entries = archive.infolist()
            for entry in entries:
                _check(entry, file)
            texts = {entry.filename: _read(archive, entry, file) for entry in entries}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError) as problem:
        raise _refused("damaged", "The kit file is damaged, or it is none.", file, f"{problem}.") from problem
    if len(entries) != len(texts) or set(texts) != set(LARGEST):
        missing = ", ".join(sorted(set(LARGEST) - set(texts)))
        why = f"It lacks {missing}." if missing else "It holds a part twice."
        raise _refused("damaged", "The kit file is not complete.", file, why)
    _check_head(texts[HEAD], file)
    return texts


def _check(entry: zipfile.ZipInfo, file: Path) -> None:
    """One entry, before any of it is read."""
    name = entry.filename.replace("\\", "/")
    if name.startswith("/") or ":" in name or ".." in name.split("/") or (entry.external_attr >> 16) & _KIND == _LINK:
        raise _refused("unsafe", "The kit file holds a name that leads out of it; nothing was opened.", file,
                       "Such a file was made to do harm.", "Do not use it.", entry.filename)
    if entry.filename not in LARGEST:
        raise _refused("unknown_part", f"The kit file holds {entry.filename[:80]!r}, which a kit file does not have.", file,
                       f"It has {', '.join(LARGEST)} and nothing else.", field=entry.filename)
    if entry.flag_bits & 1:
        raise _refused("damaged", "The kit file is encrypted with a password.", file, "It cannot be checked.", field=entry.filename)
    if entry.file_size > LARGEST[entry.filename]:
        raise _refused("bomb", "The kit file grows beyond all measure; nothing was opened.", file,
                       f"{entry.filename} has {entry.file_size:,} bytes unpacked; at most {LARGEST[entry.filename]:,} are read.",
                       field=entry.filename)


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, file: Path) -> str:
    """The text; never more than its limit is unpacked, whatever the archive says of its size."""
    with archive.open(entry) as stream:
        content = stream.read(LARGEST[entry.filename] + 1)
    if len(content) > LARGEST[entry.filename]:
        raise _refused("bomb", "The kit file grows beyond all measure; nothing was opened.", file, field=entry.filename)
    try:
        return content.decode()
    except UnicodeDecodeError as problem:
        raise _refused("damaged", "A part of the kit file is not UTF-8 text.", file, field=entry.filename) from problem


def _check_head(text: str, file: Path) -> None:
    try:
        head = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise _refused("damaged", "The kit file does not say which format it has.", file, field=HEAD) from problem
    number = head.get("format") if isinstance(head, Mapping) else None
    if type(number) is not int or number < 1:
        raise _refused("damaged", "The kit file does not say which format it has.", file, field=HEAD)
    if number > FORMAT:
        raise _refused("newer_format", "The kit file was made by a newer NeuroWeaver.", file,
                       f"It has format {number}; this version reads up to {FORMAT}.", "Update NeuroWeaver, then open it again.", HEAD)
    if unknown := sorted(set(head) - {"format", "kit"}):
        raise _refused("unknown_key", f"The kit file has an unknown key {unknown[0]!r}.", file, field=HEAD)


def _refused(code: str, what: str, file: Path, why: str = "", remedy: str = "Ask its maker for the file again.",
             field: str = "") -> ConfigError:
    return ConfigError(f"kitfile.{code}", what, where=Place.of(file, field=field[:200] or None), why=why, remedy=remedy)
