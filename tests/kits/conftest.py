"""What the tests of every kit ask of it; a test module names its kit's folder as KIT."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from app.config.document import load
from app.evaluation.compare_node import CompareParams
from app.workflow import registry


@pytest.fixture(scope="module")
def build(request):
    """The kit's build script, imported."""
    kit = request.module.KIT
    name = f"{kit.name}_build"
    spec = importlib.util.spec_from_file_location(name, kit / "build.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def document(request):
    """The kit's workflow document."""
    return load(request.module.KIT / "kit.yaml", registry.find)


@pytest.fixture(scope="module")
def task(document):
    """What an answer looks like and how it is scored."""
    return CompareParams.model_validate(document.steps["evaluate"].params).task
