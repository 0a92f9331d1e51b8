"""Ask base and tuned the same held-out questions and say which is better, with its interval."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from pydantic import Field

from app.config.artifacts import Artifact, Model, Report, Rows
from app.config.node import Node, Params, StepContext, node
from app.config.verdicts import margin, things
from app.errors import ConfigError, EvaluationError, Place
from app.evaluation.checks import Task

if TYPE_CHECKING:
    from app.evaluation.arms import Questions
    from app.evaluation.model import Pair
    from app.store.records import Row

Compared = tuple[dict[str, Any], list[dict[str, Any]]]
"""The summary, and all items with the worst first."""


class CompareParams(Params):
    """Parameters of evaluate.compare."""

    task: Task = Field(Task(format="text", fields={}), description="What an answer looks like and how it is scored")
    items: int = Field(
        0,
        ge=0,
        description="Most held-out questions asked, or texts read where there are no questions; 0 takes all. Questions that should "
        "be refused keep their share of them, at least one of each kind",
    )
    examples: int = Field(
        4,
        ge=0,
        le=16,
        description="Examples in the prompt of the arm “base with examples”, and for questions to refuse one refusal of each kind "
        "behind them; 0 leaves the arm out",
    )
    batch: int = Field(40, ge=1, le=256, description="Questions answered at once, or texts read")


@node("evaluate.compare", version=5, title="Compare base and tuned")
class Compare(Node[CompareParams]):
    """Base against tuned on the test split, beside the best constant answer and a linear model on the same rows.

    Of texts without questions the likelihood alone is compared.
    """

    inputs = {"rows": Rows, "model": Model}
    outputs = {"evaluation": Report}
    accelerator = True

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Answer or read, score, compare; the report lists every item."""
        import orjson

        from app.evaluation.report import keep

        if self.params.task.format == "json" and not self.params.task.fields:
            raise ConfigError(
                "evaluation.no_fields",
                "A JSON task names no field to check.",
                where=Place.of(field="task.fields"),
                remedy="Name each field and its check, for example {answer: {check: equals}}.",
            )
        questions, texts = self._held_out(ctx)
        if questions is not None:
            summary, found = self._ask(ctx, questions)
        else:
            summary, found = self._read(ctx, texts)
        keep(ctx.store, ctx.run, ctx.step, summary, found)
        content = orjson.dumps({**summary, "samples": found}, option=orjson.OPT_INDENT_2)
        path = ctx.outputs_dir / "evaluation.json"
        path.write_bytes(content)
        metric = summary["metric"]
        ctx.event(
            f"{summary['verdict'].replace('_', ' ').capitalize()}: {margin(metric, summary['difference'], *summary['interval'])} "
            f"on {summary['items']} {things(metric)}.",
            level="good" if summary["verdict"] == "better" else "info",
            kind="verdict",
        )
        for sentence in summary["behaviour"]["sentences"] if "behaviour" in summary else ():
            ctx.event(sentence, kind="verdict")
        return {"evaluation": Report(content_hash=hashlib.sha256(content).hexdigest(), path=str(path), summary=summary)}

    def _ask(self, ctx: StepContext, questions: Questions) -> Compared:
        from app.evaluation.arms import cheap_arms, model_arms
        from app.evaluation.report import samples, summarise

        ctx.progress(0.01, "Asking the cheap ones")
        arms = cheap_arms(questions, ctx.seed)
        arms += model_arms(
            self._load(ctx),
            questions,
            examples=self.params.examples,
            batch=self.params.batch,
            seed=ctx.seed,
            tell=lambda name, part: ctx.progress(0.05 + 0.93 * part, f"{name} is answering"),
        )
        return summarise(questions, arms, ctx.seed), samples(questions, arms)

    def _read(self, ctx: StepContext, texts: list[str]) -> Compared:
        from app.evaluation.texts import compare_texts

        return compare_texts(
            self._load(ctx),
            texts,
            batch=self.params.batch,
            seed=ctx.seed,
            tell=lambda name, part: ctx.progress(0.05 + 0.93 * part, f"{name} is reading"),
        )

    def _load(self, ctx: StepContext) -> Pair:
        from app.config.cores import use_threads
        from app.evaluation.model import load_pair

        ctx.progress(0.03, "Loading the models")
        use_threads(ctx.store)
        return load_pair(ctx.input("model"))

    def _held_out(self, ctx: StepContext) -> tuple[Questions | None, list[str]]:
        """The test split's questions; where it has none, its texts."""
        from app.evaluation.arms import divide
        from app.store.datasets import open_dataset

        rows: Rows = ctx.input("rows")
        most = self.params.items
        test: list[Row] = []
        texts: list[str] = []
        without = 0
        with open_dataset(ctx.store, rows.dataset) as db:
            for row in db.iter_rows(rows.version, "test"):
                if row.shape != "text":
                    test.append(row)
                elif row.text.strip():
                    without += 1
                    if not test and (not most or len(texts) < most):
                        texts.append(row.text)
            if texts and not test:
                return None, texts
            train = [row for row in db.iter_rows(rows.version, "train") if row.shape != "text"]
        questions = divide(self.params.task, train, test, most)
        if not questions.test:
            raise EvaluationError(
                "evaluation.no_test_rows",
                "There is nothing to ask.",
                why="The dataset's test split has no text, and no question that is not to be refused.",
                remedy="Give the refine step a split, for example split: {test: 0.2}.",
            )
        if without:
            ctx.event(f"Texts without a question that were left out of the comparison: {without:,}.")
        return questions, []
