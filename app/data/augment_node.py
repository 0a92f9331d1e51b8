"""Ask known questions in other words, so that a model learns what they mean and not how they were typed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.config.artifacts import Artifact, Report, Rows
from app.config.node import Node, Params, StepContext, node

Method = Literal["synonym", "casing", "typos", "spacing", "numbers", "paraphrase"]


class AugmentParams(Params):
    """Parameters of data.augment."""

    methods: tuple[Method, ...] = Field(
        ("synonym", "casing", "typos", "spacing", "numbers"), min_length=1,
        description="synonym and numbers (English), casing, typos, spacing by rule; paraphrase by a served model")
    share: float = Field(0.5, gt=0, le=1, description="Share of the training rows that are asked in other words")
    copies: int = Field(1, ge=1, le=20, description="New rows for each of them, each by another method")
    strength: float = Field(0.1, gt=0, le=1, description="Share of the words that a rule may change")
    model: str = Field("", max_length=200, description="Name of the served model that paraphrases; empty: the base model")
    test_words: float = Field(
        0.8, gt=0, le=1, description="Jaccard similarity of word 3-shingles to a held-out question, from which a row would give the "
        "test away")
    temperature: float = Field(0.7, ge=0, le=2, description="How freely the model writes")
    max_tokens: int = Field(512, ge=16, le=8192, description="Longest paraphrase, tokens")


@node("data.augment", version=2, title="Reword rows")
class Augment(Node[AugmentParams]):
    """Adds rows and changes none; answers stay as they are, and what they quote stays in the question.  Put it behind Refine, which
    takes such rows for repeats."""

    inputs = {"rows": Rows}
    outputs = {"rows": Rows, "report": Report}
    network = "loopback"

    def asks(self) -> str:
        return self.params.model if "paraphrase" in self.params.methods else ""

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Reword, check, add; what was dropped is counted by reason."""
        from app.data.augment import augment

        return augment(ctx, ctx.input("rows"), self.params)
