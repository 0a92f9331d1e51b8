"""One fine-tuning from rows to adapter: prepare, train, finish.  Heavy: imported inside ``run`` only."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.config.artifacts import Artifact, Model, Report, Rows
from app.config.cores import use_threads
from app.config.model_files import ModelFolder, check_model_folder
from app.config.node import StepContext
from app.errors import Cancelled, DatasetError, ModelFileError, Place, TrainingError
from app.store.datasets import open_dataset, order_name
from app.store.records import Row
from app.training import checkpoints
from app.training.attention import share_starts, use_causal_attention
from app.training.base import Method, add_adapters, choose_method, load_base, load_tokenizer, trainable
from app.training.estimate import Estimate, estimate, require_room
from app.training.examples import Buckets, Encoded, Example, encode_rows
from app.training.fast_lora import speed_up
from app.training.fast_norm import speed_up_norms
from app.training.hardware import probe
from app.training.qlora_node import QloraParams
from app.training.reporting import Limits, Reporter
from app.training.shared_start import Load, measure_load
from app.training.speed import Setting, measured_speed
from app.training.trainer import AnswerTrainer
from app.training.trouble import explain

CURRICULUM_STAGES = 8
"""Parts of a curriculum; batches of like length are made within a part."""


@dataclass
class Plan:
    """Everything decided before the first step."""

    params: QloraParams
    rows: Rows
    folder: ModelFolder
    method: Method
    seed: int
    cuda: bool
    tokenizer: Any
    train: Encoded
    evaluation: list[Example]
    steps: int
    recompute: bool
    cost: Estimate

    @property
    def identity(self) -> dict[str, Any]:
        """What must be equal for a checkpoint to be continued."""
        shaping = self.params.model_dump(mode="json", exclude={"checkpoint_every", "checkpoint_minutes", "max_minutes"})
        weights = [[shard.name, shard.stat().st_size] for shard in self.folder.shards]
        config = hashlib.sha256(json.dumps([shaping, weights, self.seed, self.method], sort_keys=True).encode()).hexdigest()
        return {"data": self.rows.content_hash, "config": config}


def fine_tune(ctx: StepContext, params: QloraParams) -> dict[str, Artifact]:
    """Train adapters as ``params`` say.  Raises TrainingError, DatasetError, ModelFileError, EnvironmentFault."""
    _be_private()
    plan = prepare(ctx, params)
    point = _resume_point(ctx, plan)
    trainer, reporter = build(ctx, plan)
    if point is not None:
        ctx.event(f"Going on from step {int(point.name.split('-')[1])}.", kind="resume")
    _train(ctx, plan, trainer, reporter, point)
    return finish(ctx, plan, trainer, reporter)


# -- before ---------------------------------------------------------------------------------------------------------
def _be_private() -> None:
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"):
        os.environ[name] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def prepare(ctx: StepContext, params: QloraParams) -> Plan:
    """Check and measure everything that can be known before weights are loaded."""
    import torch

    cuda = torch.cuda.is_available()
    _set_threads(ctx)
    folder = check_model_folder(_base(ctx, params))
    method = choose_method(params.method, folder.parameters, cuda)
    if folder.quantised:
        raise ModelFileError("model.quantised", "The base model is quantised already; it cannot be trained from.",
                             where=Place.of(folder.path), remedy="Use the 16-bit version of the model.")
    tokenizer = load_tokenizer(folder.path)
    seed = ctx.seed if params.seed is None else params.seed
    ctx.progress(0.0, "Reading the rows")
    rows: Rows = ctx.input("rows")
    train, evaluation = _examples(ctx, params, rows, tokenizer, folder.context, seed)
    lengths = [len(example.input_ids) for example in train.examples]
    steps = total_steps(lengths, params, seed)
    load = measure_load(train.examples, _buckets(lengths, params, seed), shared=not cuda and not params.lora.dropout)
    tokens = int(train.tokens * steps / steps_per_epoch(lengths, params, seed))
    cost, recompute, setting = _cost(ctx, params, folder, method, load, tokens + _evaluation_work(params, evaluation, steps))
    require_room(cost, ctx.workdir)
    _announce(ctx, cost, method, len(train.examples), steps, tokens, {"setting": asdict(setting), "through": load.share})
    return Plan(params, rows, folder, method, seed, cuda, tokenizer, train, evaluation, steps, recompute, cost)


def _cost(ctx: StepContext, params: QloraParams, folder: ModelFolder, method: Method, load: Load,
          tokens: float) -> tuple[Estimate, bool, Setting]:
    """(estimate, whether activations are recomputed, what the speed depends on) for so many tokens of data."""
    import torch

    machine = probe(ctx.workdir)

    def plan(recompute: bool) -> tuple[Estimate, bool, Setting]:
        setting = Setting(folder.path.name, f"{method}{' recomputed' if recompute else ''}", torch.get_num_threads(),
                          machine.processor, machine.gpus[0].name if machine.gpus else "")
        found = estimate(
            folder, machine, tokens=tokens * load.share, method=method, r=params.lora.r, target=params.lora.target,
            batch_tokens=load.largest, recompute=recompute, threads=setting.threads, speed=measured_speed(ctx.store, setting))
        return found, recompute, setting

    first = plan(params.recompute == "yes")
    short = params.recompute == "auto" and first[0].memory > 0.8 * first[0].memory_free
    return plan(True) if short else first


def _evaluation_work(params: QloraParams, evaluation: list[Example], steps: int) -> float:
    """Tokens of training that take as long as all evaluations: forward only, so half of each token's work."""
    tokens = sum(len(example.input_ids) for example in evaluation)
    return 0.5 * tokens * (1 + math.ceil(steps / _eval_steps(params, steps)))


