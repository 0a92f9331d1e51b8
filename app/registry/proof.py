"""The export proof: does a file answer like the model it was made from?

Measured on the serving engine: the chat template's text, the tokens, greedy answers.  Measured on the same token ids:
top-1 agreement, mean Kullback-Leibler divergence KL(original ‖ file) in nats a token, and the rise in perplexity
("quality lost": exp(mean drop in log-probability of the given tokens) - 1).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.config.subprocess_tools import Finished, run_child
from app.registry.convert import QUIET, can_quantise
from app.registry.original import Answered
from app.registry.pass_mark import PassMark
from app.store.profile import project_dir

Tick = Callable[[], None]
TOP = 512
"""Tokens whose probability the serving engine is asked for where llama-cpp-python is not there; the rest counts as one."""
_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Case:
    """What the original said: the yardstick of every file of one export."""

    conversations: list[dict[str, Any]]
    texts: list[dict[str, Any]]
    answered: list[Answered]
    bos: str
    new_tokens: int
    threads: int
    chat: bool

    @property
    def context(self) -> int:
        """Tokens that the longest item needs, rounded up."""
        longest = max(len(one.prompt) + max(len(one.continuation), self.new_tokens) for one in self.answered)
        told = max((len(one["ids"]) for one in self.conversations), default=0)
        return 256 * (max(longest, told) // 256 + 1)


@dataclass(frozen=True, slots=True)
class Closeness:
    """Figures over all measured tokens.  lost: rise in perplexity, 0.02 is two per cent.  covered: probability seen."""

    top1: float
    kl: float
    lost: float
    tokens: int
    covered: float


def prove(file: Path, case: Case, mark: PassMark, folder: Path, tick: Tick | None = None) -> dict[str, Any]:
    """Compare one file with the original; the fields of the report's ``files`` entry, with ``passed`` and ``reasons``.

    An engine that crashes or refuses the file is a failed proof, not an error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    exact = _exact_logits(file, case, folder, tick)
    asked = _ask_engine(file, case, folder, tick, measure=exact is None)
    if isinstance(asked, str):
        return {"passed": False, "reasons": [asked]}
    close = exact or _from_top(asked["measured"], case)
    template, tokens = _templates(asked["rendered"], case), _tokens(asked, case)
    same = [_same(ours.answer, theirs) for ours, theirs in zip(case.answered, asked["answers"], strict=True)]
    entry = {
        "same_answers": sum(same) / len(same), "questions": len(same), "quality_lost": max(close.lost, 0.0),
        "top1": close.top1, "kl": close.kl, "tokens": close.tokens, "perplexity_change": close.lost,
        "template_identical": template, "tokens_identical": tokens,
        "logits": "full vocabulary (llama-cpp-python)" if exact else
        f"most likely {TOP} tokens, the rest as one (xllamacpp); {100 * close.covered:.1f} % of the probability seen"}
    reasons = _reasons(close, template, tokens, mark)
    return {**entry, "passed": not reasons, "reasons": reasons}


def _reasons(close: Closeness, template: bool | None, tokens: bool, mark: PassMark) -> list[str]:
    """Why a file does not pass; empty if it does.  NaN never passes."""
    found = []
    if not close.top1 >= mark.top1:
        found.append(f"It chooses the same next token as the original in {100 * close.top1:.1f} % of cases; "
                     f"{100 * mark.top1:.1f} % are asked.")
    if not close.kl <= mark.kl:
        found.append(f"Its divergence from the original is {close.kl:.4f} nats a token; at most {mark.kl:g} is allowed.")
    if mark.template and template is False:
        found.append("Its chat template gives another text than the original's.")
    if mark.tokens and not tokens:
        found.append("Its tokeniser splits text in another way than the original's.")
    return found


def _same(ours: str, theirs: str) -> bool:
    return ours.strip() == theirs.strip()


def _strip_bos(text: str, bos: str) -> str:
    return text[len(bos):] if bos and text.startswith(bos) else text


def _templates(rendered: list[dict[str, Any] | None], case: Case) -> bool | None:
    """Whether every conversation gives the same text.  llama.cpp leaves out the first token's text and adds the token."""
    if not case.conversations:
        return None
    return all(theirs is not None and _strip_bos(theirs["text"], case.bos) == _strip_bos(ours["text"], case.bos)
               for ours, theirs in zip(case.conversations, rendered, strict=True))


def _tokens(asked: dict[str, Any], case: Case) -> bool:
    plain = all(ours["ids"] == theirs for ours, theirs in zip(case.texts, asked["tokens"], strict=True))
    return plain and all(theirs is None or ours["ids"] == theirs["ids"]
                         for ours, theirs in zip(case.conversations, asked["rendered"], strict=True))


