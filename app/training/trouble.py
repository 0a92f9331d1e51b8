"""What goes wrong below us, recognised: memory that ran out, a card that is gone."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from app.errors import NeuroWeaverError, TrainingError

_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory", "bad_alloc",
           "cublas_status_alloc_failed")
_DEVICE = ("cuda error", "nvml", "device-side assert", "gpu is lost", "fallen off the bus", "cudnn_status",
           "cublas_status", "unspecified launch failure", "device not ready", "no cuda-capable device")


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether host or card memory ran out (torch says so as RuntimeError or OutOfMemoryError)."""
    if isinstance(problem, MemoryError):
        return True
    return isinstance(problem, RuntimeError) and any(word in str(problem).lower() for word in _MEMORY)


def is_disk_full(problem: BaseException) -> bool:
    """Whether the volume or the quota is full.  A volume that is gone is another matter: the step pauses."""
    return isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT)


def as_os_error(problem: Exception, file: Path) -> OSError:
    """safetensors reports a failed write as its own class, with the system's number in the text."""
    found = re.search(r"os error (\d+)", str(problem))
    number = int(found.group(1)) if found else errno.EIO
    return OSError(number, os.strerror(number), str(file))


def is_device_lost(problem: BaseException) -> bool:
    """Whether the card stopped answering.  After that, nothing on it can be used in this process."""
    if is_out_of_memory(problem):
        return False
    named = type(problem).__name__ in ("AcceleratorError", "CudaError", "NVMLError")
    return named or (isinstance(problem, RuntimeError) and any(word in str(problem).lower() for word in _DEVICE))


def explain(problem: Exception, step: int, kept: int | None) -> NeuroWeaverError:
    """The error a user sees for an exception out of training.  kept: step of the newest checkpoint, if there is one."""
    if isinstance(problem, NeuroWeaverError):
        return problem
    saved = f"Step {kept} is saved." if kept is not None else "Nothing had been saved yet."
    if is_out_of_memory(problem):
        return TrainingError("training.out_of_memory", f"Training stopped: memory ran out at step {step}. {saved}",
                             why="Two retries with smaller batches did not suffice, or a single row is too large.",
                             remedy="Lower batch_tokens or max_length, or close other programs; then resume the run.")
    if is_device_lost(problem):
        return TrainingError("training.device_lost", f"Training stopped: the graphics card stopped answering. {saved}",
                             why=f"{problem}"[:300], remedy="Check the card and its driver, then resume the run.")
    return TrainingError("training.failed", f"Training stopped at step {step}. {saved}",
                         why=f"{type(problem).__name__}: {problem}"[:400], remedy="Resume the run to try again.")
