from __future__ import annotations

import torch
from torch import nn

from steerage.growprune import masks as masking
from tasks import Branched, convolutional


def test_weights_of_linear_and_convolution_layers_have_masks() -> None:
    assert list(masking.full(convolutional())) == ["0.weight", "4.weight", "9.weight"]
    assert list(masking.full(nn.Linear(2, 3))) == ["weight"]
    assert list(masking.full(Branched())) == [
        "first.weight",
        "second.weight",
        "frozen.weight",
        "unused.weight",
        "last.weight",
    ]


def test_a_shared_weight_has_one_mask() -> None:
    one, other = nn.Linear(4, 4), nn.Linear(4, 4)
    other.weight = one.weight
    assert list(masking.full(nn.Sequential(one, nn.ReLU(), one, other))) == ["0.weight"]


def test_every_connection_of_full_masks_is_active() -> None:
    masks = masking.full(convolutional())
    assert masking.active(masks) == 8 * 9 + 8 * 8 * 9 + 2 * 8
    assert all(mask.dtype == torch.bool for mask in masks.values())


def test_a_layer_that_starts_at_zero_is_active() -> None:
    model = convolutional()
    with torch.no_grad():
        model.get_parameter("4.weight").zero_()
        model.get_parameter("0.weight")[0] = 0
    masks = masking.initial(model)
    assert masks["4.weight"].all()
    assert masks["0.weight"].flatten(1).all(1).tolist() == [False] + [True] * 7


def test_masks_that_are_applied_can_be_read_off_the_weights() -> None:
    model = convolutional()
    masks = {name: torch.rand_like(weight) < 0.5 for name, weight in masking.weights(model).items()}
    biases = {name: value.clone() for name, value in model.named_parameters() if name not in masks}
    masking.apply_(model, masks)
    found = masking.from_weights(model)
    assert all(torch.equal(found[name], mask) for name, mask in masks.items())
    assert all(torch.equal(model.get_parameter(name), value) for name, value in biases.items())


def test_layers_without_a_mask_are_left_alone() -> None:
    model = convolutional()
    before = model.get_parameter("9.weight").clone()
    masking.apply_(model, {"0.weight": torch.zeros(8, 1, 3, 3, dtype=torch.bool)})
    assert not model.get_parameter("0.weight").any()
    assert torch.equal(model.get_parameter("9.weight"), before)
