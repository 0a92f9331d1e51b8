"""Chat templates are programs: they are limited in size, read for forbidden words, and rendered in a sandbox first.

The engine renders a template with code of its own at every request, so one that loops for ever or reaches for
Python's insides must not get that far.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from app.config.subprocess_tools import group_options, kill_tree, start_child
from app.errors import ModelFileError, Place

MOST_TEMPLATE = 256 * 1024
"""Bytes.  The longest template of a well-known model has some 30 kB."""
SECONDS = 5.0
MEMORY = 256 * 2**20


def check_template(template: str, file: Path, field: str, *, render: bool = True) -> None:
    """Raise ModelFileError model.template, naming file and field, for a template that is too large or does harm."""
    size = len(template.encode("utf-8", "surrogatepass"))
    if size > MOST_TEMPLATE:
        raise _refuse(file, field, f"It has {size:,} bytes; at most {MOST_TEMPLATE:,} are accepted.")
    if render:
        reason = rendered_reason(template)
        if reason:
            raise _refuse(file, field, reason)


def _refuse(file: Path, field: str, why: str) -> ModelFileError:
    return ModelFileError("model.template", "The model's chat template is not safe; the model was not loaded.",
                          where=Place.of(file, field=field), why=why,
                          remedy="Use another copy of the model, or one whose template you have read and mended.")


def rendered_reason(template: str) -> str | None:
    """Render sample conversations in a child process; why the template is refused, or None."""
    command = [sys.executable, "-I", str(Path(__file__).with_name("template_child.py"))]
    child = start_child(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **group_options())
    answer: list[bytes] = []
    reader = threading.Thread(target=lambda: answer.append(_exchange(child, template)), daemon=True)
    reader.start()
    stopped = _watch(child)
    reader.join(timeout=5)
    if stopped:
        return stopped
    try:
        found: dict[str, Any] = json.loads(answer[0])
    except (IndexError, ValueError):
        return "Rendering it ended without an answer: it takes too much memory or breaks the renderer."
    return str(found["refused"]) if found.get("refused") else None


def _exchange(child: subprocess.Popen[bytes], template: str) -> bytes:
    try:
        return child.communicate(json.dumps({"template": template}).encode())[0]
    except (OSError, ValueError):  # it ended before it had read everything
        return b""


def _watch(child: subprocess.Popen[bytes]) -> str | None:
    """Wait for the end; kill it when it takes too long or too much, and say so."""
    deadline = time.monotonic() + SECONDS
    while child.poll() is None:
        reason = None
        if time.monotonic() > deadline:
            reason = f"Rendering a short conversation takes over {SECONDS:g} seconds."
        elif _memory(child.pid) > MEMORY:
            reason = f"Rendering a short conversation takes over {MEMORY // 2**20} MB of memory."
        if reason:
            kill_tree(child.pid)
            child.wait()
            return reason
        time.sleep(0.02)
    return None


def _memory(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
