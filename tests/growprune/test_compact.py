from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steerage.bundle.rebuild import groups_of, resize_, shapes_of
from steerage.cost import count
from steerage.data import TaskSpec
from steerage.errors import BadArgument, UnsupportedLayer
from steerage.growprune import masks as masking
from steerage.growprune.compact import compact
from steerage.growprune.masks import Masks
from steerage.nn import ACTIVATIONS, FeedForward, PaddedResidual, Reduce, Residual, SqueezeExcitation, activation
from steerage.templates import TEMPLATES

TABLE = TaskSpec("classification", "table", (12,), 3, 500)
IMAGE = TaskSpec("classification", "image", (2, 8, 8), 4, 500)
SIGNAL = TaskSpec("classification", "signal", (3, 24), 3, 500)


class Traceable(nn.Module):
    """A forward function of one's own over named layers."""

    def __init__(self, forward: Callable[[Any, Tensor], Any], **layers: nn.Module) -> None:
        super().__init__()
        self.function = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


class Branching(nn.Module):
    """Cannot be traced: looks at the values of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x)
        return y if x.sum() > 0 else -y


def trained(model: nn.Module) -> Any:
    """``model`` in double precision, with statistics and biases that are not those of a fresh network."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.running_mean is not None:
            assert module.running_var is not None
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return model.double()


def random_masks(model: nn.Module, density: float) -> Masks:
    return {name: torch.rand(weight.shape) < density for name, weight in masking.weights(model).items()}


def kill_(layer: Any, *rows: int) -> None:
    with torch.no_grad():
        layer.weight[list(rows)] = 0.0


def unread_(layer: Any, *columns: int) -> None:
    with torch.no_grad():
        layer.weight[:, list(columns)] = 0.0


def compacted(
    model: nn.Module, shape: tuple[int, ...], masks: Masks | None = None, *, tolerance: float = 1e-9
) -> nn.Module:
    """``compact(model)``, after checking all that it promises for any network."""
    given = copy.deepcopy(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    small, small_masks = compact(model, shape, masks=masks)

    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [module.training for module in small.modules()] == [module.training for module in model.modules()]
    assert [type(module) for module in small.modules()] == [type(module) for module in model.modules()]
    assert {name for name, _ in model.named_parameters()} <= {name for name, _ in small.named_parameters()}
    assert set(small_masks) == set(masking.weights(small))
    for name, mask in small_masks.items():
        weight = small.get_parameter(name)
        assert mask.shape == weight.shape and not weight[~mask].any()
    for name, parameter in small.named_parameters():
        assert parameter.numel() > 0 and parameter.is_leaf
        assert name not in before or parameter.dtype == before[name].dtype

    masking.apply_(given, masks or {})
    x = torch.randn(5, *shape, dtype=next(iter(before.values())).dtype)
    with torch.no_grad():
        expected, result = given.eval()(x.clone()), copy.deepcopy(small).eval()(x.clone())
    torch.testing.assert_close(result, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max()))

    old = count(copy.deepcopy(model).float(), shape, masks=masks or masking.from_weights(model))
    new = count(copy.deepcopy(small).float(), shape, masks=small_masks)
    assert new.params <= old.params and new.macs <= old.macs
    assert new.dense_params <= old.dense_params and new.dense_macs <= old.dense_macs
    again, _ = compact(small, shape, masks=small_masks)
    assert shapes_of(again) == shapes_of(small)
    return small


def widths(model: nn.Module) -> list[int]:
    return [len(weight) for weight in masking.weights(model).values()]


@pytest.mark.parametrize("density", [0.5, 0.1, 0.01])
@pytest.mark.parametrize(
    ("template", "spec"),
    [("mlp", TABLE), ("cnn", IMAGE), ("resnet", IMAGE), ("mobile", IMAGE), ("signal", SIGNAL)],
)
def test_any_network_of_a_template_keeps_its_function(template: str, spec: TaskSpec, density: float) -> None:
    for values in TEMPLATES[template].space(spec).sample_sobol(6, seed=3):
        model = trained(TEMPLATES[template].build(values, spec))
        compacted(model, spec.input_shape, random_masks(model, density))


