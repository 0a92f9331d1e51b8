"""Held-out texts without a question: how surprised base and tuned are by each of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.config.verdicts import NLL, gain, score
from app.errors import EvaluationError
from app.evaluation.arms import LABELS, Tell
from app.evaluation.decode import Progress
from app.evaluation.likelihood import target_nll
from app.evaluation.model import Pair
from app.evaluation.report import likelihood, sample
from app.evaluation.statistics import FEWEST, Array, paired

LONGEST = 2048
"""Tokens of a text that are read; fewer where the model's context is shorter."""
AT_ONCE = 256
"""Texts whose token ids are held at once."""
SHOWN = 2000
"""Characters of a text that its sample holds."""
MEANING = (
    "How surprised each model is by unseen texts, in nats a word piece, mean over the texts; lower is better. "
    "The difference is tuned minus base on the same texts, with its paired 95 % bootstrap interval."
)
NOT_ASKED = "The texts have no questions, so nothing was asked: how well the model answers questions about them is not measured."


@dataclass(frozen=True, slots=True)
class Surprise:
    """What one model makes of each text.  sums: negative log-likelihood, nats.  counts: the tokens it is over.

    limit: tokens that a text may have.  cut: how many had more, of which the start alone was read.
    """

    sums: list[float]
    counts: list[int]
    limit: int
    cut: int

    @property
    def items(self) -> Array:
        """Nats a token of each text, (texts,)."""
        return np.array(self.sums) / np.maximum(self.counts, 1)

    @property
    def mean(self) -> float:
        """Nats a token over the tokens of all texts."""
        return sum(self.sums) / max(sum(self.counts), 1)


def compare_texts(pair: Pair, texts: Sequence[str], *, batch: int, seed: int, tell: Tell) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(summary in the shape of report.summarise, all items with the worst for the tuned model first).

    Raises EvaluationError evaluation.no_number where a model's figures are no numbers.
    """
    found = []
    for at, name in enumerate(("base", "tuned")):

        def progress(part: float, at: int = at, name: str = name) -> None:
            tell(LABELS[name], (at + part) / 2)

        with pair.side(name == "tuned") as model:
            found.append(surprise(model, pair.tokenizer, texts, batch, progress))
        _require_numbers(LABELS[name], found[-1])
    base, tuned = found
    return _summary(base, tuned, seed), _samples(texts, base, tuned)


def encode_texts(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text as training reads it: the start mark where the tokenizer sets one, the text, the end mark."""
    mark = tokenizer.bos_token_id
    start = [mark] if mark is not None and tokenizer("a")["input_ids"][:1] == [mark] else []
    return [[*start, *ids, tokenizer.eos_token_id] for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]


def surprise(model: Any, tokenizer: Any, texts: Sequence[str], batch: int, progress: Progress) -> Surprise:
    """Read the texts; the first token of each is given, all that follow are counted."""
    limit = min(getattr(model.config, "max_position_embeddings", None) or LONGEST, LONGEST)
    sums: list[float] = []
    counts: list[int] = []
    cut = 0
    for done in range(0, len(texts), AT_ONCE):
        found = encode_texts(tokenizer, texts[done : done + AT_ONCE])
        cut += sum(len(ids) > limit for ids in found)
        first, rest = [ids[:1] for ids in found], [ids[1:limit] for ids in found]

        def part_done(part: float, done: int = done, count: int = len(found)) -> None:
            progress((done + part * count) / len(texts))

        sums += target_nll(model, tokenizer, first, rest, batch=batch, progress=part_done)
        counts += map(len, rest)
    return Surprise(sums, counts, limit, cut)


def _require_numbers(who: str, found: Surprise) -> None:
    if not math.isfinite(sum(found.sums)):
        raise EvaluationError(
            "evaluation.no_number",
            "The models cannot be compared.",
            why=f"{who}: its figures are no numbers.",
            remedy="Train again with a smaller step size.",
        )


def _summary(base: Surprise, tuned: Surprise, seed: int) -> dict[str, Any]:
    main = paired(base.items, tuned.items, seed)
    figures = {"metric": NLL, "base": main.first, "tuned": main.second, **main.as_json()}
    return {
        **figures,
        "meaning": MEANING,
        "items": len(base.sums),
        "verdict": main.verdict(lower_is_better=True),
        "gain": gain(figures)[0],
        "nll": likelihood(main, base.mean, tuned.mean),
        "table": [
            {"arm": arm, "label": LABELS[arm], "fields": {}, "score": items, "nll": side.mean}
            for arm, side, items in (("base", base, main.first), ("tuned", tuned, main.second))
        ],
        "versus": {},
        "versus_examples": None,
        "notes": _notes(base, tuned),
    }


def _notes(base: Surprise, tuned: Surprise) -> list[str]:
    said = []
    if len(base.sums) < FEWEST:
        said.append(f"Too few held-out texts to show a difference: {len(base.sums)}. At least {FEWEST} are needed.")
    said.append(f"Perplexity over all word pieces: base {math.exp(base.mean):,.2f}, tuned {math.exp(tuned.mean):,.2f}.")
    if base.cut:
        said.append(f"Texts longer than {base.limit:,} word pieces, of which only the start was read: {base.cut:,}.")
    return [*said, NOT_ASKED]


def _samples(texts: Sequence[str], base: Surprise, tuned: Surprise) -> list[dict[str, Any]]:
    found = [
        sample("", text if len(text) <= SHOWN else f"{text[:SHOWN]} …", (_words(before), _words(after)), (before, after), {})
        for text, before, after in zip(texts, base.items.tolist(), tuned.items.tolist(), strict=True)
    ]
    return sorted(found, key=lambda one: one["base_score"] - one["tuned_score"])


def _words(nats: float) -> str:
    return f"{score(NLL, nats)} nats a word piece"
