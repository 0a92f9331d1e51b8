"""Packed weights give the same products to the last bit, or are not used."""

from __future__ import annotations

import pytest
import torch

from app.evaluation import packed as module
from app.evaluation.packed import FEW, packed

pytestmark = pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor has no 16-bit products")


def model(dtype: torch.dtype = torch.bfloat16) -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(192, 320), torch.nn.SiLU(), torch.nn.Linear(320, 64, bias=False)).to(dtype)


def changed(layers: torch.nn.Module) -> int:
    return sum("forward" in vars(layer) for layer in layers.modules())


@pytest.mark.parametrize("rows", [1, 7, 33, FEW, FEW + 1, 200])
def test_products_are_equal_to_the_last_bit(rows):
    layers, x = model(), torch.randn(2, rows, 192).bfloat16()[:1 if rows <= FEW else 2]
    with torch.inference_mode():
        plain = layers(x)
        with packed(layers):
            assert changed(layers) == 2
            assert torch.equal(layers(x), plain)
    assert changed(layers) == 0


def test_weights_that_change_between_two_uses_are_packed_anew():
    layers, x = model(), torch.randn(3, 192).bfloat16()
    with torch.inference_mode():
        with packed(layers):
            before = layers(x)
        layers[0].weight.data.mul_(-1)
        plain = layers(x)
        with packed(layers):
            assert torch.equal(layers(x), plain)
    assert not torch.equal(plain, before)


@pytest.mark.parametrize(("name", "value", "left"), [
    pytest.param("_forward", lambda layer, weight, x: layer(x) + 1, 0, id="another result"),
    pytest.param("_pack", lambda weight: torch.ops.mkldnn.no_such_thing(weight), 0, id="a torch without it"),
    pytest.param("SHARE", 0.0, 0, id="too little memory"),
    pytest.param("FEW", FEW, 2, id="as it is"),
])
def test_what_is_not_shown_equal_or_does_not_fit_stays_as_it_is(monkeypatch, name, value, left):
    monkeypatch.setattr(module, name, value)
    layers = model()
    with packed(layers):
        assert changed(layers) == left


def test_other_number_formats_and_layers_stay_as_they_are():
    class Own(torch.nn.Linear):
        pass

    for layers in (model(torch.float32), torch.nn.Sequential(Own(192, 64)).bfloat16()):
        with packed(layers):
            assert changed(layers) == 0


def test_an_error_inside_leaves_the_model_as_it_was():
    layers = model()
    with pytest.raises(ValueError, match="stop"), packed(layers):
        raise ValueError("stop")
    assert changed(layers) == 0