@pytest.mark.parametrize("density", [0.3, 0.05, 0.01])
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("skips", [False, True])
def test_feedforward_loses_units(skips: bool, norm: bool, density: float) -> None:
    model = trained(FeedForward((40, 30, 20), inputs=6, outputs=3, norm=norm, skips=skips, dropout=0.1))
    small = compacted(model, (6,), random_masks(model, density))
    assert sum(widths(small)) < sum(widths(model))


def test_single_precision_is_close_to_its_rounding() -> None:
    model = trained(FeedForward((40, 30), inputs=6, outputs=3)).float()
    compacted(model, (6,), random_masks(model, 0.1), tolerance=1e-6)


def test_without_masks_zeros_are_dormant() -> None:
    model: Any = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    unread_(model[2], 1, 3)
    small, masks = compact(model, (4,))
    assert widths(small) == [3, 2]
    assert masks["0.weight"].all() and masks["0.weight"].shape == (3, 4)


def test_a_dense_network_stays_as_it_is() -> None:
    model: Any = TEMPLATES["cnn"].build(TEMPLATES["cnn"].baseline(IMAGE), IMAGE)
    small, masks = compact(model, IMAGE.input_shape)
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in small.state_dict().items())
    assert all(mask.all() for mask in masks.values())


def test_the_numbers_that_modules_keep_agree_with_their_tensors() -> None:
    model: Any = FeedForward((8,), inputs=3, outputs=2, norm=True)
    unread_(model.output, 0, 1, 2)
    small: Any = compacted(model, (3,), tolerance=1e-6)
    layer = small.hidden[0]
    assert (layer.linear.in_features, layer.linear.out_features, layer.norm.num_features) == (3, 5, 5)
    assert small.output.in_features == 5


def test_masked_weights_that_are_not_zero_count_as_zero() -> None:
    model: Any = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)).double()
    masks = masking.full(model)
    masks["2.weight"][:, 2:] = False
    assert widths(compacted(model, (4,), masks)) == [2, 2]


def test_layers_that_masks_leave_out_get_one() -> None:
    model: Any = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)).double()
    _, masks = compact(model, (4,), masks={"2.weight": torch.rand(2, 5) < 0.5})
    assert set(masks) == {"0.weight", "2.weight"}


@pytest.mark.parametrize("training", [False, True])
def test_modes_are_kept(training: bool) -> None:
    model: Any = FeedForward((8, 8), inputs=3, outputs=2, dropout=0.5).train(training)
    model.hidden[0].train(not training)
    compacted(model, (3,), random_masks(model, 0.3), tolerance=1e-6)


def test_frozen_parameters_stay_frozen() -> None:
    model: Any = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    model[0].requires_grad_(False)
    unread_(model[2], 1)
    small, _ = compact(model, (4,))
    assert [parameter.requires_grad for parameter in small.parameters()] == [False, False, True, True]


# Constants


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_a_unit_without_inputs_becomes_part_of_the_biases_that_read_it(name: str, norm: bool) -> None:
    model = trained(FeedForward((6, 5), inputs=4, outputs=3, activation=name, norm=norm))
    kill_(model.hidden[0].linear, 1, 4)
    assert widths(compacted(model, (4,))) == [4, 5, 3]


@pytest.mark.parametrize(
    "function",
    [
        F.relu,
        torch.tanh,
        lambda x: x.sigmoid(),
        lambda x: F.gelu(x, approximate="tanh"),
        lambda x: 2 * x + 1,
        lambda x: F.hardswish(x, inplace=True),
        lambda x: F.dropout(x, 0.5, training=False),
        lambda x: x.clamp(min=0.5),
    ],
)
def test_constants_pass_through_functions(function: Callable[[Tensor], Tensor]) -> None:
    model: Any = Traceable(lambda m, x: m.b(function(m.a(x))), a=nn.Linear(4, 6), b=nn.Linear(6, 2)).double()
    kill_(model.a, 0, 3)
    assert widths(compacted(model, (4,))) == [4, 2]


def test_a_norm_that_scales_by_zero_makes_constants() -> None:
    model = trained(FeedForward((6,), inputs=4, outputs=3))
    with torch.no_grad():
        model.hidden[0].norm.weight[2] = 0.0
    assert widths(compacted(model, (4,))) == [5, 3]


def test_convolutions_without_padding_take_constants_in() -> None:
    model: Any = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 3, 3)).double()
    kill_(model[0], 0)
    assert widths(compacted(model, (1, 6, 6))) == [3, 3]


