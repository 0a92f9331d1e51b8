"""What steps hand to each other: four small typed records, each a port colour on the canvas.

An artifact names things by path or id and carries their content hash; it never holds the data itself.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class Artifact(BaseModel):
    """Base of the port types.  ``content_hash`` identifies the content, for the step cache and lineage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    content_hash: str

    @classmethod
    def type_name(cls) -> str:
        """The port type as the document and the canvas name it."""
        return str(cls.model_fields["kind"].default)


class Rows(Artifact):
    """One version of a dataset in the store.  ``splits`` counts the kept rows of each split.

    ``content_hash`` is the version's; behind a "+" stands what else was decided about its rows (a learning order).
    """

    kind: Literal["rows"] = "rows"
    dataset: str
    version: int
    rows: int
    splits: dict[str, int] = Field(default_factory=dict)

    @property
    def version_hash(self) -> str:
        """The content hash that the version has in the store."""
        return self.content_hash.partition("+")[0]


class Model(Artifact):
    """A model on disk.

    format "hf": a folder with safetensors; "lora": an adapter folder whose base is ``base``; "gguf": one file.
    ``base`` is the path of the model it was made from.  ``version`` is the registry's id once registered.
    ``details`` holds plain figures, for example parameters, quantisation, context length, chat_template_hash.
    """

    kind: Literal["model"] = "model"
    path: str
    format: Literal["hf", "lora", "gguf"]
    name: str
    base: str | None = None
    version: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)


class Report(Artifact):
    """A JSON file with measured results; ``summary`` is what a gate or a page reads without opening it."""

    kind: Literal["report"] = "report"
    path: str
    summary: dict[str, Any] = Field(default_factory=dict)


class File(Artifact):
    """Any other file a step made."""

    kind: Literal["file"] = "file"
    path: str
    size: int = Field(ge=0, description="bytes")


AnyArtifact = Annotated[Rows | Model | Report | File, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[Rows | Model | Report | File] = TypeAdapter(AnyArtifact)


def load_artifact(value: dict[str, Any]) -> Rows | Model | Report | File:
    """Read one artifact back from the store's JSON."""
    return _ADAPTER.validate_python(value)
