from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from steerage.cost import Cost, count, dense_cost
from steerage.cost.layers import layer_uses
from steerage.cost.trace import trace
from steerage.data import TaskSpec
from steerage.errors import BadArgument, TrainingFailed
from steerage.nn import FeedForward, PaddedResidual, PiecewiseLinear, Reduce, Residual, SqueezeExcitation, conv_block
from steerage.space import Space, Values
from steerage.templates import Mlp, Template


def lenet5() -> nn.Sequential:
    """LeNet-5 as Caffe has it."""
    features = [nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*features, nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))


class Branching(nn.Module):
    """A convolution whose output is read by a norm and by a sum, as at the start of a pre-activation ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=False)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        result: Tensor = y + self.norm(y)
        return result


class Branchless(Branching):
    """The same without the sum."""

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.norm(self.conv(x)).relu()
        return result


class Odd(nn.Module):
    """A parameter of no layer, and a matrix product of no module."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(5, 7))
        self.linear = nn.Linear(7, 2)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.linear(x @ self.matrix)
        return result


class Deciding(nn.Module):
    """A model that looks at values, so that it cannot run without storage, and that counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.calls: Tensor
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        result: Tensor = self.linear(x) if x.sum().item() <= 0.0 else x
        return result


def flops(model: nn.Module, shape: Sequence[int]) -> int:
    with FlopCounterMode(display=False) as operations, torch.no_grad():
        model.eval()(torch.zeros(1, *shape))
    return int(operations.get_total_flops())


MODELS = [
    (lenet5(), (1, 28, 28)),
    (conv_block(4, 6, separable=True, kernel=5, stride=2), (4, 9, 9)),
    (nn.Sequential(conv_block(3, 4), Residual(conv_block(4, 4))), (3, 8, 8)),
    (conv_block(3, 4, kernel=1, activation=None), (3, 5, 5)),
    (nn.Sequential(conv_block(3, 4), Residual(conv_block(4, 6), conv_block(4, 6, kernel=1))), (3, 8, 8)),
    (nn.Sequential(conv_block(3, 4), PaddedResidual(conv_block(4, 6, stride=2), 2), nn.BatchNorm2d(6)), (3, 9, 8)),
    (nn.Sequential(nn.Conv2d(3, 8, 1), SqueezeExcitation(8, 4), nn.BatchNorm2d(8)), (3, 5, 5)),
    (nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2, 1), nn.Conv2d(4, 2, 1)), (3, 12, 9)),
    (nn.Sequential(nn.Conv2d(4, 8, 3, padding=2, dilation=2, groups=2), nn.Dropout(), nn.BatchNorm2d(8)), (4, 8, 8)),
    (nn.Sequential(nn.Conv1d(2, 4, 3, stride=2), nn.BatchNorm1d(4), nn.Flatten(), nn.Linear(20, 2)), (2, 11)),
    (nn.Sequential(nn.BatchNorm1d(4, affine=False), nn.Linear(4, 3), nn.LayerNorm(3)), (4,)),
    (nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(3)), (3, 4)),
    (nn.Sequential(Reduce(9, 4, method="pca"), FeedForward([5, 6], inputs=4, outputs=2, skips=True)), (9,)),
    (nn.Sequential(Reduce(9, 4, method="select"), FeedForward([5], inputs=4, outputs=2, norm=False)), (9,)),
]


ENCODED = nn.Sequential(PiecewiseLinear(3, 4), FeedForward([5], inputs=15, outputs=2, skips=True))


@pytest.mark.parametrize(("model", "shape"), [*MODELS, (ENCODED, (3,))])
def test_the_walk_on_paper_and_the_run_agree(model: nn.Module, shape: tuple[int, ...]) -> None:
    on_paper, run = layer_uses(model, shape), trace(model, shape)
    described = [[(use.name, use.positions, use.folds_into) for use in uses] for uses, _ in (on_paper, run)]
    assert described[0] == described[1]
    assert on_paper[1] == run[1] == 0


@pytest.mark.parametrize(("model", "shape"), MODELS)
def test_dense_macs_are_half_of_torchs_flops(model: nn.Module, shape: tuple[int, ...]) -> None:
    assert 2 * count(model, shape).dense_macs == flops(model, shape)


def test_lenet_5_has_the_published_cost() -> None:
    macs = 20 * 25 * 24**2 + 50 * 20 * 25 * 8**2 + 800 * 500 + 500 * 10
    assert count(lenet5(), (1, 28, 28)) == Cost(431_080, 431_080, macs, macs)


def test_a_folded_norm_is_one_bias_per_channel() -> None:
    assert count(conv_block(3, 8), (3, 4, 4)).params == 3 * 8 * 9 + 8
    with_bias = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    assert count(with_bias, (3, 4, 4)).params == 3 * 8 * 9 + 8


def test_a_depthwise_convolution_has_one_filter_per_channel() -> None:
    cost = count(conv_block(6, 10, separable=True), (6, 4, 4))
    assert cost.params == (6 * 9 + 6) + (6 * 10 + 10)
    assert cost.macs == 16 * (6 * 9 + 6 * 10)


def test_an_encoding_costs_its_edges_and_a_mac_per_bin() -> None:
    weights, biases = 15 * 5 + 20 * 2, 5 + 2
    assert count(ENCODED, (3,)) == Cost(*[weights + biases + 3 * 5] * 2, *[weights + 3 * 4] * 2)


def test_only_live_bins_of_an_encoding_count() -> None:
    encoding = PiecewiseLinear(2, 3)
    encoding.fit_to(torch.stack((torch.linspace(0, 1, 50), torch.tensor([0.0, 1.0] * 25)), 1), torch.zeros(50), seed=0)
    assert count(encoding, (2,)) == Cost(4, 4, 3, 3)
    encoding.live[1] = False  # the middle bin: its two edges belong to its neighbours
    assert count(encoding, (2,)) == Cost(4, 4, 2, 2)
    encoding.live[0] = False
    assert count(encoding, (2,)) == Cost(2, 2, 1, 1)


@pytest.mark.parametrize(
    ("model", "params"),
    [
        (nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8)), 3 * 8 * 9 + 8 + 16),
        (nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 8, 3, bias=False)), 6 + 3 * 8 * 9),
        (nn.Sequential(nn.BatchNorm2d(3, affine=False)), 6),
        (nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False)), 3 * 8 * 9 + 8 + 16),
        (Branchless(), 4 * 27 + 4),
        (Branching(), 4 * 27 + 8),
    ],
)
def test_a_norm_that_cannot_fold_keeps_its_affine_parameters(model: nn.Module, params: int) -> None:
    assert count(model, (3, 5, 5)).params == params


def test_a_layer_that_is_called_twice_has_its_parameters_once_and_its_macs_twice() -> None:
    layer = nn.Linear(4, 4)
    assert count(nn.Sequential(layer, nn.ReLU(), layer), (4,)) == Cost(20, 20, 32, 32)


def test_a_layer_between_two_norms_folds_neither() -> None:
    layer, norms = nn.Linear(4, 4, bias=False), (nn.BatchNorm1d(4), nn.BatchNorm1d(4))
    assert count(nn.Sequential(layer, norms[0], layer, norms[1]), (4,)).params == 16 + 8 + 8


def test_dormant_connections_do_not_count() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten(), nn.Linear(48, 2))
    masks = {"0.weight": torch.zeros(3, 2, 3, 3, dtype=torch.bool), "2.bias": torch.tensor([True, False])}
    masks["0.weight"][0, 0] = True
    dense = 54 + 3 + 96 + 2
    assert count(model, (2, 4, 4), masks=masks) == Cost(dense - 45 - 1, dense, 9 * 16 + 96, 54 * 16 + 96)


def test_an_active_connection_counts_even_while_its_weight_is_zero() -> None:
    model = nn.Linear(3, 2)
    nn.init.zeros_(model.weight)
    assert count(model, (3,)).params == 8


def test_masks_that_fit_nothing_are_refused() -> None:
    with pytest.raises(BadArgument, match="'wight' belongs to no parameter"):
        count(nn.Linear(3, 2), (3,), masks={"wight": torch.ones(2, 3, dtype=torch.bool)})
    with pytest.raises(BadArgument, match=r"boolean of shape \(2, 3\), got torch.float32 \(2, 3\)"):
        count(nn.Linear(3, 2), (3,), masks={"weight": torch.ones(2, 3)})


def test_what_no_layer_explains_is_counted_dense() -> None:
    assert count(Odd(), (5,)) == Cost(35 + 16, 35 + 16, 35 + 14, 35 + 14)
    masks = {"matrix": torch.zeros(5, 7, dtype=torch.bool)}
    assert count(Odd(), (5,), masks=masks).params == 16


def test_attention_is_counted_by_torch() -> None:
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    cost = count(model, (5, 8))
    assert cost.params == sum(parameter.numel() for parameter in model.parameters())
    assert cost.macs >= 5 * (4 * 8 * 8 + 2 * 8 * 16)


def test_counting_changes_nothing() -> None:
    model = Deciding()
    model.linear.eval()
    state = torch.get_rng_state()
    assert count(model, (3,)) == Cost(8, 8, 6, 6)
    assert model.training
    assert not model.linear.training
    assert not model.linear._forward_hooks
    assert model.calls.item() == 0
    assert torch.equal(state, torch.get_rng_state())


def test_a_model_that_cannot_run_is_refused() -> None:
    with pytest.raises(BadArgument, match=r"fails on inputs \(4,\)"):
        count(nn.Linear(3, 2), (4,))


class Failing(Template):
    name = "failing"

    def space(self, spec: TaskSpec) -> Space:
        return Mlp().space(spec)

    def baseline(self, spec: TaskSpec) -> Values:
        return Mlp().baseline(spec)

    def build(self, values: Values, spec: TaskSpec) -> nn.Module:
        raise KeyError("width")


def test_a_template_that_fails_is_named() -> None:
    spec = TaskSpec("regression", "table", (4,), 1, 100)
    with pytest.raises(TrainingFailed, match="template failing cannot build"):
        dense_cost(Failing(), Mlp().baseline(spec), spec)


def test_recipe_genes_do_not_change_the_cost() -> None:
    spec = TaskSpec("regression", "table", (4,), 1, 100)
    values = Mlp().baseline(spec)
    assert dense_cost(Mlp(), values, spec) == dense_cost(Mlp(), {**values, "lr": 0.02}, spec)