@pytest.mark.parametrize("mode", ["reflect", "circular", "replicate"])
def test_padding_with_the_values_themselves_takes_constants_in(mode: Any) -> None:
    model: Any = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Conv2d(4, 3, 3, padding=1, padding_mode=mode)).double()
    kill_(model[0], 0)
    assert widths(compacted(model, (1, 6, 6))) == [3, 3]


@pytest.mark.parametrize("padding", [1, "same"])
@pytest.mark.parametrize(("bias", "width"), [(-1.0, 3), (1.0, 4)])
def test_padded_convolutions_take_only_zeros_in(padding: Any, bias: float, width: int) -> None:
    model: Any = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=padding)).double()
    kill_(model[0], 2)
    with torch.no_grad():
        model[0].bias[2] = bias
    assert widths(compacted(model, (1, 6, 6))) == [width, 3]


def test_without_a_bias_the_norm_that_follows_takes_constants_in() -> None:
    layers = [nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Conv2d(4, 3, 1, bias=False), nn.BatchNorm2d(3), nn.ReLU()]
    model = trained(nn.Sequential(*layers, nn.Flatten(), nn.Linear(48, 2)))
    kill_(model[0], 1)
    small: Any = compacted(model, (1, 6, 6))
    assert widths(small) == [3, 3, 2]
    assert small[2].bias is None


def test_a_bias_is_made_if_it_costs_no_more_than_the_connections_it_replaces() -> None:
    model: Any = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3, bias=False)).double()
    kill_(model[0], 1)
    small: Any = compacted(model, (4,))
    assert small[2].bias.shape == (3,)
    with torch.no_grad():
        model[2].weight[1:, 1] = 0.0
    small = compacted(model, (4,))
    assert small[2].bias is None and widths(small) == [5, 3]


@pytest.mark.parametrize(("pool", "width"), [(nn.MaxPool2d(3, padding=1), 3), (nn.AvgPool2d(2), 3)])
def test_constants_pass_through_pooling(pool: nn.Module, width: int) -> None:
    model: Any = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), pool, nn.Flatten(), nn.LazyLinear(3))
    model(torch.zeros(1, 1, 6, 6))
    kill_(model[0], 1)
    assert widths(compacted(model.double(), (1, 6, 6))) == [width, 3]


def test_averages_over_padding_are_not_constant() -> None:
    model: Any = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Tanh(), nn.AvgPool2d(2, padding=1), nn.Flatten(), nn.LazyLinear(3)
    )
    model(torch.zeros(1, 1, 6, 6))
    kill_(model[0], 1)
    assert widths(compacted(model.double(), (1, 6, 6))) == [4, 3]


def test_random_values_are_not_constant() -> None:
    model: Any = Traceable(lambda m, x: m.b(F.dropout(m.a(x))), a=nn.Linear(4, 6), b=nn.Linear(6, 2))
    kill_(model.a, 0, 3)
    small, _ = compact(model, (4,))
    assert widths(small) == [6, 2]


# Chains


def test_removal_goes_back_through_the_layers() -> None:
    layers = [nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2)]
    model: Any = nn.Sequential(*layers).double()
    with torch.no_grad():
        for index in (2, 4):
            model[index].weight.copy_(torch.eye(6))
    unread_(model[6], 0, 1, 2)
    assert widths(compacted(model, (4,))) == [3, 3, 3, 2]


def test_constants_go_on_through_the_layers() -> None:
    model: Any = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    with torch.no_grad():
        model[2].weight.copy_(torch.eye(6))
    kill_(model[0], 0, 5)
    assert widths(compacted(model, (4,))) == [4, 4, 2]


def test_a_network_without_connections_keeps_one_unit_a_layer() -> None:
    model = trained(FeedForward((9, 9, 9), inputs=4, outputs=3, norm=True))
    small, masks = compact(model, (4,), masks={name: ~mask for name, mask in masking.full(model).items()})
    assert widths(small) == [1, 1, 1, 3]
    assert masking.active(masks) == 0


def test_one_cut_through_the_network_empties_all_before_it() -> None:
    model = trained(FeedForward((9, 9, 9), inputs=4, outputs=3, norm=True))
    masks = masking.full(model)
    masks["hidden.2.linear.weight"][:] = False
    small = compacted(model, (4,), masks)
    assert widths(small) == [1, 1, 1, 3]
    assert masking.active(masking.from_weights(small)) == 0


