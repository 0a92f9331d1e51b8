"""Export: sizes first, then the original's answers, merge, convert, quantise, prove, report."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.config.artifacts import Artifact, Model, Report
from app.config.cores import use_threads
from app.config.model_files import ModelFolder, check_model_folder
from app.config.node import StepContext
from app.errors import ConfigError, Place
from app.registry.adapter_check import check_adapter
from app.registry.convert import can_quantise, check_quantizations, convert, converter, quantise
from app.registry.export_node import ExportParams
from app.registry.files import need_space, sha256
from app.registry.gguf_check import check_gguf
from app.registry.original import Original, answer_all, conversations, load_original, save_merged, texts
from app.registry.prompts import held_out_questions, packaged_questions
from app.registry.proof import Case, prove
from app.registry.sizes import Quantization, estimate_size
from app.registry.versions import slug


@dataclass(frozen=True, slots=True)
class Source:
    """What is exported: a checked folder, and the adapter on it if there is one."""

    model: Model
    folder: ModelFolder
    adapter: Path | None

    @property
    def stem(self) -> str:
        """The start of each file's name."""
        return slug(self.model.name)


def export(ctx: StepContext, params: ExportParams) -> dict[str, Artifact]:
    """Run the whole export.  Raises ModelFileError, EnvironmentFault, RegistryError; nothing half-written stays."""
    wanted: list[Quantization] = list(params.quantization)
    check_quantizations(wanted)
    converter()
    source = _source(ctx.input("model"))
    sizes = _announce(ctx, source, wanted)
    threads = use_threads(ctx.store)
    ctx.progress(0.02, "Loading the original")
    case, merged = _original(ctx, source, params, threads)
    try:
        files = _write(ctx, source, wanted, merged, threads)
    finally:
        shutil.rmtree(merged, ignore_errors=True)
    entries = _prove_all(ctx, files, case, params, sizes)
    shutil.rmtree(ctx.workdir / "proof", ignore_errors=True)
    return _results(ctx, source, params, entries, case)


def _source(model: Model) -> Source:
    if model.format == "gguf":
        raise ConfigError("export.already_gguf", "The model is a GGUF file already.", where=Place.of(model.path),
                          remedy="Register or deploy it as it is.")
    if model.format == "hf":
        return Source(model, check_model_folder(model.path), None)
    if not model.base:
        raise ConfigError("export.no_base", "Nothing says which base model this adapter belongs to.",
                          where=Place.of(model.path), remedy="Use the output of a training step.")
    folder = check_model_folder(model.base)
    check_adapter(Path(model.path), folder)
    return Source(model, folder, Path(model.path))


def _announce(ctx: StepContext, source: Source, wanted: list[Quantization]) -> dict[str, int]:
    """Say how large the files will be and refuse what cannot fit: merged folder, f16 file and the others lie side by side."""
    sizes: dict[str, int] = {kind: estimate_size(source.folder, kind) for kind in wanted}
    half = estimate_size(source.folder, "f16")
    need_space(ctx.outputs_dir, int(1.05 * (2 * half + sum(sizes.values()))), "export the model")
    told = ", ".join(f"{kind} about {size / 1e6:,.0f} MB" for kind, size in sizes.items())
    ctx.event(f"Files to come: {told}.", kind="estimate", data={"sizes": dict(sizes)})
    return sizes


def _original(ctx: StepContext, source: Source, params: ExportParams, threads: int) -> tuple[Case, Path]:
    """The original's answers, and its merged folder."""
    loaded = load_original(Path(source.model.path), source.folder.path if source.adapter else None, source.folder.parameters)
    rows = ctx.input("rows") if ctx.has_input("rows") else None
    questions = held_out_questions(ctx.store, rows, params.prompts) if rows else packaged_questions(params.prompts)
    ctx.progress(0.08, "The original answers")
    answered = answer_all(loaded, questions, ctx.workdir / "proof" / "original", new_tokens=params.new_tokens,
                          tick=lambda part: ctx.progress(0.08 + 0.27 * part))
    said = [text for one in answered for text in (one.answer, one.messages[-1]["content"])]
    case = Case(conversations(loaded.tokenizer), texts(loaded.tokenizer, said), answered,
                loaded.tokenizer.bos_token or "", params.new_tokens, threads, bool(loaded.tokenizer.chat_template))
    return case, _merge(ctx, loaded)


def _merge(ctx: StepContext, loaded: Original) -> Path:
    ctx.progress(0.36, "Merging")
    merged = ctx.workdir / "merged"
    shutil.rmtree(merged, ignore_errors=True)
    had_adapter, loaded_in = loaded.adapted, loaded.dtype
    kept_in = save_merged(loaded, merged)
    if had_adapter:
        ctx.event(f"The adapter is merged into the base in {loaded_in} and kept as {kept_in}.")
    return merged


