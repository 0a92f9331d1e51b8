"""llama.cpp in this process, with slots: several requests are decoded together.  Runtime: xllamacpp (prebuilt)."""

from __future__ import annotations

import secrets
from typing import Any

from app.errors import ServingError
from app.serving.engine import Assignment, Json, Send

CACHE_MB = 128
"""Prompt cache; the runtime's own default is 8 GB."""
BATCH = 256
"""Tokens of a prompt taken at once: a client that hangs up in the middle of a prompt is noticed between two batches."""


class LlamaCpp:
    """One GGUF file."""

    def __init__(self, assignment: Assignment) -> None:
        import xllamacpp

        self.slots = assignment.slots
        params = xllamacpp.CommonParams()
        params.model.path = assignment.path
        params.n_parallel = assignment.slots
        params.n_ctx = assignment.context * assignment.slots
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = assignment.threads
        params.cache_ram_mib = CACHE_MB
        params.n_batch = params.n_ubatch = BATCH
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        params.api_keys = [secrets.token_hex(16)]  # the runtime listens on a loopback port of its own: nobody may use it
        params.warmup = False
        params.verbosity = -1
        try:
            self._server: Any = xllamacpp.Server(params)
        except Exception as problem:  # the runtime raises its own kinds
            raise ServingError(
                "engine.load",
                "The model could not be loaded.",
                why=f"{problem}.",
                remedy="Check the file: export it again, or import another one.",
            ) from problem

    def generate(self, kind: str, request: Json, send: Send) -> None:
        """See Engine.generate."""
        call = self._server.handle_chat_completions if kind == "chat" else self._server.handle_completions
        _checked(call({**request, "return_progress": True}, send))

    def embed(self, text: str) -> tuple[list[float], int]:
        """One text at a time: several in one call were measured to differ from single ones."""
        answer = _checked(self._server.handle_embeddings({"input": text}))
        if answer is None:
            raise ServingError("engine.answer", "The engine gave no vector.")
        found = answer["data"][0]["embedding"]
        vector = found[0] if found and isinstance(found[0], list) else found  # some versions wrap it once more
        return [float(value) for value in vector], int(answer["usage"]["prompt_tokens"])


def _checked(answer: Any) -> Json | None:
    if isinstance(answer, dict) and "error" in answer:
        raise ValueError(str(answer["error"].get("message", "The engine refused the request.")))
    return answer if isinstance(answer, dict) else None


def load(assignment: Assignment) -> LlamaCpp:
    """Load a GGUF file."""
    return LlamaCpp(assignment)
