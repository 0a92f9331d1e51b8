"""What the machine does, once a second while it works: processor, memory, graphics card, power.  Runs in the service.

Power is measured where a sensor answers: NVML for the card, RAPL for the processor.  What no sensor covers is estimated
from the processor's load between the two powers in the settings; the unit of system.watts names the weakest source.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from app.errors import StoreError
from app.store import Store, settings
from app.store.series import SeriesWriter

EVERY_SECONDS, REST_SECONDS = 1.0, 5.0
"""Between two readings, while the machine works and else: what rests must cost nothing."""
WORK_PERCENT = 20.0
"""A processor or card above it works; a run that goes is work at any load."""
KEEP_SECONDS = 24 * 3600.0
FINE_SECONDS = 3600.0
"""For so long every second is kept; older readings become means of ten seconds, some 70,000 rows a day in all."""
COARSE_SECONDS = 10
PRUNE_SECONDS = 600.0
_UNITS = {"percent": "%", "mb": "MB", "temperature": "°C"}
RAPL = Path("/sys/class/powercap")


class Rapl:
    """Processor power from the energy counters of Linux; needs read access, which many systems keep to root.

    The counters of whole packages are summed: processor and, on some machines, memory; not the rest of the board.
    """

    def __init__(self, folder: Path = RAPL) -> None:
        self._counters = [file for file in sorted(folder.glob("intel-rapl:[0-9]*/energy_uj")) if file.parent.name.count(":") == 1]
        self._last: tuple[float, list[int]] | None = None

    def watts(self) -> float | None:
        """Mean power since the last call; None at first, and without counters that can be read."""
        try:
            now, found = time.monotonic(), [int(file.read_text()) for file in self._counters]
        except (OSError, ValueError):
            return None
        before, self._last = self._last, (now, found)
        if not found or before is None or now <= before[0]:
            return None
        used = [self._used(*pair) for pair in zip(self._counters, before[1], found, strict=True)]
        return None if None in used else sum(part for part in used if part is not None) / 1e6 / (now - before[0])

    @staticmethod
    def _used(counter: Path, old: int, new: int) -> int | None:
        """Microjoules between two readings of a counter that starts anew after max_energy_range_uj."""
        if new >= old:
            return new - old
        try:
            return new - old + int(counter.with_name("max_energy_range_uj").read_text())
        except (OSError, ValueError):
            return None


class Cards:
    """NVIDIA cards through NVML; nothing where no driver answers."""

    def __init__(self) -> None:
        self._handles: list[Any] = []
        self._nvml: Any = None
        with contextlib.suppress(Exception):  # no package, no library, no driver, no card: all mean "no card"
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]

    def read(self) -> dict[str, float]:
        """Load in percent, memory in MB, power in W, summed or averaged over the cards; {} without one."""
        if not self._handles:
            return {}
        nvml, found = self._nvml, {}
        with contextlib.suppress(Exception):
            loads = [nvml.nvmlDeviceGetUtilizationRates(handle).gpu for handle in self._handles]
            found["system.gpu_percent"] = sum(loads) / len(loads)
            found["system.gpu_memory_mb"] = sum(nvml.nvmlDeviceGetMemoryInfo(handle).used for handle in self._handles) / 1e6
            found["system.gpu_temperature"] = max(
                float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)) for handle in self._handles)
            found["gpu_watts"] = sum(nvml.nvmlDeviceGetPowerUsage(handle) for handle in self._handles) / 1000
        return found


class Sampler:
    """Start it with the service; ``stop`` waits for its thread."""

    def __init__(self, store: Store, *, every: float = EVERY_SECONDS, rest: float = REST_SECONDS) -> None:
        self._store, self._every, self._rest = store, every, rest
        self._rapl, self._cards = Rapl(), Cards()
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="sampler", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End and write what is left."""
        self._halt.set()
        self._thread.join(timeout=10)

    def _loop(self) -> None:
        psutil.cpu_percent()  # both tell what happened since the last call
        self._rapl.watts()
        pruned = -PRUNE_SECONDS
        with contextlib.suppress(StoreError), SeriesWriter(self._store) as series:
            pause = self._every
            while not self._halt.wait(pause):
                with contextlib.suppress(StoreError):  # a busy or full store: the next second tries again
                    found = self.sample()
                    for name, value, unit in found:
                        series.metric(name, value, unit=unit)
                    pause = self.pause_after(found)
                    if time.monotonic() - pruned > PRUNE_SECONDS:
                        pruned = time.monotonic()
                        prune(self._store)

    def pause_after(self, found: list[tuple[str, float, str]]) -> float:
        """Seconds to wait after such a reading."""
        loads = [value for name, value, _ in found if name in ("system.cpu_percent", "system.gpu_percent")]
        works = max(loads) > WORK_PERCENT or self._store.row("SELECT 1 FROM runs WHERE state = 'running' LIMIT 1") is not None
        return self._every if works else self._rest

    def sample(self) -> list[tuple[str, float, str]]:
        """(name, value, unit) of everything that can be read now."""
        load = float(psutil.cpu_percent())
        found = [("system.cpu_percent", load, "%"), ("system.memory_mb", psutil.virtual_memory().used / 1e6, "MB")]
        cards = self._cards.read()
        found += [(name, value, _UNITS[name.rpartition("_")[2]]) for name, value in cards.items() if name != "gpu_watts"]
        found += [("system.disk_free_gb", shutil.disk_usage(self._store.profile.home).free / 1e9, "GB"), *_processor_temperature()]
        watts, source = self._watts(load, cards.get("gpu_watts"))
        return [*found, ("system.watts", watts, source)]

    def _watts(self, load: float, card: float | None) -> tuple[float, str]:
        processor = self._rapl.watts()
        if processor is not None:
            return processor + (card or 0.0), "rapl"
        idle, full = float(settings.get(self._store, "cpu_watts_idle")), float(settings.get(self._store, "cpu_watts_full"))
        return idle + (full - idle) * load / 100 + (card or 0.0), "estimate"


def _processor_temperature() -> list[tuple[str, float, str]]:
    """The hottest reading of the processor, where the system tells one."""
    sensors: Any = getattr(psutil, "sensors_temperatures", dict)()
    readings = [float(one.current) for name in ("coretemp", "k10temp", "cpu_thermal", "zenpower") for one in sensors.get(name, ())]
    return [("system.cpu_temperature", max(readings), "°C")] if readings else []


def prune(store: Store, now: float | None = None) -> None:
    """Keep the machine's own series small: means of ten seconds after an hour, nothing after a day.  A run's series stay."""
    now = time.time() if now is None else now
    fine = (now - FINE_SECONDS) // COARSE_SECONDS * COARSE_SECONDS
    groups = f"FROM metrics WHERE run = '' AND at < ? GROUP BY name, unit, CAST(at / {COARSE_SECONDS} AS INTEGER)"
    with store.write() as db:
        db.execute("DELETE FROM metrics WHERE run = '' AND at < ?", (now - KEEP_SECONDS,))
        db.execute("UPDATE metrics SET value = m.mean FROM "
                   f"(SELECT max(id) AS last, avg(value) AS mean {groups} HAVING count(*) > 1) m WHERE id = m.last", (fine,))
        db.execute(f"DELETE FROM metrics WHERE run = '' AND at < ? AND id NOT IN (SELECT max(id) {groups})", (fine, fine))
