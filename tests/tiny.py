"""A tiny random Llama with the starter model's tokenizer, so that tests train and serve in seconds."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.store.profile import share_dir

STARTER = share_dir() / "models" / "smollm2-135m-instruct"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def tiny_llama(folder: Path, *, dtype: str = "bfloat16", seed: int = 0) -> Path:
    """Write a random Llama (2 layers, hidden 64, about 3.2M parameters) as a Hugging Face folder; returns it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    config = LlamaConfig(
        vocab_size=49152, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=2048, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2,
        pad_token_id=2, dtype=dtype)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        LlamaForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(folder)
    for name in TOKENIZER_FILES:
        shutil.copy(STARTER / name, folder / name)
    return folder
