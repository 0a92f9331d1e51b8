"""Choosing the next token, and withholding text that may become a stop word.  Used by the transformers engine."""

from __future__ import annotations

from collections import Counter
from typing import Any

Json = dict[str, Any]


class Sampler:
    """The sampling options of one request, as OpenAI defines them.  Without a seed each answer is drawn afresh."""

    def __init__(self, torch: Any, request: Json) -> None:
        self._torch = torch
        self._temperature = float(request.get("temperature", 1.0))
        self._top_p = float(request.get("top_p", 1.0))
        self._presence = float(request.get("presence_penalty", 0.0))
        self._frequency = float(request.get("frequency_penalty", 0.0))
        self._bias = [(int(token), float(value)) for token, value in request.get("logit_bias") or []]
        self._random = torch.Generator()
        if request.get("seed") is None:
            self._random.seed()
        else:
            self._random.manual_seed(int(request["seed"]))
        self._written: Counter[int] = Counter()

    def choose(self, logits: Any) -> int:
        """The next token from (vocabulary,) float32 logits on the processor.

        Raises ValueError for a bias on a token that the model does not have.
        """
        token = self._pick(self._adjusted(logits))
        self._written[token] += 1
        return token

    def _adjusted(self, logits: Any) -> Any:
        changed = logits.clone()
        for token, value in self._bias:
            if token >= len(changed):
                raise ValueError(f"logit_bias: the model has no token {token}.")
            changed[token] += value
        if self._presence or self._frequency:
            for token, count in self._written.items():
                changed[token] -= self._presence + self._frequency * count
        return changed

    def _pick(self, logits: Any) -> int:
        torch = self._torch
        if self._temperature <= 0 or self._top_p <= 0:
            return int(logits.argmax())
        chances = torch.softmax(logits / self._temperature, -1)
        if self._top_p < 1:
            ordered, index = chances.sort(descending=True)
            ordered[ordered.cumsum(-1) - ordered >= self._top_p] = 0  # the first is always kept
            return int(index[torch.multinomial(ordered, 1, generator=self._random)])
        return int(torch.multinomial(chances, 1, generator=self._random))


class Outlet:
    """Text on its way out: nothing of a stop word leaves, nor half a character."""

    def __init__(self, stops: Any) -> None:
        self._stops = [stops] if isinstance(stops, str) else list(stops or [])
        self._sent = 0
        self.stopped = False

    def push(self, text: str) -> str:
        """The new part of the whole ``text`` so far that may go out."""
        cut = min((at for stop in self._stops if (at := text.find(stop)) >= 0), default=-1)
        if cut >= 0:
            self.stopped = True
            return self._send(text[:cut])
        held = max((self._overlap(text, stop) for stop in self._stops), default=0)
        ready = text[: len(text) - held]
        return self._send(ready.rstrip("\ufffd"))

    def finish(self, text: str) -> str:
        """The rest, when no more will come."""
        return "" if self.stopped else self._send(text)

    def _send(self, text: str) -> str:
        part, self._sent = text[self._sent :], max(self._sent, len(text))
        return part

    @staticmethod
    def _overlap(text: str, stop: str) -> int:
        """Length of the longest end of the text with which the stop word begins."""
        return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)
