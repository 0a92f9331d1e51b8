"""One tiny export for all tests that need real files, and a context that says little."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.config.artifacts import Model, Report
from app.store import Profile, Store
from tests.context import FakeContext
from tests.registry.gguf_maker import Gguf
from tests.tiny import tiny_llama


@dataclass(frozen=True)
class Exported:
    """What one export of the tiny model left."""

    base: Path
    adapter: Path
    model: Model
    proof: Report
    context: FakeContext


def make_adapter(base: Path, folder: Path, *, strength: float = 0.2) -> Path:
    """A LoRA adapter with random weights, strong enough to change every answer."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", exclude_modules=["lm_head"])
    with torch.random.fork_rng():
        torch.manual_seed(1)
        adapted = get_peft_model(model, config, autocast_adapter_dtype=False)
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=strength)
    adapted.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    """The tiny model with an adapter as f16, q8_0 and q4_k_m files; proven on four packaged questions."""
    from app.registry.export_node import Export, ExportParams

    root = tmp_path_factory.mktemp("export")
    base = tiny_llama(root / "tiny-base")
    adapter = make_adapter(base, root / "adapter")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROWEAVER_KEYRING", "off")
        with Store.open(Profile(root / "home")) as store:
            model = Model(content_hash="adapter", path=str(adapter), format="lora", name="Tiny tuned", base=str(base))
            context = FakeContext(store, root / "step", inputs={"model": model})
            params = ExportParams(quantization=["f16", "q8_0", "q4_k_m"], prompts=4, new_tokens=12)
            made: dict[str, Any] = Export(params).run(context)
            yield Exported(base, adapter, made["model"], made["proof"], context)


@pytest.fixture
def small_model(tmp_path: Path) -> Callable[..., Model]:
    """A function that makes a model whose file only looks like one: for tests that load nothing."""
    count = 0

    def make(content: str = "one", *, base: str | None = None) -> Model:
        nonlocal count
        count += 1
        file = Gguf(template=content).write(tmp_path / f"small-{count}.gguf")
        from app.registry.files import sha256

        digest = sha256(file)
        entry = {"quantization": "q8_0", "path": str(file), "size": file.stat().st_size, "sha256": digest}
        return Model(content_hash=digest, path=str(file), format="gguf", name="Small", base=base,
                     details={"quantization": "q8_0", "parameters": 40, "context": 128, "files": [entry]})

    return make
