"""Look at a Hugging Face model folder without running anything in it: refuse what is damaged or dangerous.

Light: reads JSON and the headers of safetensors files only, no torch.  Training, evaluation, registry and
``resolve_base`` share these checks.  Threats: pickled weights, code that a config asks for (``auto_map``),
an attention implementation named in the config (loaded from a hub), links and ``../`` that lead out of the folder,
and headers that lie about sizes.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from app.errors import ModelFileError, Place

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_JSON_LIMIT = 64 * 1024 * 1024
_HEADER_LIMIT = 100 * 1024 * 1024
_CODE_KEYS = ("auto_map", "custom_pipelines", "_attn_implementation_internal")
_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8, "C64": 8,
}


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """What a checked folder holds.  ``size`` in bytes of all weights; ``parameters`` counts stored numbers."""

    path: Path
    architecture: str
    model_type: str
    parameters: int
    size: int
    dtypes: tuple[str, ...]
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int
    tied: bool
    chat_template: bool
    quantised: bool
    shards: tuple[Path, ...]


def check_model_folder(folder: str | Path) -> ModelFolder:
    """Check a model folder and describe it.

    Raises ModelFileError that names the file: missing, damaged, pickled, asking for code, or leading outside.
    """
    path = Path(folder)
    if not path.is_dir():
        raise _refuse("model.not_a_folder", path, "There is no such model folder.",
                      remedy="Name a folder that holds config.json and *.safetensors.")
    config = _read_json(path / "config.json")
    _refuse_code(path, config)
    shards = _shards(path)
    tensors = [item for shard in shards for item in _header(shard)]
    _check_tokenizer(path)
    return _describe(path, config, shards, tensors)


def _describe(path: Path, config: dict[str, Any], shards: list[Path], tensors: list[tuple[str, int, int]]) -> ModelFolder:
    names = config.get("architectures") or [""]
    nested = config.get("text_config")
    text: dict[str, Any] = nested if isinstance(nested, dict) else config

    def number(key: str, default: int = 0) -> int:
        value = text.get(key, default)
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default

    heads = number("num_attention_heads", 1)
    return ModelFolder(
        path=path, architecture=str(names[0]), model_type=str(config.get("model_type", "")),
        parameters=sum(count for _, count, _ in tensors), size=sum(size for _, _, size in tensors),
        dtypes=tuple(sorted({dtype for dtype, _, _ in tensors})), layers=number("num_hidden_layers"),
        hidden=number("hidden_size"), intermediate=number("intermediate_size"), heads=heads,
        kv_heads=number("num_key_value_heads", heads), vocabulary=number("vocab_size"),
        context=number("max_position_embeddings", 2048), tied=bool(text.get("tie_word_embeddings", False)),
        chat_template=_has_template(path), quantised="quantization_config" in config, shards=tuple(shards))


def _refuse_code(path: Path, config: dict[str, Any]) -> None:
    """Refuse a folder whose JSON files ask for code.  Nested sections count too."""
    for name in ("config.json", "tokenizer_config.json", "generation_config.json", "processor_config.json"):
        file = path / name
        if name != "config.json" and not file.exists():
            continue
        found = _find_code(config if name == "config.json" else _read_json(file))
        if found:
            raise _refuse("model.remote_code", file, "This model asks for code of its own; it was not loaded.",
                          why=f"{name} holds {found!r}, which makes a loader run or fetch code.",
                          remedy="Use a model that the installed transformers supports without remote code.", field=found)


def _find_code(value: Any, depth: int = 0) -> str | None:
    if depth > 20 or not isinstance(value, dict | list):
        return None
    if isinstance(value, list):
        return next((found for item in value if (found := _find_code(item, depth + 1))), None)
    for key, item in value.items():
        if key in _CODE_KEYS:
            return str(key)
        if key in ("attn_implementation", "_attn_implementation") and isinstance(item, str) and "/" in item:
            return str(key)
        if found := _find_code(item, depth + 1):
            return found
    return None


def _shards(path: Path) -> list[Path]:
    """The weight files, after checking that each lies in this folder and is a plain file."""
    index = path / "model.safetensors.index.json"
    names = _indexed(index) if index.exists() else sorted(item.name for item in path.glob("*.safetensors"))
    if not names:
        raise _no_weights(path)
    for name in names:
        _inside(path, name, index if index.exists() else path / name)
    return [path / name for name in names]


def _indexed(index: Path) -> list[str]:
    mapping = _read_json(index).get("weight_map")
    if not isinstance(mapping, dict) or not all(isinstance(name, str) for name in mapping.values()) or not mapping:
        raise _refuse("model.damaged", index, "The index of the weight files is damaged.",
                      why="It has no weight_map of file names.", remedy="Fetch the model again.")
    return sorted(set(mapping.values()))


def _inside(path: Path, name: str, where: Path) -> None:
    pure = PurePosixPath(name.replace("\\", "/"))
    if len(pure.parts) != 1 or pure.parts[0] in ("..", "/") or ":" in name or not name.endswith(".safetensors"):
        raise _refuse("model.outside", where, "The model names a weight file outside its folder; it was not loaded.",
                      why=f"It names {name!r}.", remedy="Use a folder that holds its own *.safetensors files.")
    file = path / name
    if file.is_symlink():
        raise _refuse("model.link", file, "A weight file is a link; the model was not loaded.",
                      why="A link can lead to any file on this computer.",
                      remedy="Copy the model with its links resolved (cp -L) and use the copy.")
    if not file.is_file():
        raise _refuse("model.missing_file", file, "A weight file of the model is missing.", remedy="Fetch the model again.")


def _no_weights(path: Path) -> ModelFileError:
    pickled = sorted(item.name for item in path.iterdir() if item.suffix.lower() in PICKLES)
    if pickled:
        return _refuse("model.pickle", path / pickled[0], "The model's weights are pickled; they were not loaded.",
                       why="A pickle can run any code when it is opened.",
                       remedy="Use a version of the model with *.safetensors files.")
    return _refuse("model.no_weights", path, "The folder holds no model weights.", why="There is no *.safetensors file in it.",
                   remedy="Name a folder that holds config.json and *.safetensors.")


def check_weights_file(file: Path) -> list[tuple[str, int, int]]:
    """(dtype, numbers, bytes) of each tensor of one safetensors file.  Raises ModelFileError model.damaged or model.link."""
    if file.is_symlink():
        raise _refuse("model.link", file, "A weight file is a link; it was not loaded.",
                      why="A link can lead to any file on this computer.", remedy="Copy it with its links resolved (cp -L).")
    return _header(file)


def _header(file: Path) -> list[tuple[str, int, int]]:
    """(dtype, numbers, bytes) of each tensor.  Checks that the header describes exactly the bytes that follow it."""
    total = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(_HEADER_LIMIT, total - 8):
            raise _damaged(file, "Its header is longer than the file or missing.")
        try:
            header = json.loads(stream.read(length))
        except (ValueError, RecursionError) as problem:
            raise _damaged(file, "Its header is not valid JSON.") from problem
    if not isinstance(header, dict):
        raise _damaged(file, "Its header is not an object.")
    header.pop("__metadata__", None)
    found = sorted(_tensor(file, name, entry) for name, entry in header.items())
    end = 0
    for begin, stop, _, _ in found:
        if begin != end:
            raise _damaged(file, "Its tensors overlap or leave gaps.")
        end = stop
    if end != total - 8 - length:
        raise _damaged(file, f"It should have {end + 8 + length:,} bytes and has {total:,}.")
    return [(dtype, count, stop - begin) for begin, stop, dtype, count in found]


def _tensor(file: Path, name: str, entry: Any) -> tuple[int, int, str, int]:
    try:
        dtype, shape, (begin, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
        count = math.prod(shape)
        sound = all(type(item) is int and item >= 0 for item in (*shape, begin, stop)) and stop - begin >= 0
        sound = sound and (dtype not in _BYTES or stop - begin == count * _BYTES[dtype])
    except (TypeError, KeyError, ValueError) as problem:
        raise _damaged(file, f"The entry of {name[:80]!r} is malformed.") from problem
    if not sound:
        raise _damaged(file, f"The size of {name[:80]!r} does not fit its shape.")
    return begin, stop, str(dtype), count


def _check_tokenizer(path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer.model", "vocab.json"):
        file = path / name
        if file.is_symlink():
            raise _refuse("model.link", file, "A file of the model is a link; the model was not loaded.",
                          remedy="Copy the model with its links resolved (cp -L) and use the copy.")
        if file.is_file():
            return
    raise _refuse("model.no_tokenizer", path, "The folder holds no tokenizer.",
                  why="There is no tokenizer.json, tokenizer.model or vocab.json in it.", remedy="Fetch the whole model.")


def _has_template(path: Path) -> bool:
    if (path / "chat_template.jinja").is_file():
        return True
    config = path / "tokenizer_config.json"
    return config.is_file() and bool(_read_json(config).get("chat_template"))


def _read_json(file: Path) -> dict[str, Any]:
    if file.is_symlink():
        raise _refuse("model.link", file, "A file of the model is a link; the model was not loaded.",
                      remedy="Copy the model with its links resolved (cp -L) and use the copy.")
    try:
        if file.exists() and not file.is_file():  # a pipe would be waited for
            raise _damaged(file, "It is not a plain file.")
        if file.stat().st_size > _JSON_LIMIT:
            raise _damaged(file, "It is far larger than such a file can be.")
        value = json.loads(file.read_bytes())
    except OSError as problem:
        raise _refuse("model.missing_file", file, f"{file.name} cannot be read.", why=f"{problem.strerror or problem}.",
                      remedy="Name a folder that holds config.json and *.safetensors.") from problem
    except (ValueError, RecursionError) as problem:
        raise _damaged(file, f"It is not valid JSON ({problem}).") from problem
    if not isinstance(value, dict):
        raise _damaged(file, "It is not a JSON object.")
    return value


def _damaged(file: Path, why: str) -> ModelFileError:
    return _refuse("model.damaged", file, f"{file.name} is damaged.", why=why, remedy="Fetch the model again.")


def _refuse(code: str, file: Path, what: str, *, why: str = "", remedy: str = "", field: str | None = None) -> ModelFileError:
    return ModelFileError(code, what, where=Place.of(file, field=field), why=why, remedy=remedy)
