"""Make new rows with a served model: from documents or from rows that exist.  Every row says where it comes from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.config.artifacts import Artifact, Report, Rows
from app.config.node import Node, Params, StepContext, node


class Passages(Params):
    """How documents are cut."""

    size: int = Field(1200, ge=200, le=20_000, description="Longest passage, characters")
    overlap: int = Field(150, ge=0, le=5000, description="How much of a passage the next one repeats, characters")


class Checks(Params):
    """What a new row must pass."""

    min_question: int = Field(12, ge=1, description="Shortest question, characters")
    max_question: int = Field(4000, ge=1, description="Longest question, characters")
    min_answer: int = Field(1, ge=1, description="Shortest answer, characters")
    max_answer: int = Field(4000, ge=1, description="Longest answer, characters")
    near_duplicate: float = Field(
        0.7, gt=0, le=1, description="Jaccard similarity of word 3-shingles from which a question repeats one that exists")
    test_words: float = Field(
        0.5, gt=0, le=1, description="The same similarity to a held-out question, from which a row would give the test away")
    test_meaning: float = Field(
        0.9, ge=0, le=1, description="Likeness in meaning (cosine) to a held-out question, from which a row would give the test away; "
        "0: not looked at")
    ask_back: bool = Field(
        False, description="Ask the model each question made from a document again, and drop those it answers otherwise; about twice "
        "the questions")


class SynthesiseParams(Params):
    """Parameters of data.synthesise."""

    rows: int = Field(200, ge=1, le=1_000_000, description="How many new rows to make")
    model: str = Field("", max_length=200, description="Name of the served model that writes them; empty: the base model")
    methods: tuple[Literal["vary", "evolve", "invert"], ...] = Field(
        ("vary", "evolve", "invert"), min_length=1,
        description="From rows with an answer: vary (another case), evolve (a harder one), invert (another question to the answer)")
    per_source: int = Field(
        3, ge=1, le=100, description="Most candidates asked from one row or passage; where that is too few, fewer rows are made")
    passages: Passages = Field(Passages.model_validate({}), description="Documents")
    checks: Checks = Field(Checks.model_validate({}), description="Checks")
    temperature: float = Field(0.8, ge=0, le=2, description="How freely the model writes; 0: always the likeliest word")
    max_tokens: int = Field(512, ge=16, le=8192, description="Longest answer of the model, tokens")
    at_once: int = Field(0, ge=0, le=64, description="Questions asked together; 0: as many as the model answers at once")


@node("data.synthesise", version=3, title="Make rows")
class Synthesise(Node[SynthesiseParams]):
    """Only rows for training are sources, and new rows are for training.  A stopped step keeps what it made and goes on there."""

    inputs = {"rows": Rows}
    outputs = {"rows": Rows, "report": Report}
    network = "loopback"

    def asks(self) -> str:
        return self.params.model

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Ask, check, add; what was dropped is counted by reason."""
        from app.data.synthesise import synthesise

        return synthesise(ctx, ctx.input("rows"), self.params)
