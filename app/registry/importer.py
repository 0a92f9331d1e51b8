"""Bring a local model into the registry: a GGUF file, or a Hugging Face folder with safetensors.

Checked first, copied second, tried last: a model that the serving engine cannot load and answer with is not kept.
What is dangerous is refused; pickled leftovers of a training beside good weights (rng_state.pth, training_args.bin,
optimizer.pt) are neither opened nor copied.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import psutil

from app.config.artifacts import Model
from app.config.model_files import PICKLES, ModelFolder, check_model_folder
from app.errors import ModelFileError, Place
from app.registry.files import Tick, copy_whole, need_space, sha256
from app.registry.gguf_check import GgufFile, check_gguf
from app.registry.template_check import check_template
from app.registry.trial import try_file
from app.registry.versions import Version
from app.registry.weights_check import check_numbers, entries
from app.store import Store

# What a model folder needs to be loaded; everything else (scripts, pickles, pictures) stays where it is.
_WANTED = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
           "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model", "chat_template.jinja", "chat_template.json",
           "model.safetensors.index.json", "LICENSE", "LICENSE.txt", "README.md")
_SMALL = 64 * 2**20
_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|blocks)\.(\d+)\.")


def import_model(store: Store, path: str | Path, *, name: str | None = None, tick: Tick | None = None) -> Version:
    """Check, copy and register a model; the version's state is "registered", its lineage says that it was imported.

    Raises ModelFileError that names file and field, before anything is copied; RegistryError registry.no_space.
    """
    from app.registry.api import register

    source = Path(path).expanduser()
    if source.is_dir():
        model, lineage = _take_folder(store, source, tick)
    elif source.suffix.lower() in PICKLES:
        raise ModelFileError("model.pickle", "The model is pickled; it was not opened.", where=Place.of(source),
                             why="A pickle can run any code when it is opened.",
                             remedy="Import a GGUF file or a safetensors folder.")
    elif source.suffix.lower() == ".safetensors":
        raise ModelFileError("model.not_a_folder", "A weight file alone is no model.", where=Place.of(source),
                             why="config.json and the tokenizer belong to it.", remedy="Import the folder that the file lies in.")
    else:
        model, lineage = _take_gguf(store, source, tick)
    try:
        return register(store, model, name=name or source.stem or source.name, lineage=lineage, tick=tick,
                        proof={"kind": "import", "passed": None})
    finally:
        shutil.rmtree(Path(model.path).parent, ignore_errors=True)


def _waiting_room(store: Store) -> Path:
    """A new folder on the volume of the registry, so that files are moved in, not copied a second time.

    Rooms of processes that were killed are cleared first.
    """
    for room in store.profile.models.glob(".import-*"):
        if not psutil.pid_exists(int(room.name.split("-")[1])):
            shutil.rmtree(room, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f".import-{os.getpid()}-", dir=store.profile.models))


def _lineage(source: Path, **more: Any) -> dict[str, Any]:
    return {"origin": "import", "source": source.name, **more}


def _take_gguf(store: Store, source: Path, tick: Tick | None) -> tuple[Model, dict[str, Any]]:
    found = check_gguf(source)
    need_space(store.profile.models, found.size, "import the model")
    room = _waiting_room(store)
    try:
        copy = room / f"{source.stem}.gguf"
        digest = copy_whole(source, copy, tick)
        check_gguf(copy, render=False)  # the copy is what will be served: it, not the source, must be sound
        try_file(copy, tick)
    except BaseException:
        shutil.rmtree(room, ignore_errors=True)
        raise
    return _gguf_model(found, copy, digest), _lineage(source, architecture=found.architecture, licence=_licence(found))


def _licence(found: GgufFile) -> str:
    return str(found.metadata.get("general.license", ""))[:200]


def _gguf_model(found: GgufFile, copy: Path, digest: str) -> Model:
    return Model(content_hash=digest, path=str(copy), format="gguf", name=found.name, details={
        "parameters": found.parameters, "context": found.context, "chat_template_hash": found.template_hash,
        "architecture": found.architecture, "quantization": _kind(found)})


def _kind(found: GgufFile) -> str:
    names = {0: "f32", 1: "f16", 2: "q4_0", 3: "q4_1", 7: "q8_0", 8: "q5_0", 9: "q5_1", 14: "q4_k_s", 15: "q4_k_m", 16: "q5_k_s",
             17: "q5_k_m", 18: "q6_k", 32: "bf16"}  # llama.h, enum llama_ftype
    return names.get(found.file_type if found.file_type is not None else -1, "")


def _take_folder(store: Store, source: Path, tick: Tick | None) -> tuple[Model, dict[str, Any]]:
    if (source / "adapter_config.json").exists() and not (source / "config.json").exists():
        raise ModelFileError("model.adapter_alone", "This is an adapter, not a model.", where=Place.of(source),
                             why="An adapter works only on the base model that it was trained on.",
                             remedy="Import the merged model; or train and export it here.")
    found = check_folder(source, tick)
    need_space(store.profile.models, 2 * found.size, "import the model")
    room = _waiting_room(store)
    try:
        copy = room / "model"
        copy.mkdir()
        for file in _kept(source, found):
            copy_whole(file, copy / file.name, tick)
        check_model_folder(copy)
        digest = _folder_hash(copy, tick)
    except BaseException:
        shutil.rmtree(room, ignore_errors=True)
        raise
    template = _template(copy)
    model = Model(content_hash=digest, path=str(copy), format="hf", name=source.name, details={
        "parameters": found.parameters, "context": found.context, "architecture": found.architecture,
        "chat_template_hash": hashlib.sha256(template.encode()).hexdigest() if template else None})
    return model, _lineage(source, architecture=found.architecture, left_out=_left_out(source, found))


def check_folder(source: Path, tick: Tick | None = None) -> ModelFolder:
    """Everything that can be known of a folder without loading it: structure, code, links, layers, archives, numbers, template."""
    found = check_model_folder(source)
    _check_layers(source, found)
    for shard in found.shards:
        check_numbers(shard, tick)
    for file, field, template in _templates(source):
        check_template(template, file, field)
    return found


def _check_layers(source: Path, found: ModelFolder) -> None:
    """A loader fills a layer that is not there with random numbers, and says so in its log alone."""
    names = (entry.name for shard in found.shards for entry in entries(shard))
    there = {int(match[1]) for match in map(_LAYER.search, names) if match}
    missing = [layer for layer in range(found.layers) if layer not in there]
    if there and missing:
        raise ModelFileError("model.damaged", "The model lacks weights; it was not imported.",
                             where=Place.of(source / "config.json", field="num_hidden_layers"),
                             why=f"{found.layers} layers are announced, and there are no weights for layer {missing[0]}.",
                             remedy="Fetch the model again, with all its weight files.")


def _kept(source: Path, found: ModelFolder) -> list[Path]:
    small = [source / name for name in _WANTED if (source / name).is_file() and not (source / name).is_symlink()]
    for file in small:
        if file.stat().st_size > _SMALL:
            raise ModelFileError("model.damaged", f"{file.name} is far larger than such a file can be.", where=Place.of(file),
                                 remedy="Fetch the model again.")
    return [*small, *found.shards]


def _left_out(source: Path, found: ModelFolder) -> list[str]:
    kept = {file.name for file in _kept(source, found)}
    return sorted(file.name for file in source.iterdir() if file.name not in kept)[:50]


def _templates(folder: Path) -> list[tuple[Path, str, str]]:
    """(file, field, text) of every chat template in the folder."""
    found = []
    jinja = folder / "chat_template.jinja"
    if jinja.is_file():
        found.append((jinja, "chat_template", _text(jinja)))
    for name in ("tokenizer_config.json", "chat_template.json"):
        file = folder / name
        given = json.loads(file.read_bytes()).get("chat_template") if file.is_file() else None
        listed = given if isinstance(given, list) else [{"template": given}]
        found += [(file, "chat_template", one["template"]) for one in listed
                  if isinstance(one, dict) and isinstance(one.get("template"), str)]
    return found


def _text(file: Path) -> str:
    if file.is_symlink() or file.stat().st_size > _SMALL:
        raise ModelFileError("model.damaged", f"{file.name} is not a plain text file of a sensible size.", where=Place.of(file),
                             remedy="Fetch the model again.")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise ModelFileError("model.damaged", f"{file.name} is not UTF-8 text.", where=Place.of(file),
                             remedy="Fetch the model again.") from problem


def _template(folder: Path) -> str:
    found = _templates(folder)
    return found[0][2] if found else ""


def _folder_hash(folder: Path, tick: Tick | None) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        digest.update(f"{file.name}\0{sha256(file, tick)}\n".encode())
    return digest.hexdigest()