# Structure


def test_a_residual_channel_leaves_only_if_nobody_reads_the_sum() -> None:
    stem, body = nn.Conv2d(2, 6, 3, padding=1), nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU())
    model: Any = nn.Sequential(stem, nn.ReLU(), Residual(body), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
    model.double()
    kill_(body[0], 0)
    kill_(stem, 1)
    assert widths(compacted(model, (2, 5, 5))) == [6, 6, 3]
    unread_(model[5], 0, 1, 2)
    unread_(body[0], 0, 1)
    assert widths(compacted(model, (2, 5, 5))) == [4, 4, 3]


@pytest.mark.parametrize(
    "add",
    [lambda a, b: a + b, torch.add, lambda a, b: a.add(b, alpha=2), lambda a, b: torch.sub(a, b), lambda a, b: a * b],
)
def test_constants_add_up(add: Callable[[Tensor, Tensor], Tensor]) -> None:
    layers = {"a": nn.Linear(4, 6), "b": nn.Linear(4, 6), "c": nn.Linear(6, 2)}
    model: Any = Traceable(lambda m, x: m.c(torch.tanh(add(m.a(x), m.b(x)))), **layers).double()
    kill_(model.a, 0, 1)
    kill_(model.b, 1, 2)
    assert widths(compacted(model, (4,))) == [5, 5, 2]


def test_a_chain_of_residuals_shares_its_channels() -> None:
    def body() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6))

    blocks: list[Any] = [Residual(body()) for _ in range(4)]
    model: Any = nn.Sequential(nn.Linear(3, 6), *blocks, nn.Linear(6, 2)).double()
    for module in [*(block.body[0] for block in blocks), model[5]]:
        unread_(module, 2, 3)
    unread_(blocks[1].body[2], 0, 7)
    assert widths(compacted(model, (3,))) == [4, 8, 4, 6, 4, 8, 4, 8, 4, 2]


def test_a_padded_shortcut_keeps_its_channels_in_their_places() -> None:
    stem, body, head = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 6, 3, 2, 1), nn.Conv2d(6, 3, 1)
    model: Any = nn.Sequential(stem, nn.ReLU(), PaddedResidual(body, 2), nn.ReLU(), head).double()
    unread_(head, 1, 5)
    assert widths(compacted(model, (2, 5, 5))) == [4, 5, 3]
    unread_(body, 1)
    assert widths(compacted(model, (2, 5, 5))) == [3, 4, 3]


def test_constants_pass_a_padded_shortcut() -> None:
    stem, body, head = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 6, 1), nn.Conv2d(6, 3, 1)
    model: Any = nn.Sequential(stem, nn.Tanh(), PaddedResidual(body), nn.Tanh(), head).double()
    kill_(stem, 0, 3)
    kill_(body, 0, 1, 4)
    assert widths(compacted(model, (2, 5, 5))) == [3, 4, 3]


def test_a_channel_that_is_zero_leaves_with_its_gate() -> None:
    layers = [nn.Conv2d(2, 5, 1), nn.ReLU(), SqueezeExcitation(5, 2), nn.Conv2d(5, 3, 3, padding=1)]
    model: Any = nn.Sequential(*layers).double()
    kill_(model[0], 1, 2, 3)
    with torch.no_grad():
        model[0].bias[1:4] = torch.tensor([-1.0, 0.0, 1.0])
    small: Any = compacted(model, (2, 5, 5))
    assert widths(small) == [3, 2, 3, 3]


@pytest.mark.parametrize("gate", [lambda a, b: a * b, torch.mul, lambda a, b: b.mul(a)])
def test_zero_times_what_varies_is_constant(gate: Callable[[Tensor, Tensor], Tensor]) -> None:
    layers = {"a": nn.Linear(4, 6, bias=False), "b": nn.Linear(4, 6), "c": nn.Linear(6, 2)}
    model: Any = Traceable(lambda m, x: m.c(torch.tanh(gate(m.a(x), m.b(x)))), **layers).double()
    kill_(model.a, 0)
    kill_(model.b, 1)
    assert widths(compacted(model, (4,))) == [5, 5, 2]


