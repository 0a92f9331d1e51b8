"""Hugging Face folder → GGUF with llama.cpp's own converter, and GGUF → smaller GGUF; both in a child process.

A child, because the converter is a foreign program that imports torch and a crash in native code must not take the
step with it.  It dies with this process.  Files appear whole or not at all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from app.config.subprocess_tools import Finished, run_child
from app.errors import EnvironmentFault, Place, RegistryError
from app.registry.sizes import WITHOUT_COMPILER, Quantization
from app.store.profile import project_dir, share_dir

Tick = Callable[[], None]
# llama.h, enum llama_ftype
_FTYPES = {"q8_0": 7, "q5_k_m": 17, "q4_k_m": 15, "q4_0": 2, "f16": 1}
QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "NEUROWEAVER_PASSPHRASE": "", "PYTHONUNBUFFERED": "1",
          "OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false"}


def converter() -> Path:
    """llama.cpp's converter.  Raises EnvironmentFault export.no_converter where set-up has not put it."""
    script = share_dir() / "llama.cpp" / "convert_hf_to_gguf.py"
    if not script.is_file():
        raise EnvironmentFault("export.no_converter", "llama.cpp's converter is not on this machine.", where=Place.of(script),
                               remedy="Run packaging/setup.sh again.")
    return script


def can_quantise() -> bool:
    """Whether llama-cpp-python is installed; it is looked up, not imported."""
    return find_spec("llama_cpp") is not None


def check_quantizations(wanted: list[Quantization]) -> None:
    """Raise EnvironmentFault export.no_quantiser, before any work, for what this machine cannot write."""
    missing = [name for name in wanted if name not in WITHOUT_COMPILER]
    if missing and not can_quantise():
        raise EnvironmentFault(
            "export.no_quantiser", f"This machine cannot write {', '.join(missing)}.", where=Place.of(field="quantization"),
            why="llama-cpp-python is not installed: it is compiled, and there was no compiler at set-up.",
            remedy="Use q8_0 or f16; or install a C++ compiler (g++, make) and run packaging/setup.sh again.")


def convert(folder: Path, target: Path, kind: str, *, name: str = "", tick: Tick | None = None) -> None:
    """Write ``folder`` as the GGUF file ``target``.  kind: f16 or q8_0.  Raises RegistryError export.conversion."""
    partial = _beside(target)
    command = [sys.executable, str(converter()), str(folder), "--outfile", str(partial), "--outtype", kind]
    if name:
        command += ["--model-name", name]
    done = _run(command, target.with_suffix(".convert.log"), tick)
    _accept(done, partial, target, "export.conversion", "The model could not be converted to GGUF.")


def quantise(source: Path, target: Path, kind: Quantization, *, threads: int = 1, tick: Tick | None = None) -> None:
    """Write a smaller copy of an f16 GGUF file.  Raises RegistryError export.quantise."""
    partial = _beside(target)
    command = [sys.executable, "-m", "app.registry.quantise_child", str(source), str(partial), str(_FTYPES[kind]), str(threads)]
    done = _run(command, target.with_suffix(".quantise.log"), tick)
    _accept(done, partial, target, "export.quantise", f"The model could not be quantised to {kind}.")


def _beside(target: Path) -> Path:
    partial = target.with_name(f"{target.stem}.partial-{os.getpid()}.gguf")
    partial.unlink(missing_ok=True)
    return partial


def _run(command: list[str], log: Path, tick: Tick | None) -> Finished:
    try:
        return run_child(command, cwd=project_dir(), environment=QUIET, tick=tick, log=log)
    finally:
        log.unlink(missing_ok=True)


def _accept(done: Finished, partial: Path, target: Path, code: str, what: str) -> None:
    if done.code == 0 and partial.is_file() and partial.stat().st_size > 0:
        with partial.open("rb+") as stream:
            os.fsync(stream.fileno())
        partial.replace(target)
        return
    partial.unlink(missing_ok=True)
    raise RegistryError(code, what, where=Place.of(target), why=_reason(done), remedy=_remedy(done))


def _reason(done: Finished) -> str:
    """The last line that the program wrote, or what the signal that ended it means."""
    if done.code in (-9, 137):
        return "The process was killed; on a machine short of memory, that is why."
    if done.code in (-11, 139):
        return "The process crashed in native code (segmentation fault)."
    lines = [line.strip() for line in done.tail.splitlines() if line.strip()]
    return (lines[-1][:300] if lines else f"It ended with exit code {done.code} and said nothing.")


def _remedy(done: Finished) -> str:
    if "No space left" in done.tail:
        return "Free some disk space and resume the run."
    if "not supported" in done.tail or "NotImplementedError" in done.tail:
        return "llama.cpp does not know this kind of model; serve its folder with the transformers engine."
    return "Resume the run to try again; if it fails again, choose another quantisation."
