"""A Hugging Face folder or adapter through transformers: slower than llama.cpp, needs no export.  One request at a time."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.serving.engine import Assignment, Json, Send, TooLong
from app.serving.sampling import Outlet, Sampler

PREFILL = 128
"""Tokens of a prompt taken at once: a client that hangs up in the middle of a prompt is noticed between two batches."""
UNSUPPORTED = ("response_format", "json_schema", "grammar")
DEFAULT_TOKENS = 256


class _HungUp(Exception):
    """Nobody listens any more."""


@dataclass(slots=True)
class _Token:
    """One written token and, where they were asked for, the log-probabilities of all (vocabulary,) at its place."""

    id: int
    logprobs: Any = None


class Transformers:
    """One model in bf16 on the accelerator, or on the processor."""

    slots = 1

    def __init__(self, assignment: Assignment) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(assignment.threads)
        self._torch = torch
        base = assignment.base or assignment.path
        own = (Path(assignment.path) / "tokenizer.json").exists()
        self._tokenizer: Any = AutoTokenizer.from_pretrained(assignment.path if own else base, trust_remote_code=False)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model: Any = AutoModelForCausalLM.from_pretrained(
            base, dtype=torch.bfloat16, trust_remote_code=False, use_safetensors=True
        )
        if assignment.base:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, assignment.path)
        self._model = model.to(device).eval()
        self._context = assignment.context
        self._lock = threading.Lock()

    def generate(self, kind: str, request: Json, send: Send) -> None:
        """See Engine.generate.  JSON mode and schemas are refused: this engine has no grammar."""
        for name in UNSUPPORTED:
            if request.get(name):
                raise ValueError(f"{name} is not supported by the transformers engine; serve the GGUF file with llama.cpp.")
        ids = self._encoded(kind, request)
        shape = _Shape(kind, str(request.get("model", "")))
        try:
            with self._lock, self._torch.inference_mode():
                self._answer(ids, request, shape, send)
        except _HungUp:
            return

    def _encoded(self, kind: str, request: Json) -> Any:
        if kind == "chat":
            text = self._tokenizer.apply_chat_template(request["messages"], add_generation_prompt=True, tokenize=False)
        else:
            text = str(request["prompt"])
        ids = self._tokenizer(text, add_special_tokens=kind != "chat", return_tensors="pt")["input_ids"]
        if not 0 < ids.shape[1] < self._context:
            raise TooLong(ids.shape[1], self._context)
        return ids

    def _answer(self, ids: Any, request: Json, shape: _Shape, send: Send) -> None:
        limit = min(int(request.get("max_tokens") or DEFAULT_TOKENS), self._context - ids.shape[1])
        outlet, written, finish, pending = Outlet(request.get("stop")), [], "length", []
        wanted = _wanted_logprobs(request)
        _tell(send, shape.opening())
        count = 0
        for token in self._tokens(ids, limit, Sampler(self._torch, request), wanted is not None, send):
            count += 1
            if token.id in self._ends():
                finish = "stop"
                break
            written.append(token.id)
            if wanted is not None:
                pending.append(self._described(token, wanted))
            piece = outlet.push(self._text(written))
            if piece:
                _tell(send, shape.piece(piece, pending))
                pending = []
            if outlet.stopped:
                finish = "stop"
                break
        _tell(send, shape.piece(outlet.finish(self._text(written)), pending))
        _tell(send, shape.closing(finish))
        send(shape.usage(int(ids.shape[1]), count))

    def _tokens(self, ids: Any, limit: int, sampler: Sampler, logprobs: bool, send: Send) -> Iterator[_Token]:
        """One token at a time, with a key-value cache.  Raises _HungUp between two batches of the prompt."""
        torch, device, cache = self._torch, self._model.device, None
        for start in range(0, ids.shape[1], PREFILL):
            if start:
                _tell(send, {"choices": []})
            out = self._model(
                input_ids=ids[:, start : start + PREFILL].to(device), past_key_values=cache, use_cache=True, logits_to_keep=1
            )
            cache = out.past_key_values
        for written in range(1, limit + 1):
            logits = out.logits[0, -1].float().cpu()
            token = sampler.choose(logits)
            yield _Token(token, torch.log_softmax(logits, -1) if logprobs else None)
            if written == limit:
                return
            out = self._model(
                input_ids=torch.tensor([[token]], device=device), past_key_values=cache, use_cache=True, logits_to_keep=1
            )
            cache = out.past_key_values

    def _ends(self) -> set[int]:
        known = self._model.generation_config.eos_token_id
        listed = known if isinstance(known, list) else [known]
        return {int(one) for one in [*listed, self._tokenizer.eos_token_id] if one is not None}

    def _text(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _described(self, token: _Token, count: int) -> Json:
        """A token with its log-probability and the ``count`` most likely ones, in the chat's form."""
        values, indices = self._torch.topk(token.logprobs, count)
        tops = [self._one(int(index), float(value)) for value, index in zip(values, indices, strict=True)]
        return self._one(token.id, float(token.logprobs[token.id])) | {"top_logprobs": tops}

    def _one(self, token: int, logprob: float) -> Json:
        text = str(self._tokenizer.decode([token], clean_up_tokenization_spaces=False))
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}

    def embed(self, text: str) -> tuple[list[float], int]:
        """Mean of the last hidden states, length 1."""
        torch = self._torch
        ids = self._tokenizer(text, return_tensors="pt")["input_ids"]
        if not 0 < ids.shape[1] <= self._context:
            raise TooLong(ids.shape[1], self._context)
        with self._lock, torch.inference_mode():
            hidden = self._model(input_ids=ids.to(self._model.device), output_hidden_states=True).hidden_states[-1][0].float()
        vector = torch.nn.functional.normalize(hidden.mean(dim=0), dim=0)
        return vector.tolist(), int(ids.shape[1])


def _tell(send: Send, event: Json) -> None:
    if send(event):
        raise _HungUp


def _wanted_logprobs(request: Json) -> int | None:
    """How many alternatives are asked for, or None.  A chat says true and a count, a completion the count alone."""
    asked = request.get("logprobs")
    if asked is None or asked is False:
        return None
    return int(request.get("top_logprobs") or 0) if asked is True else int(asked)


class _Shape:
    """OpenAI's objects around the pieces of an answer."""

    def __init__(self, kind: str, model: str) -> None:
        self._chat = kind == "chat"
        self._common: Json = {
            "id": f"{'chatcmpl' if self._chat else 'cmpl'}-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model,
            "object": "chat.completion.chunk" if self._chat else "text_completion",
        }

    def _event(self, body: Json, finish: str | None = None, logprobs: list[Json] | None = None) -> Json:
        choice = {"index": 0, "finish_reason": finish, "logprobs": {"content": logprobs} if logprobs else None, **body}
        return {**self._common, "choices": [choice]}

    def opening(self) -> Json:
        return self._event({"delta": {"role": "assistant", "content": ""}}) if self._chat else {"choices": []}

    def piece(self, text: str, logprobs: list[Json]) -> Json:
        if not text and not logprobs:
            return {"choices": []}
        return self._event({"delta": {"content": text}} if self._chat else {"text": text}, logprobs=logprobs)

    def closing(self, finish: str) -> Json:
        return self._event({"delta": {}} if self._chat else {"text": ""}, finish)

    def usage(self, prompt: int, answer: int) -> Json:
        counts = {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}
        return {**self._common, "choices": [], "usage": counts}


def load(assignment: Assignment) -> Transformers:
    """Load a folder."""
    return Transformers(assignment)
