"""Check a LoRA adapter folder against the base it is to be merged into, before anything loads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.config.model_files import ModelFolder
from app.errors import ModelFileError, Place
from app.registry.weights_check import Entry, check_numbers, entries

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_PREFIX = "base_model.model."
_PARTS = (".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector")
_MOST_RANK = 4096
_CODE = ("auto_mapping", "auto_map", "_attn_implementation_internal")


def check_adapter(folder: Path, base: ModelFolder) -> int:
    """The adapter's rank, if it is whole, harmless and belongs to ``base``.

    Raises ModelFileError: model.no_adapter_config, model.pickle, model.damaged, model.remote_code, model.adapter_kind,
    model.adapter_mismatch, model.not_finite, each naming the file and the field or tensor.
    """
    config = _config(folder / CONFIG)
    rank = _rank(folder, config)
    weights = _weights(folder)
    check_numbers(weights)
    _compare(weights, entries(weights), _base_shapes(base), rank, config)
    return rank


def _config(file: Path) -> dict[str, Any]:
    if file.is_symlink() or not file.is_file():
        raise _refuse("model.no_adapter_config", file, "The adapter has no adapter_config.json; it was not loaded.",
                      "Without it nobody knows the adapter's rank and base.", "Use the whole adapter folder.")
    try:
        if file.stat().st_size > 2**20:
            raise ValueError("it is far larger than such a file can be")
        config = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as problem:
        raise _damaged(file, f"{problem}.") from problem
    if not isinstance(config, dict):
        raise _damaged(file, "It is not an object.")
    for key in _CODE:
        if config.get(key):
            raise _refuse("model.remote_code", file, "This adapter asks for code of its own; it was not loaded.",
                          f"It holds {key!r}.", "Use an adapter that needs none.", key)
    return config


def _rank(folder: Path, config: dict[str, Any]) -> int:
    file = folder / CONFIG
    if config.get("peft_type") != "LORA":
        raise _refuse("model.adapter_kind", file, "The adapter is not a LoRA adapter.", f"It is {config.get('peft_type')!r}.",
                      "Only LoRA adapters can be merged.", "peft_type")
    rank = config.get("r")
    if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= _MOST_RANK:
        raise _damaged(file, f"Its rank is {rank!r}.", "r")
    return rank


def _weights(folder: Path) -> Path:
    file = folder / WEIGHTS
    if file.is_file():
        return file
    if (folder / "adapter_model.bin").exists():
        raise _refuse("model.pickle", folder / "adapter_model.bin", "The adapter's weights are pickled; they were not loaded.",
                      "A pickle can run any code when it is opened.", "Save the adapter as safetensors.")
    raise _refuse("model.missing_file", file, "The adapter's weights are missing.", "", "Use the whole adapter folder.")


def _base_shapes(base: ModelFolder) -> dict[str, tuple[int, ...]]:
    return {entry.name: entry.shape for shard in base.shards for entry in entries(shard)}


def _compare(file: Path, found: list[Entry], base: dict[str, tuple[int, ...]], rank: int, config: dict[str, Any]) -> None:
    """Every pair A (rank, in), B (out, rank) must fit a weight (out, in) of the base."""
    if not found:
        raise _refuse("model.damaged", file, "The adapter holds no weights.", "", "Train it again.")
    own_ranks = bool(config.get("rank_pattern"))
    turned = bool(config.get("fan_in_fan_out"))
    for entry in found:
        part = next((part for part in _PARTS if entry.name.endswith(part)), None)
        if part is None or not entry.name.startswith(_PREFIX):
            raise _refuse("model.adapter_kind", file, "The adapter holds weights that cannot be merged.",
                          "They are no LoRA pair.", "Use an adapter that changes linear layers only.", entry.name[:120])
        target = entry.name.removeprefix(_PREFIX).removesuffix(part) + ".weight"
        shape = base.get(target)
        if shape is None or len(shape) != 2:
            raise _mismatch(file, entry.name, f"The base has no weight {target!r}.")
        out, width = (shape[1], shape[0]) if turned else shape
        wanted = {".lora_A.weight": (rank, width), ".lora_B.weight": (out, rank)}.get(part, (out,))
        given = entry.shape
        if own_ranks and len(given) == 2 == len(wanted):  # each layer may have its own rank: only the outer sides are known
            given, wanted = ((given[1],), (width,)) if part == ".lora_A.weight" else ((given[0],), (out,))
        if given != wanted:
            raise _mismatch(file, entry.name, f"Its shape is {list(entry.shape)}; rank {rank} on the base's {list(shape)} "
                            f"needs {list(wanted)}.")


def _mismatch(file: Path, name: str, why: str) -> ModelFileError:
    return _refuse("model.adapter_mismatch", file, "The adapter does not belong to this base model.", why,
                   "Use the base model that the adapter was trained on.", name[:120])


def _damaged(file: Path, why: str, field: str | None = None) -> ModelFileError:
    return _refuse("model.damaged", file, f"{file.name} is damaged.", why, "Fetch the adapter again.", field)


def _refuse(code: str, file: Path, what: str, why: str, remedy: str, field: str | None = None) -> ModelFileError:
    return ModelFileError(code, what, where=Place.of(file, field=field), why=why, remedy=remedy)
