"""The modules beside the packaging scripts, which are no package: loaded by their path."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from app.store.profile import project_dir

BUNDLE = project_dir() / "packaging" / "bundle"


def load(name: str) -> ModuleType:
    """packaging/bundle/NAME.py."""
    spec = importlib.util.spec_from_file_location(f"bundle_{name}", BUNDLE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
