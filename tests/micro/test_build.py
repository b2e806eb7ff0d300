"""Lowering: what becomes part of what, and what is left out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from networks import around, network, pruned
from steerage.micro import Units, build
from steerage.micro.ir import Activate, Affine, Bins, Conv, Features, Gather, Linear, Op, Pixels, Pool, Softmax
from steerage.nn import PiecewiseLinear, Reduce


def ops(net: object, **options: object) -> list[Op]:
    return [*build(net.model, net.preprocess, masks=net.masks, **options).ops]  # type: ignore[attr-defined,arg-type]


def kinds(found: list[Op]) -> list[str]:
    return [type(op).__name__ for op in found]


def test_norms_activations_poolings_and_dropouts_are_part_of_the_layers_before_them() -> None:
    assert kinds(ops(network("cnn"))) == ["Conv", "Conv", "Linear", "Linear"]
    assert kinds(ops(network("mlp", dropout=0.2))) == ["Features", "Linear", "Linear", "Linear"]


def test_a_norm_that_is_read_beside_its_layer_stays_a_scale_and_a_shift() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.norm = nn.Linear(9, 4), nn.BatchNorm1d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.a(x.flatten(1))
            return y + self.norm(y)

    assert kinds(ops(around(Twice(), (1, 3, 3)))) == ["Linear", "Affine", "Combine"]


def test_bytes_of_an_image_are_read_by_a_linear_layer_as_they_are() -> None:
    found = ops(around(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), (1, 3, 4)))
    (linear,) = found
    assert isinstance(linear, Linear)
    assert linear.x.dtype == "uint8"


def test_bytes_of_an_image_are_read_by_a_convolution_as_they_are() -> None:
    (conv, *_) = ops(around(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), (1, 4, 4)))
    assert isinstance(conv, Conv)
    assert conv.mean is not None
    assert conv.mean.tolist() == pytest.approx([110.0])


def test_other_readers_of_an_image_get_a_map_of_pixels() -> None:
    found = ops(around(nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(16, 4)), (1, 4, 4)))
    assert [type(op) for op in found] == [Pixels, Activate, Linear]


def test_scaling_of_a_table_is_left_to_linear_layers_where_no_digits_are_lost() -> None:
    net = network()
    assert isinstance(net.preprocess.columns[0].mean, float)  # type: ignore[attr-defined]
    features = ops(net)[0]
    assert isinstance(features, Features) and features.clipped
    far = replace(net.preprocess, columns=tuple(replace(one, mean=1e6) for one in net.preprocess.columns))  # type: ignore[type-var,attr-defined]
    features = ops(replace(net, preprocess=far))[0]
    assert isinstance(features, Features) and not features.clipped


def test_features_beside_others_behind_an_activation_are_scaled_at_once() -> None:
    class Beside(nn.Module):
        def __init__(self, features: int) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(features, 2), nn.Linear(features + 2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(torch.relu(torch.cat((x, self.a(x)), 1)))

    net = network()
    found = ops(replace(net, model=Beside(net.spec.input_shape[0]), masks={}))
    assert isinstance(found[0], Features) and not found[0].clipped
    assert kinds(found) == ["Features", "Linear", "Join", "Activate", "Linear"]


def test_an_encoding_needs_numbers_that_are_scaled() -> None:
    features = ops(network(bins=4))[0]
    assert isinstance(features, Features) and not features.clipped


def test_only_what_is_read_is_computed() -> None:
    net = network()
    features = net.spec.input_shape[0]
    model = nn.Sequential(PiecewiseLinear(features, 4), nn.Linear(features * 5, 3))
    mask = torch.zeros(3, features * 5, dtype=torch.bool)
    mask[0, features] = mask[1, features + 1] = mask[2, features + 4 * 2 + 3] = (
        True  # two bins of one input, one of another
    )
    found = ops(replace(net, model=model, masks={"1.weight": mask}))
    (bins,) = [op for op in found if isinstance(op, Bins)]
    (table,) = [op for op in found if isinstance(op, Features)]
    assert [len(run.edges) - 1 for run in bins.runs] == [2, 1]
    assert table.output.size == 2


def test_bins_that_are_always_zero_are_not_there() -> None:
    net = network()
    encoding = PiecewiseLinear(net.spec.input_shape[0], 4)
    encoding.live[2:4] = False
    encoding.live[4:8] = False
    found = ops(replace(net, model=nn.Sequential(encoding, nn.Linear(net.spec.input_shape[0] * 5, 3)), masks={}))
    (bins,) = [op for op in found if isinstance(op, Bins)]
    assert [len(run.edges) - 1 for run in bins.runs][:2] == [2, 4]
    assert bins.output.size == 4 * net.spec.input_shape[0] - 6


def test_a_selection_costs_nothing() -> None:
    net = network()
    features = net.spec.input_shape[0]
    chosen = Reduce(features, 3, method="select")
    found = ops(replace(net, model=nn.Sequential(chosen, nn.Linear(3, 3)), masks={}))
    assert kinds(found) == ["Features", "Linear"]
    assert found[0].output.size == 3


def test_skips_are_vectors_side_by_side() -> None:
    found = ops(network(skips=True, depth=2))
    assert kinds(found) == ["Features", "Linear", "Join", "Linear", "Join", "Linear"]


def test_a_flattened_map_is_read_in_the_order_of_memory() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(12, 4))
    linear = ops(around(model, (1, 2, 3)))[1]
    assert isinstance(linear, Linear)
    weight = model[2].weight.double()
    # In memory [y][channel][x], in the vector [channel][y][x].
    order = [(channel * 2 + y) * 3 + x for y in range(2) for channel in range(2) for x in range(3)]
    assert torch.equal(linear.weights.values, weight[:, order])


def test_a_map_that_is_returned_is_put_in_order() -> None:
    found = ops(around(nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten()), (1, 1, 2), outputs=4))
    assert kinds(found) == ["Conv", "Gather"] or kinds(found) == ["Conv"]
    found = ops(around(nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten()), (1, 2, 2), outputs=8))
    assert isinstance(found[-1], Gather)


def test_outputs_of_a_regression_are_scaled_by_the_last_layer() -> None:
    net = network(regression=True)
    plain, scaled = ops(net)[-1], ops(net, units=Units(100.0, 10.0))[-1]
    assert isinstance(plain, Linear) and isinstance(scaled, Linear)
    assert torch.allclose(scaled.weights.values, plain.weights.values * 10.0)
    assert plain.weights.bias is not None and scaled.weights.bias is not None
    assert torch.allclose(scaled.weights.bias, plain.weights.bias * 10.0 + 100.0)
    bent = replace(net, model=nn.Sequential(net.model, nn.Tanh()), masks={})
    assert isinstance(ops(bent, units=Units(100.0, 10.0))[-1], Affine)


def test_probabilities_are_one_operation_more() -> None:
    net = network()
    assert isinstance(ops(net, softmax=True)[-1], Softmax)
    assert not any(isinstance(op, Softmax) for op in ops(net))


def test_overlapping_poolings_stay_apart() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(3, 2), nn.Flatten())
    assert [type(op) for op in ops(around(model, (1, 7, 7), outputs=8))][:2] == [Conv, Pool]


def test_layers_without_readers_are_left_out() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(9, 4), nn.Linear(9, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.flatten(1)
            self.b(x)
            return self.a(x)

    assert kinds(ops(around(Unused(), (1, 3, 3)))) == ["Linear"]


def test_the_network_stays_as_it_is() -> None:
    net = pruned(network("cnn"))
    net.model.train()
    before = {name: tensor.clone() for name, tensor in net.model.state_dict().items()}
    ops(net)
    assert net.model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in net.model.state_dict().items())


def test_structure_is_the_same_without_storage() -> None:
    for net in (network(bins=4, skips=True), network("resnet", width=8, shortcut="pad")):
        real = ops(net)
        net.model.to("meta")
        bare = ops(net)
        assert kinds(real) == kinds(bare)
        assert [op.output.shape for op in real] == [op.output.shape for op in bare]
