"""Make an exported model a version, with its origin and its proof."""

from __future__ import annotations

from pydantic import Field

from app.config.artifacts import Artifact, Model, Report
from app.config.node import Node, Params, StepContext, node


class RegisterParams(Params):
    """Under which name."""

    name: str = Field("", max_length=80, description="Name of the model; none: the exported model's own name")
    note: str = Field("", max_length=500, description="A note kept with the version")


@node("model.register", version=1, title="Register")
class Register(Node[RegisterParams]):
    """The same content under the same name is one version, however often it is registered."""

    inputs = {"model": Model, "evaluation": Report, "proof": Report}
    optional = frozenset({"evaluation", "proof"})
    outputs = {"model": Model}
    cacheable = False

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Place the files and write the version."""
        from app.registry.steps import register_step

        return {"model": register_step(ctx, self.params)}
