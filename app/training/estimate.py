"""Memory, time and disk of a fine-tuning before it starts, from config.json alone.  Light: no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.config.model_files import ModelFolder, check_model_folder
from app.errors import EnvironmentFault, Place
from app.training.hardware import Machine
from app.training.memory import adapter_parameters, training_bytes

CPU_FLOPS_PER_CORE = 1.5e11
"""Useful operations a second of one thread with a 16-bit base: 265 tokens/s through SmolLM2-135M, a processor with AMX, measured
on shared cores.  More threads are assumed to scale, which is not measured."""
CPU_FLOPS_PLAIN = 2.5e10
"""The same without 16-bit instructions: assumed."""
QLORA_SLOWDOWN = 1.3
"""4-bit on a CPU against 16-bit, measured on shared cores: 218 tokens/s against 266 to 330."""
GPU_FLOPS = 2.0e13
"""Assumed of a card, low on purpose: not measured on this product's machines."""
RECOMPUTE_SLOWDOWN = 1.33
"""One more forward pass to two halves of backward: assumed."""
START_SECONDS = 6.0
"""Loading the base model and building the trainer: assumed."""
CHECKPOINTS_KEPT = 4
"""Two whole checkpoints, one being written, and the best adapter with the final one (together less than one)."""
CHECKPOINT_BYTES = 14
"""Each adapter number: 2 for the weight, 12 for the master and AdamW's moments (measured: 68.5 MB for 4.88M numbers)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a training will take.  Bytes and seconds."""

    memory: float
    memory_free: float
    disk: float
    disk_free: float
    seconds: float
    adapter_parameters: int
    measured: bool
    """Whether the speed behind ``seconds`` was measured in an earlier run on this machine; else it is assumed."""


def estimate(folder: str | Path | ModelFolder, machine: Machine, *, tokens: float, method: str, r: int = 16,
             target: str = "all-linear", batch_tokens: int = 1024, recompute: bool = False, threads: int = 0,
             speed: float | None = None) -> Estimate:
    """Estimate a training.  tokens, batch_tokens: that go through the model in all, and in the largest batch.

    threads: 0 means all cores.  speed: tokens a second through the model in an earlier run (speed.py), if there was one.
    Raises ModelFileError for a folder that cannot be trained.
    """
    model = folder if isinstance(folder, ModelFolder) else check_model_folder(folder)
    quantised, adapter = method == "qlora", adapter_parameters(model, r, target)
    memory = training_bytes(model, batch_tokens=batch_tokens, quantised=quantised, r=r, target=target, recompute=recompute)
    disk = CHECKPOINTS_KEPT * CHECKPOINT_BYTES * adapter + 20e6
    pace = speed or assumed_speed(model, machine, quantised, recompute, threads or machine.cores)
    return Estimate(memory, float(machine.free), disk, float(machine.disk_free), START_SECONDS + tokens / pace, adapter,
                    speed is not None)


def assumed_speed(model: ModelFolder, machine: Machine, quantised: bool, recompute: bool, threads: int) -> float:
    """Tokens a second through the model, from its size and the kind of machine."""
    work = 4.0 * model.parameters * (RECOMPUTE_SLOWDOWN if recompute else 1.0)  # forward 2, backward to the activations 2
    if machine.gpus:
        return GPU_FLOPS / work
    fast = machine.avx512_bf16 or machine.amx
    rate = (CPU_FLOPS_PER_CORE if fast else CPU_FLOPS_PLAIN) * threads
    return rate / work / (QLORA_SLOWDOWN if quantised else 1.0)


def require_room(plan: Estimate, output: Path) -> None:
    """Raise EnvironmentFault if the output volume is too small for the checkpoints."""
    if plan.disk <= plan.disk_free:
        return
    raise EnvironmentFault(
        "training.disk_too_small", "Training was not started: the volume for its results is too small.",
        where=Place.of(output), why=f"It needs about {plan.disk / 1e6:,.0f} MB and has {plan.disk_free / 1e6:,.0f} MB free.",
        remedy="Free space there, or choose another data folder in Settings; then resume the run.")
