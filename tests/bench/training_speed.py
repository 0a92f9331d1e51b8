"""Training tokens per second: ours against naive TRL (fp32, padded, checkpointing on), and the loss after equal tokens.

    python tests/bench/training_speed.py [--tokens 6000] [--rows 160] [--threads 0]

Both train the starter model with LoRA r16 on the same rows for the same number of real tokens, through ``train()``,
one after the other in one process; each line is printed with its own held-out loss, measured by the same function
in 32 bits.  Naive TRL is SFTTrainer as its documentation shows it, with a learning rate of 1e-3 like ours.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_WAIT_POLICY="PASSIVE")

SUBJECTS = ["tenant", "supplier", "licensee", "employee", "contractor", "insurer", "borrower", "publisher", "carrier", "agent"]
VERBS = ["shall pay", "may terminate", "must notify", "shall deliver", "may assign", "must indemnify", "may inspect"]
OBJECTS = ["the fee", "the agreement", "the other party", "the goods", "its rights", "the owner", "the premises", "the records"]


def made_rows(count: int) -> list[Any]:
    """Clauses of mixed length (as licence notices have) with a question that the text answers."""
    from app.store.records import Row

    chance, rows = random.Random(0), []
    for number in range(count):
        clauses = [(chance.choice(SUBJECTS), chance.choice(VERBS), chance.choice(OBJECTS))
                   for _ in range(int(chance.lognormvariate(1.4, 0.8)) + 1)]
        text = " ".join(f"The {who} {does} {what} within {chance.randint(2, 90)} days." for who, does, what in clauses)
        who, does, what = chance.choice(clauses)
        rows.append(Row("chat", [{"role": "user", "content": f"{text}\nQuote a duty or right as JSON."},
                                 {"role": "assistant", "content": json.dumps({"who": who, "does": does, "what": what})}],
                        split="test" if number % 5 == 0 else "train"))
    return rows


def held_out_loss(model: Any, examples: list[Any]) -> float:
    """Nats per answer token, in fp32."""
    import torch

    from app.training.examples import collate
    from app.training.losses import answer_loss

    model = model.float().eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for example in examples:
            batch = collate([{"input_ids": example.input_ids, "labels": example.labels}])
            loss, labelled = answer_loss(model.get_base_model(), batch["input_ids"], batch["labels"])
            total, count = total + float(loss), count + labelled
    return total / count


def naive(folder: Path, examples: list[Any], tokens: int, work: Path) -> tuple[float, int, Any]:
    """TRL as it comes: fp32, eight rows a batch padded to the longest, gradient checkpointing.  (seconds, tokens, model)"""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [{"input_ids": each.input_ids, "completion_mask": [int(label != -100) for label in each.labels]} for each in examples]
    mean = sum(len(each.input_ids) for each in examples) / len(examples)
    steps = max(1, round(tokens / (8 * mean)))
    args = SFTConfig(output_dir=str(work), max_steps=steps, per_device_train_batch_size=8, learning_rate=1e-3,
                     gradient_checkpointing=True, bf16=False, completion_only_loss=True, logging_steps=1, use_cpu=True,
                     report_to="none", save_strategy="no", disable_tqdm=True, max_length=1024, seed=0,
                     lr_scheduler_type="cosine", dataloader_pin_memory=False, include_num_input_tokens_seen="non_padding")
    lora = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    trainer = SFTTrainer(model, args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, peft_config=lora)
    start = time.perf_counter()
    trainer.train()
    return time.perf_counter() - start, int(trainer.state.num_input_tokens_seen), trainer.model


def ours(store: Any, folder: Path, rows: list[Any], tokens: int, work: Path) -> tuple[float, int, Any]:
    """The product's own node code, without evaluation or checkpoints (the naive run has none).  (seconds, tokens, model)"""
    from app.training import session
    from app.training.qlora_node import QloraParams
    from tests.context import FakeContext, make_rows

    session._set_threads = lambda ctx: None  # type: ignore[assignment]  # the same threads for both
    session._base = lambda ctx, params: folder  # type: ignore[assignment]
    ctx = FakeContext(store, work, base_model=str(folder), inputs={"rows": make_rows(store, rows)})
    plan = session.prepare(ctx, QloraParams(epochs=50, max_tokens=tokens, eval_rows=0, checkpoint_minutes=0))
    trainer, _ = session.build(ctx, plan)
    start = time.perf_counter()
    trainer.train()
    return time.perf_counter() - start, trainer.tokens_seen, trainer.model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=6000)
    parser.add_argument("--rows", type=int, default=160)
    parser.add_argument("--threads", type=int, default=0, help="0: as torch chooses")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(NEUROWEAVER_HOME=f"{home}/profile", NEUROWEAVER_KEYRING="off")
        print(json.dumps(measure(given, Path(home)), indent=1))


def measure(given: argparse.Namespace, home: Path) -> dict[str, Any]:
    """Run both and compare."""
    import torch

    from app.store import Profile, Store
    from app.training.base import load_tokenizer
    from app.training.examples import encode_rows
    from tests.tiny import STARTER

    if given.threads:
        torch.set_num_threads(given.threads)
    rows, tokenizer = made_rows(given.rows), load_tokenizer(STARTER)
    train, test = ([row for row in rows if row.split == split] for split in ("train", "test"))
    examples, held = encode_rows(train, tokenizer, 1024).examples, encode_rows(test, tokenizer, 1024).examples
    with Store.open(Profile(home / "profile")) as store:
        seconds, seen, model = ours(store, STARTER, train, given.tokens, home / "ours")
        mine = {"tokens": seen, "seconds": round(seconds, 1), "tokens_per_second": seen / seconds,
                "held_out_loss": held_out_loss(model, held)}
    seconds, seen, model = naive(STARTER, examples, given.tokens, home / "naive")
    plain = {"tokens": seen, "seconds": round(seconds, 1), "tokens_per_second": seen / seconds,
             "held_out_loss": held_out_loss(model, held)}
    return {"threads": torch.get_num_threads(), "ours": mine, "naive_trl": plain,
            "ratio": mine["tokens_per_second"] / plain["tokens_per_second"],
            "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None}


if __name__ == "__main__":
    main()
