"""Training tokens per second: ours against naive TRL (fp32, padded, checkpointing on), and the loss after equal tokens.

    python tests/bench/training_speed.py [--tokens 10000] [--threads 1] [--arms naive,whole,ours] [--seed 0]

All arms train LoRA r16 on the starter model with the same rows of the legal kit, at the same peak learning rate, for
the same number of real tokens (no padding counted; each row counted whole, also where its start is read once), each
through its own ``train()``.  They take turns in one process: one step of naive TRL, then as many steps of each other
arm as it needs to see as many tokens.  So each turn gives one ratio, and a machine that slows down slows all of them.
The held-out loss is transformers' own, in 32 bits, a row at a time, on the kit's calibration rows.

    naive  SFTTrainer as its documentation shows it: fp32, eight rows a batch padded to the longest, checkpointing
    cast   the same with bf16 autocast and no checkpointing (TRL set by hand; not run unless asked for)
    whole  ours, but each row read whole (no start shared between rows)
    ours   what the product runs
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_WAIT_POLICY="PASSIVE")
KIT = Path(__file__).resolve().parents[2] / "kits" / "legal" / "data" / "notices.jsonl"
ARMS = ("naive", "cast", "whole", "ours")


class Turns:
    """Lets one training after the other go on for a turn; ``turns[arm]`` lists (tokens, seconds) of each."""

    def __init__(self, arms: list[str]) -> None:
        self.arms, self.turns = arms, {arm: [] for arm in arms}
        self._change, self._at, self._over = threading.Condition(), 0, set[str]()
        self._tokens, self._last, self._began = dict.fromkeys(arms, 0), 0, 0.0

    def wait(self, arm: str) -> None:
        """Until it is this arm's turn."""
        with self._change:
            self._change.wait_for(lambda: self.arms[self._at] == arm)
            self._began, self._last = time.perf_counter(), self._tokens[arm]

    def step(self, arm: str, tokens: int) -> None:
        """An arm has seen so many tokens in all; the first arm sets the pace of the others."""
        self._tokens[arm] = tokens
        if arm != self.arms[0] and tokens < self._tokens[self.arms[0]]:
            return
        self._end(arm)
        self.wait(arm)

    def finish(self, arm: str, tokens: int) -> None:
        """This arm has seen so many tokens and will take no more turns."""
        with self._change:
            self._change.wait_for(lambda: self.arms[self._at] == arm)
        self._tokens[arm] = tokens
        self._over.add(arm)
        self._end(arm)

    def _end(self, arm: str) -> None:
        with self._change:
            if self._tokens[arm] > self._last:
                self.turns[arm].append((self._tokens[arm] - self._last, time.perf_counter() - self._began))
            left = [name for name in self.arms if name not in self._over]
            if left:
                order = self.arms[self._at + 1:] + self.arms[:self._at + 1]
                self._at = self.arms.index(next(name for name in order if name in left))
            self._change.notify_all()


def turn_taker(turns: Turns, arm: str, tokens: Callable[[], int]) -> Any:
    """A callback for a trainer that waits for its turn before the first step and after each."""
    from transformers import TrainerCallback

    class Taker(TrainerCallback):
        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            turns.wait(arm)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step < state.max_steps:
                turns.step(arm, tokens())

    return Taker()


def naive(folder: Path, examples: list[Any], tokens: int, work: Path, seed: int, cast: bool) -> Any:
    """TRL as it comes: fp32, eight rows a batch padded to the longest, gradient checkpointing; ``cast`` sets the two
    switches that help most on a CPU."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    rows = [{"input_ids": each.input_ids, "completion_mask": [int(label != -100) for label in each.labels]} for each in examples]
    mean = sum(len(each.input_ids) for each in examples) / len(examples)
    args = SFTConfig(output_dir=str(work), max_steps=math.ceil(tokens / (8 * mean)), per_device_train_batch_size=8,
                     learning_rate=1e-3, gradient_checkpointing=not cast, bf16=cast, completion_only_loss=True, logging_steps=1,
                     use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True, max_length=1024, seed=seed,
                     lr_scheduler_type="cosine", dataloader_pin_memory=False, include_num_input_tokens_seen="non_padding")
    lora = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    return SFTTrainer(model, args, train_dataset=Dataset.from_list(rows), processing_class=AutoTokenizer.from_pretrained(folder),
                      peft_config=lora)


def ours(store: Any, folder: Path, rows: list[Any], tokens: int, work: Path, seed: int, whole: bool) -> Any:
    """The product's own node code, without evaluation or checkpoints (the naive run has none)."""
    from app.training import session
    from app.training.qlora_node import QloraParams
    from app.training.shared_start import SHARES
    from tests.context import FakeContext, make_rows

    session._set_threads = lambda ctx: None  # type: ignore[assignment]  # the same threads for all
    session._base = lambda ctx, params: folder  # type: ignore[assignment]
    ctx = FakeContext(store, work, base_model=str(folder), inputs={"rows": make_rows(store, rows, name=work.name)})
    plan = session.prepare(ctx, QloraParams(epochs=50, max_tokens=tokens, eval_rows=0, checkpoint_minutes=0, seed=seed))
    trainer, _ = session.build(ctx, plan)
    if whole:
        setattr(trainer.model.get_base_model(), SHARES, False)
    return trainer


