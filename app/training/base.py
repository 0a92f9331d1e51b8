"""Load a base model for training and put adapters on it.  Heavy: imported inside ``run`` only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch

from app.config.model_files import ModelFolder
from app.errors import ModelFileError, Place

Method = Literal["lora", "qlora"]
SMALL = 500_000_000
"""Below so many parameters, on a CPU, a 16-bit base is faster than a 4-bit one and fits anyway."""


def choose_method(asked: str, parameters: int, cuda: bool) -> Method:
    """What ``method: auto`` means here."""
    if asked == "lora":
        return "lora"
    if asked == "qlora":
        return "qlora"
    return "lora" if parameters < SMALL and not cuda else "qlora"


def load_tokenizer(folder: Path) -> Any:
    """The model's own tokenizer, from its folder alone."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise _unusable(folder, "The model's tokenizer cannot be loaded.", problem) from problem


def load_base(folder: ModelFolder, method: Method, *, dtype: str = "bfloat16", cuda: bool = False) -> Any:
    """A causal LM with all weights frozen: 16-bit (``dtype``), or NF4 with double quantisation."""
    from transformers import AutoModelForCausalLM

    options: dict[str, Any] = {"dtype": getattr(torch, dtype), "local_files_only": True, "trust_remote_code": False,
                               "use_safetensors": True, "attn_implementation": "sdpa"}
    if method == "qlora":
        options |= {"quantization_config": _nf4(dtype), "device_map": {"": 0 if cuda else "cpu"}}
    try:
        model = AutoModelForCausalLM.from_pretrained(str(folder.path), **options)
    except (OSError, ValueError, KeyError, ImportError) as problem:
        raise _unusable(folder.path, "The base model cannot be loaded.", problem) from problem
    disarm_cpu_packing(model)
    model.requires_grad_(False)
    model.config.use_cache = False
    return model


def _nf4(dtype: str) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                              bnb_4bit_compute_dtype=getattr(torch, dtype))


def disarm_cpu_packing(model: Any) -> int:
    """Stop bitsandbytes from packing 4-bit weights for inference; returns how many layers were set.

    On a processor with AVX512-BF16, bitsandbytes 0.50 packs each Linear4bit at its first forward in eval mode; from
    then on training runs through a kernel without autograd and the gradients die silently (facts.md).  Call this
    right after loading, before any forward: unpacking later is not lossless.
    """
    try:
        from bitsandbytes.nn import Linear4bit
    except ImportError:
        return 0
    layers = [module for module in model.modules() if isinstance(module, Linear4bit)]
    for layer in layers:
        layer.support_avx512bf16_for_cpu = False
    return len(layers)


def add_adapters(model: Any, *, r: int, alpha: float, dropout: float, target: str, seed: int) -> Any:
    """Wrap the model with LoRA adapters in its own dtype (peft would make them fp32: slower, and no better with
    32-bit masters in the optimiser)."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    modules: Any = "all-linear" if target == "all-linear" else ["q_proj", "k_proj", "v_proj", "o_proj"]
    config = LoraConfig(r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=modules, bias="none",
                        task_type="CAUSAL_LM", exclude_modules=["lm_head"])
    try:
        adapted = get_peft_model(model, config, autocast_adapter_dtype=False)
    except ValueError as problem:
        raise ModelFileError("model.no_targets", "The base model has no layers of the kind to be adapted.",
                             why=f"{problem}.", remedy='Set lora.target to "all-linear".') from problem
    _match_dtype(adapted)
    return adapted


def _match_dtype(adapted: Any) -> None:
    """Adapters in the dtype that flows through the model; a 4-bit layer's own dtype is no guide."""
    dtype = adapted.get_base_model().dtype
    for param in adapted.parameters():
        if param.requires_grad:
            param.data = param.data.to(dtype)


def trainable(model: Any) -> dict[str, torch.nn.Parameter]:
    """The parameters that training moves, by name."""
    return {name: param for name, param in model.named_parameters() if param.requires_grad}




def _unusable(folder: Path, what: str, problem: Exception) -> ModelFileError:
    return ModelFileError("model.unusable", what, where=Place.of(folder), why=f"{type(problem).__name__}: {problem}"[:400],
                          remedy="Use another base model, for example the starter model.")
