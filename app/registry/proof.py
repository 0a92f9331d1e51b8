"""Export proof: the written file is loaded and compared with the model it was made from.

Compared on the same token ids: next-token probabilities (mean KL divergence, share of equal first choices); and on the
same questions: whole greedy answers, chat format and word pieces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

Messages = list[dict[str, str]]
Tell = Callable[[float, str], None]
ANSWER_TOKENS = 48
COMPARED_TOKENS = 256
CONVERSATIONS: tuple[Messages, ...] = (
    [{"role": "user", "content": "What is a licence?"}],
    [{"role": "system", "content": "Answer in one sentence."}, {"role": "user", "content": "What is a contract?"}],
    [
        {"role": "user", "content": "Name a colour."},
        {"role": "assistant", "content": "Blue."},
        {"role": "user", "content": "Another — with “quotes”,\nplease: é, 漢, 🙂"},
    ],
    [{"role": "user", "content": "List three duties of a tenant."}],
    [{"role": "user", "content": "Translate to French: The invoice is due on 3 May."}],
    [{"role": "user", "content": 'Answer with JSON: {"ok": true}'}],
)
"""Questions where no held-out rows are bound; also the conversations whose chat format is compared."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What passes.  agreement: share of equal first choices; divergence: mean KL in nats."""

    agreement: float
    divergence: float


@dataclass(slots=True)
class FileProof:
    """Evidence about one file.  quality_lost: 1 - agreement, the share of first choices that changed."""

    quantization: str
    path: str
    size: int
    sha256: str
    agreement: float
    divergence: float
    quality_lost: float
    same_answers: float
    template_identical: bool
    tokens_identical: bool
    passed: bool


@dataclass
class Original:
    """The model before export: per conversation its text, ids, log-probabilities and greedy answer."""

    texts: list[str]
    ids: list[list[int]]
    logprobs: list[np.ndarray[Any, np.dtype[np.float32]]]
    answers: list[str]
    template: str


def read_original(folder: Path, questions: list[Messages], tell: Tell) -> Original:
    """Ask the Hugging Face folder.  bf16 weights, computed in float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False, use_safetensors=True)
    model.eval()
    found = Original([], [], [], [], str(tokenizer.chat_template or ""))
    for number, messages in enumerate(questions):
        tell(number / len(questions), "Asking the original")
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"][-COMPARED_TOKENS:]
        with torch.inference_mode():
            written = model.generate(
                torch.tensor([ids]), max_new_tokens=ANSWER_TOKENS, do_sample=False, pad_token_id=tokenizer.eos_token_id
            )[0]
            logits = model(written[None]).logits[0].float()
        found.texts.append(text)
        found.ids.append(written.tolist())
        found.logprobs.append(torch.log_softmax(logits, -1).numpy())
        found.answers.append(tokenizer.decode(written[len(ids) :], skip_special_tokens=True, clean_up_tokenization_spaces=False))
    return found


def prove(
    file: Path,
    quantization: str,
    size: int,
    sha256: str,
    original: Original,
    questions: list[Messages],
    bounds: Bounds,
    tell: Tell,
) -> FileProof:
    """Load one file and compare it."""
    llama = _Llama(file)
    try:
        agreements, divergences, same = [], [], []
        for number, ids in enumerate(original.ids):
            tell(number / len(original.ids), f"Asking the {quantization} file")
            own = llama.logprobs(ids)
            theirs = original.logprobs[number]
            agreements.append(float((own.argmax(-1) == theirs.argmax(-1)).mean()))
            divergences.append(float((np.exp(theirs) * (theirs - own)).sum(-1).mean()))
            same.append(llama.answer(questions[number]).strip() == original.answers[number].strip())
        template = llama.template() == original.template
        tokens = all(
            llama.tokenize(text)[-COMPARED_TOKENS:] == ids[: len(llama.tokenize(text)[-COMPARED_TOKENS:])]
            for text, ids in zip(original.texts, original.ids, strict=True)
        )
    finally:
        llama.close()
    agreement, divergence = float(np.mean(agreements)), float(np.mean(divergences))
    passed = template and tokens and agreement >= bounds.agreement and divergence <= bounds.divergence
    return FileProof(
        quantization,
        str(file),
        size,
        sha256,
        agreement,
        divergence,
        1 - agreement,
        float(np.mean(same)),
        template,
        tokens,
        passed,
    )


class _Llama:
    """A GGUF file through llama-cpp-python's low-level calls."""

    def __init__(self, file: Path) -> None:
        import llama_cpp

        self._llama = llama_cpp.Llama(str(file), n_ctx=2048, n_batch=512, logits_all=True, verbose=False, n_threads=2)

    def logprobs(self, ids: list[int]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """(tokens, vocabulary) log-probabilities of what follows each token."""
        self._llama.reset()
        self._llama.eval(ids)
        logits = np.asarray(self._llama.scores[: len(ids)], dtype=np.float32)
        highest = logits.max(-1, keepdims=True)
        result: np.ndarray[Any, np.dtype[np.float32]] = logits - highest - np.log(np.exp(logits - highest).sum(-1, keepdims=True))
        return result

    def answer(self, messages: Messages) -> str:
        """The greedy answer, through the file's own chat format."""
        self._llama.reset()
        reply: Any = self._llama.create_chat_completion(messages, max_tokens=ANSWER_TOKENS, temperature=0.0)  # type: ignore[arg-type]
        return str(reply["choices"][0]["message"]["content"])

    def template(self) -> str:
        """The chat template in the file."""
        return str(self._llama.metadata.get("tokenizer.chat_template", ""))

    def tokenize(self, text: str) -> list[int]:
        """Token ids, special tokens recognised."""
        return list(self._llama.tokenize(text.encode(), add_bos=False, special=True))

    def close(self) -> None:
        """Free the memory."""
        self._llama.close()


def template_hash(template: str) -> str:
    """Short identity of a chat template."""
    return hashlib.sha256(template.encode()).hexdigest()[:16]


def as_json(proof: FileProof) -> dict[str, Any]:
    """For the report."""
    return asdict(proof)
