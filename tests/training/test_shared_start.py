"""A start that all rows of a batch share is read once: same loss, same gradients, no row sees another."""

import pytest
import torch

from app.training.attention import share_starts, use_causal_attention
from app.training.examples import IGNORED, Buckets, Example
from app.training.fast_lora import speed_up
from app.training.losses import answer_loss
from app.training.shared_start import SHARES, Layout, measure_load, shared_start
from tests.training.test_kernels import batch, gradients, tiny

START = 11


@pytest.fixture
def model(tmp_path):
    made = tiny(tmp_path)
    speed_up(made)
    use_causal_attention(made.get_base_model())
    return made


def sharing_batch():
    """Three rows of 13 to 27 tokens that share their first 11."""
    ids, labels = batch([24, 13, 27])
    ids[:, :START] = ids[0, :START]
    labels[:, :START + 1] = IGNORED  # the last shared token predicts none
    return ids, labels


def test_loss_and_gradients_equal_those_of_whole_rows(model):
    ids, labels = sharing_batch()
    assert shared_start(ids, labels) == START
    whole, plain = gradients(model, ids, labels)
    assert share_starts(model.get_base_model())
    once, found = gradients(model, ids, labels)
    assert once == pytest.approx(whole, rel=1e-6)
    assert all(torch.allclose(found[name], grad, atol=1e-6, rtol=1e-3) for name, grad in plain.items())
    assert all(grad.abs().max() > 0 for grad in found.values())


def test_the_start_goes_through_the_model_once(model, monkeypatch):
    ids, labels = sharing_batch()
    share_starts(model.get_base_model())
    seen = []
    layer = model.get_base_model().model.layers[0]
    layer.register_forward_hook(lambda module, args, out: seen.append(out.shape[:2].numel()))
    answer_loss(model.get_base_model(), ids, labels)
    assert seen == [START + 3 * (27 - START)]


def test_changing_one_rows_rest_leaves_the_others_loss_unchanged(model):
    ids, labels = sharing_batch()
    assert share_starts(model.get_base_model())
    labels[0] = IGNORED
    before, _ = answer_loss(model.get_base_model(), ids, labels)
    ids[0, START:] = torch.randint(5, 40000, ids[0, START:].shape)
    after, _ = answer_loss(model.get_base_model(), ids, labels)
    assert float(before) == float(after)


@pytest.mark.parametrize(("ids", "labels", "start"), [
    pytest.param([[1, 2, 3, 4], [1, 2, 9, 4]], [[-100, -100, -100, 4]] * 2, 2, id="until they differ"),
    pytest.param([[1, 2, 3, 4], [1, 2, 3, 4]], [[-100, -100, 3, 4]] * 2, 1, id="a token that predicts a label is not shared"),
    pytest.param([[1, 2, 3], [9, 2, 3]], [[-100, -100, 3]] * 2, 0, id="nothing in common"),
    pytest.param([[1, 2, 3], [1, 2, 3]], [[1, 2, 3]] * 2, 0, id="plain text"),
])
def test_what_counts_as_shared(ids, labels, start):
    assert shared_start(torch.tensor(ids), torch.tensor(labels)) == start


def test_a_model_whose_attention_cannot_read_the_layout_reads_whole_rows(tmp_path):
    causal = tiny(tmp_path).get_base_model()
    assert not share_starts(causal)
    assert not getattr(causal, SHARES, False)


def test_a_trial_that_differs_leaves_sharing_off(model, monkeypatch):
    inputs = Layout.inputs
    monkeypatch.setattr(Layout, "inputs", lambda self, ids: inputs(self, ids.roll(1, 1)))
    assert not share_starts(model.get_base_model())


@pytest.mark.parametrize(("shared", "largest", "share"), [
    pytest.param(False, 2 * 20, 40 / 36, id="whole rows"), pytest.param(True, 9 + 2 * 11, 31 / 36, id="start once")])
def test_a_plan_counts_what_goes_through_the_model(shared, largest, share):
    examples = [Example(list(range(length)), [IGNORED] * 10 + list(range(10, length))) for length in (20, 16)]
    load = measure_load(examples, Buckets([20, 16], 64, 0), shared=shared)
    assert (load.largest, load.share) == (largest, pytest.approx(share))