def _write(ctx: StepContext, source: Source, wanted: list[Quantization], merged: Path, threads: int) -> dict[Quantization, Path]:
    """One file for each quantisation.  All but the converter's own formats are made from the f16 file."""
    files = {kind: ctx.outputs_dir / f"{source.stem}-{kind}.gguf" for kind in wanted}
    small = [kind for kind in wanted if kind not in ("f16", "q8_0")]
    half = files.get("f16") or ctx.workdir / f"{source.stem}-f16.gguf"
    if small or "f16" in files:
        ctx.progress(0.4, "Converting to GGUF")
        convert(merged, half, "f16", name=source.model.name, tick=ctx.check_cancelled)
    if "q8_0" in files:
        ctx.progress(0.5, "Writing q8_0")
        _write_q8(ctx, merged, half, files["q8_0"], source.model.name, threads)
    for number, kind in enumerate(small):
        ctx.progress(0.55 + 0.05 * number / len(small), f"Quantising to {kind}")
        quantise(half, files[kind], kind, threads=threads, tick=ctx.check_cancelled)
    if "f16" not in files:
        half.unlink(missing_ok=True)
    return files


def _write_q8(ctx: StepContext, merged: Path, half: Path, target: Path, name: str, threads: int) -> None:
    """From the f16 file where that is there and can be used (a quarter of the time), else by the converter."""
    if half.exists() and can_quantise():
        quantise(half, target, "q8_0", threads=threads, tick=ctx.check_cancelled)
    else:
        convert(merged, target, "q8_0", name=name, tick=ctx.check_cancelled)


def _prove_all(ctx: StepContext, files: dict[Quantization, Path], case: Case, params: ExportParams,
               sizes: dict[str, int]) -> list[dict[str, Any]]:
    entries = []
    for number, (kind, file) in enumerate(files.items()):
        ctx.progress(0.6 + 0.38 * number / len(files), f"Comparing {kind} with the original")
        found = check_gguf(file)
        proof = prove(file, case, params.pass_mark, ctx.workdir / "proof" / kind, ctx.check_cancelled)
        entries.append({"quantization": kind, "path": str(file), "size": file.stat().st_size, "estimated_size": sizes[kind],
                        "sha256": sha256(file), "context": found.context, "chat_template_hash": found.template_hash, **proof})
        _tell(ctx, entries[-1])
    return entries


def _tell(ctx: StepContext, entry: dict[str, Any]) -> None:
    kind, size = entry["quantization"], entry["size"] / 1e6
    if "top1" in entry:
        ctx.metric(f"export.{kind}.kl", entry["kl"], unit="nats")
        ctx.metric(f"export.{kind}.top1", entry["top1"])
    if entry["passed"]:
        ctx.event(f"{kind}: {size:,.0f} MB, proof passed. Same next token {100 * entry['top1']:.1f} %, same answers "
                  f"{100 * entry['same_answers']:.0f} %, quality lost {100 * entry['quality_lost']:.1f} %.", level="good")
    else:
        ctx.event(f"{kind}: {size:,.0f} MB, proof failed. {' '.join(entry['reasons'])}", level="warning")


def _choose(entries: list[dict[str, Any]], serve: str) -> dict[str, Any]:
    """The served file: the one asked for, else the smallest that passed, else the one closest to the original."""
    for entry in entries:
        if entry["quantization"] == serve:
            return entry
    passed = [entry for entry in entries if entry["passed"]]
    if passed:
        return min(passed, key=lambda entry: int(entry["size"]))
    return max(entries, key=lambda entry: float(entry.get("top1", -1.0)))


def _results(ctx: StepContext, source: Source, params: ExportParams, entries: list[dict[str, Any]],
             case: Case) -> dict[str, Artifact]:
    chosen = _choose(entries, params.serve)
    summary = {"passed": chosen["passed"], "reasons": chosen["reasons"], "quantization": chosen["quantization"],
               "pass_mark": params.pass_mark.model_dump(), "questions": len(case.answered), "files": entries}
    content = json.dumps({**summary, "answers": [{"prompt": one.messages, "original": one.answer} for one in case.answered]},
                         indent=1, ensure_ascii=False).encode()
    report = ctx.outputs_dir / "proof.json"
    partial = report.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(report)
    model = Model(
        content_hash=chosen["sha256"], path=chosen["path"], format="gguf", name=source.model.name,
        base=source.model.base or source.model.path,
        details={"quantization": chosen["quantization"], "parameters": source.folder.parameters, "context": chosen["context"],
                 "chat_template_hash": chosen["chat_template_hash"],
                 "files": [{key: entry[key] for key in ("quantization", "path", "size", "sha256")} for entry in entries]})
    return {"model": model,
            "proof": Report(content_hash=hashlib.sha256(content).hexdigest(), path=str(report), summary=summary)}