def held_out_loss(model: Any, examples: list[Any]) -> float:
    """Nats per answer token, fp32, by transformers' own loss on one row at a time."""
    import torch

    causal, total, count = model.float().eval(), 0.0, 0
    with torch.no_grad():
        for example in examples:
            labels = torch.tensor([example.labels])
            labelled = int((labels[:, 1:] != -100).sum())
            total += float(causal(input_ids=torch.tensor([example.input_ids]), labels=labels).loss) * labelled
            count += labelled
    return total / count


def kit_rows(split: str) -> list[Any]:
    """Rows of the legal kit."""
    from app.store.records import Row

    found = [json.loads(line) for line in KIT.read_text(encoding="utf-8").splitlines()]
    return [Row("chat", row["messages"], split=split) for row in found if row["split"] == split]


def run(given: argparse.Namespace, home: Path) -> dict[str, Any]:
    """Train all arms in turns, then measure their held-out loss."""
    import torch
    from transformers import AutoModelForCausalLM

    from app.store import Profile, Store
    from app.training.base import load_tokenizer
    from app.training.examples import encode_rows
    from tests.tiny import STARTER

    torch.set_num_threads(given.threads)
    tokenizer, arms = load_tokenizer(STARTER), [arm for arm in ARMS if arm in given.arms.split(",")]
    train = kit_rows("train")
    examples, held = (encode_rows(rows, tokenizer, 1024).examples for rows in (train, kit_rows("calibration")))
    with Store.open(Profile(home / "profile")) as store:
        trainers = {arm: ours(store, STARTER, train, given.tokens, home / arm, given.seed, arm == "whole")
                    if arm in ("whole", "ours") else naive(STARTER, examples, given.tokens, home / arm, given.seed, arm == "cast")
                    for arm in arms}
        before = held_out_loss(AutoModelForCausalLM.from_pretrained(STARTER), held)
        turns = train_in_turns(trainers, given.threads)
    return report(turns, {arm: held_out_loss(trainer.model, held) for arm, trainer in trainers.items()}, before, given)


def train_in_turns(trainers: dict[str, Any], threads: int) -> dict[str, list[tuple[int, float]]]:
    """Each trainer's ``train()`` in a thread of its own, one running at a time; raises what an arm raised."""
    import torch

    turns, problems = Turns(list(trainers)), []

    def go(arm: str, trainer: Any) -> None:
        torch.set_num_threads(threads)
        try:
            trainer.train()
        except Exception as problem:
            problems.append(problem)
        turns.finish(arm, seen(trainer))

    for arm, trainer in trainers.items():
        trainer.add_callback(turn_taker(turns, arm, lambda trainer=trainer: seen(trainer)))
    workers = [threading.Thread(target=go, args=item) for item in trainers.items()]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if problems:
        raise problems[0]
    return turns.turns


def seen(trainer: Any) -> int:
    """Real tokens that a trainer has seen."""
    return int(getattr(trainer, "tokens_seen", 0) or trainer.state.num_input_tokens_seen)


def report(turns: dict[str, list[tuple[int, float]]], losses: dict[str, float], before: float,
           given: argparse.Namespace) -> dict[str, Any]:
    """Speeds, their ratios to the first arm turn by turn, and losses.  Each arm's first turn warms up and is left out."""
    speeds = {arm: [tokens / seconds for tokens, seconds in found[1:]] for arm, found in turns.items()}
    overall = {arm: sum(tokens for tokens, _ in found[1:]) / sum(seconds for _, seconds in found[1:]) for arm, found in turns.items()}
    first = next(iter(speeds))
    result: dict[str, Any] = {"threads": given.threads, "seed": given.seed, "held_out_loss_before": round(before, 4), "arms": {}}
    for arm, values in speeds.items():
        ratios = sorted(mine / base for mine, base in zip(values, speeds[first], strict=False))
        result["arms"][arm] = {
            "tokens": sum(tokens for tokens, _ in turns[arm]), "tokens_per_second": round(statistics.median(values), 1),
            f"times_{first}": round(statistics.median(ratios), 2), "lowest": round(ratios[0], 2),
            "highest": round(ratios[-1], 2), f"times_{first}_over_all_turns": round(overall[arm] / overall[first], 2), "turns": len(ratios), "held_out_loss": round(losses[arm], 4)}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=10_000, help="training tokens of each arm, at least 4000")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--arms", default="naive,whole,ours", help=f"of {', '.join(ARMS)}; the first of them is the measure")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(NEUROWEAVER_HOME=f"{home}/profile", NEUROWEAVER_KEYRING="off")
        print(json.dumps(run(given, Path(home)), indent=1))


if __name__ == "__main__":
    main()
