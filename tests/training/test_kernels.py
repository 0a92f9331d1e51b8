"""Loss, attention, adapted layer and optimiser equal their plain forms."""

import pytest
import torch
import torch.nn.functional as functional

from app.training.attention import CausalProducts, use_causal_attention
from app.training.base import add_adapters, load_base, trainable
from app.training.examples import IGNORED
from app.training.fast_lora import speed_up
from app.training.fast_norm import speed_up_norms
from app.training.losses import FrozenHeadLoss, answer_loss, has_plain_head
from app.training.optimizer import MasterAdamW


def tiny(folder, **changes):
    from app.config.model_files import check_model_folder
    from tests.tiny import tiny_llama

    base = load_base(check_model_folder(tiny_llama(folder, dtype="float32")), "lora", dtype="float32")
    model = add_adapters(base, r=4, alpha=8, dropout=0.0, target="all-linear", seed=0)
    with torch.no_grad():
        for name, param in trainable(model).items():
            if "lora_B" in name:
                param.normal_(std=0.02)
    return model


def batch(lengths, seed=0):
    chance = torch.Generator().manual_seed(seed)
    ids = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
    labels = torch.full_like(ids, IGNORED)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(5, 40000, (length,), generator=chance)
        labels[row, length // 2:length] = ids[row, length // 2:length]
    return ids, labels


def gradients(model, ids, labels):
    model.zero_grad()
    loss, count = answer_loss(model.get_base_model(), ids, labels)
    (loss / count).backward()
    return float(loss / count), {name: param.grad.clone() for name, param in trainable(model).items()}


def test_loss_and_gradient_equal_cross_entropy_across_chunks():
    torch.manual_seed(0)
    hidden, weight = torch.randn(600, 8, requires_grad=True), torch.randn(50, 8)
    target = torch.randint(0, 50, (600,))
    functional.cross_entropy(hidden @ weight.t(), target, reduction="sum").backward()
    plain, hidden.grad = hidden.grad, None
    ours = FrozenHeadLoss.apply(hidden, weight, target)
    (ours * 1).backward()
    assert torch.allclose(hidden.grad, plain, atol=1e-5)
    expected = functional.cross_entropy(hidden.detach() @ weight.t(), target, reduction="sum")
    assert float(ours) == pytest.approx(float(expected), rel=1e-6)


def test_attention_and_its_gradients_equal_torchs():
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 17, 8, dtype=torch.float64, requires_grad=True) for _ in range(3))
    plain = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    push = torch.randn_like(plain)
    expected = torch.autograd.grad(plain, (query, key, value), push)
    flat = [part.reshape(6, 17, 8) for part in (query, key, value)]
    ours = CausalProducts.apply(*flat, 8**-0.5).view_as(plain)
    found = torch.autograd.grad(ours, (query, key, value), push)
    assert torch.allclose(ours, plain, atol=1e-6)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(found, expected, strict=True))


def test_fast_layers_and_attention_equal_pefts_with_grouped_heads(tmp_path):
    model = tiny(tmp_path)
    ids, labels = batch([9, 23, 14])
    plain_loss, plain = gradients(model, ids, labels)
    assert speed_up(model) == 14
    assert speed_up_norms(model) == 5
    assert use_causal_attention(model.get_base_model())
    loss, found = gradients(model, ids, labels)
    assert loss == pytest.approx(plain_loss, rel=1e-6)
    for name, grad in plain.items():
        assert torch.allclose(found[name], grad, atol=1e-6, rtol=1e-3), name


def test_a_norm_that_computes_something_else_is_left_alone():
    from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    plain, other = LlamaRMSNorm(16), GemmaRMSNorm(16)
    other.variance_epsilon = other.eps  # as if it were of the same kind: Gemma multiplies by 1 + weight
    for norm in (plain, other):
        torch.nn.init.uniform_(norm.weight, 0.5, 2)
        norm.requires_grad_(False)
    assert speed_up_norms(torch.nn.ModuleList([plain, other])) == 1
    assert "forward" in vars(plain)


def test_loss_on_label_positions_equals_transformers_own(tmp_path):
    model = tiny(tmp_path)
    causal = model.get_base_model()
    assert has_plain_head(causal)
    ids, labels = batch([12, 30])
    own = causal(input_ids=ids, labels=labels).loss
    loss, count = answer_loss(causal, ids, labels)
    assert float(loss / count) == pytest.approx(float(own), rel=1e-5)


@pytest.mark.parametrize("fast", [False, True], ids=["torch's attention", "our attention"])
def test_changing_one_document_leaves_the_others_loss_unchanged(tmp_path, fast):
    model = tiny(tmp_path)
    if fast:
        speed_up(model)
        use_causal_attention(model.get_base_model())
    ids, labels = batch([8, 21, 15])
    keep = labels.clone()
    keep[0] = IGNORED  # the loss of documents 2 and 3 alone
    before, _ = answer_loss(model.get_base_model(), ids, keep)
    changed = ids.clone()
    changed[0] = torch.randint(5, 40000, changed[0].shape)
    after, _ = answer_loss(model.get_base_model(), changed, keep)
    assert float(before) == float(after)
    alone, _ = answer_loss(model.get_base_model(), ids[1:2, :21], labels[1:2, :21])
    third, _ = answer_loss(model.get_base_model(), ids[2:, :15], labels[2:, :15])
    assert float(alone + third) == pytest.approx(float(before), rel=1e-5)


def test_masters_take_steps_that_bfloat16_cannot():
    param = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    optimizer = MasterAdamW([param], lr=1e-4)
    for _ in range(100):
        param.grad = torch.ones(4, dtype=torch.bfloat16)
        optimizer.step()
    assert float(param[0]) == pytest.approx(0.99, abs=0.004)  # 1e-4 steps from 1.0 are below bfloat16's spacing


def test_fp32_steps_equal_torchs_adamw():
    torch.manual_seed(0)
    ours, plain = ([torch.nn.Parameter(torch.full((3, 2), 0.5)), torch.nn.Parameter(torch.ones(5))] for _ in range(2))
    one, other = MasterAdamW(ours, lr=0.01, weight_decay=0.1), torch.optim.AdamW(plain, lr=0.01, weight_decay=0.1)
    for _ in range(5):
        for a, b in zip(ours, plain, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        one.step()
        other.step()
    for a, b in zip(ours, plain, strict=True):
        assert torch.allclose(a, b, atol=1e-6)