def test_depthwise_filters_go_with_their_channel() -> None:
    spec = TaskSpec("classification", "image", (1, 8, 8), 3, 100)
    values = {**TEMPLATES["cnn"].baseline(spec), "separable": True, "channels": 6, "blocks": 2, "stages": 2}
    model = trained(TEMPLATES["cnn"].build(values, spec))
    block: Any = model.get_submodule("features.stage0_block1")
    unread_(block.conv, 0, 2)
    small: Any = compacted(model, spec.input_shape)
    depthwise = small.features.stage0_block1.depthwise
    assert (depthwise.in_channels, depthwise.out_channels, depthwise.groups) == (4, 4, 4)
    assert small.features.stage0_block0.conv.out_channels == 4


@pytest.mark.parametrize(("padding", "width"), [(0, 3), (1, 4)])
def test_constants_pass_through_depthwise_filters_without_padding(padding: int, width: int) -> None:
    layers = [nn.Conv2d(1, 4, 1), nn.Tanh(), nn.Conv2d(4, 4, 3, padding=padding, groups=4), nn.Conv2d(4, 2, 1)]
    model: Any = nn.Sequential(*layers).double()
    kill_(model[0], 3)
    assert widths(compacted(model, (1, 6, 6))) == [width, width, 2]


def test_a_channel_whose_depthwise_filter_is_zero_is_constant() -> None:
    layers = [nn.Conv2d(1, 4, 1), nn.Tanh(), nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 2, 1)]
    model: Any = nn.Sequential(*layers).double()
    kill_(model[2], 1)
    assert widths(compacted(model, (1, 6, 6))) == [3, 3, 2]


@pytest.mark.parametrize("dim", [1, -3])
def test_concatenated_channels_keep_their_places(dim: int) -> None:
    layers = {"a": nn.Conv2d(1, 4, 3), "b": nn.Conv2d(1, 5, 3), "c": nn.Conv2d(14, 2, 1)}
    model: Any = Traceable(lambda m, x: m.c(torch.cat([a := m.a(x), m.b(x), torch.relu(m.b2(a))], dim=dim)), **layers)
    model.b2 = nn.Conv2d(4, 5, 1)
    model.double()
    unread_(model.c, 0, 4, 5, 9)
    kill_(model.b2, 0, 1)
    small = compacted(model, (1, 6, 6))
    assert widths(small) == [4, 3, 2, 3]


@pytest.mark.parametrize(
    "flatten",
    [
        lambda x: x.flatten(1),
        lambda x: torch.flatten(x, 1),
        lambda x: x.view(x.size(0), -1),
        lambda x: x.reshape((x.shape[0], -1)),
    ],
)
def test_a_flattened_channel_leaves_with_all_its_pixels(flatten: Callable[[Tensor], Tensor]) -> None:
    layers = {"a": nn.Conv2d(1, 4, 3), "norm": nn.BatchNorm1d(64), "b": nn.Linear(64, 3)}
    model = trained(Traceable(lambda m, x: m.b(m.norm(flatten(torch.relu(m.a(x))))), **layers))
    unread_(model.b, *range(16, 32), *range(40, 48))
    small: Any = compacted(model, (1, 6, 6))
    assert widths(small) == [3, 3]
    assert small.b.in_features == small.norm.num_features == 48
    kill_(model.a, 0)
    assert widths(compacted(model, (1, 6, 6))) == [2, 3]


@pytest.mark.parametrize("average", [lambda x: x.mean((2, 3)), lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1)])
def test_averages_over_the_image_keep_channels(average: Callable[[Tensor], Tensor]) -> None:
    model: Any = Traceable(lambda m, x: m.b(average(m.a(x))), a=nn.Conv2d(1, 4, 3), b=nn.Linear(4, 3)).double()
    unread_(model.b, 1)
    kill_(model.a, 2)
    assert widths(compacted(model, (1, 6, 6))) == [2, 3]


# Left alone


