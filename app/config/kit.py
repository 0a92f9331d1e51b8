"""What a kit says of itself under ``kit:`` in its kit.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Origin(_Part):
    """Where rows of a kit come from, and under which licence."""

    name: str = Field(min_length=1, description="Package or publication with its version")
    licence: str = Field(min_length=1, description="SPDX expression of the rows' licence")
    what: str = Field("", description="What was taken from it")
    url: str = Field("", description="Where a reader finds it")


class Measured(_Part):
    """What the author's own run showed; ``interval`` is the 95 % one of ``difference``."""

    date: str = Field("", description="Day of the run, YYYY-MM-DD")
    machine: str = Field(min_length=1, description="What it ran on, in plain words")
    seconds: float = Field(gt=0, description="The whole run, in seconds")
    metric: Literal["", "nll"] = Field(
        "", description="nll: base and tuned are nats a token of texts without questions, lower is better; empty: fractions of 1")
    items: int = Field(ge=1, description="Held-out items")
    constant: float | None = Field(None, ge=0, le=1, description="Score of the best constant answer")
    classic: float | None = Field(None, ge=0, le=1, description="Score of a linear model trained on the same rows")
    base: float = Field(ge=0, description="Score of the base model")
    base_with_examples: float | None = Field(None, ge=0, le=1, description="Score of the base with examples in its prompt")
    tuned: float = Field(ge=0, description="Score of the tuned model")
    difference: float = Field(description="tuned - base")
    interval: tuple[float, float] = Field(description="95 % interval of the difference")
    verdict: Literal["better", "worse", "no_difference"] = Field(description="What the interval says")
    refused: dict[str, tuple[int, int]] = Field(
        default_factory=dict, description="Refused as it should, of asked, by kind, by the tuned model: {out of scope: [27, 30]}")
    refused_wrongly: tuple[int, int] | None = Field(None, description="Task questions that the tuned model refused, of asked")

    @model_validator(mode="after")
    def _scores_are_fractions(self) -> Measured:
        if not self.metric and max(self.base, self.tuned, abs(self.difference)) > 1:
            raise ValueError("base, tuned and difference must be fractions of 1, unless metric is nll")
        return self


class Kit(_Part):
    """Title, domain, sources and measured figures; the workflow itself stands beside ``kit:`` in the same file."""

    title: str = Field(min_length=1, max_length=60, description="Shown on the card")
    domain: str = Field(min_length=1, description="For example legal, healthcare, finance")
    summary: str = Field(min_length=1, max_length=600, description="What it teaches, for whom, and what it is not")
    version: int = Field(1, ge=1, strict=True, description="Raised when rows or task change")
    licence: str = Field(min_length=1, description="SPDX expression of the kit as a whole")
    task: str = Field("", description="One sentence: what goes in and what comes out")
    rows: dict[str, int] = Field(default_factory=dict, description="Rows of each split")
    sources: list[Origin] = Field(default_factory=list, description="Source and licence of all rows")
    needs_data: list[str] = Field(
        default_factory=list, description="The kit carries no rows: parameters that name the user's own file, as in --set")
    base_parameters: int | None = Field(None, ge=1, description="Parameters of the base model, to judge where it fits")
    measured: Measured | None = Field(None, description="Figures of the author's own run, with machine and date")

    @model_validator(mode="after")
    def _rows_have_a_source(self) -> Kit:
        if not self.sources and not self.needs_data:
            raise ValueError("sources must name where the rows come from, or needs_data the parameters that bring the user's own")
        return self
