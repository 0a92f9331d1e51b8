"""What the base model makes of a row: how much its question helps to say its answer (IFD), and where it stands (RDS+).

Batches are padded on the right and carry no attention mask: attention is causal, so no real token ever sees a padding token.
Logits exist for the answer's tokens only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from app.config.cores import use_threads
from app.config.model_files import check_model_folder
from app.data.embedding import like_lengths
from app.store.records import Row

if TYPE_CHECKING:
    from app.store import Store

Vectors = npt.NDArray[np.float32]
Alive = Callable[[], None]
BATCH_TOKENS = 2048
"""Padded tokens that go through the model at once."""
MOST_TOKENS = 1024
"""Longer rows are not read for IFD, and cut for their representation."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of a conversation up to its answer, and of the answer with its end mark."""

    prompt: list[int]
    answer: list[int]

    @property
    def ids(self) -> list[int]:
        return self.prompt + self.answer


class BaseReader:
    """A loaded base model that reads rows.  ``tokens``: how many it has read, padding left out."""

    def __init__(self, store: Store, folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        checked = check_model_folder(folder)
        use_threads(store)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        self._tokenizer: Any = AutoTokenizer.from_pretrained(str(checked.path), **options)
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            str(checked.path), dtype=torch.bfloat16, use_safetensors=True, **options).to(self._device).eval()
        self.tokens = 0

    # -- tokens ---------------------------------------------------------------------------------------------------------
    def encode(self, row: Row) -> Encoded:
        """The row in the model's own chat template.  Tokenised apart, as at inference."""
        if self._tokenizer.chat_template and row.prompt:
            start = self._tokenizer.apply_chat_template(row.prompt, add_generation_prompt=True, tokenize=False)
        else:
            start = "".join(message["content"] + "\n" for message in row.prompt)
        return Encoded(self._ids(start), [*self._ids(row.answer), self._tokenizer.eos_token_id])

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []

    # -- IFD ------------------------------------------------------------------------------------------------------------
    def ifd(self, rows: Sequence[Row], alive: Alive = lambda: None) -> Vectors:
        """Instruction-following difficulty of each row, (rows,) float32: mean loss of the answer's tokens after the question over
        their mean loss alone (after one start mark).  About 0 to over 1; NaN for a row without question or answer, or too long.
        alive: called before each batch; may raise.

        Source: Li et al. 2023, arXiv 2308.12032, section 2.2.
        """
        encoded = [self.encode(row) for row in rows]
        fit = [number for number, one in enumerate(encoded)
               if one.prompt and len(one.answer) > 1 and len(one.ids) <= MOST_TOKENS]
        alone = [Encoded([self._start_mark()], encoded[number].answer) for number in fit]
        asked = [encoded[number] for number in fit]
        losses = self._losses([*asked, *alone], alive)
        found = np.full(len(rows), np.nan, np.float32)
        found[fit] = losses[: len(fit)] / np.maximum(losses[len(fit) :], 1e-6)
        return found

    def _start_mark(self) -> int:
        start = self._tokenizer.bos_token_id
        return int(self._tokenizer.eos_token_id if start is None else start)

    def _losses(self, rows: list[Encoded], alive: Alive) -> Vectors:
        """Mean loss in nats of each answer's tokens, end mark left out, after its prompt."""
        import torch

        found: Vectors = np.zeros(len(rows), np.float32)
        with torch.inference_mode():
            for batch in like_lengths([len(one.ids) for one in rows], BATCH_TOKENS):
                alive()
                for number, value in zip(batch, self._batch_losses([rows[number] for number in batch]), strict=True):
                    found[number] = value
        return found

    def _batch_losses(self, rows: list[Encoded]) -> list[float]:
        import torch

        hidden = self._hidden(rows)
        head, values = self._model.get_output_embeddings(), []
        for row, states in zip(rows, hidden, strict=True):
            said = len(row.answer) - 1
            first = len(row.prompt) - 1
            logits = head(states[first : first + said].contiguous()).float()
            wanted = torch.tensor(row.answer[:said], device=logits.device)
            values.append(float(torch.nn.functional.cross_entropy(logits, wanted)))
        return values

    # -- RDS+ -----------------------------------------------------------------------------------------------------------
    def represent(self, rows: Sequence[Row], alive: Alive = lambda: None) -> Vectors:
        """(rows, hidden) float32 of length one: the last hidden states of the whole row, weighted by position, the last most.

        Weight of token i of n: i / (1 + ... + n).  Source: Ivison et al. 2025, arXiv 2503.01807 (RDS+).  alive: called before each
        batch; may raise.
        """
        import torch

        encoded = [self._cut(self.encode(row)) for row in rows]
        found: Vectors = np.zeros((len(rows), int(self._model.config.hidden_size)), np.float32)
        with torch.inference_mode():
            for batch in like_lengths([len(one.ids) for one in encoded], BATCH_TOKENS):
                alive()
                hidden = self._hidden([encoded[number] for number in batch])
                for number, states in zip(batch, hidden, strict=True):
                    length = len(encoded[number].ids)
                    weight = torch.arange(1, length + 1, device=states.device, dtype=torch.float32)
                    mean = (states[:length].float() * weight[:, None]).sum(0) / weight.sum()
                    found[number] = torch.nn.functional.normalize(mean, dim=0).cpu().numpy()
        return found

    @staticmethod
    def _cut(row: Encoded) -> Encoded:
        """The end of a row that is too long: its answer stands there."""
        ids = row.ids[-MOST_TOKENS:]
        return Encoded([], ids)

    def _hidden(self, rows: list[Encoded]) -> Any:
        import torch

        width = max(len(row.ids) for row in rows)
        self.tokens += sum(len(row.ids) for row in rows)
        ids = torch.tensor([row.ids + [0] * (width - len(row.ids)) for row in rows], device=self._device)
        decoder = getattr(self._model, self._model.base_model_prefix)
        return decoder(input_ids=ids, attention_mask=None, use_cache=False)[0]

