"""Memory, time and disk of a fine-tuning before it starts, from config.json alone.  Light: no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.config.model_files import ModelFolder, check_model_folder
from app.errors import EnvironmentFault, Place
from app.training.hardware import RUNTIME_BYTES, Machine

CPU_FLOPS_PER_CORE = 1.5e11
"""Useful operations a second of one thread with a 16-bit base: 275 tokens/s, SmolLM2-135M, a processor with AMX, measured
on shared cores.  More threads are assumed to scale, which is not measured."""
CPU_FLOPS_PLAIN = 2.5e10
"""The same without 16-bit instructions: assumed."""
QLORA_SLOWDOWN = 1.3
"""4-bit on a CPU against 16-bit: assumed from facts.md (276 padded tokens in 1.2 s, against 280 tokens/s)."""
GPU_FLOPS = 2.0e13
"""Assumed of a card, low on purpose: not measured on this product's machines."""
ACTIVATION_WIDTHS = 88
"""Activations kept for the backward pass, in widths for each token and layer, without recomputing.  Set from one run: a
process training SmolLM2-135M at 1,024 tokens peaked at 4.8 GB (resident, all its libraries counted)."""
CHECKPOINTS_KEPT = 4
"""Two whole checkpoints, one being written, and the best adapter with the final one (together less than one)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a training will take.  Bytes and seconds.  ``seconds`` is an assumption until the run has its own speed."""

    memory: float
    memory_free: float
    disk: float
    disk_free: float
    seconds: float
    adapter_parameters: int
    measured: bool
    """Whether the speed behind ``seconds`` was measured on a machine like this one."""


def estimate(folder: str | Path | ModelFolder, machine: Machine, *, tokens: int, method: str, r: int = 16,
             target: str = "all-linear", batch_tokens: int = 1024, recompute: bool = False, threads: int = 0) -> Estimate:
    """Estimate a training of ``tokens`` tokens in all.  threads: 0 means all cores.

    Raises ModelFileError for a folder that cannot be trained.
    """
    model = folder if isinstance(folder, ModelFolder) else check_model_folder(folder)
    adapter = adapter_parameters(model, r, target)
    quantised = method == "qlora"
    memory = _weights(model, quantised) + 16 * adapter + _activations(model, batch_tokens, recompute) + RUNTIME_BYTES
    disk = CHECKPOINTS_KEPT * 14 * adapter + 20e6
    seconds, measured = _seconds(model, machine, tokens, quantised, threads or machine.cores)
    return Estimate(memory, float(machine.free), disk, float(machine.disk_free), seconds, adapter, measured)


def adapter_parameters(model: ModelFolder, r: int, target: str = "all-linear") -> int:
    """Numbers in LoRA matrices of rank ``r`` on a Llama-like model: each linear layer takes r x (inputs + outputs)."""
    hidden = model.hidden
    head = hidden // max(model.heads, 1)
    keys = head * model.kv_heads
    attention = 2 * (hidden + hidden) + 2 * (hidden + keys)
    feed_forward = 3 * (hidden + model.intermediate) if target == "all-linear" else 0
    return r * model.layers * (attention + feed_forward)


def _weights(model: ModelFolder, quantised: bool) -> float:
    if not quantised:
        return 2.0 * model.parameters
    embedding = model.vocabulary * model.hidden * (1 if model.tied else 2)
    return 2.0 * embedding + 0.53 * max(model.parameters - embedding, 0)


def _activations(model: ModelFolder, batch_tokens: int, recompute: bool) -> float:
    widths = ACTIVATION_WIDTHS * (0.1 if recompute else 1.0)
    each_layer = 2.0 * (widths / 2 * model.hidden + widths / 4 * model.intermediate)
    logits = 256 * model.vocabulary * 12.0
    return batch_tokens * model.layers * each_layer + logits


def _seconds(model: ModelFolder, machine: Machine, tokens: int, quantised: bool, threads: int) -> tuple[float, bool]:
    work = 4.0 * model.parameters * tokens  # forward 2, backward to the activations 2; frozen weights take none
    if machine.gpus:
        return work / GPU_FLOPS, False
    fast = machine.avx512_bf16 or machine.amx
    rate = (CPU_FLOPS_PER_CORE if fast else CPU_FLOPS_PLAIN) * threads
    return work / rate * (QLORA_SLOWDOWN if quantised else 1.0), fast and threads == 1 and not quantised


def require_room(plan: Estimate, output: Path) -> None:
    """Raise EnvironmentFault if the output volume is too small for the checkpoints."""
    if plan.disk <= plan.disk_free:
        return
    raise EnvironmentFault(
        "training.disk_too_small", "Training was not started: the volume for its results is too small.",
        where=Place.of(output), why=f"It needs about {plan.disk / 1e6:,.0f} MB and has {plan.disk_free / 1e6:,.0f} MB free.",
        remedy="Free space there, or choose another data folder in Settings; then resume the run.")