def _eval_steps(params: QloraParams, steps: int) -> int:
    return params.eval_every or max(5, round(steps / 8))


def _base(ctx: StepContext, params: QloraParams) -> Path:
    from app.config.models import resolve_base

    name = params.base_model or ctx.base_model
    found: Path = resolve_base(ctx.store, name)
    return found


def _set_threads(ctx: StepContext) -> None:
    use_threads(ctx.store)


def _examples(ctx: StepContext, params: QloraParams, rows: Rows, tokenizer: Any, context: int,
              seed: int) -> tuple[Encoded, list[Example]]:
    longest = min(params.max_length, context or params.max_length)
    with open_dataset(ctx.store, rows.dataset) as data:
        split = "train" if rows.splits.get("train") else ""  # never None: that reads the test rows too
        found: Iterable[Row] = data.iter_rows(rows.version, split)
        if params.order == "curriculum":
            found = _by_curriculum(found, data.scores_of(rows.version, order_name(rows.version)))
        train = encode_rows(found, tokenizer, longest)
        held = encode_rows(data.iter_rows(rows.version, "calibration"), tokenizer, longest) if params.eval_rows else None
        compared = next(data.iter_rows(rows.version, "test", batch=1), None) is not None
    _tell_left_out(ctx, train, longest)
    if not compared:  # said before the hours of training, not after them
        ctx.event("No row is set apart as test: a comparison of base and tuned after this training will have nothing to ask.",
                  level="warning")
    if not train.examples:
        raise DatasetError("training.no_rows", "There is nothing to train on.",
                           why=f"{train.too_long} rows are longer than {longest} tokens, {train.empty} have no answer.",
                           remedy="Raise max_length, or look at the dataset's mapping and split.")
    if not params.eval_rows or held is None:
        return train, []
    return _hold_out(ctx, train, held.examples, params.eval_rows, seed)


def _by_curriculum(rows: Iterable[Row], places: dict[int, float]) -> list[Row]:
    if not places:
        raise TrainingError("training.no_order", "There is no learning order to follow.",
                            why="The rows come from a step that noted none.",
                            remedy="Put data.select with order: easy_first right before the training, or leave order out.")
    return sorted(rows, key=lambda row: (places.get(row.position, math.inf), row.position))


