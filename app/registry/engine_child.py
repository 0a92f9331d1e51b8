"""Ask a GGUF file through the runtime that serves it: ``python -m app.registry.engine_child JOB.json ANSWER.json``.

A process of its own: a broken file or engine build can crash it, and the proof then says so.  Imports nothing of
ours but the guard of offline mode.
JOB: {path, threads, context, new_tokens, conversations: [messages], texts: [str], questions: [{messages|prompt}],
      measured: [{prompt: [id], continuation: [id]}], top}
ANSWER: {rendered: [{text, ids}|null], tokens: [[id]], answers: [str], measured: [[{ids, logprobs}]]}
The runtime's own HTTP face is used on loopback with a key of this process alone: it is the only way to its template and
tokeniser.
"""

from __future__ import annotations

import json
import secrets
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from app.config import offline

SLOTS = 4
"""Questions answered at once, as in serving."""


class Engine:
    """A loaded file and its HTTP face."""

    def __init__(self, job: dict[str, Any]) -> None:
        import xllamacpp

        key = secrets.token_hex(16)
        params = xllamacpp.CommonParams()
        params.model.path = job["path"]
        params.n_parallel, params.n_ctx = SLOTS, SLOTS * job["context"]
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = job["threads"]
        params.cache_ram_mib, params.warmup, params.verbosity = 0, False, -1
        params.check_tensors, params.api_keys = True, [key]
        self._server = xllamacpp.Server(params)
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}

    def post(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        """One request to the runtime."""
        request = urllib.request.Request(self._server.listening_address + route, json.dumps(body).encode(), self._headers)
        with self._opener.open(request, timeout=300) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def rendered(self, messages: list[dict[str, str]]) -> dict[str, Any] | None:
        """A conversation as the engine's template renders it, and its tokens; None if the template refuses."""
        try:
            text = self.post("/apply-template", {"messages": messages})["prompt"]
        except urllib.error.HTTPError:
            return None
        return {"text": text, "ids": self.tokens(text, True)}

    def tokens(self, text: str, special: bool = False) -> list[int]:
        """Token ids; special: with what the model's tokeniser puts before a prompt."""
        found = self.post("/tokenize", {"content": text, "add_special": special, "parse_special": True})
        return [int(token) for token in found["tokens"]]

    def answer(self, question: dict[str, Any], new_tokens: int) -> str:
        """The greedy answer, by the route that clients use."""
        common = {"temperature": 0, "max_tokens": new_tokens, "cache_prompt": False}
        if "messages" in question:
            made = self.post("/v1/chat/completions", {**common, "messages": question["messages"]})
            return str(made["choices"][0]["message"]["content"] or "")
        return str(self.post("/completion", {**common, "prompt": question["prompt"], "n_predict": new_tokens})["content"])

    def measured(self, prompt: list[int], continuation: list[int], top: int) -> list[dict[str, Any]]:
        """The most likely ``top`` tokens and their log-probabilities before each token of the continuation."""
        found = []
        for position in range(len(continuation)):
            made = self.post("/completion", {"prompt": prompt + continuation[:position], "temperature": 0, "n_predict": 1,
                                             "n_probs": top, "cache_prompt": True, "id_slot": 0})
            best = made["completion_probabilities"][0]["top_logprobs"]
            found.append({"ids": [one["id"] for one in best], "logprobs": [one["logprob"] for one in best]})
        return found


def main(job_file: str, answer_file: str) -> None:
    """Do the job; the answer appears whole or not at all."""
    offline.begin("model check", "loopback")  # it asks its own engine over HTTP
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    engine = Engine(job)
    with ThreadPoolExecutor(SLOTS) as pool:
        answers = list(pool.map(lambda question: engine.answer(question, job["new_tokens"]), job["questions"]))
    answer = {
        "rendered": [engine.rendered(messages) for messages in job["conversations"]],
        "tokens": [engine.tokens(text) for text in job["texts"]],
        "answers": answers,
        "measured": [engine.measured(one["prompt"], one["continuation"], job["top"]) for one in job["measured"]],
    }
    partial = Path(answer_file).with_suffix(".partial")
    partial.write_text(json.dumps(answer), encoding="utf-8")
    partial.replace(answer_file)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
