"""Training end to end on a tiny model: what moves, what is kept, how it goes on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from app.errors import Cancelled, DatasetError, EnvironmentFault, TrainingError
from app.training import checkpoints
from app.training.qlora_node import Qlora, QloraParams
from tests.training.conftest import lesson_rows

QUICK = {"batch_tokens": 128, "max_steps": 8, "eval_every": 4, "learning_rate": 1e-2, "checkpoint_minutes": 0}


def train(ctx, **changes):
    return Qlora(QloraParams(**{**QUICK, **changes})).run(ctx)


def stop_at(step, mode):
    """Make a context's cancel_requested answer ``mode`` from the end of a step on, or in the evaluation just before."""
    def install(ctx):
        ctx.cancel = lambda: mode if len(ctx.series("train.loss")) >= step - 1 else None
    return install


def test_a_training_yields_a_usable_adapter_curves_and_a_report(lesson):
    ctx = lesson()
    made = train(ctx, max_steps=12)
    model, report = made["model"], made["training"]
    losses = ctx.series("train.eval_loss")
    assert losses[-1] < losses[0]
    assert report.summary["best_eval_loss"] == min(losses)
    names = {item.name for item in Path(model.path).iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "chat_template.jinja"} <= names
    for name in ("train.loss", "train.learning_rate", "train.grad_norm", "train.tokens_per_second"):
        assert [x for known, _, x in ctx.metrics if known == name] == list(range(1, 13))
    assert ctx.said(f"Best so far kept, step {report.summary['best_step']}")
    assert json.loads(Path(report.path).read_text())["summary"] == report.summary
    assert _loads_in_peft(model) > 0


def test_a_curriculum_is_learned_in_the_order_that_was_noted(lesson):
    from app.store.datasets import open_dataset, order_name
    from app.training.session import prepare

    ctx = lesson()
    with pytest.raises(TrainingError, match="no learning order"):
        train(ctx, order="curriculum")
    with open_dataset(ctx.store, ctx.inputs["rows"].dataset) as db:
        rows = list(db.iter_rows(1, "train"))
        by_length = sorted(rows, key=lambda row: (-len(row.messages[0]["content"]), row.position))
        db.put_scores((row.hash, order_name(1), float(place)) for place, row in enumerate(by_length))
    plan = prepare(ctx, QloraParams(**QUICK, order="curriculum"))
    texts = [plan.tokenizer.decode(example.input_ids) for example in plan.train.examples]
    assert all(row.messages[0]["content"] in text for row, text in zip(by_length, texts, strict=True))
    assert train(ctx, order="curriculum")["training"].summary["rows"] == len(rows)


def _loads_in_peft(model) -> float:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model.base, dtype=torch.float32)
    ids = torch.arange(5, 25)[None]
    plain = base(ids).logits
    return float((PeftModel.from_pretrained(base, model.path)(ids).logits - plain).abs().max())


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_each_trainable_weight_moves_and_no_other(lesson, method):
    from app.training import session

    ctx = lesson()
    plan = session.prepare(ctx, QloraParams(**{**QUICK, "method": method, "max_steps": 3, "eval_rows": 0}))
    trainer, reporter = session.build(ctx, plan)
    before = {name: param.detach().clone() for name, param in trainer.model.named_parameters()}
    session._train(ctx, plan, trainer, reporter, None)
    for name, param in trainer.model.named_parameters():
        assert torch.equal(param, before[name]) == ("lora_" not in name), name
    assert sum("lora_" in name for name in before) == 28  # 2 layers x 7 linear layers x A and B


@pytest.mark.parametrize(("accumulate", "asked", "stops"), [
    pytest.param(1, 6, 6, id="plain"), pytest.param(2, 6, 6, id="accumulated"), pytest.param(1, 5, 4, id="in an evaluation")])
