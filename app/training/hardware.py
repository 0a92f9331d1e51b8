"""What this machine has, and what it can train.  Light: psutil and NVML, no torch; the window may call it."""

from __future__ import annotations

import ctypes
import functools
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from app.training.memory import training_bytes, typical

Verdict = Literal["fits", "tight", "too_large"]
TIGHT_FROM = 0.8
"""Share of free memory from which a model counts as tight (design.md, "Fit")."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA card.  Memory in bytes; ``capability`` is CUDA's, for example (9, 0)."""

    name: str
    total: int
    free: int
    driver: str
    capability: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether something fits.  ``need`` and ``free`` in bytes; ``context`` in tokens."""

    state: Verdict
    need: float
    free: float
    context: int


@dataclass(frozen=True, slots=True)
class Machine:
    """This computer.  Memory and disk in bytes."""

    cores: int
    threads: int
    processor: str
    memory_total: int
    memory_available: int
    disk_free: int
    gpus: tuple[Gpu, ...]
    avx512_bf16: bool
    amx: bool

    @property
    def free(self) -> int:
        """Memory a model may use: the card's where there is one, else the computer's."""
        return max((gpu.free for gpu in self.gpus), default=self.memory_available)

    def fit(self, parameters: float, context: int = 1024, quantised: bool | None = None) -> Fit:
        """Whether a model of this size can be fine-tuned here at this context (tokens in a batch).

        quantised: 4-bit base; None means what ``method: auto`` would choose.
        """
        if quantised is None:
            quantised = bool(self.gpus) or parameters >= 500e6
        need = training_bytes(typical(parameters), batch_tokens=context, quantised=quantised)
        state: Verdict = "fits" if need <= TIGHT_FROM * self.free else "tight" if need <= self.free else "too_large"
        return Fit(state, need, float(self.free), context)


def probe(path: str | Path = ".") -> Machine:
    """Measure this machine; ``path`` names the volume whose free space counts."""
    memory = psutil.virtual_memory()
    flags = cpu_flags()
    return Machine(
        cores=psutil.cpu_count(logical=False) or psutil.cpu_count() or 1, threads=psutil.cpu_count() or 1,
        processor=_processor(), memory_total=memory.total, memory_available=memory.available,
        disk_free=disk_free(path), gpus=_gpus(), avx512_bf16="avx512_bf16" in flags, amx="amx_bf16" in flags)


def disk_free(path: str | Path) -> int:
    """Free bytes on the volume of ``path`` or of its nearest parent that exists."""
    place = Path(path).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return int(psutil.disk_usage(str(place)).free)


@functools.cache
def cpu_flags() -> frozenset[str]:
    """Processor features by Linux's names; empty where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), []))


@functools.cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _gpus() -> tuple[Gpu, ...]:
    """The NVIDIA cards; none where no driver answers.

    The driver's library is looked for first: importing pynvml takes 15 MB, which the window can do without.
    """
    try:
        if sys.platform == "linux":
            ctypes.CDLL("libnvidia-ml.so.1")
        import pynvml

        pynvml.nvmlInit()
        try:
            driver = str(pynvml.nvmlSystemGetDriverVersion())
            return tuple(_gpu(pynvml, number, driver) for number in range(pynvml.nvmlDeviceGetCount()))
        finally:
            pynvml.nvmlShutdown()
    except Exception:  # no library, no driver, no card: each kind of failure means "no card" here
        return ()


def _gpu(nvml: object, number: int, driver: str) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(number)  # type: ignore[attr-defined]
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)  # type: ignore[attr-defined]
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)  # type: ignore[attr-defined]
    name = nvml.nvmlDeviceGetName(handle)  # type: ignore[attr-defined]
    return Gpu(str(name), int(memory.total), int(memory.free), driver, (int(major), int(minor)))
