"""Remove what harms: repeats, leaks, empty, broken, too short, too long and foreign rows.  Every removal can be undone."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import Field

from app.config.artifacts import Artifact, Report, Rows
from app.config.node import SHAREABLE, Node, Params, StepContext, node


class NearDuplicates(Params):
    """When two rows repeat each other."""

    enabled: bool = Field(True, description="Look for near duplicates")
    threshold: float = Field(0.7, gt=0, le=1, description="Jaccard similarity of word 3-shingles from which rows count as equal")


class RefineParams(Params):
    """Parameters of data.refine."""

    near_duplicates: NearDuplicates = Field(NearDuplicates(enabled=True, threshold=0.7), description="Near duplicates")
    min_length: int = Field(1, ge=0, description="Shortest row that stays, characters of question and answer together")
    max_length: int = Field(100_000, ge=1, description="Longest row that stays, characters")
    languages: tuple[str, ...] = Field(
        (), description="Languages that stay, ISO 639-1 (en, de); empty: all", json_schema_extra=SHAREABLE
    )
    split: dict[str, float] = Field(
        {"test": 0.1, "calibration": 0.05},
        description="Shares held back, where the source has no split of its own; the rest is train",
        json_schema_extra=SHAREABLE,
    )
    group_field: str = Field(
        "", description="Column whose equal values stay in one split (a document's id, say)", json_schema_extra=SHAREABLE
    )


@node("data.refine", version=1, title="Refine")
class Refine(Node[RefineParams]):
    """Makes a new version of the dataset; a removed row keeps its place, with the reason and what it repeats."""

    inputs = {"rows": Rows}
    outputs = {"rows": Rows, "report": Report}

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Look at every row once, held-out rows first."""
        import orjson

        from app.data.refine import Rules, refine

        rows: Rows = ctx.input("rows")
        params = self.params
        rules = Rules(
            params.near_duplicates.threshold,
            params.near_duplicates.enabled,
            params.min_length,
            params.max_length,
            tuple(params.languages),
            dict(params.split),
            params.group_field,
            ctx.seed,
        )
        done = refine(ctx.store, rows.dataset, rows.version, rules, ctx.progress)
        removed = sum(done.report["removed"].values())
        ctx.metric("rows_removed", removed, unit="rows")
        ctx.event(
            f"{removed:,} of {done.report['checked']:,} rows removed{_reasons(done.report['removed'])}",
            level="good",
            kind="refine",
        )
        content = orjson.dumps(done.report, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
        path = ctx.outputs_dir / "refine.json"
        path.write_bytes(content)
        return {
            "rows": Rows(
                content_hash=done.content_hash, dataset=done.dataset, version=done.version, rows=done.rows, splits=done.splits
            ),
            "report": Report(content_hash=hashlib.sha256(content).hexdigest(), path=str(path), summary=done.report),
        }


def _reasons(removed: dict[str, Any]) -> str:
    parts = [f"{count:,} {name.replace('_', ' ')}" for name, count in sorted(removed.items())]
    return f": {', '.join(parts)}" if parts else ""
