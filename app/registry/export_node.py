"""Write the tuned model as GGUF files and prove that they answer like the original."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from app.config.artifacts import Artifact, Model, Report, Rows
from app.config.node import Node, Params, StepContext, node

if TYPE_CHECKING:
    from app.registry.proof import FileProof, Messages

Quantization = Literal["f16", "q8_0", "q5_k_m", "q4_k_m", "q4_0"]


class ExportParams(Params):
    """Parameters of model.export."""

    quantization: Quantization | tuple[Quantization, ...] = Field(
        "q8_0", description="File or files to write; the last is served"
    )
    name: str = Field("", description="Name of the files; empty: the model's name")
    questions: int = Field(12, ge=1, le=500, description="Held-out questions asked for the proof, at most")
    least_agreement: float = Field(0.90, ge=0, le=1, description="Share of equal first choices a file needs to pass")
    most_divergence: float = Field(0.10, ge=0, description="Mean KL divergence from the original up to which a file passes, nats")


@node("model.export", version=1, title="Export")
class Export(Node[ExportParams]):
    """Merges, converts with llama.cpp's converter, quantises, loads each file and compares it with the original."""

    inputs = {"model": Model, "rows": Rows}
    optional = frozenset({"rows"})
    outputs = {"model": Model, "proof": Report}
    accelerator = True

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """The model on the output is the last quantisation asked for."""
        import orjson

        from app.registry import export, proof

        model: Model = ctx.input("model")
        wanted = [self.params.quantization] if isinstance(self.params.quantization, str) else list(self.params.quantization)
        name = (self.params.name or model.name or "model").replace("/", "-")
        export.require_room(ctx.outputs_dir, export.parameters_of(Path(_base_folder(model))), list(wanted))
        ctx.progress(0.02, "Merging the adapter")
        folder = export.merge(model, ctx.workdir / "merged")
        parameters = export.parameters_of(folder)
        ctx.progress(0.15, "Writing the files")
        files = export.write_files(folder, ctx.outputs_dir, name, list(wanted), ctx.check_cancelled)
        for file in files:
            ctx.event(
                f"{file.quantization}: {file.size / 1e6:.0f} MB (expected about "
                f"{export.estimate_size(parameters, file.quantization) / 1e6:.0f} MB)",
                kind="export",
            )
        questions = self._questions(ctx)
        original = proof.read_original(folder, questions, lambda part, words: ctx.progress(0.4 + 0.3 * part, words))
        bounds = proof.Bounds(self.params.least_agreement, self.params.most_divergence)
        proofs = []
        for number, file in enumerate(files):
            start = 0.7 + 0.3 * number / len(files)
            proofs.append(
                proof.prove(
                    file.path,
                    file.quantization,
                    file.size,
                    file.sha256,
                    original,
                    questions,
                    bounds,
                    lambda part, words, start=start: ctx.progress(start + 0.3 * part / len(files), words),
                )
            )
        summary = {
            "passed": proofs[-1].passed,
            "files": [proof.as_json(one) for one in proofs],
            "questions": len(questions),
            "bounds": {"least_agreement": bounds.agreement, "most_divergence": bounds.divergence},
        }
        self._tell(ctx, proofs)
        content = orjson.dumps(summary, option=orjson.OPT_INDENT_2)
        path = ctx.outputs_dir / "proof.json"
        path.write_bytes(content)
        last = files[-1]
        made = Model(
            content_hash=last.sha256,
            path=str(last.path),
            format="gguf",
            name=name,
            base=model.base or model.path,
            details={
                "quantization": last.quantization,
                "size": last.size,
                "parameters": parameters,
                "chat_template_hash": proof.template_hash(original.template),
                **export.describe(folder),
            },
        )
        return {"model": made, "proof": Report(content_hash=hashlib.sha256(content).hexdigest(), path=str(path), summary=summary)}

    @staticmethod
    def _tell(ctx: StepContext, proofs: list[FileProof]) -> None:
        for one in proofs:
            words = (
                f"{one.quantization}: same first choice {100 * one.agreement:.1f} %, same answer {100 * one.same_answers:.0f} %"
            )
            ctx.event(
                f"{words}: {'passed' if one.passed else 'not passed'}", level="good" if one.passed else "warning", kind="proof"
            )

    def _questions(self, ctx: StepContext) -> list[Messages]:
        """Held-out questions, or the packaged ones; the latter's odd characters are always among them."""
        from app.registry.proof import CONVERSATIONS
        from app.store.datasets import open_dataset

        found = [list(messages) for messages in CONVERSATIONS]
        if ctx.has_input("rows"):
            rows: Rows = ctx.input("rows")
            with open_dataset(ctx.store, rows.dataset) as db:
                held = [row.prompt for row in db.iter_rows(rows.version, "test") if row.shape == "chat"]
            found = [*found[:3], *held[: self.params.questions]]
        return found[: max(self.params.questions, 3)]


def _base_folder(model: Model) -> str:
    return model.base if model.format == "lora" and model.base else model.path
