"""Full log-probabilities of a GGUF file: ``python -m app.registry.logits_child JOB.json``.  Imports nothing of ours.

JOB: {path, threads, context, measured: [{prompt: [id], continuation: [id], file}]}.  Into each ``file`` goes float32
(continuation tokens, vocabulary), natural logarithms.  Needs llama-cpp-python; a build that crashes crashes this
process alone (measured: native builds on processors with AMX do).
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main(job_file: str) -> None:
    """Load, decode each item, write its file."""
    import llama_cpp

    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    llama_cpp.llama_backend_init()
    model_params = llama_cpp.llama_model_default_params()
    model_params.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(job["path"].encode(), model_params)
    if not model:
        raise SystemExit("llama.cpp could not load the file.")
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = params.n_batch = job["context"]
    params.n_ubatch = min(job["context"], 512)
    params.n_threads = params.n_threads_batch = job["threads"]
    context = llama_cpp.llama_init_from_model(model, params)
    if not context:
        raise SystemExit("llama.cpp could not make a context.")
    vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    for item in job["measured"]:
        logits = decode(llama_cpp, context, item["prompt"], item["continuation"], vocabulary)
        np.save(item["file"], log_softmax(logits))


def decode(lib: Any, context: Any, prompt: list[int], continuation: list[int], vocabulary: int) -> Any:
    """Logits (continuation tokens, vocabulary) that predict each continuation token; one decode, memory cleared first."""
    tokens = (prompt + continuation)[:-1]
    lib.llama_memory_clear(lib.llama_get_memory(context), True)
    batch = lib.llama_batch_init(len(tokens), 0, 1)
    try:
        batch.n_tokens = len(tokens)
        for place, token in enumerate(tokens):
            batch.token[place], batch.pos[place] = token, place
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
            batch.logits[place] = place >= len(prompt) - 1
        if lib.llama_decode(context, batch) != 0:
            raise SystemExit("llama.cpp could not decode.")
        rows = [np.ctypeslib.as_array(ctypes.cast(lib.llama_get_logits_ith(context, place), ctypes.POINTER(ctypes.c_float)),
                                      (vocabulary,)).copy() for place in range(len(prompt) - 1, len(tokens))]
    finally:
        lib.llama_batch_free(batch)
    return np.stack(rows)


def log_softmax(logits: Any) -> Any:
    """Natural logarithms of the probabilities, row by row."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return (shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))).astype(np.float32)


if __name__ == "__main__":
    main(sys.argv[1])
