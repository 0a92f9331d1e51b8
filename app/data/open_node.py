"""Take the rows of a dataset that is in the store already, as they stand on the Datasets page."""

from __future__ import annotations

from pydantic import Field

from app.config.artifacts import Artifact, Rows
from app.config.node import Node, Params, StepContext, node


class OpenParams(Params):
    """Parameters of dataset.open."""

    dataset: str = Field(min_length=1, max_length=200, description="Name or id of the dataset")
    version: int = Field(0, ge=0, description="Version of it; 0: the newest when the step runs")


@node("dataset.open", version=1, title="Open a dataset")
class Open(Node[OpenParams]):
    """Changes nothing; the steps behind it make versions of this dataset."""

    outputs = {"rows": Rows}
    cacheable = False  # the newest version may be another one now; the steps behind it go by its content

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Find the version."""
        import orjson

        from app.data.export import find_version

        dataset, version = find_version(ctx.store, self.params.dataset, self.params.version or None)
        found = ctx.store.row("SELECT rows, splits, content_hash FROM dataset_versions WHERE dataset = ? AND version = ?",
                              (dataset, version)) or {}
        ctx.event(f"Version {version}, {found['rows']:,} rows", level="good", kind="open")
        return {"rows": Rows(content_hash=found["content_hash"], dataset=dataset, version=version, rows=found["rows"],
                             splits=orjson.loads(found["splits"]))}
