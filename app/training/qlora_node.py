"""Fine-tune adapters on answers: LoRA on a 16-bit base, or QLoRA on a 4-bit one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.config.artifacts import Artifact, Model, Report, Rows
from app.config.node import Node, Params, StepContext, node


class LoraParams(Params):
    """Size and place of the adapters."""

    r: int = Field(16, ge=1, le=512, description="Rank of the adapter matrices")
    alpha: float = Field(32, gt=0, le=2048, description="Strength: the adapter's output is scaled by alpha / r")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of adapter inputs set to zero while training")
    target: Literal["all-linear", "attention"] = Field("all-linear", description="Which layers get adapters")


class QloraParams(Params):
    """How to train.  A limit of 0 is no limit; the first limit that is reached ends the training."""

    epochs: float = Field(2, gt=0, le=1000, description="Passes over the training rows")
    max_steps: int = Field(0, ge=0, description="Limit in optimizer steps; 0: none")
    max_tokens: int = Field(0, ge=0, description="Limit in training tokens, all passes together; 0: none")
    max_minutes: float = Field(0, ge=0, description="Limit in minutes of training; 0: none")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Peak learning rate of AdamW")
    warmup: float = Field(0.05, ge=0, le=0.5, description="Share of the steps over which the rate rises to its peak")
    weight_decay: float = Field(0.0, ge=0, le=1, description="AdamW weight decay on the adapters")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are scaled down to this norm")
    lora: LoraParams = Field(LoraParams.model_validate({}), description="Size and place of the adapters")
    method: Literal["auto", "lora", "qlora"] = Field(
        "auto", description="lora: 16-bit base; qlora: 4-bit base (NF4, double quantisation); "
        "auto: lora for models under 500M parameters on a CPU, else qlora")
    batch_tokens: int = Field(1024, ge=16, le=1_048_576, description="Padded tokens in a batch, at most")
    accumulate: int = Field(1, ge=1, le=1024, description="Batches in one optimizer step")
    order: Literal["shuffled", "curriculum"] = Field(
        "shuffled", description="curriculum: in the order that data.select noted, part after part, in every pass")
    max_length: int = Field(1024, ge=8, le=1_048_576, description="Longer rows are left out (tokens)")
    recompute: Literal["auto", "yes", "no"] = Field(
        "auto", description="Recompute activations in the backward pass: less memory, a third slower; "
        "auto: only where memory is short")
    eval_every: int = Field(0, ge=0, description="Evaluate every so many steps; 0: about eight times in all")
    eval_rows: int = Field(64, ge=0, description="Rows of the calibration split to evaluate on, at most; 0: no evaluation")
    early_stopping: int = Field(3, ge=0, description="Stop after so many evaluations without a gain; 0: never")
    checkpoint_every: int = Field(0, ge=0, description="Save every so many steps; 0: by time alone")
    checkpoint_minutes: float = Field(2.0, ge=0, description="Save when so many minutes have passed; 0: by steps alone")
    seed: int | None = Field(None, ge=0, description="Seed of shuffling and adapters; none: the document's seed")
    base_model: str | None = Field(None, description="Base model for this step; none: the document's base_model")
    dtype: Literal["bfloat16", "float32"] = Field("bfloat16", description="Number format of the base model's weights")


@node("train.qlora", version=2, title="Fine-tune")
class Qlora(Node[QloraParams]):
    """Trains on the split "train", evaluates on "calibration" while it runs, keeps the best adapter."""

    inputs = {"rows": Rows}
    outputs = {"model": Model, "training": Report}
    accelerator = True

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Train; a stop that saves leaves a usable adapter in the outputs folder and a checkpoint to go on from."""
        from app.training.session import fine_tune  # heavy: step worker only

        return fine_tune(ctx, self.params)
