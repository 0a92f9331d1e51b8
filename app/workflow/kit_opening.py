"""Open a .nwkit file: check it as something a stranger made, and put it among the user's kits.

It may hold no more than what could have been made (kit_making.py): no path, no free text among the parameters.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.config import kit_file, kit_folders
from app.config.document import load_text
from app.config.shareable import is_path, shareable
from app.config.yaml_source import parse
from app.errors import ConfigError, NeuroWeaverError, Place, UsageError
from app.store import Store
from app.workflow import registry

_KEYS = ("kit", "name", "base_model", "seed", "steps")
_STEP = ("node", "needs", "inputs")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class OpenedKit:
    """A kit that was opened.  replaced: the version that it took the place of, or None.  known: it was there already."""

    name: str
    title: str
    version: int
    needs_data: tuple[str, ...]
    replaced: int | None = None
    known: bool = False


def open_kit(store: Store, file: Path) -> OpenedKit:
    """Check a kit file and put it among the user's kits.  Raises ConfigError kitfile.* or config.*; then nothing is kept.

    A newer version of a kit of the same title takes its place (the older one is kept as remove_kit keeps it); the same kit
    again changes nothing.
    """
    texts = kit_file.unpack(file)
    content = check_document(texts[kit_file.DOCUMENT], Place.of(file, field=kit_file.DOCUMENT))
    about = content["kit"]
    version, target, replaced = int(about.get("version", 1)), None, None
    for known in _users_kits(store, about["title"]):
        old = kit_folders.identity(known)
        if known.read_text(encoding="utf-8") == texts[kit_file.DOCUMENT]:
            return OpenedKit(known.parent.name, about["title"], version, kit_folders.needs_data(content), known=True)
        if old.version < version:
            target, replaced = known.parent, old.version
    folder = target or store.profile.kits / _free_name(about["title"])
    if target is not None:
        remove_kit(store, target.name)
    try:
        _place(folder, texts)
    except NeuroWeaverError:
        restore_kit(store, folder.name)
        raise
    return OpenedKit(folder.name, about["title"], version, kit_folders.needs_data(content), replaced)


def remove_kit(store: Store, name: str) -> Path:
    """Take a kit out of the user's kits; returns where it went, for :func:`restore_kit`.  Raises UsageError kit.not_yours."""
    folder = store.profile.kits / name
    if not kit_folders.NAME.fullmatch(name) or not (folder / "kit.yaml").is_file():
        raise UsageError("kit.not_yours", f"{name!r} is not one of your kits.", remedy="Only kits that you opened can be removed.")
    kept = store.profile.cache / "removed-kits" / name
    shutil.rmtree(kept, ignore_errors=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.move(folder, kept))


def restore_kit(store: Store, name: str) -> None:
    """Undo remove_kit, as long as no kit of that name was opened since."""
    kept, folder = store.profile.cache / "removed-kits" / name, store.profile.kits / name
    if kit_folders.NAME.fullmatch(name) and kept.is_dir() and not folder.exists():
        shutil.move(kept, folder)


def _users_kits(store: Store, title: str) -> list[Path]:
    found = []
    for known in sorted(store.profile.kits.glob("*/kit.yaml")):
        try:
            value = parse(known.read_text(encoding="utf-8")).value
        except (NeuroWeaverError, OSError, UnicodeDecodeError):
            continue
        if isinstance(value, dict) and isinstance(value.get("kit"), dict) and value["kit"].get("title") == title:
            found.append(known)
    return found


def _place(folder: Path, texts: Mapping[str, str]) -> None:
    """Write the kit's folder, whole or not at all."""
    beside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True, mode=0o700)
        for name in (kit_file.DOCUMENT, kit_file.CARD):
            (beside / name).write_text(texts[name], encoding="utf-8")
        beside.rename(folder)
    except OSError as problem:
        shutil.rmtree(beside, ignore_errors=True)
        raise ConfigError("config.unwritable", "The kit was not opened.", where=Place.of(folder), why=f"{problem.strerror}.",
                          remedy="Make room, or give yourself write access to the profile folder.") from problem


def check_document(text: str, where: Place) -> dict[str, Any]:
    """The document of a kit file as plain data: valid, and holding no more than a made kit could.  Raises ConfigError."""
    content = parse(text).value
    if not isinstance(content, dict) or not isinstance(content.get("kit"), dict) or not isinstance(content.get("steps"), dict):
        raise _refuse("damaged", "The kit file does not say what the kit is.", where)
    if unknown := sorted(set(map(str, content)) - set(_KEYS)):
        raise _refuse("unknown_key", f"The kit file has an unknown key {unknown[0]!r}.", where, f"Known: {', '.join(_KEYS)}.")
    if not _NAME.fullmatch(str(content.get("base_model", ""))):
        raise _refuse("private", "The kit file names a base model by its place.", where, "Such a path belongs to one computer.")
    needs = kit_folders.needs_data(content)
    if not needs:
        raise _refuse("damaged", "The kit file does not say which data it needs.", where)
    load_text(text, registry.find, overrides=dict.fromkeys(needs, kit_file.DOCUMENT))  # any path stands in for the user's
    asked = {name for identity, step in content["steps"].items() for name in _checked_step(identity, step, where)}
    if set(needs) - asked:
        raise _refuse("damaged", f"The kit file asks for {sorted(set(needs) - asked)[0]!r}, which names no file.", where)
    return content


def _checked_step(identity: str, step: Mapping[str, Any], where: Place) -> list[str]:
    """The parameters of a step that name files; none of them, and no free text, is set."""
    model = registry.find(step["node"]).params_model
    given = {key: value for key, value in step.items() if key not in _STEP}
    kept = shareable(model, given)
    if kept != given:
        name = next(key for key in given if key not in kept or kept[key] != given[key])
        raise _refuse("private", f"Step {identity!r} of the kit file sets {name!r}.", where,
                      "A kit file carries numbers, choices and names of columns, and nothing else.")
    return [f"{identity}.{key}" for key, info in model.model_fields.items() if is_path(info)]


def _refuse(code: str, what: str, where: Place, why: str = "") -> ConfigError:
    return ConfigError(f"kitfile.{code}", what, where=where, why=why, remedy="Ask its maker for the file again. Nothing was opened.")


def slug(title: str) -> str:
    """A folder's name from a title."""
    return re.sub(r"[^a-z0-9]+", "-", title.casefold()).strip("-")[:40].strip("-") or "kit"


def _free_name(title: str) -> str:
    name, taken, number = slug(title), kit_folders.kit_files(), 2
    while name in taken:
        name, number = f"{slug(title)}-{number}", number + 1
    return name
