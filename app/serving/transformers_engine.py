"""A Hugging Face folder or adapter through transformers: slower than llama.cpp, needs no export.  One request at a time."""

from __future__ import annotations

import threading
import time
import uuid
from pathlib import Path
from typing import Any

from app.serving.engine import Assignment, Json, Send


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

    def generate(self, kind: str, request: Json, send: Send) -> Json | None:
        """See Engine.generate.  JSON schemas and probabilities are refused: this engine has neither."""
        for name in ("response_format", "logprobs", "json_schema", "grammar"):
            if request.get(name):
                raise ValueError(f"{name} is not supported by the transformers engine; serve the GGUF file with llama.cpp.")
        text = (
            self._tokenizer.apply_chat_template(request["messages"], add_generation_prompt=True, tokenize=False)
            if kind == "chat"
            else str(request["prompt"])
        )
        with self._lock:
            return self._answer(kind, request, text, send)

    def _answer(self, kind: str, request: Json, text: str, send: Send) -> Json | None:
        ids = self._tokenizer(text, add_special_tokens=kind != "chat", return_tensors="pt")["input_ids"]
        room = self._context - ids.shape[1]
        if room <= 0:
            raise ValueError(f"The prompt has {ids.shape[1]} tokens; the context holds {self._context}.")
        shape = _Shape(kind, str(request.get("model", "")))
        stream = bool(request.get("stream"))
        pieces, total, finish = [], 0, "length"
        if stream and kind == "chat":
            send(shape.piece({"role": "assistant", "content": ""}))
        for piece, count, ended in self._tokens(ids, min(int(request.get("max_tokens") or 256), room), request):
            finish, total = "stop" if ended else finish, count
            pieces.append(piece)
            if stream and piece and send(shape.piece({"content": piece} if kind == "chat" else piece)):
                return None
        usage = {"prompt_tokens": int(ids.shape[1]), "completion_tokens": total, "total_tokens": int(ids.shape[1]) + total}
        if not stream:
            return shape.whole("".join(pieces), finish, usage)
        send(shape.piece({} if kind == "chat" else "", finish))
        send(shape.usage(usage))
        return None

    def _tokens(self, ids: Any, limit: int, request: Json) -> Any:
        """(new text, tokens so far, ended) one token at a time, with a key-value cache."""
        torch = self._torch
        generator = torch.Generator().manual_seed(int(request.get("seed") or 0))
        stops = request.get("stop") or []
        stops = [stops] if isinstance(stops, str) else list(stops)
        cache, written, given = None, [], ""
        current = ids.to(self._model.device)
        with torch.inference_mode():
            for count in range(1, limit + 1):
                out = self._model(input_ids=current, past_key_values=cache, use_cache=True, logits_to_keep=1)
                cache = out.past_key_values
                token = _choose(torch, out.logits[0, -1].float().cpu(), float(request.get("temperature", 1.0)), generator)
                if token == self._tokenizer.eos_token_id:
                    yield "", count, True
                    return
                written.append(token)
                text = self._tokenizer.decode(written, skip_special_tokens=True, clean_up_tokenization_spaces=False)
                cut = min((at for stop in stops if (at := text.find(stop)) >= 0), default=-1)
                whole = text if cut < 0 else text[:cut]
                if whole.endswith("\ufffd") and cut < 0:
                    continue
                piece, given = whole[len(given) :], whole
                yield piece, count, cut >= 0
                if cut >= 0:
                    return
                current = torch.tensor([[token]], device=self._model.device)

    def embed(self, text: str) -> tuple[list[float], int]:
        """Mean of the last hidden states, length 1."""
        torch = self._torch
        ids = self._tokenizer(text, return_tensors="pt")["input_ids"][:, : self._context]
        with self._lock, torch.inference_mode():
            hidden = self._model(input_ids=ids.to(self._model.device), output_hidden_states=True).hidden_states[-1][0].float()
        vector = torch.nn.functional.normalize(hidden.mean(dim=0), dim=0)
        return vector.tolist(), int(ids.shape[1])


def _choose(torch: Any, logits: Any, temperature: float, generator: Any) -> int:
    if temperature <= 0:
        return int(logits.argmax())
    return int(torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=generator))


class _Shape:
    """OpenAI's objects around an answer."""

    def __init__(self, kind: str, model: str) -> None:
        self._chat = kind == "chat"
        self._common: Json = {
            "id": f"{'chatcmpl' if self._chat else 'cmpl'}-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model,
            "object": "",
        }

    def piece(self, delta: Any, finish: str | None = None) -> Json:
        choice = {"index": 0, "finish_reason": finish, **({"delta": delta} if self._chat else {"text": delta, "logprobs": None})}
        return {**self._common, "object": "chat.completion.chunk" if self._chat else "text_completion", "choices": [choice]}

    def usage(self, usage: Json) -> Json:
        return {
            **self._common,
            "object": "chat.completion.chunk" if self._chat else "text_completion",
            "choices": [],
            "usage": usage,
        }

    def whole(self, text: str, finish: str, usage: Json) -> Json:
        body = {"message": {"role": "assistant", "content": text}} if self._chat else {"text": text}
        choice = {"index": 0, "finish_reason": finish, "logprobs": None, **body}
        return {
            **self._common,
            "object": "chat.completion" if self._chat else "text_completion",
            "choices": [choice],
            "usage": usage,
        }


def load(assignment: Assignment) -> Transformers:
    """Load a folder."""
    return Transformers(assignment)
