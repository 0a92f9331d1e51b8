"""The pass mark of an export proof; light, because the window builds its form from it."""

from __future__ import annotations

from pydantic import Field

from app.config.node import Params


class PassMark(Params):
    """What a file must reach before it may be deployed."""

    top1: float = Field(0.85, ge=0, le=1, description="Least share of tokens where file and original choose the same next one")
    kl: float = Field(0.1, gt=0, description="Largest mean divergence from the original, in nats a token")
    template: bool = Field(True, description="The chat template must give the same text")
    tokens: bool = Field(True, description="The tokeniser must give the same tokens")
