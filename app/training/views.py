"""What the Home and Kits pages say about this computer, in plain words."""

from __future__ import annotations

from dataclasses import dataclass

from app.store import Store


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a model of this size can be trained here.  state: fits, tight, too_large.  Sizes in bytes."""

    name: str
    note: str
    state: str
    need: float
    free: float


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
    import psutil

    from app.store import settings

    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(store.profile.home))
    gpu, gpu_total, gpu_free = _gpu()
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    room = gpu_free or float(memory.available)
    fits = tuple(_fit(name, note, size, room) for name, note, size in _MODELS)
    verdict, detail = _verdict(cores, memory.total, gpu, gpu_total, fits)
    return Computer(
        verdict=verdict, detail=detail, cores=cores, memory_total=memory.total, memory_free=memory.available,
        disk_free=disk.free, data_folder=str(store.profile.home), gpu=gpu, gpu_total=gpu_total, gpu_free=gpu_free,
        key_storage=store.key.storage, offline=bool(settings.get(store, "offline")), fits=fits)


def _gpu() -> tuple[str, float, float]:
    """Name, total and free memory of the first NVIDIA card; empty where no driver answers."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        return str(pynvml.nvmlDeviceGetName(handle)), float(memory.total), float(memory.free)
    except Exception:  # no driver, no card: every kind of failure means the same here
        return "", 0.0, 0.0


def _fit(name: str, note: str, parameters: float, room: float) -> Fit:
    need = _need(parameters)
    state = "fits" if need <= 0.8 * room else "tight" if need <= room else "too_large"
    return Fit(name, note, state, need, room)


def _need(parameters: float) -> float:
    """Bytes to train a model: 4-bit weights (16-bit under 500M), adapters and activations.

    Coarse: half a byte (two) a parameter, a tenth of that for adapters and optimiser, 1 GB for activations and code.
    """
    return parameters * (2.0 if parameters < 0.5e9 else 0.55) * 1.1 + 1e9


def _verdict(cores: int, memory: float, gpu: str, gpu_total: float, fits: tuple[Fit, ...]) -> tuple[str, str]:
    able = [fit for fit in fits if fit.state == "fits"]
    if gpu:
        largest = able[-1].name.removesuffix(" model") if able else "none"
        return (f"This computer can train models up to about {largest.replace('B', ' billion')} parameters.",
                f"A graphics card with {gpu_total / 1e9:.0f} GB trains them in 4-bit form.")
    if not able:
        return "This computer has too little free memory to train.", "Close other programs, then look again."
    plural = "core" if cores == 1 else "cores"
    return ("This computer can train small models.",
            f"{_number(cores)} processor {plural} and {memory / 1e9:.0f} GB of memory are enough for models of up to "
            "about half a billion parameters in reasonable time. Larger models need a graphics card.")


def _number(count: int) -> str:
    words = {1: "One", 2: "Two", 3: "Three", 4: "Four", 6: "Six", 8: "Eight"}
    return words.get(count, str(count))