def _tell_left_out(ctx: StepContext, train: Encoded, longest: int) -> None:
    if train.too_long:
        ctx.event(f"{train.too_long} rows were left out: longer than {longest} tokens (max_length).", level="warning")
    if train.empty:
        ctx.event(f"{train.empty} rows were left out: they have no answer.", level="warning")


def _hold_out(ctx: StepContext, train: Encoded, held: list[Example], count: int, seed: int) -> tuple[Encoded, list[Example]]:
    """Rows to evaluate on while training: from the calibration split, else a tenth of the training rows."""
    chance = random.Random(seed)
    if held:
        return train, chance.sample(held, min(count, len(held)))
    share = min(count, len(train.examples) // 10)
    if share < 4:
        ctx.event("Too few rows to hold some back: training runs without evaluation and keeps its last state.")
        return train, []
    ctx.event(f"The dataset has no calibration rows: {share} training rows are held back to evaluate on.")
    apart = set(chance.sample(range(len(train.examples)), share))
    kept = [example for number, example in enumerate(train.examples) if number not in apart]
    return Encoded(kept, train.too_long, train.empty), [train.examples[number] for number in sorted(apart)]


def stages_of(params: QloraParams) -> int:
    """Parts that the rows come in one after the other."""
    return CURRICULUM_STAGES if params.order == "curriculum" else 1


def _buckets(lengths: list[int], params: QloraParams, seed: int) -> Buckets:
    return Buckets(lengths, params.batch_tokens, seed, stages=stages_of(params))


def steps_per_epoch(lengths: list[int], params: QloraParams, seed: int) -> int:
    """Optimizer steps in one pass."""
    return math.ceil(len(_buckets(lengths, params, seed)) / params.accumulate)


def total_steps(lengths: list[int], params: QloraParams, seed: int) -> int:
    """Optimizer steps until the first of epochs, max_steps and max_tokens is reached; at least 1."""
    steps = max(1, round(params.epochs * steps_per_epoch(lengths, params, seed)))
    if params.max_steps:
        steps = min(steps, params.max_steps)
    if params.max_tokens:
        steps = min(steps, _steps_for_tokens(lengths, params, seed, steps))
    return steps


def _steps_for_tokens(lengths: list[int], params: QloraParams, seed: int, most: int) -> int:
    buckets, tokens, steps, epoch = _buckets(lengths, params, seed), 0, 0, 0
    while steps < most:
        buckets.set_epoch(epoch)
        batches = list(buckets)
        for start in range(0, len(batches), params.accumulate):
            tokens += sum(lengths[index] for batch in batches[start:start + params.accumulate] for index in batch)
            steps += 1
            if tokens >= params.max_tokens or steps >= most:
                return steps
        epoch += 1
    return steps


def _announce(ctx: StepContext, cost: Estimate, method: str, rows: int, steps: int, tokens: int, data: dict[str, Any]) -> None:
    how = "LoRA on a 16-bit base" if method == "lora" else "QLoRA on a 4-bit base"
    basis = "at the speed of an earlier run here" if cost.measured else "assumed speed"
    ctx.event(f"{how}: {rows:,} rows, {tokens:,} tokens, {steps:,} steps. Needs about {cost.memory / 1e9:.1f} GB of memory, "
              f"{cost.disk / 1e6:,.0f} MB of disk and {max(cost.seconds / 60, 0.1):,.1f} minutes ({basis}).", kind="estimate",
              data={"memory": cost.memory, "disk": cost.disk, "seconds": cost.seconds, **data})
    if cost.memory > cost.memory_free:
        ctx.event(f"Memory may not suffice: {cost.memory_free / 1e9:.1f} GB are free. Batches are divided if it runs out.",
                  level="warning")


# -- during ---------------------------------------------------------------------------------------------------------
def _resume_point(ctx: StepContext, plan: Plan) -> Path | None:
    """The newest whole checkpoint, if it belongs to this very training."""
    found, rejected = checkpoints.newest(ctx.workdir / "checkpoints")
    for bad in rejected:
        ctx.event(f"Checkpoint {bad.path.name} was not used: {bad.reason}.", level="warning", kind="checkpoint_rejected")
    if found is None:
        return None
    meta = checkpoints.verify(found)
    for key, what in (("data", "the dataset"), ("config", "the settings or the base model")):
        if meta.get(key) != plan.identity[key]:
            raise TrainingError(
                f"training.{key}_changed", f"The training cannot be resumed: {what} changed since it was interrupted.",
                where=Place.of(found), why="Going on would mix two trainings.",
                remedy="Start a new run; the interrupted one stays as it is.")
    return found


def build(ctx: StepContext, plan: Plan) -> tuple[AnswerTrainer, Reporter]:
    """Load the base model and put the trainer together."""
    params = plan.params
    ctx.progress(0.0, "Loading the base model")
    base = load_base(plan.folder, plan.method, dtype=params.dtype, cuda=plan.cuda)
    lora = params.lora
    model = add_adapters(base, r=lora.r, alpha=lora.alpha, dropout=lora.dropout, target=lora.target, seed=plan.seed)
    speed_up(model)
    speed_up_norms(model)
    if not plan.cuda and use_causal_attention(base) and not lora.dropout:  # dropout would be drawn once for all rows
        share_starts(base)
    limits = Limits(params.max_tokens, params.max_minutes, params.early_stopping, params.checkpoint_every,
                    params.checkpoint_minutes)
    reporter = Reporter(ctx, limits, ctx.workdir / "best")
    trainer = AnswerTrainer(
        model, _arguments(ctx, plan), train=plan.train.examples, evaluation=plan.evaluation, tokenizer=plan.tokenizer,
        batch_tokens=params.batch_tokens, stages=stages_of(params), weight_decay=params.weight_decay, folder=ctx.workdir / "checkpoints",
        meta=plan.identity, say=lambda message, level: ctx.event(message, level=level), callbacks=[reporter],
        minutes=reporter.spent if params.max_minutes else None)
    reporter.trainer = trainer
    trainer.before_save = reporter.before_save
    return trainer, reporter


def _arguments(ctx: StepContext, plan: Plan) -> Any:
    from trl import SFTConfig

    params = plan.params
    return SFTConfig(
        output_dir=str(ctx.workdir / "trainer"), max_steps=plan.steps, learning_rate=params.learning_rate,
        warmup_steps=round(params.warmup * plan.steps), max_grad_norm=params.max_grad_norm,
        gradient_accumulation_steps=params.accumulate, gradient_checkpointing=plan.recompute,
        gradient_checkpointing_kwargs={"use_reentrant": False}, eval_strategy="steps" if plan.evaluation else "no",
        eval_steps=_eval_steps(params, plan.steps), save_strategy="no", logging_steps=1, logging_nan_inf_filter=False, report_to="none",
        disable_tqdm=True, seed=plan.seed, data_seed=plan.seed, use_cpu=not plan.cuda, bf16=False, fp16=False,
        dataloader_pin_memory=False, remove_unused_columns=False, max_length=None, prediction_loss_only=True,
        dataset_kwargs={"skip_prepare_dataset": True}, average_tokens_across_devices=False)


def _train(ctx: StepContext, plan: Plan, trainer: AnswerTrainer, reporter: Reporter, point: Path | None) -> None:
    trainer.args.eval_on_start = bool(plan.evaluation) and (point is None or _evaluation_due(point))
    try:
        trainer.train(resume_from_checkpoint=str(point) if point else None)
    except Cancelled:
        if reporter.stop != "discard" and trainer.optimizer is not None:
            trainer.extra["evaluation_due"] = True
            trainer.save_checkpoint()
    except Exception as problem:
        raise _failed(ctx, trainer, problem) from problem
    if reporter.stop:
        _stopped(ctx, plan, trainer, reporter)


def _evaluation_due(point: Path) -> bool:
    """Whether the run was stopped in the middle of an evaluation, which is then done again first."""
    state = json.loads((point / "state.json").read_text(encoding="utf-8"))
    return bool(state["extra"].get("evaluation_due"))


def _failed(ctx: StepContext, trainer: AnswerTrainer, problem: Exception) -> Exception:
    """The error to raise; a volume that is gone stays an OSError, for which the step pauses instead of failing."""
    if isinstance(problem, OSError):
        return problem
    found, _ = checkpoints.newest(ctx.workdir / "checkpoints")
    best, _ = checkpoints.newest(ctx.workdir / "best")
    kept = max((int(path.name.split("-")[1]) for path in (found, best) if path), default=None)
    error = explain(problem, trainer.state.global_step + 1, kept)
    if kept is not None:
        ctx.event(f"The last good state is kept: step {kept}.", kind="kept")
    return error


def _stopped(ctx: StepContext, plan: Plan, trainer: AnswerTrainer, reporter: Reporter) -> None:
    step = trainer.state.global_step
    if reporter.stop == "discard":
        for name in ("checkpoints", "best", "trainer"):
            shutil.rmtree(ctx.workdir / name, ignore_errors=True)
        ctx.event(f"Stopped at step {step}; nothing was kept.", kind="stopped")
        raise Cancelled(save=False)
    _write_adapter(ctx, plan, trainer)
    ctx.event(f"Stopped at step {step} and saved. You can continue.", kind="stopped")
    raise Cancelled(save=True)


# -- after ----------------------------------------------------------------------------------------------------------
def finish(ctx: StepContext, plan: Plan, trainer: AnswerTrainer, reporter: Reporter) -> dict[str, Artifact]:
    """Write the best adapter and the report."""
    adapter, step = _write_adapter(ctx, plan, trainer)
    summary = _summary(plan, trainer, reporter, step)
    model = Model(
        content_hash=checkpoints.digest(adapter / "adapter_model.safetensors"), path=str(adapter), format="lora",
        name=f"{plan.folder.path.name}-tuned", base=str(plan.folder.path), details=summary)
    report = ctx.outputs_dir / "training.json"
    _write_file(report, json.dumps({"summary": summary, "curve": reporter.curve}, indent=1))
    return {"model": model, "training": Report(content_hash=checkpoints.digest(report), path=str(report), summary=summary)}


def _write_adapter(ctx: StepContext, plan: Plan, trainer: AnswerTrainer) -> tuple[Path, int]:
    """The adapter folder with tokenizer and chat template; (folder, step its weights come from)."""
    folder = ctx.outputs_dir / "adapter"
    partial = folder.with_name("adapter.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    step = _adapter_weights(ctx, trainer, partial)
    plan.tokenizer.save_pretrained(str(partial))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return folder, step


def _adapter_weights(ctx: StepContext, trainer: AnswerTrainer, folder: Path) -> int:
    best, _ = checkpoints.newest(ctx.workdir / "best")
    if best is None:
        trainer.save_adapter(folder)
        return int(trainer.state.global_step)
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        shutil.copyfile(best / name, folder / name)
    return int(best.name.split("-")[1])


def _summary(plan: Plan, trainer: AnswerTrainer, reporter: Reporter, step: int) -> dict[str, Any]:
    seconds, extra = reporter.seconds(), trainer.extra
    losses = [point["loss"] for point in reporter.curve if "loss" in point]
    return {
        "method": plan.method, "parameters_trained": sum(param.numel() for param in trainable(trainer.model).values()),
        "parameters": plan.folder.parameters, "rows": len(plan.train.examples), "eval_rows": len(plan.evaluation),
        "steps": int(trainer.state.global_step), "planned_steps": plan.steps, "best_step": step,
        "tokens": trainer.tokens_seen, "seconds": round(seconds, 2),
        "tokens_per_second": round(trainer.tokens_seen / max(seconds, 1e-6), 1),
        "first_eval_loss": extra.get("first_eval_loss"), "best_eval_loss": extra.get("best_loss"),
        "last_loss": losses[-1] if losses else None, "batch_parts": trainer.splits, "seed": plan.seed,
        "context": plan.folder.context}


def _write_file(file: Path, text: str) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)


