"""What a kit says of itself under ``kit:`` in its kit.yaml."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Origin(_Part):
    """Where rows of a kit come from, and under which licence."""

    name: str = Field(min_length=1, description="Package or publication with its version")
    licence: str = Field(min_length=1, description="SPDX expression of the rows' licence")
    what: str = Field("", description="What was taken from it")
    url: str = Field("", description="Where a reader finds it")


class Kit(_Part):
    """Title, domain, sources and measured figures; the workflow itself stands beside ``kit:`` in the same file."""

    title: str = Field(min_length=1, max_length=60, description="Shown on the card")
    domain: str = Field(min_length=1, description="For example legal, healthcare, finance")
    summary: str = Field(min_length=1, max_length=600, description="What it teaches, for whom, and what it is not")
    version: int = Field(1, ge=1, description="Raised when rows or task change")
    licence: str = Field(min_length=1, description="SPDX expression of the kit as a whole")
    task: str = Field("", description="One sentence: what goes in and what comes out")
    rows: dict[str, int] = Field(default_factory=dict, description="Rows of each split")
    sources: list[Origin] = Field(min_length=1, description="Source and licence of all rows")
    measured: dict[str, Any] = Field(default_factory=dict, description="Figures that somebody measured, with machine and date")
