from __future__ import annotations

import pytest
import torch
from torch import nn

from steerage.errors import BadArgument
from steerage.nn import ACTIVATIONS, FeedForward, activation, classifier, conv_block, pooling


def test_with_skips_every_layer_reads_the_inputs_and_all_earlier_layers() -> None:
    net = FeedForward([4, 3], inputs=5, outputs=2, skips=True)
    reads = [module.in_features for module in net.modules() if isinstance(module, nn.Linear)]
    assert reads == [5, 5 + 4, 5 + 4 + 3]


def test_without_skips_every_layer_reads_the_one_before() -> None:
    net = FeedForward([4, 3], inputs=5, outputs=2, skips=False)
    reads = [module.in_features for module in net.modules() if isinstance(module, nn.Linear)]
    assert reads == [5, 4, 3]


def test_a_skip_weight_carries_an_input_straight_to_the_output() -> None:
    net = FeedForward([4], inputs=3, outputs=1, skips=True, norm=False).eval()
    with torch.no_grad():
        net.output.weight.zero_()
        net.output.bias.zero_()
        net.output.weight[0, 1] = 2.0  # the columns start with the inputs
    x = torch.randn(6, 3)
    assert torch.equal(net(x)[:, 0], 2.0 * x[:, 1])


def test_skips_match_the_network_written_out() -> None:
    net = FeedForward([4, 3], inputs=5, outputs=2, skips=True, norm=False, activation="tanh").eval()
    x = torch.randn(7, 5)
    first = torch.tanh(net.hidden[0].linear(x))
    second = torch.tanh(net.hidden[1].linear(torch.cat((x, first), 1)))
    assert torch.equal(net(x), net.output(torch.cat((x, first, second), 1)))


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("widths", [[], [4, 3]])
def test_the_readers_are_the_layers_whose_first_columns_see_the_inputs(widths: list[int], skips: bool) -> None:
    net = FeedForward(widths, inputs=5, outputs=2, skips=skips).eval()
    linears = [module for module in net.modules() if isinstance(module, nn.Linear)]
    assert net.readers() == (linears if skips else linears[:1])
    with torch.no_grad():
        for layer in net.readers():
            layer.weight[:, :5] = 0.0
    assert torch.equal(net(torch.randn(1, 5)), net(torch.randn(1, 5)))


def test_no_hidden_layer_is_a_linear_model() -> None:
    net = FeedForward([], inputs=5, outputs=2)
    assert torch.equal(net(torch.ones(1, 5)), net.output(torch.ones(1, 5)))


@pytest.mark.parametrize("norm", [True, False])
def test_a_linear_layer_has_a_bias_unless_a_norm_follows(norm: bool) -> None:
    linear = FeedForward([4], inputs=5, outputs=2, norm=norm).hidden[0].linear
    assert (linear.bias is None) == norm


@pytest.mark.parametrize(
    ("change", "message"),
    [({"inputs": 0}, "at least 1"), ({"dropout": 1.0}, "dropout must be in"), ({"activation": "relo"}, "relu, gelu")],
)
def test_an_argument_out_of_range_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(BadArgument, match=message):
        FeedForward([4], **{"inputs": 5, "outputs": 2, **change})


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_activations_are_modules_that_keep_the_shape(name: str) -> None:
    assert activation(name)(torch.randn(2, 3)).shape == (2, 3)


@pytest.mark.parametrize("separable", [True, False])
@pytest.mark.parametrize("size", [1, 7, 8])
def test_a_strided_block_halves_the_size_rounding_up(size: int, separable: bool) -> None:
    block = conv_block(3, 6, kernel=5, stride=2, separable=separable).eval()
    assert block(torch.randn(2, 3, size, size)).shape == (2, 6, -(-size // 2), -(-size // 2))


def test_a_separable_block_filters_each_channel_by_itself() -> None:
    block = conv_block(8, 6, separable=True)
    assert block.depthwise.groups == 8
    assert block.conv.kernel_size == (1, 1)


def test_a_block_without_activation_ends_with_its_norm() -> None:
    assert conv_block(3, 6, activation=None).eval()(torch.randn(2, 3, 8, 8)).min() < 0.0


@pytest.mark.parametrize("hidden", [(), (7,), (7, 5)])
@pytest.mark.parametrize(("pooled", "inputs"), [(True, 4), (False, 24)])
def test_a_classifier_reads_averages_or_all_pixels(pooled: bool, inputs: int, hidden: tuple[int, ...]) -> None:
    head = classifier(inputs, 3, pooled=pooled, hidden=hidden, dropout=0.5)
    sizes = [(module.in_features, module.out_features) for module in head if isinstance(module, nn.Linear)]
    assert sizes == [*zip((inputs, *hidden), (*hidden, 3), strict=True)]
    assert head(torch.randn(2, 4, 2, 3)).shape == (2, 3)


def test_even_kernels_and_unknown_poolings_are_refused() -> None:
    with pytest.raises(BadArgument, match="odd, got 4"):
        conv_block(3, 6, kernel=4)
    with pytest.raises(BadArgument, match="'median'"):
        pooling("median")
