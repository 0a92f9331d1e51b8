"""trl's SFTTrainer with our collator, batch sampler, loss, optimiser and checkpoints, each at its own seam."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader
from transformers.trainer_callback import PrinterCallback
from trl import SFTConfig, SFTTrainer

from app.errors import TrainingError
from app.training import checkpoints
from app.training.base import trainable
from app.training.examples import Buckets, Example, collate
from app.training.losses import answer_loss, has_plain_head
from app.training.optimizer import MasterAdamW
from app.training.trouble import as_os_error, is_disk_full, is_out_of_memory

ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
OPTIMIZER, RNG, STATE, TRAINER_STATE = "optimizer.safetensors", "rng.safetensors", "state.json", "trainer_state.json"
SPLITS_AT_MOST = 4
"""A batch that does not fit is halved at most twice: into two, then into four."""


class EpochLoader(DataLoader):
    """A data loader that tells its batch sampler the epoch."""

    def set_epoch(self, epoch: int) -> None:
        self.batch_sampler.set_epoch(epoch)


class AnswerTrainer(SFTTrainer):
    """Trains adapters on answers.

    say: called with (message, level) for what a user should read.  ``tokens_seen`` counts real tokens (no padding).
    ``splits``: into how many parts a batch is divided because memory ran out.
    ``extra`` is JSON that travels with checkpoints (best step, patience used, seconds).
    """

    def __init__(self, model: Any, args: SFTConfig, *, train: list[Example], evaluation: list[Example], tokenizer: Any,
                 batch_tokens: int, stages: int, weight_decay: float, folder: Path, meta: dict[str, Any],
                 say: Callable[[str, str], None], callbacks: list[Any], minutes: Callable[[], float] | None = None) -> None:
        self._train_lengths = [len(example.input_ids) for example in train]
        self._eval_lengths = [len(example.input_ids) for example in evaluation]
        self._batch_tokens, self._stages, self._weight_decay = batch_tokens, stages, weight_decay
        self._folder, self._meta, self._say, self._spent = folder, meta, say, minutes
        self.tokens_seen, self.splits = 0, 1
        self.extra: dict[str, Any] = {}
        self.before_save: Callable[[], None] = lambda: None
        self._eval_sum, self._eval_count = 0.0, 0
        super().__init__(
            model=model, args=args, train_dataset=_dataset(train), eval_dataset=_dataset(evaluation) if evaluation else None,
            processing_class=tokenizer, data_collator=collate, callbacks=callbacks)
        self._plain = has_plain_head(self._causal)
        self._loss_shifts_labels = True  # our loss always does; some models' loss type is not in transformers' table
        self.remove_callback(PrinterCallback)

    @property
    def _causal(self) -> Any:
        return self.accelerator.unwrap_model(self.model).get_base_model()

    # -- data ---------------------------------------------------------------------------------------------------
    def get_train_dataloader(self) -> DataLoader:
        buckets = Buckets(self._train_lengths, self._batch_tokens, self.args.seed, stages=self._stages)
        return EpochLoader(self.train_dataset, batch_sampler=buckets, collate_fn=collate)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        buckets = Buckets(self._eval_lengths, 2 * self._batch_tokens, 0, shuffle=False)
        return EpochLoader(self.eval_dataset, batch_sampler=buckets, collate_fn=collate)

    # -- loss ---------------------------------------------------------------------------------------------------
    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False,
                     num_items_in_batch: Any = None) -> Any:
        """Mean loss in nats over the labelled tokens of the whole optimizer step."""
        ids, labels = inputs["input_ids"], inputs["labels"]
        if self._plain:
            total, count = answer_loss(self._causal, ids, labels)
        else:
            total, count = self._trl_loss(model, ids, labels)
        if not self.model.training:
            self._eval_sum, self._eval_count = self._eval_sum + float(total), self._eval_count + count
        items = count if num_items_in_batch is None else num_items_in_batch
        return total / max(int(items), 1)

    def _trl_loss(self, model: Any, ids: Any, labels: Any) -> tuple[Any, int]:
        """trl's own fused head, for models whose logits are scaled or capped."""
        outputs = model(input_ids=ids, labels=labels, use_cache=False, fused_lm_head=True)
        return -outputs.log_probs.sum(), int(outputs.label_mask.sum())

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
        """One batch, in as many parts as memory demands; the sum of the parts' gradients is the batch's."""
        if num_items_in_batch is None:
            num_items_in_batch = inputs["labels"][:, 1:].ne(-100).sum()
        before = self._gradients()
        while True:
            try:
                loss = sum(super(AnswerTrainer, self).training_step(model, part, num_items_in_batch)
                           for part in _parts(inputs, self.splits))
                break
            except Exception as problem:
                if not is_out_of_memory(problem):
                    raise
                self._smaller(inputs, problem)
            self._restore_gradients(before)
        self.tokens_seen += int(inputs["lengths"].sum())
        return self._finite(loss)

    def _gradients(self) -> list[torch.Tensor | None]:
        """Copies of the gradients so far: nothing, unless steps are accumulated."""
        return [None if param.grad is None else param.grad.clone() for param in trainable(self.model).values()]

    def _restore_gradients(self, before: list[torch.Tensor | None]) -> None:
        for param, grad in zip(trainable(self.model).values(), before, strict=True):
            param.grad = None if grad is None else grad.clone()

    def _smaller(self, inputs: dict[str, Any], problem: Exception) -> None:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if 2 * self.splits > SPLITS_AT_MOST or len(inputs["input_ids"]) <= self.splits:
            raise problem
        self.splits *= 2
        self._say(f"Memory ran out at step {self.state.global_step + 1}. Each batch now goes through in {self.splits} "
                  "parts: slower, same result.", "warning")

    def _finite(self, loss: Any) -> Any:
        if not math.isfinite(float(loss)):
            raise self._not_a_number("the loss")
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> float:
        norm = float(super()._get_grad_norm(model, grad_norm=grad_norm))
        if not math.isfinite(norm):
            raise self._not_a_number("the gradient")
        return norm

    def _not_a_number(self, which: str) -> TrainingError:
        step = self.state.global_step + 1
        return TrainingError(
            "training.not_a_number", f"Training stopped at step {step}: {which} is not a number.",
            why="The weights would have been spoilt by this step, so it was not taken.",
            remedy="Lower learning_rate (a tenth is a good start) or look for damaged rows, then run again.")

    # -- evaluation ---------------------------------------------------------------------------------------------
    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """The mean over labelled tokens; Trainer would average batch means."""
        self._eval_sum, self._eval_count = 0.0, 0
        output = super().evaluation_loop(*args, **kwargs)
        output.metrics["eval_loss"] = self._eval_sum / max(self._eval_count, 1)
        return output

    # -- optimiser ----------------------------------------------------------------------------------------------
    def create_optimizer(self, model: Any = None) -> Any:
        if getattr(self, "optimizer", None) is None:
            self.optimizer: Any = MasterAdamW(trainable(self.model).values(), lr=self.args.learning_rate,
                                         weight_decay=self._weight_decay)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Linear warm-up, then a cosine to a tenth; a time limit shortens it, so that it ends low there too."""
        if getattr(self, "lr_scheduler", None) is None:
            warmup = self.args.get_warmup_steps(num_training_steps)
            self.lr_scheduler: Any = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer, _Cosine(warmup, num_training_steps, self._spent))
            self._created_lr_scheduler = True
        return self.lr_scheduler

    # -- checkpoints --------------------------------------------------------------------------------------------
    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Keep everything needed to go on.  A volume that is full costs this checkpoint, not the training."""
        self.save_checkpoint()

    def save_checkpoint(self) -> None:
        """Write the checkpoint of the step reached."""
        self.before_save()
        step = self.state.global_step
        try:
            checkpoints.write(self._folder, step, self._fill, {**self._meta, "step": step})
        except (OSError, MemoryError, RuntimeError) as problem:
            if not (is_disk_full(problem) or is_out_of_memory(problem)):
                raise
            self._say(f"The checkpoint at step {step} could not be saved: {problem}. Older ones are intact; training "
                      "goes on.", "error")
        else:
            checkpoints.keep_newest(self._folder, 2)

    def _fill(self, folder: Path) -> None:
        self.save_adapter(folder)
        _save(self._master.tensors(), folder / OPTIMIZER)
        _save(_rng_tensors(), folder / RNG)
        version, numbers, gauss = random.getstate()
        kind, keys, *rest = np.random.get_state()
        (folder / STATE).write_text(json.dumps({
            "tokens_seen": self.tokens_seen, "splits": self.splits, "extra": self.extra,
            "scheduler": {key: value for key, value in self.lr_scheduler.state_dict().items() if key != "lr_lambdas"},
            "python": [version, list(numbers), gauss], "numpy": [kind, np.asarray(keys).tolist(), *rest],
        }), encoding="utf-8")
        self.state.save_to_json(str(folder / TRAINER_STATE))

    def save_adapter(self, folder: Path) -> None:
        """Write the adapter as peft does: adapter_model.safetensors and adapter_config.json."""
        from peft import get_peft_model_state_dict

        model = self.accelerator.unwrap_model(self.model)
        _save(get_peft_model_state_dict(model), folder / ADAPTER)
        config = model.peft_config["default"]
        config.inference_mode = True
        config.save_pretrained(str(folder))
        config.inference_mode = False

    @property
    def _master(self) -> MasterAdamW:
        wrapped: Any = self.optimizer  # accelerate puts its own around ours
        found: MasterAdamW = getattr(wrapped, "optimizer", wrapped)
        return found

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.load_adapter(Path(resume_from_checkpoint))

    def load_adapter(self, folder: Path) -> None:
        """Put an adapter's weights into the model."""
        from peft import set_peft_model_state_dict

        set_peft_model_state_dict(self.accelerator.unwrap_model(self.model), load_file(str(folder / ADAPTER)))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        state = json.loads((Path(checkpoint) / STATE).read_text(encoding="utf-8"))
        self._master.load_tensors(load_file(str(Path(checkpoint) / OPTIMIZER)))
        self.lr_scheduler.load_state_dict({**self.lr_scheduler.state_dict(), **state["scheduler"]})
        for group, rate in zip(self._master.param_groups, self.lr_scheduler.get_last_lr(), strict=True):
            group["lr"] = rate
        self.tokens_seen, self.splits, self.extra = state["tokens_seen"], state["splits"], state["extra"]

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        state = json.loads((Path(checkpoint) / STATE).read_text(encoding="utf-8"))
        version, numbers, gauss = state["python"]
        random.setstate((version, tuple(numbers), gauss))
        kind, keys, *rest = state["numpy"]
        np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
        tensors = load_file(str(Path(checkpoint) / RNG))
        torch.set_rng_state(tensors["cpu"])
        if "cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["cuda"])


