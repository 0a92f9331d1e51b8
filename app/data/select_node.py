"""Choose the rows to train on: by chance, by kind, by difference, by difficulty or by likeness to a task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from app.config.artifacts import Artifact, Report, Rows
from app.config.node import SHAREABLE, Node, Params, StepContext, node

if TYPE_CHECKING:
    from app.store import Store


class Budget(Params):
    """How much is chosen.  Several limits: the smallest counts; none: all rows that pass at_least and at_most."""

    rows: int = Field(0, ge=0, description="Rows; 0: no limit")
    share: float = Field(0, ge=0, le=1, description="Share of the rows that pass at_least and at_most; 0: no limit")
    tokens: int = Field(0, ge=0, description="Tokens of the base model, counted once; 0: no limit")
    minutes: float = Field(0, ge=0, description="Minutes of training at the speed measured on this machine before; 0: no limit")
    epochs: float = Field(1, gt=0, description="Passes that the minutes must suffice for")


class DifficultyRange(Params):
    """The middle of a score: what is neither known already nor hopeless."""

    score: str = Field("ifd", json_schema_extra=SHAREABLE, description="Score that says how difficult a row is")
    low: float = Field(0.25, ge=0, le=1, description="Share of the easiest rows that is left out")
    high: float = Field(0.9, ge=0, le=1, description="Share up to which rows are taken; harder ones are left out")


class SelectParams(Params):
    """Parameters of data.select."""

    method: Literal["random", "stratified", "diverse", "clusters", "difficulty", "similar"] = Field(
        "random", description="random; stratified: by a column or label; diverse: rows far from each other (k-center); clusters: as many "
        "of each group of like rows; difficulty: the middle of a score; similar: most like a query set (RDS+)")
    budget: Budget = Field(Budget.model_validate({}), description="How much is chosen")
    at_least: dict[str, float] = Field(
        {}, json_schema_extra=SHAREABLE, description="Least score by name (quality: 0.5); a row without the score passes")
    at_most: dict[str, float] = Field(
        {}, json_schema_extra=SHAREABLE, description="Largest score by name; a row without the score passes")
    by: str = Field(
        "", json_schema_extra=SHAREABLE, description="stratified: the column, or field of the JSON answer; empty: the whole answer")
    balance: Literal["proportional", "equal"] = Field(
        "proportional", description="stratified: kinds as frequent as before, or equally often")
    clusters: int = Field(0, ge=0, le=10_000, description="clusters: how many; 0: the square root of the rows chosen")
    difficulty: DifficultyRange = Field(DifficultyRange.model_validate({}), description="difficulty: which part of which score")
    like: str = Field("calibration", description="similar: calibration, or the name of another dataset")
    order: Literal["as_is", "easy_first", "hard_first"] = Field(
        "as_is", description="Note a learning order, which train.qlora follows with order: curriculum")
    order_by: str = Field(
        "ifd", json_schema_extra=SHAREABLE, description="Score that the learning order follows, low to high for easy_first")
    base_model: str | None = Field(None, description="Model for tokens and likeness; none: the document's base_model")


_SCORES_MARK = "SELECT count(*), total(value), total(value * (row % 9973)) FROM scores WHERE name = ?"


@node("data.select", version=3, title="Select")
class Select(Node[SelectParams]):
    """Makes a version that keeps the chosen training rows; the others can be taken back.  Held-out rows are not touched."""

    inputs = {"rows": Rows, "assessment": Report}
    optional = frozenset({"assessment"})
    outputs = {"rows": Rows, "report": Report}
    accelerator = True

    def heeds(self, store: Store, inputs: Mapping[str, Artifact]) -> str:
        """The scores that decide, and the rows of the dataset that the query set is taken from, where it is another one."""
        rows = inputs["rows"]
        assert isinstance(rows, Rows)
        return self._scores_now(store, rows) + self._queries_now(store)

    def _scores_now(self, store: Store, rows: Rows) -> str:
        """A mark of the scores that the parameters name: a row may be assessed anew without becoming another row."""
        given = self.params
        names = {*given.at_least, *given.at_most, *((given.difficulty.score,) if given.method == "difficulty" else ()),
                 *((given.order_by,) if given.order != "as_is" else ())}
        if not names:
            return ""
        from app.store.datasets import open_dataset

        with open_dataset(store, rows.dataset) as db:
            marks = [(name, *db.conn.execute(_SCORES_MARK, (name,)).fetchone()) for name in sorted(names)]
        return repr(marks)

    def _queries_now(self, store: Store) -> str:
        if self.params.method != "similar" or self.params.like == "calibration":
            return ""
        from app.data.export import find_version

        found = store.row("SELECT dataset, content_hash FROM dataset_versions WHERE dataset = ? AND version = ?",
                          find_version(store, self.params.like, None)) or {}
        return f"{found.get('dataset')} {found.get('content_hash')}"

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Choose, then write the version."""
        from app.config.models import resolve_base
        from app.data.curriculum import note_order
        from app.data.derive import Derivation
        from app.data.select import Selection

        rows: Rows = ctx.input("rows")
        params = self.params

        def base() -> Path:
            return resolve_base(ctx.store, params.base_model or ctx.base_model)

        assessed = ctx.input("assessment").content_hash if ctx.has_input("assessment") else ""
        named = {**params.model_dump(mode="json"), "assessment": assessed, "scores": self._scores_now(ctx.store, rows)}
        with Derivation(ctx, rows, node="data.select", note="Selected", params=named) as making:
            choice = Selection(ctx, making.db, rows.version, params, base).choose()
            chosen = choice.marked()
            for row in making.rows():
                if row.split == choice.split and row.position not in chosen:
                    making.remove(row, "not_selected", choice.why_not(row.position))
            mark = note_order(ctx, making, choice, params.order, params.order_by)
            made = making.finish({"method": params.method, "chosen": len(choice.chosen), "failed_limits": choice.failed,
                                  "tokens": choice.tokens, "limit": choice.limit, "order": params.order})
        ctx.event(f"{len(choice.chosen):,} training rows chosen" + (f", {choice.tokens:,} tokens" if choice.tokens is not None else "")
                  + (f"; the limit was {choice.limit}" if choice.limit else "") + ".", level="good", kind="select")
        made_rows = made["rows"]
        return {**made, "rows": made_rows.model_copy(update={"content_hash": f"{made_rows.content_hash}{mark}"})}