def test_a_resumed_training_is_bit_equal_to_a_straight_one(lesson, accumulate, asked, stops):
    straight = train(lesson("straight"), accumulate=accumulate, lora={"dropout": 0.1})
    cut = lesson("cut")
    stop_at(asked, "pause")(cut)
    with pytest.raises(Cancelled):
        train(cut, accumulate=accumulate, lora={"dropout": 0.1})
    assert checkpoints.newest(cut.workdir / "checkpoints")[0].name == f"step-{stops:08d}"
    again = lesson("cut")
    resumed = train(again, accumulate=accumulate, lora={"dropout": 0.1})
    assert again.said(f"Going on from step {stops}")
    one, other = (load_file(f"{made['model'].path}/adapter_model.safetensors") for made in (straight, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert straight["training"].summary["best_eval_loss"] == resumed["training"].summary["best_eval_loss"]
    assert straight["training"].summary["tokens"] == resumed["training"].summary["tokens"]


def test_stop_and_save_leaves_a_usable_adapter(lesson):
    ctx = lesson()
    stop_at(3, "save")(ctx)
    with pytest.raises(Cancelled) as stopped:
        train(ctx)
    assert stopped.value.save
    assert (ctx.outputs_dir / "adapter" / "adapter_model.safetensors").is_file()
    assert ctx.said("and saved")


def test_stop_and_discard_leaves_nothing(lesson):
    ctx = lesson()
    stop_at(3, "discard")(ctx)
    with pytest.raises(Cancelled) as stopped:
        train(ctx, checkpoint_every=1)
    assert not stopped.value.save
    assert not list(ctx.workdir.glob("checkpoints/*"))
    assert not (ctx.outputs_dir / "adapter").exists()


def test_early_stopping_keeps_the_best_not_the_last(lesson):
    ctx = lesson()
    made = train(ctx, learning_rate=1.0, max_grad_norm=100, max_steps=40, eval_every=2, early_stopping=2, warmup=0)
    summary = made["training"].summary
    assert summary["steps"] < 40
    assert summary["best_step"] < summary["steps"]
    assert ctx.said("Stopped early")


def test_bucketed_and_padded_batches_give_the_same_curve(lesson, tiny32):
    """Batches of one row in the same order against all rows at once: the same sums, so the same losses."""
    from app.training import session

    ctx = lesson("padded", tiny32)
    plan = session.prepare(ctx, QloraParams(**{**QUICK, "dtype": "float32", "eval_rows": 0, "max_steps": 4}))
    trainer, reporter = session.build(ctx, plan)
    trainer.splits = 4  # every batch in four parts, each padded to its own longest row
    session._train(ctx, plan, trainer, reporter, None)
    whole = lesson("whole", tiny32)
    train(whole, dtype="float32", eval_rows=0, max_steps=4)
    assert ctx.series("train.loss") == pytest.approx(whole.series("train.loss"), rel=1e-5)


def test_too_small_a_volume_refuses_the_start(lesson, monkeypatch):
    from app.training import hardware

    monkeypatch.setattr(hardware, "disk_free", lambda path: 1_000_000)
    with pytest.raises(EnvironmentFault, match="too small") as refused:
        train(lesson())
    assert "1 MB free" in refused.value.why


def test_no_usable_row_is_said_before_a_model_is_loaded(lesson):
    with pytest.raises(DatasetError, match="nothing to train on") as refused:
        train(lesson(), max_length=8)
    assert "longer than 8 tokens" in refused.value.why


@pytest.mark.parametrize(("split", "said"), [("", True), ("test", False)])
def test_that_nothing_is_held_out_to_compare_on_is_told_before_the_training(lesson, store, split, said):
    from app.training.session import prepare
    from tests.context import make_rows

    ctx = lesson()
    ctx.inputs["rows"] = make_rows(store, [*lesson_rows(20), replace(lesson_rows(1)[0], split=split, position=21)], name="other")
    prepare(ctx, QloraParams(**QUICK))
    assert bool(ctx.said("nothing to ask")) is said


def test_checkpoints_hold_no_pickle(lesson):
    ctx = lesson()
    train(ctx, max_steps=2, checkpoint_every=1)
    kinds = {file.suffix for file in ctx.workdir.rglob("*") if file.is_file()}
    assert kinds <= {".safetensors", ".json", ""}, kinds
    shutil.rmtree(ctx.workdir)


def test_qlora_on_a_cpu_learns_over_an_nf4_base_with_double_quantisation(lesson):
    from bitsandbytes.nn import Linear4bit

    from app.training import session

    ctx = lesson()
    plan = session.prepare(ctx, QloraParams(**{**QUICK, "method": "qlora", "max_steps": 12}))
    trainer, reporter = session.build(ctx, plan)
    layers = [module for module in trainer.model.modules() if isinstance(module, Linear4bit)]
    assert len(layers) == 14
    assert all(layer.weight.quant_state.quant_type == "nf4" and layer.weight.quant_state.nested for layer in layers)
    assert all(layer.weight.dtype == torch.uint8 for layer in layers)
    session._train(ctx, plan, trainer, reporter, None)
    losses = ctx.series("train.eval_loss")
    assert losses[-1] < losses[0] - 0.1
