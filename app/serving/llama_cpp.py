"""llama.cpp in this process, with slots: several requests are decoded together.  Runtime: xllamacpp (prebuilt)."""

from __future__ import annotations

import re
import secrets
import threading
from pathlib import Path
from typing import Any

from app.errors import ServingError
from app.serving.engine import Assignment, BadSchema, Json, Send, TooLong

CACHE_MB = 128
"""Prompt cache; the runtime's own default is 8 GB."""
BATCH = 64
"""Tokens of a prompt taken at once: a client that hangs up in the middle of a prompt is noticed between two batches.  Of 256,
prompts are read about a third faster, but on a busy core one batch takes 2.6 s."""

_LONG_INPUT = re.compile(r"input \((\d+) tokens\) is too large to process.*batch size: (\d+)")
_SCHEMA = re.compile(r"JSON schema error at (?:#: )?(.*)|failed to parse grammar")
"""The runtime's words for what it gives no type of its own."""


class LlamaCpp:
    """One GGUF file."""

    def __init__(self, assignment: Assignment) -> None:
        self.slots = assignment.slots
        self._assignment = assignment
        self._server = _server(assignment, assignment.slots, BATCH, embedding=False)
        self._embedder: Any = None
        self._loading = threading.Lock()

    def generate(self, kind: str, request: Json, send: Send) -> None:
        """See Engine.generate."""
        refused: list[Json] = []
        alternatives = "top_logprobs" if kind == "chat" else "logprobs"
        alone = request.get(alternatives) == 0  # each token's own likelihood: asked for no alternative, the runtime gives none at all

        def passed(event: Json) -> bool:
            if "error" in event:
                refused.append(event)
                return True
            return send(_without_alternatives(event) if alone else event)

        call = self._server.handle_chat_completions if kind == "chat" else self._server.handle_completions
        try:
            answer = call({**request, **({alternatives: 1} if alone else {}), "return_progress": True}, passed)
        except ValueError as problem:  # what it finds wrong before it begins
            raise _refusal(str(problem)) from problem
        _checked(refused[0] if refused else answer)

    def embed(self, text: str) -> tuple[list[float], int]:
        """One text at a time: several in one call were measured to differ from single ones.

        A text must fit into one batch, and batches of answers are small: vectors have a runtime of their own, loaded when
        first asked.  The file is mapped once for both.
        """
        with self._loading:
            if self._embedder is None:
                self._embedder = _server(self._assignment, 1, self._assignment.context, embedding=True)
        answer = _checked(self._embedder.handle_embeddings({"input": text}))
        if answer is None:
            raise ServingError("engine.answer", "The engine gave no vector.")
        found = answer["data"][0]["embedding"]
        vector = found[0] if found and isinstance(found[0], list) else found  # some versions wrap it once more
        return [float(value) for value in vector], int(answer["usage"]["prompt_tokens"])


def _server(assignment: Assignment, slots: int, batch: int, *, embedding: bool) -> Any:
    import xllamacpp

    if not Path(assignment.path).is_file():
        raise ServingError("engine.file_missing", "The model's file is missing.", remedy="Export or import the model again.")
    params = xllamacpp.CommonParams()
    params.model.path = assignment.path
    params.n_parallel = slots
    params.n_ctx = assignment.context * slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = assignment.threads
    params.cache_ram_mib = 0 if embedding else CACHE_MB
    params.n_batch = params.n_ubatch = batch
    params.embedding = embedding
    if embedding:
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.api_keys = [secrets.token_hex(16)]  # the runtime listens on a loopback port of its own: nobody may use it
    params.warmup = False
    params.verbosity = -1
    try:
        return xllamacpp.Server(params)
    except Exception as problem:  # the runtime raises its own kinds
        raise ServingError(
            "engine.load",
            "The model could not be loaded.",
            why=f"{str(problem).rstrip('.')}.",
            remedy="Check the file: export it again, or import another one.",
        ) from problem


def _without_alternatives(event: Json) -> Json:
    for choice in event.get("choices", ()):
        for token in (choice.get("logprobs") or {}).get("content") or ():
            token["top_logprobs"] = []
    return event


def _checked(answer: Any) -> Json | None:
    if isinstance(answer, dict) and "error" in answer:
        error = answer["error"]
        if error.get("type") == "exceed_context_size_error":
            raise TooLong(int(error.get("n_prompt_tokens", 0)), int(error.get("n_ctx", 0)))
        raise _refusal(str(error.get("message", "The engine refused the request.")))
    return answer if isinstance(answer, dict) else None


def _refusal(message: str) -> ValueError:
    """The runtime's words as the error they stand for."""
    if found := _LONG_INPUT.match(message):
        return TooLong(int(found[1]), int(found[2]))
    if found := _SCHEMA.search(message):
        return BadSchema(f"The schema cannot be used: {found[1] or 'it is too large to be compiled'}.")
    return ValueError(message)


def load(assignment: Assignment) -> LlamaCpp:
    """Load a GGUF file."""
    return LlamaCpp(assignment)
