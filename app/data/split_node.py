"""Hold rows back for the test and for checks in training, so that nothing in them was learnt."""

from __future__ import annotations

from pydantic import Field

from app.config.artifacts import Artifact, Report, Rows
from app.config.node import SHAREABLE, Node, Params, StepContext, node


class SplitLikeness(Params):
    """When two rows are so alike that they go to the same split."""

    enabled: bool = Field(True, description="Keep rows that nearly repeat each other in one split")
    threshold: float = Field(0.5, gt=0, le=1, description="Jaccard similarity of word 3-shingles from which rows go together")


class SplitParams(Params):
    """Parameters of data.split."""

    shares: dict[str, float] = Field(
        {"test": 0.1, "calibration": 0.05}, description="Share of each split; the rest is train", json_schema_extra=SHAREABLE
    )
    group_field: str = Field(
        "", description="Column whose equal values stay in one split; empty: “document”, where every row has it",
        json_schema_extra=SHAREABLE,
    )
    stratify_field: str = Field(
        "", description="Column whose values have the same shares in each split (a label, say)", json_schema_extra=SHAREABLE
    )
    near_duplicates: SplitLikeness = Field(SplitLikeness(enabled=True, threshold=0.5), description="Rows that are alike")
    again: bool = Field(False, description="Divide rows that have a split already too; else they keep it")


@node("data.split", version=2, title="Split")
class Split(Node[SplitParams]):
    """Puts each row into train, calibration or test; rows of one group, and rows that nearly repeat each other, together."""

    inputs = {"rows": Rows}
    outputs = {"rows": Rows, "report": Report}

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Divide; the same seed divides the same way."""
        from app.data.derive import Derivation
        from app.data.splits import SplitRules, divide, split_words

        given = self.params
        near = given.near_duplicates.threshold if given.near_duplicates.enabled else None
        rules = SplitRules(dict(given.shares), given.group_field, given.stratify_field, near, ctx.seed)
        rules.check()
        with Derivation(ctx, ctx.input("rows"), node=self.name, note="Split", params=given.model_dump(mode="json")) as d:
            warnings = divide(d, rules, lambda share, words: ctx.progress(0.9 * share, words), again=given.again)
            made = d.finish({"warnings": warnings})
        for warning in warnings:
            ctx.event(warning, level="warning")
        rows = made["rows"]
        ctx.event(f"Split: {split_words(sorted(rows.splits.items()))}", level="good", kind="split")  # type: ignore[attr-defined]
        return made
