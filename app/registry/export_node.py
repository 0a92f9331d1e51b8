"""Write the tuned model as GGUF files, and prove that they answer like the original."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from app.config.artifacts import Artifact, Model, Report, Rows
from app.config.node import Node, Params, StepContext, node
from app.registry.pass_mark import PassMark


class ExportParams(Params):
    """Which files to write and how to prove them."""

    quantization: list[Literal["f16", "q8_0", "q5_k_m", "q4_k_m", "q4_0"]] = Field(
        ["q8_0"], min_length=1, description="Number formats, one file each; f16 and q8_0 need no compiler on this machine")
    serve: Literal["auto", "f16", "q8_0", "q5_k_m", "q4_k_m", "q4_0"] = Field(
        "auto", description="The file that is served; auto: the smallest one that passed its proof")
    prompts: int = Field(12, ge=1, le=256, description="Held-out questions (or packaged ones) that original and file both answer")
    new_tokens: int = Field(48, ge=1, le=512, description="Longest answer compared, in tokens")
    pass_mark: PassMark = Field(PassMark.model_validate({}), description="What a file must reach")

    @field_validator("quantization", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("quantization")
    @classmethod
    def _each_once(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(value))


@node("model.export", version=1, title="Export")
class Export(Node[ExportParams]):
    """Merge, convert, quantise; then ask every file and the original the same and compare."""

    inputs = {"model": Model, "rows": Rows}
    optional = frozenset({"rows"})
    outputs = {"model": Model, "proof": Report}
    accelerator = True
    network = "loopback"  # the proof asks an engine over HTTP

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """The served file and the proof of all.  A failed proof is a result; deploying is what it forbids."""
        from app.registry.export import export  # heavy: step worker only

        return export(ctx, self.params)