@pytest.mark.parametrize(
    "middle",
    [
        nn.Conv2d(6, 6, 1, groups=2),
        nn.Conv2d(6, 12, 1, groups=6),
        nn.GroupNorm(2, 6),
        nn.ChannelShuffle(2),
        nn.PReLU(6),
        nn.Softmax(dim=1),
    ],
)
def test_channels_of_what_is_not_known_are_left_alone(middle: nn.Module) -> None:
    outputs = 12 if isinstance(middle, nn.Conv2d) and middle.groups == 6 else 6
    model: Any = nn.Sequential(
        nn.Conv2d(1, 6, 1), nn.ReLU(), middle, nn.Conv2d(outputs, 5, 1), nn.Conv2d(5, 2, 1)
    ).double()
    kill_(model[0], 0, 1)
    unread_(model[3], 0, 1, 4)
    unread_(model[4], 2)
    small: Any = compacted(model, (1, 4, 4))
    assert (len(small[0].weight), len(small[3].weight)) == (6, 4)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.view(-1, 24),
        lambda x: x.view(x.size(0), 24),
        lambda x: torch.reshape(input=x, shape=(-1, 24)),
        lambda x: F.softmax(x, dim=1).flatten(1),
        lambda x: x.reshape(x.shape[0], x.shape[1] * 4),
        lambda x: x.transpose(1, 2).flatten(1),
        lambda x: x.chunk(2, dim=1)[0].flatten(1).repeat(1, 2),
        lambda x: (x[:, 0:1] + x).flatten(1),
        lambda x: x.mean(1, keepdim=True).flatten(1).repeat(1, 6),
        lambda x: torch.cat((x, x), dim=2).flatten(1)[:, :24],
    ],
)
def test_channels_that_are_viewed_otherwise_are_left_alone(view: Callable[[Tensor], Tensor]) -> None:
    model: Any = Traceable(lambda m, x: m.b(view(m.a(x))), a=nn.Conv2d(1, 6, 1), b=nn.Linear(24, 2)).double()
    kill_(model.a, 0, 3)
    unread_(model.b, *range(8))
    assert widths(compacted(model, (1, 2, 2))) == [6, 2]


def test_layers_that_are_called_twice_or_share_weights_are_left_alone() -> None:
    layers = {"a": nn.Linear(4, 4), "b": nn.Linear(4, 4), "c": nn.Linear(4, 4), "d": nn.Linear(4, 2)}
    model: Any = Traceable(lambda m, x: m.d(m.c(m.b(torch.relu(m.a(m.a(x)))))), **layers).double()
    model.b.weight = model.c.weight
    kill_(model.a, 0)
    kill_(model.b, 1)
    unread_(model.d, 1)
    small: Any = compact(model, (4,))[0]
    assert [layer.weight.shape for layer in small.children()] == [(4, 4), (4, 4), (4, 4), (2, 4)]


def test_weights_that_a_function_reads_are_left_alone() -> None:
    layers = {"a": nn.Linear(4, 6), "b": nn.Linear(6, 4)}
    model: Any = Traceable(lambda m, x: F.linear(m.b(torch.relu(m.a(x))), m.a.weight), **layers).double()
    unread_(model.b, 2)
    assert widths(compacted(model, (4,))) == [6, 4]


def test_modules_with_hooks_are_left_alone() -> None:
    model: Any = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).double()
    kill_(model[0], 0)
    unread_(model[2], 1)
    model[1].register_forward_hook(lambda module, inputs, output: output.flip(1))
    assert widths(compacted(model, (4,))) == [6, 2]


def test_memory_that_is_overwritten_while_others_read_it_is_left_alone() -> None:
    model: Any = Traceable(lambda m, x: m.b((y := m.a(x)) + F.relu(m.drop(y), inplace=True)), a=nn.Linear(4, 6))
    model.drop, model.b = nn.Dropout(), nn.Linear(6, 2)
    model.double()
    kill_(model.a, *range(6))
    unread_(model.b, 0)
    assert widths(compacted(model, (4,))) == [6, 2]


def test_sums_in_place_are_seen_as_such() -> None:
    def forward(model: Any, x: Tensor) -> Tensor:
        y = z = torch.relu(model.a(x))
        z += model.b(x)
        result: Tensor = model.c(y) + model.d(z)
        return result

    layers = {"a": nn.Linear(4, 6), "b": nn.Linear(4, 6), "c": nn.Linear(6, 2), "d": nn.Linear(6, 2)}
    model: Any = Traceable(forward, **layers).double()
    kill_(model.a, 0, 1)
    assert widths(compacted(model, (4,))) == [6, 6, 2, 2]


