"""What an engine is: one model in one process, asked for chat, completions and embeddings in OpenAI's shapes.

An engine is a file here with a function ``load(assignment) -> Engine``, named in ENGINES.  Requests and answers are plain
JSON objects in the form of the OpenAI API; the gateway has checked a request before an engine sees it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from app.errors import Place, ServingError

ENGINES = {"llama.cpp": "app.serving.llama_cpp", "transformers": "app.serving.transformers_engine"}
Json = dict[str, Any]
Send = Callable[[Json], bool]
"""Takes one streamed event; True asks the engine to stop, because nobody listens any more.

An event without choices is a sign of life: an engine gives one with every batch of a long prompt, so that it is not taken
for hung and learns early that the client has hung up.
"""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is to load.  context: tokens of each slot.  base: for an adapter, the model it belongs to."""

    engine: str
    path: str
    slots: int = 4
    context: int = 4096
    threads: int = 1
    base: str = ""


class TooLong(ValueError):
    """A prompt, or a text to embed, that the context cannot hold."""

    def __init__(self, tokens: int, context: int) -> None:
        super().__init__(f"The prompt has {tokens:,} tokens; the context holds {context:,} with the answer.")


class BadSchema(ValueError):
    """A JSON schema that the engine cannot make a grammar of."""


class Engine(Protocol):
    """One loaded model.  Methods block, are called from several threads, and raise ValueError for a bad request."""

    slots: int

    def generate(self, kind: str, request: Json, send: Send) -> None:
        """Answer a request of kind "chat" or "completion", streamed through ``send``; the last event holds the usage."""

    def embed(self, text: str) -> tuple[list[float], int]:
        """(vector, counted tokens) of one text."""


def load(assignment: Assignment) -> Engine:
    """Load a model.  Raises ServingError engine.unknown for an engine that does not exist, engine.file_missing for a file."""
    if assignment.engine not in ENGINES:
        raise ServingError(
            "engine.unknown", f"There is no engine {assignment.engine!r}.", remedy=f"One of: {', '.join(ENGINES)}."
        )
    for path in filter(None, (assignment.path, assignment.base)):
        if not Path(path).exists():
            raise ServingError("engine.file_missing", "The model's file is missing.", where=Place.of(path),
                               remedy="Deploy the model again; if that fails too, export or import it again.")
    engine: Engine = importlib.import_module(ENGINES[assignment.engine]).load(assignment)
    return engine
