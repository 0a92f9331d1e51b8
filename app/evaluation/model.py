"""The base and the tuned model in one load: the adapter is switched off for the base."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.config.artifacts import Model
from app.errors import EvaluationError

Messages = list[dict[str, str]]
Progress = Callable[[float], None]


@dataclass
class Pair:
    """base and tuned share weights where the tuned one is an adapter; else they are two models."""

    tokenizer: Any
    tuned: Any
    base: Any | None
    """None: the adapter of ``tuned`` is switched off instead."""

    @contextlib.contextmanager
    def side(self, tuned: bool) -> Iterator[Any]:
        """The model of one side, ready to run."""
        if tuned or self.base is not None:
            yield self.tuned if tuned else self.base
            return
        with self.tuned.disable_adapter():
            yield self.tuned


def use_free_cores(wanted: int) -> None:
    """Run on ``wanted`` threads; 0: on the cores that are free now, because two threads on one free core collapse."""
    import psutil
    import torch

    if wanted < 1:
        cores = psutil.cpu_count(logical=False) or 1
        wanted = max(1, round(cores * (1 - psutil.cpu_percent(interval=0.5) / 100)))
    torch.set_num_threads(wanted)


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
    return loaded.to(device).eval()


def encode_prompt(tokenizer: Any, messages: Messages) -> list[int]:
    """Token ids of a conversation with the turn opened for the answer."""
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def answer_nll(
    model: Any, tokenizer: Any, prompts: Sequence[list[int]], answers: Sequence[str], *, batch: int, progress: Progress
) -> tuple[list[float], list[int]]:
    """(sum of negative log-likelihood in nats, counted tokens) of each answer given its prompt, end token included."""
    targets = [[*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id] for answer in answers]
    order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]) + len(targets[number]))
    sums, counts = [0.0] * len(prompts), [len(target) for target in targets]
    for start in range(0, len(order), batch):
        numbers = order[start : start + batch]
        values = _nll_batch(model, tokenizer, [prompts[n] for n in numbers], [targets[n] for n in numbers])
        for number, value in zip(numbers, values, strict=True):
            sums[number] = value
        progress(min(start + batch, len(order)) / len(order))
    return sums, counts


def _nll_batch(model: Any, tokenizer: Any, prompts: list[list[int]], targets: list[list[int]]) -> list[float]:
    import torch

    rows = [prompt + target for prompt, target in zip(prompts, targets, strict=True)]
    width, keep = max(map(len, rows)), max(map(len, targets)) + 1
    ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(row)) + row for row in rows], device=model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=model.device)
    with torch.inference_mode():
        places = (mask.cumsum(1) - 1).clamp(min=0)
        logits = model(input_ids=ids, attention_mask=mask, position_ids=places, logits_to_keep=keep).logits.float()
    values = []
    for number, target in enumerate(targets):
        wanted = torch.tensor(target, device=logits.device)
        predicted = logits[number, -len(target) - 1 : -1]
        values.append(float(torch.nn.functional.cross_entropy(predicted, wanted, reduction="sum")))
    return values