def test_inputs_outputs_and_reductions_are_left_alone() -> None:
    model: Any = nn.Sequential(Reduce(6, 3, method="pca"), nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4)).double()
    unread_(model[1], 0)
    kill_(model[3], 2)
    unread_(model[3], 1)
    small: Any = compacted(model, (6,))
    assert (small[0].k, small[1].in_features, small[1].out_features, small[3].out_features) == (3, 3, 4, 4)


def test_every_output_of_several_is_left_alone() -> None:
    layers = {"a": nn.Linear(4, 5), "b": nn.Linear(5, 5)}
    model: Any = Traceable(lambda m, x: {"early": (y := torch.relu(m.a(x))), "late": [m.b(y)]}, **layers)
    kill_(model.a, 0)
    unread_(model.b, 0)
    assert widths(compact(model, (4,))[0]) == [5, 5]


def test_rows_of_vectors_are_left_alone() -> None:
    model: Any = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)).double()
    unread_(model[2], 0)
    assert widths(compacted(model, (3, 4))) == [5, 2]


def test_a_network_that_is_one_layer_stays() -> None:
    model: Any = nn.Linear(4, 3).double()
    kill_(model, 0)
    assert widths(compacted(model, (4,))) == [3]


def test_optional_arguments_have_their_defaults() -> None:
    class Optional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 2)

        def forward(self, x: Tensor, scale: Tensor | None = None, double: bool = False) -> Tensor:
            y = self.a(x) if scale is None else self.a(x) * scale
            z: Tensor = self.b(y if not double else 2 * y)
            return z

    model: Any = Optional().double()
    unread_(model.b, 0)
    assert widths(compacted(model, (4,))) == [4, 2]


def test_a_network_that_cannot_be_traced_is_copied_with_a_warning() -> None:
    model: Any = Branching()
    with pytest.warns(UserWarning, match="Branching cannot be traced"):
        result = compact(model, (3,))
    small: Any = result[0]
    masks = result[1]
    assert small is not model and torch.equal(small.linear.weight, model.linear.weight)
    assert masks["linear.weight"].all() and small.training
    with pytest.raises(UnsupportedLayer, match="Branching"), warnings.catch_warnings():
        compact(model, (3,), strict=True)


def test_wrong_masks_and_inputs_are_refused() -> None:
    model: Any = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    with pytest.raises(BadArgument, match="mask"):
        compact(model, (4,), masks={"1.weight": torch.ones(2, 5, dtype=torch.bool)})
    with pytest.raises(BadArgument, match="mask"):
        compact(model, (4,), masks={"0.weight": torch.ones(2, 5, dtype=torch.bool)})
    with pytest.raises(BadArgument, match="fails on inputs"):
        compact(model, (7,))


# Storing


@pytest.mark.parametrize(
    ("template", "spec", "genes"),
    [
        ("mlp", TABLE, {"norm": True, "skips": True, "depth": 3}),
        ("cnn", IMAGE, {"separable": True, "residual": True, "blocks": 3, "stages": 2, "pooling": "max"}),
        ("cnn", IMAGE, {"head": "hidden"}),
        ("resnet", IMAGE, {"shortcut": "pad", "squeeze": True, "hidden_layers": 1}),
        ("mobile", IMAGE, {"squeeze": True, "stages": 4}),
        ("signal", SIGNAL, {"separable": True, "residual": True, "blocks": 3, "growth": 1.0, "head": "hidden"}),
    ],
)
def test_state_fits_a_rebuilt_network_that_is_resized(template: str, spec: TaskSpec, genes: dict[str, Any]) -> None:
    values = {**TEMPLATES[template].baseline(spec), **genes}
    model = trained(TEMPLATES[template].build(values, spec))
    small = compacted(model, spec.input_shape, random_masks(model, 0.02)).eval()
    rebuilt = TEMPLATES[template].build(values, spec).double().eval()
    resize_(rebuilt, shapes_of(small), groups=groups_of(small))
    rebuilt.load_state_dict(small.state_dict(), strict=True)
    x = torch.randn(4, *spec.input_shape, dtype=torch.double)
    assert sum(widths(small)) < sum(widths(model))
    assert torch.equal(rebuilt(x), small(x))


def test_activations_are_all_followed() -> None:
    for name in ACTIVATIONS:
        model = nn.Sequential(nn.Linear(3, 4), activation(name), nn.Linear(4, 2))
        unread_(model[2], 0)
        assert widths(compact(model, (3,))[0]) == [3, 2]
