"""Serve a model, if it passes its gate."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.config.artifacts import Artifact, Model, Report
from app.config.node import Node, Params, StepContext, node


class Gate(Params):
    """What a model must show before it is served."""

    min_gain: float | None = Field(
        None, ge=-1, le=1, description="Least gain over the base in the evaluation; none: not asked. 0.05: five points, or where "
        "texts without questions were compared a loss that is 5 % lower")
    require_better: bool = Field(False, description="The whole interval of the gain must lie above min_gain (or 0)")
    require_proof: bool = Field(True, description="The export proof must have passed")


class DeployParams(Params):
    """Where and under which conditions."""

    gate: Gate = Field(Gate.model_validate({}), description="What the model must show first")
    alias: str = Field("", max_length=100, description="Name that clients use; none: the model's name")
    engine: Literal["auto", "llama.cpp", "transformers"] = Field("auto", description="auto: llama.cpp for GGUF files")
    slots: int = Field(4, ge=1, le=64, description="Requests answered at once")
    context: int = Field(2048, ge=128, le=1_048_576, description="Tokens of prompt and answer together, for each request")
    base_too: bool = Field(True, description="Serve the base model beside it, to compare answers")
    wait_seconds: float = Field(120, ge=0, le=3600, description="How long to wait for the engine to answer")


@node("model.deploy", version=1, title="Deploy")
class Deploy(Node[DeployParams]):
    """Registers the model if no step did, checks the gate, marks the version live and serves it."""

    inputs = {"model": Model, "evaluation": Report, "proof": Report}
    optional = frozenset({"evaluation", "proof"})
    outputs = {"deployment": Report}
    cacheable = False

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Raises RegistryError gate.* with the reason where the gate refuses; what was served before stays."""
        from app.registry.steps import deploy_step

        return {"deployment": deploy_step(ctx, self.params)}
