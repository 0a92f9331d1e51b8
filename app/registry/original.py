"""The original of the proof: base and adapter as they were trained, in 32-bit arithmetic; then merged and saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from app.errors import ModelFileError, Place
from app.registry.prompts import CONVERSATIONS, TEXTS, Messages, Question

Tick = Callable[[float], None]
_HALF_MAX = 65504.0
BATCH = 16
FULL_PRECISION_SHARE = 0.7
"""32-bit arithmetic is used where the weights take no more than this share of the free memory."""


@dataclass
class Original:
    """A loaded model with its tokenizer.  ``adapted``: it is a peft model whose adapter is not merged yet."""

    model: Any
    tokenizer: Any
    adapted: bool
    dtype: str


@dataclass(frozen=True, slots=True)
class Answered:
    """One question as the original answered it.

    prompt: token ids.  continuation: the token ids that all are measured on.  logprobs: file of float32 (continuation
    tokens, vocabulary), natural logarithms; row i is the prediction of continuation token i.
    """

    messages: Messages
    prompt: list[int]
    continuation: list[int]
    answer: str
    logprobs: Path


def load_original(path: Path, base: Path | None, parameters: int) -> Original:
    """Load a folder, or a base with an adapter on it.  fp32 where it fits into memory, else bf16.

    A 4-bit (QLoRA) adapter goes onto the base's own 16-bit weights, not onto the 4-bit ones.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else psutil.virtual_memory().available
    dtype = torch.float32 if parameters * 4 < free * FULL_PRECISION_SHARE else torch.bfloat16
    own = (path / "tokenizer.json").exists() or (path / "tokenizer_config.json").exists()
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(str(path if own else base), trust_remote_code=False, local_files_only=True)
        model: Any = AutoModelForCausalLM.from_pretrained(
            str(base or path), dtype=dtype, trust_remote_code=False, use_safetensors=True, local_files_only=True)
        if base is not None:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, str(path), torch_device="cpu", autocast_adapter_dtype=False)
            model = model.to(dtype)
    except (OSError, ValueError, KeyError, RuntimeError) as problem:
        raise ModelFileError("model.unusable", "The model cannot be loaded.", where=Place.of(path),
                             why=f"{type(problem).__name__}: {problem}"[:400],
                             remedy="Train it again, or choose another base model.") from problem
    return Original(model.to(device).eval(), tokenizer, base is not None, str(dtype).removeprefix("torch."))


def render(tokenizer: Any, messages: Messages) -> str:
    """A conversation as text with the turn opened for the answer; plain text where the model has no chat template."""
    if not tokenizer.chat_template:
        return "\n".join(message["content"] for message in messages)
    return str(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))


def conversations(tokenizer: Any) -> list[dict[str, Any]]:
    """{messages, text, ids} of each packaged conversation that the template takes (some refuse a system message)."""
    found = []
    for messages in CONVERSATIONS if tokenizer.chat_template else ():
        try:
            text = render(tokenizer, messages)
        except Exception:  # a template says no by raising what it likes
            continue
        found.append({"messages": messages, "text": text, "ids": encode(tokenizer, text)})
    return found


def texts(tokenizer: Any, more: list[str]) -> list[dict[str, Any]]:
    """{text, ids} of the packaged texts and of some more."""
    return [{"text": text, "ids": encode(tokenizer, text)} for text in (*TEXTS, *more)]


def encode(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text as it stands: nothing is added, special tokens written in it count as such."""
    return [int(token) for token in tokenizer(text, add_special_tokens=False)["input_ids"]]


def answer_all(original: Original, questions: list[Question], folder: Path, *, new_tokens: int, tick: Tick) -> list[Answered]:
    """Greedy answers, and log-probabilities on the taught answer (on the greedy one where none is known)."""
    folder.mkdir(parents=True, exist_ok=True)
    prompts = [encode(original.tokenizer, render(original.tokenizer, question.messages)) for question in questions]
    greedy = [made for start in range(0, len(prompts), BATCH) for made in _greedy(original, prompts[start:start + BATCH], new_tokens)]
    tick(0.5)
    answered = []
    for number, (question, prompt, written) in enumerate(zip(questions, prompts, greedy, strict=True)):
        end = original.tokenizer.eos_token_id
        expected = [*encode(original.tokenizer, question.expected), end] if question.expected else []
        continuation = (expected or written or [end])[:new_tokens]
        file = folder / f"{number:04d}.npy"
        np.save(file, _logprobs(original, prompt, continuation))
        text = original.tokenizer.decode(written, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        answered.append(Answered(question.messages, prompt, continuation, text, file))
        tick(0.5 + 0.5 * (number + 1) / len(questions))
    return answered


def _greedy(original: Original, prompts: list[list[int]], new_tokens: int) -> list[list[int]]:
    """The most likely continuation of each prompt, up to and with its end token."""
    width, end = max(map(len, prompts)), original.tokenizer.eos_token_id
    pad = end if original.tokenizer.pad_token_id is None else original.tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts], device=original.model.device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=original.model.device)
    with torch.inference_mode():
        made = original.model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=new_tokens, do_sample=False, num_beams=1,
            repetition_penalty=1.0, temperature=None, top_p=None, top_k=None, pad_token_id=pad)
    rows = [[int(token) for token in row[width:]] for row in made]
    return [row[:row.index(end) + 1] if end in row else row for row in rows]


def _logprobs(original: Original, prompt: list[int], continuation: list[int]) -> Any:
    ids = torch.tensor([prompt + continuation], device=original.model.device)
    with torch.inference_mode():
        logits = original.model(input_ids=ids, logits_to_keep=len(continuation) + 1).logits[0, :-1].float()
        return torch.log_softmax(logits, -1).cpu().numpy().astype(np.float32)


def save_merged(original: Original, folder: Path) -> str:
    """Merge the adapter and write one Hugging Face folder (safetensors); returns the number format of the weights.

    The sum base + scale·B·A is formed in the loaded precision and rounded once: to 16-bit floats (10 bits of mantissa,
    which is what the GGUF file holds) where all weights are within their range, else to bf16 (7 bits).
    """
    model = original.model.merge_and_unload(safe_merge=True) if original.adapted else original.model
    original.model, original.adapted = model, False
    largest = max(float(parameter.detach().abs().max()) for parameter in model.parameters())
    dtype = torch.float16 if largest < _HALF_MAX else torch.bfloat16
    model.to(dtype).save_pretrained(str(folder), safe_serialization=True)
    original.tokenizer.save_pretrained(str(folder))
    _drop_adapter_traces(folder)
    return str(dtype).removeprefix("torch.")


def _drop_adapter_traces(folder: Path) -> None:
    """The merged folder is a plain model: a quantisation note of the base would mislead the converter."""
    file = folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    if config.pop("quantization_config", None) is not None:
        file.write_text(json.dumps(config, indent=2), encoding="utf-8")
