"""Ask base and tuned the same held-out questions and say which is better, with its interval."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pydantic import Field

from app.config.artifacts import Artifact, Model, Report, Rows
from app.config.node import Node, Params, StepContext, node
from app.errors import ConfigError, EvaluationError, Place
from app.evaluation.checks import Task

if TYPE_CHECKING:
    from app.evaluation.arms import Questions


class CompareParams(Params):
    """Parameters of evaluate.compare."""

    task: Task = Field(Task(format="text", fields={}), description="What an answer looks like and how it is scored")
    items: int = Field(
        0,
        ge=0,
        description="Most held-out questions asked; 0 asks all. Questions that should be refused keep their share of them, at "
        "least one of each kind",
    )
    examples: int = Field(
        4,
        ge=0,
        le=16,
        description="Examples in the prompt of the arm “base with examples”, and for questions to refuse one refusal of each kind "
        "behind them; 0 leaves the arm out",
    )
    batch: int = Field(40, ge=1, le=256, description="Questions answered at once")


@node("evaluate.compare", version=5, title="Compare base and tuned")
class Compare(Node[CompareParams]):
    """Base against tuned on the test split, beside the best constant answer and a linear model on the same rows."""

    inputs = {"rows": Rows, "model": Model}
    outputs = {"evaluation": Report}
    accelerator = True

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Answer, score, compare; the report lists every item."""
        import orjson

        from app.config.cores import use_threads
        from app.evaluation.arms import cheap_arms, model_arms
        from app.evaluation.model import load_pair
        from app.evaluation.report import keep, samples, summarise

        if self.params.task.format == "json" and not self.params.task.fields:
            raise ConfigError(
                "evaluation.no_fields",
                "A JSON task names no field to check.",
                where=Place.of(field="task.fields"),
                remedy="Name each field and its check, for example {answer: {check: equals}}.",
            )
        questions = self._questions(ctx)
        ctx.progress(0.01, "Asking the cheap ones")
        arms = cheap_arms(questions, ctx.seed)
        ctx.progress(0.03, "Loading the models")
        use_threads(ctx.store)
        pair = load_pair(ctx.input("model"))
        arms += model_arms(
            pair,
            questions,
            examples=self.params.examples,
            batch=self.params.batch,
            seed=ctx.seed,
            tell=lambda name, part: ctx.progress(0.05 + 0.93 * part, f"{name} is answering"),
        )
        summary = summarise(questions, arms, ctx.seed)
        found = samples(questions, arms)
        keep(ctx.store, ctx.run, ctx.step, summary, found)
        content = orjson.dumps({**summary, "samples": found}, option=orjson.OPT_INDENT_2)
        path = ctx.outputs_dir / "evaluation.json"
        path.write_bytes(content)
        low, high = summary["interval"]
        ctx.event(
            f"{summary['verdict'].replace('_', ' ').capitalize()}: {100 * summary['difference']:+.1f} points "
            f"({100 * low:.1f} to {100 * high:.1f}) on {summary['items']} questions.",
            level="good" if summary["verdict"] == "better" else "info",
            kind="verdict",
        )
        for sentence in summary["behaviour"]["sentences"] if "behaviour" in summary else ():
            ctx.event(sentence, kind="verdict")
        return {"evaluation": Report(content_hash=hashlib.sha256(content).hexdigest(), path=str(path), summary=summary)}

    def _questions(self, ctx: StepContext) -> Questions:
        from app.evaluation.arms import divide
        from app.store.datasets import open_dataset

        rows: Rows = ctx.input("rows")
        with open_dataset(ctx.store, rows.dataset) as db:
            test = [row for row in db.iter_rows(rows.version, "test") if row.shape == "chat"]
            train = [row for row in db.iter_rows(rows.version, "train") if row.shape == "chat"]
            asks = bool(test or train) or any(row.shape == "chat" for row in db.iter_rows(rows.version))
        questions = divide(self.params.task, train, test, self.params.items)
        if not questions.test:
            raise EvaluationError(
                "evaluation.no_test_rows",
                "There is nothing to ask.",
                why="The dataset has no question-and-answer rows in its test split.",
                remedy="Give the refine step a split, for example split: {test: 0.2}." if asks else
                "The dataset has no questions at all: take the evaluation out of the workflow, or make questions of it (data.synthesise).",
            )
        return questions
