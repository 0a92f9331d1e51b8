"""What the Home and Kits pages say about this computer, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.store import Store


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a model of this size can be trained here.  state: fits, tight, too_large.  Sizes in bytes."""

    name: str
    note: str
    state: str
    need: float
    free: float
    context: int = 1024
    """Tokens of a batch that this was judged for."""
    here: bool = True
    """The model is on this computer."""


@dataclass(frozen=True, slots=True)
class Computer:
    """This machine.  Memory and disk in bytes; gpu "" where there is none."""

    verdict: str
    detail: str
    cores: int
    memory_total: float
    memory_free: float
    disk_free: float
    data_folder: str
    gpu: str
    gpu_total: float
    gpu_free: float
    key_storage: str
    offline: bool
    fits: tuple[Fit, ...]


_MODELS = (("SmolLM2 135M", "included", 135e6), ("0.5B model", "4-bit", 0.5e9), ("1.5B model", "4-bit", 1.5e9),
           ("8B model", "4-bit", 8e9), ("14B model", "4-bit", 14e9))


def computer(store: Store) -> Computer:
    """Measure this machine and say what it can train."""
    from app.store import settings
    from app.training.hardware import probe

    machine = probe(store.profile.home)
    card = max(machine.gpus, key=lambda gpu: gpu.free, default=None)
    fits = tuple(_fit(machine.fit(size), name, note, slow=card is None and size > 1e9) for name, note, size in _MODELS)
    verdict, detail = _verdict(machine.cores, machine.memory_total, card.total if card else 0, fits)
    return Computer(
        verdict=verdict, detail=detail, cores=machine.cores, memory_total=machine.memory_total,
        memory_free=machine.memory_available, disk_free=machine.disk_free, data_folder=str(store.profile.home),
        gpu=card.name if card else "", gpu_total=card.total if card else 0, gpu_free=card.free if card else 0,
        key_storage=store.key.storage, offline=bool(settings.get(store, "offline")), fits=fits)


def fits(store: Store, bases: tuple[tuple[str, int | None], ...]) -> dict[str, Fit]:
    """Whether each base model can be fine-tuned here, by name.

    bases: name, and the size in parameters that a kit states.  A model that is here is measured by its own folder; one
    whose size nobody knows is left out.
    """
    from app.config.model_files import check_model_folder
    from app.config.models import resolve_base
    from app.errors import NeuroWeaverError
    from app.training.hardware import probe

    machine, found = probe(store.profile.home), {}
    for name, stated in bases:
        try:
            size, here = check_model_folder(resolve_base(store, name)).parameters, True
        except NeuroWeaverError:
            size, here = stated or 0, False
        if size:
            judged = machine.fit(size)
            found[name] = Fit(name, "", judged.state, judged.need, judged.free, judged.context, here)
    return found


def _fit(found: Any, name: str, note: str, *, slow: bool) -> Fit:
    return Fit(name, f"{note}, slow without a card" if slow else note, found.state, found.need, found.free)


def _verdict(cores: int, memory: float, card: float, fits: tuple[Fit, ...]) -> tuple[str, str]:
    able = [fit.name.removesuffix(" model") for fit in fits if fit.state == "fits"]
    if not able:
        return ("This computer has too little free memory to train.",
                "Close other programs, then look again. Models can still be served.")
    if card and able[-1].endswith("B"):
        return (f"This computer can train models up to about {able[-1].removesuffix('B')} billion parameters.",
                f"A graphics card with {card / 1e9:.0f} GB trains them in 4-bit form.")
    plural = "core" if cores == 1 else "cores"
    return ("This computer can train small models.",
            f"{_number(cores)} processor {plural} and {memory / 1e9:.0f} GB of memory are enough for models of up to "
            "about half a billion parameters in reasonable time. Larger models need a graphics card.")


def _number(count: int) -> str:
    words = {1: "One", 2: "Two", 3: "Three", 4: "Four", 6: "Six", 8: "Eight"}
    return words.get(count, str(count))