def _ask_engine(file: Path, case: Case, folder: Path, tick: Tick | None, *, measure: bool) -> dict[str, Any] | str:
    """What the serving engine says, or why it says nothing."""
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    questions = [{"messages": one.messages} if case.chat else {"prompt": one.prompt} for one in case.answered]
    job = {"path": str(file), "threads": case.threads, "context": case.context, "new_tokens": case.new_tokens, "top": TOP,
           "conversations": [one["messages"] for one in case.conversations], "texts": [one["text"] for one in case.texts],
           "questions": questions, "measured": _items(case) if measure else []}
    done = _child("app.registry.engine_child", job, folder / "job.json", tick, str(answer))
    if done.code != 0 or not answer.exists():
        return f"The serving engine did not answer with this file ({_why(done)})."
    found: dict[str, Any] = json.loads(answer.read_bytes())
    return found


def _exact_logits(file: Path, case: Case, folder: Path, tick: Tick | None) -> Closeness | None:
    """From all logits, if llama-cpp-python is here and its build survives a decode; else None."""
    if not can_quantise():
        return None
    items = [{**item, "file": str(folder / f"{number:04d}.npy")} for number, item in enumerate(_items(case))]
    job = {"path": str(file), "threads": case.threads, "context": case.context, "measured": items}
    done = _child("app.registry.logits_child", job, folder / "logits.json", tick)
    if done.code != 0:
        return None
    try:
        pairs = [(np.load(one.logprobs), np.load(item["file"]), one.continuation)
                 for one, item in zip(case.answered, items, strict=True)]
        return closeness(pairs)
    finally:
        for item in items:
            Path(item["file"]).unlink(missing_ok=True)


def _items(case: Case) -> list[dict[str, Any]]:
    return [{"prompt": one.prompt, "continuation": one.continuation} for one in case.answered]


def _child(module: str, job: dict[str, Any], place: Path, tick: Tick | None, *more: str) -> Finished:
    place.write_text(json.dumps(job), encoding="utf-8")
    return run_child([sys.executable, "-m", module, str(place), *more], cwd=project_dir(), environment=QUIET, tick=tick,
                     timeout=_SECONDS, need="loopback")


def _why(done: Finished) -> str:
    if done.code < 0 or done.code > 128:
        return f"it crashed, signal {-done.code if done.code < 0 else done.code - 128}"
    lines = [line for line in done.tail.splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else f"exit code {done.code}"


def closeness(pairs: list[tuple[Any, Any, list[int]]]) -> Closeness:
    """From (original log-probabilities, the file's, the given tokens), each (tokens, vocabulary), float32, nats.

    KL(P ‖ Q) = Σ p (log p - log q).  Vocabularies padded to different sizes are compared on what they share.
    """
    agree, divergence, drop, tokens = 0, 0.0, 0.0, 0
    for ours, theirs, given in pairs:
        width = min(ours.shape[1], theirs.shape[1])
        p, q = ours[:, :width].astype(np.float64), theirs[:, :width].astype(np.float64)
        agree += int((p.argmax(-1) == q.argmax(-1)).sum())
        divergence += float((np.exp(p) * (p - q)).sum())
        places = np.arange(len(given))
        drop += float((p[places, given] - q[places, given]).sum())
        tokens += len(given)
    return Closeness(agree / tokens, divergence / tokens, float(np.expm1(drop / tokens)), tokens, 1.0)


def _from_top(measured: list[list[dict[str, Any]]], case: Case) -> Closeness:
    """As :func:`closeness`, where only the file's most likely tokens are known and all others are taken as one.

    Merging outcomes never raises a divergence, so this one is a lower bound; ``covered`` says how much was seen.
    """
    agree, divergence, drop, covered, tokens = 0, 0.0, 0.0, 0.0, 0
    for one, found in zip(case.answered, measured, strict=True):
        ours = np.load(one.logprobs).astype(np.float64)
        for row, given, best in zip(ours, one.continuation, found, strict=True):
            ids, q = np.array(best["ids"]), np.array(best["logprobs"], dtype=np.float64)
            p = row[ids]
            rest_p, rest_q = max(1 - float(np.exp(p).sum()), 1e-12), max(1 - float(np.exp(q).sum()), 1e-12)
            divergence += float((np.exp(p) * (p - q)).sum()) + rest_p * float(np.log(rest_p / rest_q))
            agree += int(int(row.argmax()) == int(ids[0]))
            seen = np.flatnonzero(ids == given)
            drop += float(row[given] - (q[seen[0]] if len(seen) else min(float(q.min()), np.log(rest_q))))
            covered += float(np.exp(p).sum())
            tokens += 1
    return Closeness(agree / tokens, divergence / tokens, float(np.expm1(drop / tokens)), tokens, covered / tokens)
