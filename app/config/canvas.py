"""What a document says of its picture under ``canvas:``: notes and groups.  It changes no result and is not inherited."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

FARTHEST = 100_000
"""Largest coordinate, in scene units."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Note(_Part):
    """A remark that stands on the canvas."""

    text: str = Field(max_length=4000, description="What it says")
    position: tuple[float, float] = Field((0, 0), description="Left and top, scene units")
    size: tuple[float, float] = Field((200, 90), description="Width and height, scene units")


class Group(_Part):
    """A titled frame around steps."""

    title: str = Field("", max_length=80, description="Shown over the frame")
    steps: list[str] = Field(default_factory=list, description="Steps inside")


class Canvas(_Part):
    """Notes and groups by name."""

    notes: dict[str, Note] = Field(default_factory=dict, description="Remarks on the canvas")
    groups: dict[str, Group] = Field(default_factory=dict, description="Frames around steps")
