"""Read a file into the store as a dataset version."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import Field

from app.config.artifacts import Artifact, Rows
from app.config.node import SHAREABLE, Node, Params, StepContext, node
from app.data.mapping import ColumnMapping


class ImportParams(Params):
    """Parameters of dataset.import."""

    path: Path = Field(description="File to read; relative to the document", json_schema_extra={"document_path": True})
    name: str = Field("", description="Name of the dataset; empty: the file's name")
    mapping: ColumnMapping | None = Field(None, description="Which column plays which part; none: recognised")
    split_field: str | None = Field(
        None,
        description="Column that says train, calibration or test; none: “split” if there is one",
        json_schema_extra=SHAREABLE,
    )


@node("dataset.import", version=2, title="Import")
class Import(Node[ImportParams]):
    """Reads CSV, TSV, JSON, JSONL, Parquet, Excel, text, Markdown, PDF and Word."""

    outputs = {"rows": Rows}

    def fingerprint(self) -> str:
        """The content of the file: a changed file is imported again."""
        digest = hashlib.sha256()
        if self.params.path.is_file():
            with self.params.path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Import; rows that cannot be used are set aside with their reasons."""
        from app.data.importer import import_file

        done = import_file(
            ctx.store,
            self.params.path,
            name=self.params.name or None,
            mapping=self.params.mapping,
            split_field=self.params.split_field,
            progress=ctx.progress,
            rejects_file=False,
        )
        for warning in done.warnings:
            ctx.event(warning, level="warning")
        ctx.metric("rows", done.rows, unit="rows")
        ctx.event(f"{done.rows:,} rows, {done.rejected:,} set aside", level="warning" if done.rejected else "good", kind="import")
        return {
            "rows": Rows(
                content_hash=done.content_hash, dataset=done.dataset, version=done.version, rows=done.rows, splits=done.splits
            )
        }
