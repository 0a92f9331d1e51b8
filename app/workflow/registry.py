"""Find the nodes: files with ``@node(`` in app's rooms, and in folders that NEUROWEAVER_NODES names.

A file that fails to import costs its own nodes alone; :func:`broken` gives the reason, shown in the palette.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib
import importlib.util
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from app.config.node import REGISTERED, NodeClass
from app.errors import ConfigError, Place

_MARK = re.compile(r'^@node\(\s*"([^"]+)"', re.MULTILINE)
_NOT_ROOMS = {"config", "store", "workflow", "gateway"}


@dataclass(frozen=True, slots=True)
class BrokenNode:
    """A node whose file cannot be imported, and why."""

    name: str
    file: Path
    reason: str


@functools.cache
def _load() -> tuple[dict[str, NodeClass], dict[str, BrokenNode]]:
    failed: dict[str, BrokenNode] = {}
    for file, module in _node_files():
        names = _MARK.findall(file.read_text(encoding="utf-8"))
        try:
            _import(file, module)
        except Exception as problem:  # whatever a stranger's file raises costs that file alone
            reason = f"{type(problem).__name__}: {problem}"
            failed |= {name: BrokenNode(name, file, reason) for name in names if name not in REGISTERED}
    return dict(sorted(REGISTERED.items())), failed


def nodes() -> dict[str, NodeClass]:
    """All nodes that can be used, by name."""
    return _load()[0]


def broken() -> dict[str, BrokenNode]:
    """Nodes that are there but cannot be used, by name."""
    return _load()[1]


def reload() -> None:
    """Forget what was found, so that new files are seen."""
    _load.cache_clear()


def find(name: str, where: Place | None = None) -> NodeClass:
    """The node called ``name``.  Raises ConfigError with the nearest name, or the reason why it is out of order."""
    found = nodes().get(name)
    if found is not None:
        return found
    if name in broken():
        fault = broken()[name]
        raise ConfigError("workflow.broken_node", f"The node {name!r} cannot be used.", where=where or Place.of(fault.file),
                          why=f"{fault.reason}.", remedy="Mend or reinstall what its file needs; doctor lists it.")
    near = difflib.get_close_matches(name, nodes(), n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"One of: {', '.join(nodes())}."
    raise ConfigError("workflow.unknown_node", f"There is no node {name!r}.", where=where, remedy=hint)


def _node_files() -> list[tuple[Path, str]]:
    root = Path(__file__).resolve().parents[1]
    rooms = sorted(room for room in root.iterdir() if room.is_dir() and room.name not in _NOT_ROOMS)
    ours = [(file, f"app.{file.relative_to(root).with_suffix('').as_posix().replace('/', '.')}")
            for room in rooms for file in sorted(room.rglob("*.py")) if _has_node(file)]
    extra = [Path(folder) for folder in os.environ.get("NEUROWEAVER_NODES", "").split(os.pathsep) if folder]
    theirs = [(file, "") for folder in extra for file in sorted(folder.glob("*.py")) if _has_node(file)]
    return ours + theirs


def _has_node(file: Path) -> bool:
    return "@node(" in file.read_text(encoding="utf-8", errors="replace")


def _import(file: Path, module: str) -> None:
    if module:
        importlib.import_module(module)
        return
    name = f"neuroweaver_node_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be loaded")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    try:
        spec.loader.exec_module(loaded)
    except BaseException:
        del sys.modules[name]
        raise
