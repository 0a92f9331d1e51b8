"""The size told before an export is the size after it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.config.model_files import ModelFolder, check_model_folder
from app.registry.sizes import QUANTIZATIONS, Quantization, estimate_size
from app.store.profile import project_dir
from tests.tiny import STARTER

MEASURED: dict[Quantization, int] = {  # bytes of the starter model's files, written by llama.cpp
    "f16": 270_885_728, "q8_0": 144_810_848, "q5_k_m": 112_103_264, "q4_k_m": 105_453_920, "q4_0": 91_726_688}


@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_starter_model_within_a_hundredth(kind: Quantization) -> None:
    assert estimate_size(check_model_folder(STARTER), kind) == pytest.approx(MEASURED[kind], rel=0.01)


@pytest.mark.parametrize(("kind", "gib"), [("f16", 14.96), ("q4_k_m", 4.57)])
def test_llama_3_8b_within_a_hundredth_of_published_files(kind: Quantization, gib: float) -> None:
    """Llama 3.1 8B, as quoted from "Which Quantization Should I Use?", arXiv 2601.14277."""
    model = ModelFolder(Path("x"), "LlamaForCausalLM", "llama", 8_030_261_248, 16_060_522_496, ("BF16",), 32, 4096, 14336, 32, 8, 128256,
                        131072, False, True, False, ())
    assert estimate_size(model, kind) == pytest.approx(gib * 2**30, rel=0.01)


def test_window_can_ask_without_torch() -> None:
    code = ("import sys; import app.registry.sizes, app.registry.export_node, app.registry.register_node, app.registry.deploy_node, "
            "app.registry.api, app.registry.views; "
            "print([name for name in ('torch', 'numpy', 'transformers', 'jinja2', 'llama_cpp', 'xllamacpp') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=project_dir(), check=True)
    assert done.stdout.strip() == "[]"
