"""Measure the quality of every row, and of the dataset, without changing anything."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import Field

from app.config.artifacts import Artifact, Report, Rows
from app.config.node import SHAREABLE, Node, Params, StepContext, node


class Fit(Params):
    """Answer and question compared in meaning, by the packaged sentence encoder."""

    rows: int = Field(50_000, ge=0, description="Rows to compare, spread over the dataset; 0: none. About 80 rows a second and thread")


class Difficulty(Params):
    """Instruction-following difficulty by the base model: how much the question helps to say the answer."""

    rows: int = Field(0, ge=0, description="Rows to measure, spread over the dataset; 0: none. It takes about half as long as "
                      "training once on these rows")
    base_model: str | None = Field(None, description="Model that measures; none: the document's base_model")


class Grading(Params):
    """Grades by a served model.  The costs are charged to the step."""

    rows: int = Field(0, ge=0, description="Rows to grade, spread over the dataset; 0: none")
    model: str = Field("", max_length=200, description="Name of the served model that grades; empty: the base model")
    rubric: str = Field("", max_length=4000, description="What else counts, in words for the model; correct, complete and clear always do")


class AssessParams(Params):
    """Parameters of data.assess."""

    languages: tuple[str, ...] = Field((), json_schema_extra=SHAREABLE, description="Languages that rows should be in, ISO 639-1; empty: "
                                       "those that a tenth of the rows are in")
    relevance: Fit = Field(Fit.model_validate({}), description="Does the answer fit its question?")
    labels: bool = Field(True, description="Where answers are labels: would a model trained on the other rows give the same?")
    toxicity: bool = Field(True, description="Look for insults and threats (a short list in four languages)")
    difficulty: Difficulty = Field(Difficulty.model_validate({}), description="Difficulty for the base model")
    judge: Grading = Field(Grading.model_validate({}), description="Grades by a served model")


@node("data.assess", version=3, title="Assess quality")
class Assess(Node[AssessParams]):
    """Scores stand beside the rows and follow them into later versions; the rows go on as they came."""

    inputs = {"rows": Rows}
    outputs = {"rows": Rows, "assessment": Report}
    accelerator = True
    network = "loopback"

    def asks(self) -> str:
        return self.params.judge.model if self.params.judge.rows else ""

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Score every row; the report holds the dataset's score with its parts, distributions and the worst rows."""
        import orjson

        from app.config.models import resolve_base
        from app.data.assess import assess
        from app.store.datasets import open_dataset

        rows: Rows = ctx.input("rows")

        def base() -> Path:
            return resolve_base(ctx.store, self.params.difficulty.base_model or ctx.base_model)

        with open_dataset(ctx.store, rows.dataset) as db:
            db.conn.watch(ctx.check_cancelled)
            report = assess(ctx, db, rows.version, self.params, base)
        content = orjson.dumps(report, option=orjson.OPT_INDENT_2)
        ctx.store.db.execute(
            "UPDATE dataset_versions SET report = json_set(report, '$.assessment', json(?)) WHERE dataset = ? AND version = ?",
            (content.decode(), rows.dataset, rows.version))
        ctx.metric("quality", report["score"], unit="of 100")
        weakest = min(report["parts"], key=report["parts"].__getitem__, default="")
        ctx.event(
            f"Quality {report['score']:.0f} of 100; {report['poor']:,} of {report['rows']:,} rows are worth a look"
            + (f"; the weakest side is {report['measures'][weakest]['title'].lower()}." if weakest else "."), kind="assess")
        path = ctx.outputs_dir / "assess.json"
        path.write_bytes(content)
        summary = {name: value for name, value in report.items() if name != "measures"}
        return {"rows": rows,
                "assessment": Report(content_hash=hashlib.sha256(content).hexdigest(), path=str(path), summary=summary)}
