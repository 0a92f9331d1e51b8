"""Begin from a version that is registered, and give it further files: the two ends of an export run."""

from __future__ import annotations

from pydantic import Field

from app.config.artifacts import Artifact, Model, Report
from app.config.node import Node, Params, StepContext, node


class VersionParams(Params):
    """Which version."""

    version: str = Field(min_length=1, max_length=120, description="Id of the version, for example notices@2")


@node("model.open", version=1, title="Open a model")
class OpenModel(Node[VersionParams]):
    """The original that the version's files were made from, as its training left it."""

    outputs = {"model": Model}
    cacheable = False  # what a run left may have been deleted since

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Find it."""
        from app.registry.exporting import original

        found = original(ctx.store, self.params.version)
        ctx.event(f"The original of {self.params.version}", level="good", kind="open")
        return {"model": found}


@node("model.attach", version=1, title="Add to a version")
class Attach(Node[VersionParams]):
    """Exported files, each with its proof, become files of a version; what is served stays as it is."""

    inputs = {"model": Model, "proof": Report}
    outputs = {"model": Model}
    cacheable = False

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Place the files."""
        from app.registry.exporting import attach

        made: Model = ctx.input("model")
        new = attach(ctx.store, self.params.version, made, dict(ctx.input("proof").summary), ctx.check_cancelled)
        ctx.event(f"{self.params.version} has {', '.join(new)} now." if new else f"{self.params.version} had these files already.",
                  kind="registered")
        return {"model": made.model_copy(update={"version": self.params.version})}
