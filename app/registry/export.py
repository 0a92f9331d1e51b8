"""Merge an adapter into its base, convert to GGUF with llama.cpp's own converter, quantise.  Runs in a step worker."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.config.artifacts import Model
from app.config.subprocess_tools import run_child
from app.errors import EnvironmentFault, Place, RegistryError
from app.store.profile import share_dir

BITS = {"f16": 16.0, "q8_0": 8.5, "q5_k_m": 5.7, "q4_k_m": 4.9, "q4_0": 4.55}
"""Bits a weight takes on average, for the size that is shown before; the packed scales included."""
WITHOUT_COMPILER = ("f16", "q8_0")
CONVERT_SECONDS = 1800.0
Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """One written file."""

    quantization: str
    path: Path
    size: int
    sha256: str


def estimate_size(parameters: int, quantization: str) -> int:
    """Bytes the file will have, roughly: known before anything is written."""
    return int(parameters * BITS[quantization] / 8)


def can_quantise() -> bool:
    """Whether llama-cpp-python was built on this machine; without it only f16 and q8_0 can be written."""
    return importlib.util.find_spec("llama_cpp") is not None


def require_room(folder: Path, parameters: int, quantizations: list[str]) -> None:
    """Refuse an export that the disk cannot take: merged weights, the f16 file and each asked file."""
    need = parameters * 4 + sum(estimate_size(parameters, name) for name in quantizations)
    free = shutil.disk_usage(folder).free
    if need > free:
        raise EnvironmentFault(
            "export.no_room",
            "There is not enough room for the export.",
            where=Place.of(folder),
            why=f"It needs about {need / 1e9:.1f} GB; {free / 1e9:.1f} GB are free.",
            remedy="Make room, or ask for fewer files.",
        )


def merge(model: Model, target: Path) -> Path:
    """The tuned model as a plain Hugging Face folder (bf16 safetensors), its adapter added in float32.

    An adapter trained on a 4-bit base is merged into the unquantised one.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if model.format == "hf":
        return Path(model.path)
    if model.format != "lora" or not model.base:
        raise RegistryError(
            "export.not_trainable",
            "Only an adapter or a Hugging Face folder can be exported.",
            why=f"This is a {model.format} model.",
            remedy="Export the output of a training step.",
        )
    base = AutoModelForCausalLM.from_pretrained(model.base, dtype=torch.float32, trust_remote_code=False, use_safetensors=True)
    merged = PeftModel.from_pretrained(base, model.path).merge_and_unload().to(torch.bfloat16)
    shutil.rmtree(target, ignore_errors=True)
    merged.save_pretrained(target)
    own = (Path(model.path) / "tokenizer.json").exists()
    AutoTokenizer.from_pretrained(model.path if own else model.base, trust_remote_code=False).save_pretrained(target)
    return target


def convert(folder: Path, target: Path, quantization: str, tick: Tick) -> None:
    """A Hugging Face folder as GGUF (f16 or q8_0)."""
    converter = share_dir() / "llama.cpp" / "convert_hf_to_gguf.py"
    if not converter.is_file():
        raise EnvironmentFault(
            "export.no_converter",
            "llama.cpp's converter is missing.",
            where=Place.of(converter),
            remedy="Run packaging/setup.sh again.",
        )
    done = run_child(
        [sys.executable, converter, folder, "--outfile", target, "--outtype", quantization],
        tick=tick,
        environment={"HF_HUB_OFFLINE": "1", "NO_LOCAL_GGUF": "", "OMP_NUM_THREADS": "2"},
        timeout=CONVERT_SECONDS,
    )
    if done.code != 0 or not target.is_file():
        lines = [line for line in done.tail.strip().splitlines() if line.strip()]
        raise RegistryError(
            "export.convert",
            "The model could not be converted to GGUF.",
            where=Place.of(folder),
            why=lines[-1][:400] if lines else f"The converter ended with {done.code}.",
            remedy="llama.cpp may not support this architecture; serve the folder with the transformers engine.",
        )


_QUANTISE = """
import sys, llama_cpp
params = llama_cpp.llama_model_quantize_default_params()
params.ftype = getattr(llama_cpp, "LLAMA_FTYPE_MOSTLY_" + sys.argv[3].upper())
params.nthread = int(sys.argv[4])
sys.exit(llama_cpp.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), params))
"""


def quantise(source: Path, target: Path, quantization: str, tick: Tick) -> None:
    """An f16 file as another quantisation, in a child process: native code that fails must not take the step with it."""
    if not can_quantise():
        raise EnvironmentFault(
            "export.no_quantiser",
            f"{quantization} cannot be written on this machine.",
            why="llama-cpp-python was not built: there was no compiler at set-up.",
            remedy="Choose q8_0 or f16; or install g++ and make and run packaging/setup.sh again.",
        )
    done = run_child([sys.executable, "-c", _QUANTISE, source, target, quantization, "2"], tick=tick, timeout=CONVERT_SECONDS)
    if done.code != 0 or not target.is_file():
        raise RegistryError(
            "export.quantise",
            f"The file could not be quantised to {quantization}.",
            where=Place.of(source),
            why=done.tail.strip().splitlines()[-1][:400] if done.tail.strip() else f"Exit code {done.code}.",
            remedy="Choose q8_0.",
        )


def write_files(folder: Path, outputs: Path, name: str, quantizations: list[str], tick: Tick) -> list[Exported]:
    """All asked files, f16 first since the others are made from it."""
    found: dict[str, Path] = {}
    needs_f16 = "f16" in quantizations or any(q not in WITHOUT_COMPILER for q in quantizations)
    f16 = outputs / f"{name}-f16.gguf"
    if needs_f16:
        convert(folder, f16, "f16", tick)
        found["f16"] = f16
    for quantization in [q for q in quantizations if q != "f16"]:
        target = outputs / f"{name}-{quantization}.gguf"
        if quantization == "q8_0" and not (needs_f16 and can_quantise()):
            convert(folder, target, "q8_0", tick)
        else:
            quantise(f16, target, quantization, tick)
        found[quantization] = target
    if "f16" not in quantizations and needs_f16:
        f16.unlink()
    return [Exported(q, found[q], found[q].stat().st_size, file_hash(found[q])) for q in quantizations]


def file_hash(path: Path) -> str:
    """sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def parameters_of(folder: Path) -> int:
    """How many weights a folder holds."""
    from app.config.model_files import check_model_folder

    return check_model_folder(folder).parameters


def describe(folder: Path) -> dict[str, int]:
    """Context length as the configuration states it."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return {"context": int(config.get("max_position_embeddings") or 0)}
