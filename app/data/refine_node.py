"""Remove what harms: repeats, leaks, empty, broken, too short, too long and foreign rows.  Every removal can be undone."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from app.config.artifacts import Artifact, Report, Rows
from app.config.node import SHAREABLE, Node, Params, StepContext, node
from app.data.reasons import reason_words


class NearDuplicates(Params):
    """When two rows repeat each other."""

    enabled: bool = Field(True, description="Look for near duplicates")
    threshold: float = Field(0.7, gt=0, le=1, description="Jaccard similarity of word 3-shingles from which rows count as equal")


class SameMeaning(Params):
    """When two rows say the same in other words."""

    enabled: bool = Field(False, description="Look for rows that say the same in other words (slow: hundreds of rows a second)")
    threshold: float = Field(0.95, gt=0, le=1, description="Cosine of their meaning, by the packaged sentence encoder")


class RefineParams(Params):
    """Parameters of data.refine."""

    exact_duplicates: bool = Field(True, description="Remove rows that differ from another in case and blanks alone")
    near_duplicates: NearDuplicates = Field(NearDuplicates(enabled=True, threshold=0.7), description="Near duplicates")
    semantic_duplicates: SameMeaning = Field(SameMeaning(enabled=False, threshold=0.95), description="Duplicates in meaning")
    contradictions: Literal["flag", "keep_best", "remove", "ignore"] = Field(
        "flag", description="Rows that answer the same question differently: flag them, keep the best row, or remove all of them"
    )
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


@node("data.refine", version=4, title="Refine")
class Refine(Node[RefineParams]):
    """Makes a new version of the dataset; a removed row keeps its place, with the reason and the row that stays for it."""

    inputs = {"rows": Rows}
    outputs = {"rows": Rows, "report": Report}

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Look at every row alone, then at what it repeats; of a leak the held-out row stays."""
        from app.data.refine import Rules, refine
        from app.data.repeats import RepeatRules
        from app.data.splits import SplitRules

        given = self.params
        rules = Rules(
            RepeatRules(
                given.exact_duplicates,
                given.near_duplicates.threshold if given.near_duplicates.enabled else None,
                given.semantic_duplicates.threshold if given.semantic_duplicates.enabled else None,
                given.contradictions,
            ),
            given.min_length,
            given.max_length,
            tuple(given.languages),
            SplitRules(dict(given.split), given.group_field, seed=ctx.seed),
        )
        made = refine(ctx, ctx.input("rows"), rules, given.model_dump(mode="json"))
        report: dict[str, Any] = made["report"].summary  # type: ignore[attr-defined]
        for warning in report["warnings"]:
            ctx.event(warning, level="warning")
        removed = sum(report["removed"].values())
        ctx.metric("rows_removed", removed, unit="rows")
        ctx.event(f"{removed:,} of {report['checked']:,} rows removed{_reasons(report['removed'])}", level="good", kind="refine")
        return made


def _reasons(removed: dict[str, Any]) -> str:
    parts = [f"{count:,} {reason_words(name, count)}" for name, count in sorted(removed.items())]
    return f": {', '.join(parts)}" if parts else ""
