"""The base and the tuned model in one load: the adapter is switched off for the base, then merged for the tuned side."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.config.artifacts import Model
from app.errors import EvaluationError

Messages = list[dict[str, str]]


@dataclass
class Pair:
    """base and tuned share weights where the tuned one is an adapter; else they are two models."""

    tokenizer: Any
    tuned: Any
    base: Any | None
    """None: the adapter of ``tuned`` is switched off instead."""

    merged: bool = False
    """The adapter is in the weights: what is asked is what is exported, and no layer computes twice."""

    @contextlib.contextmanager
    def side(self, tuned: bool) -> Iterator[Any]:
        """The model of one side, ready to run.  Sides of one load: first the base, then the tuned one."""
        from app.evaluation.packed import packed

        with self._side(tuned) as model, packed(model):
            yield model

    @contextlib.contextmanager
    def _side(self, tuned: bool) -> Iterator[Any]:
        if self.base is not None:
            yield self.tuned if tuned else self.base
        elif tuned:
            if not self.merged:
                self.tuned.merge_adapter()
                self.merged = True
            yield self.tuned
        elif self.merged:  # taking it out again would leave rounding behind
            raise RuntimeError("the base must be asked before the tuned model")
        else:
            with self.tuned.disable_adapter():
                yield self.tuned


def load_pair(model: Model) -> Pair:
    """Load both sides on the accelerator if there is one, else on the CPU.  bf16; no remote code, safetensors only."""
    import torch
    from transformers import AutoTokenizer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if model.format == "gguf" or not model.base:
        raise EvaluationError(
            "evaluation.no_base",
            "This model cannot be compared with its base.",
            why="It is a GGUF file, or nothing says what it was made from.",
            remedy="Evaluate the output of a training step.",
        )
    tokenizer = AutoTokenizer.from_pretrained(
        model.path if (Path(model.path) / "tokenizer.json").exists() else model.base, trust_remote_code=False
    )
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    base = _load(model.base, device)
    if model.format == "lora":
        from peft import PeftModel

        tuned = PeftModel.from_pretrained(base, model.path, torch_device=device).to(torch.bfloat16).eval()
        return Pair(tokenizer, tuned, None)
    return Pair(tokenizer, _load(model.path, device), base)


def _load(path: str, device: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16, trust_remote_code=False, use_safetensors=True)
    # a view into (rows, tokens, width) makes torch copy the head's weights once a row: 11 of 22 s of a batch of 40
    loaded.get_output_embeddings().register_forward_pre_hook(lambda _head, given: (given[0].contiguous(),))
    return loaded.to(device).eval()


def encode_prompt(tokenizer: Any, messages: Messages) -> list[int]:
    """Token ids of a conversation with the turn opened for the answer."""
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
