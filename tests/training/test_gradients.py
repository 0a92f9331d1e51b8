"""The bitsandbytes trap: gradients after an evaluation and a generation equal those before."""

import pytest
import torch

from app.config.model_files import check_model_folder
from app.training.base import add_adapters, disarm_cpu_packing, load_base, trainable
from app.training.hardware import cpu_flags
from app.training.losses import answer_loss


def adapted(tiny, method):
    model = add_adapters(load_base(check_model_folder(tiny), method), r=4, alpha=8, dropout=0.0, target="all-linear", seed=0)
    with torch.no_grad():
        for name, param in trainable(model).items():
            if "lora_B" in name:
                param.normal_(std=0.02)
    return model


def gradients(model):
    ids = torch.arange(5, 45).view(2, 20)
    model.train().zero_grad()
    total, count = answer_loss(model.get_base_model(), ids, ids)
    (total / count).backward()
    return {name: param.grad.clone() for name, param in trainable(model).items()}


def evaluate_and_generate(model):
    model.eval()
    with torch.no_grad():
        answer_loss(model.get_base_model(), torch.arange(5, 25)[None], torch.arange(5, 25)[None])
        model.generate(input_ids=torch.arange(5, 15)[None], max_new_tokens=3, do_sample=False)


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_gradients_after_evaluation_and_generation_are_bit_equal(tiny, method):
    model = adapted(tiny, method)
    before = gradients(model)
    evaluate_and_generate(model)
    after = gradients(model)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(grad.abs().max() > 0 for grad in after.values())


def test_every_four_bit_layer_is_disarmed(tiny):
    from bitsandbytes.nn import Linear4bit

    model = adapted(tiny, "qlora")
    layers = [module for module in model.modules() if isinstance(module, Linear4bit)]
    assert len(layers) == 14
    assert disarm_cpu_packing(model) == 14
    assert not any(layer.support_avx512bf16_for_cpu for layer in layers)


@pytest.mark.skipif("avx512_bf16" not in cpu_flags(), reason="the processor lacks AVX512-BF16")
def test_without_the_fix_the_gradients_die(tiny, monkeypatch):
    """Shows that the test above can fail: the trap is still there in the installed bitsandbytes."""
    from app.training import base

    monkeypatch.setattr(base, "disarm_cpu_packing", lambda model: 0)
    model = adapted(tiny, "qlora")
    before = gradients(model)
    evaluate_and_generate(model)
    try:
        after = gradients(model)
    except RuntimeError:
        return  # no gradient reaches the loss at all
    assert not all(torch.equal(before[name], after[name]) for name in before)
