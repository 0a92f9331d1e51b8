"""Give a model a version with its lineage: data, document, run, code, base, seed, packages."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pydantic import Field

from app.config.artifacts import Artifact, Model, Report, Rows
from app.config.node import Node, Params, StepContext, node


class RegisterParams(Params):
    """Parameters of model.register."""

    name: str = Field("", description="Name of the model; empty: the run's name")


@node("model.register", version=1, title="Register")
class Register(Node[RegisterParams]):
    """Copies the files into the profile's models and writes the version."""

    inputs = {"model": Model, "rows": Rows, "evaluation": Report, "proof": Report}
    optional = frozenset({"rows", "evaluation", "proof"})
    outputs = {"model": Model}
    cacheable = False

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """The registered model; its path is the copy."""
        from app.registry import versions

        model: Model = ctx.input("model")
        name = self.params.name or model.name
        proof: dict[str, Any] = ctx.input("proof").summary if ctx.has_input("proof") else {}
        folder = ctx.store.profile.models / name / model.content_hash[:16]
        files = _keep(proof, model, folder)
        path = next((file["path"] for file in files if Path(file["path"]).name == Path(model.path).name), model.path)
        identity = versions.register(
            ctx.store,
            versions.NewVersion(
                name=name,
                format=model.format,
                path=path,
                content_hash=model.content_hash,
                base=model.base or "",
                size=int(model.details.get("size") or 0),
                parameters=int(model.details.get("parameters") or 0),
                context=int(model.details.get("context") or 0),
                chat_template_hash=str(model.details.get("chat_template_hash") or ""),
                run=ctx.run,
                files=tuple(files),
                proof=proof,
                lineage=self._lineage(ctx, model),
            ),
        )
        ctx.event(f"Registered as {identity}", level="good", kind="register")
        return {"model": model.model_copy(update={"version": identity, "path": path, "name": name})}

    @staticmethod
    def _lineage(ctx: StepContext, model: Model) -> dict[str, Any]:
        import orjson

        row = ctx.store.row("SELECT document_hash, seed, packages, machine FROM runs WHERE id = ?", (ctx.run,)) or {}
        lineage: dict[str, Any] = {
            "run": ctx.run,
            "base": model.base,
            "seed": ctx.seed,
            "document_hash": row.get("document_hash"),
            "packages": orjson.loads(row["packages"]) if row else {},
        }
        if ctx.has_input("rows"):
            rows: Rows = ctx.input("rows")
            lineage |= {"dataset": rows.dataset, "dataset_version": rows.version, "data_hash": rows.content_hash}
        if ctx.has_input("evaluation"):
            summary = ctx.input("evaluation").summary
            lineage["evaluation"] = {key: summary.get(key) for key in ("metric", "difference", "interval", "verdict")}
        return lineage


def _keep(proof: dict[str, Any], model: Model, folder: Path) -> list[dict[str, Any]]:
    """Copy each file beside and rename it; a run's folder may be deleted later."""
    sources = proof.get("files") or (
        [{"path": model.path, "quantization": model.details.get("quantization", "")}] if model.format == "gguf" else []
    )
    kept = []
    folder.mkdir(parents=True, exist_ok=True)
    for entry in sources:
        source = Path(entry["path"])
        target = folder / source.name
        if not target.exists():
            beside = target.with_name(f".{target.name}.part")
            shutil.copyfile(source, beside)
            beside.replace(target)
        evidence = {
            key: entry[key]
            for key in ("same_answers", "quality_lost", "template_identical", "passed", "agreement")
            if key in entry
        }
        kept.append(
            {
                "quantization": entry.get("quantization", ""),
                "path": str(target),
                "size": target.stat().st_size,
                "sha256": entry.get("sha256", ""),
                "proof": evidence,
            }
        )
    return kept