class _Cosine:
    """Factor of the learning rate at a step."""

    def __init__(self, warmup: int, total: int, spent: Callable[[], float] | None) -> None:
        self._warmup, self._total, self._spent = warmup, max(total, 1), spent

    def __call__(self, step: int) -> float:
        if step < self._warmup:
            return (step + 1) / (self._warmup + 1)
        done = max((step - self._warmup) / max(self._total - self._warmup, 1), self._spent() if self._spent else 0.0)
        return 0.1 + 0.45 * (1 + math.cos(math.pi * min(done, 1.0)))


def _dataset(examples: list[Example]) -> Any:
    from datasets import Dataset

    return Dataset.from_dict({"input_ids": [example.input_ids for example in examples],
                              "labels": [example.labels for example in examples]})


def _parts(inputs: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The batch in parts of rows, each cut to its own longest row."""
    if count == 1:
        return [inputs]
    parts = []
    for ids, labels, lengths in zip(*(inputs[name].chunk(count) for name in ("input_ids", "labels", "lengths")), strict=True):
        longest = int(lengths.max())
        parts.append({"input_ids": ids[:, :longest], "labels": labels[:, :longest], "lengths": lengths})
    return parts


def _rng_tensors() -> dict[str, torch.Tensor]:
    found = {"cpu": torch.get_rng_state()}
    return found | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def _save(tensors: dict[str, torch.Tensor], file: Path) -> None:
    """Write tensors; a full disk is an OSError whatever safetensors calls it."""
    from safetensors import SafetensorError

    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, str(file))
    except SafetensorError as problem:
        raise as_os_error(problem, file) from problem
