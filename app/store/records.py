"""The row every room shares: one training or test example in canonical form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
import xxhash

Shape = Literal["chat", "text", "preference"]
SPLITS = ("train", "calibration", "test")


@dataclass(slots=True)
class Row:
    """One example.

    shape "chat": ``messages`` is a list of {"role", "content"}, the last one the answer (instruction and
    prompt/completion rows become this).  "preference": ``messages`` is the prompt, ``chosen`` and ``rejected`` the
    two answers.  "text": ``text`` alone.  ``meta`` holds all other columns as they came.
    ``split`` is "train", "calibration", "test" or "" (not yet split).  ``hash`` is the content hash of the payload.
    ``position`` counts from 1 within the version and is the row's number in the source file.
    """

    shape: Shape
    messages: list[dict[str, str]] = field(default_factory=list)
    text: str = ""
    chosen: str = ""
    rejected: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    split: str = ""
    hash: str = ""
    position: int = 0

    @property
    def prompt(self) -> list[dict[str, str]]:
        """The messages before the answer."""
        return self.messages[:-1] if self.shape == "chat" else self.messages

    @property
    def answer(self) -> str:
        """The text the model is to write."""
        if self.shape == "chat":
            return self.messages[-1]["content"] if self.messages else ""
        return self.chosen if self.shape == "preference" else self.text

    def payload(self) -> dict[str, Any]:
        """The stored content, without split and position; its hash identifies the row."""
        content: dict[str, Any] = {"shape": self.shape}
        if self.shape == "text":
            content["text"] = self.text
        else:
            content["messages"] = self.messages
        if self.shape == "preference":
            content |= {"chosen": self.chosen, "rejected": self.rejected}
        if self.meta:
            content["meta"] = self.meta
        return content


def encode(row: Row) -> tuple[bytes, bytes]:
    """(16-byte hash, payload) of a row: xxh3-128 of its canonical JSON (sorted keys)."""
    payload = orjson.dumps(row.payload(), option=orjson.OPT_SORT_KEYS)
    return xxhash.xxh3_128_digest(payload), payload


def decode(payload: bytes, *, split: str = "", digest: bytes = b"", position: int = 0) -> Row:
    """The row that :func:`encode` wrote."""
    content = orjson.loads(payload)
    return Row(
        shape=content["shape"], messages=content.get("messages", []), text=content.get("text", ""),
        chosen=content.get("chosen", ""), rejected=content.get("rejected", ""), meta=content.get("meta", {}),
        split=split, hash=digest.hex(), position=position,
    )
