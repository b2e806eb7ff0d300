"""Facts about growing and removing neurons and channels, with all that is tied to them."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from architectures import ARCHITECTURES, SHAPE, architecture
from steerage.errors import BadArgument
from steerage.growprune import masks as masking
from steerage.growprune import units
from steerage.growprune.compact import compact
from steerage.growprune.graph import unit_graph
from steerage.growprune.masks import Masks
from steerage.growprune.resize import Move, follow_, follow_average_
from steerage.nn.feedforward import FeedForward

NETWORKS = [*ARCHITECTURES, "skips", "plain"]


def network(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    if name in ARCHITECTURES:
        return architecture(name), SHAPE
    torch.manual_seed(0)
    model = FeedForward([6, 5, 4], inputs=7, outputs=3, activation="tanh", skips=name == "skips").double().eval()
    return model, (7,)


def batch(shape: tuple[int, ...], rows: int = 5) -> Tensor:
    return torch.randn(rows, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def sparse(model: nn.Module, seed: int = 0) -> Masks:
    """Masks with half of the connections, held."""
    draw = torch.Generator().manual_seed(seed)
    masks = {name: torch.rand(weight.shape, generator=draw) < 0.5 for name, weight in masking.weights(model).items()}
    masking.apply_(model, masks)
    return masks


def sizes(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def assert_consistent(model: nn.Module, masks: Masks, shape: tuple[int, ...]) -> None:
    weights = masking.weights(model)
    assert masks.keys() == weights.keys()
    for name, weight in weights.items():
        assert masks[name].shape == weight.shape and not weight[~masks[name]].any()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.shape[:2] == (module.out_channels, module.in_channels // module.groups)
        if isinstance(module, nn.Linear):
            assert module.weight.shape == (module.out_features, module.in_features)
    assert model(batch(shape)).isfinite().all()


# Growth


@pytest.mark.parametrize("name", NETWORKS)
def test_twins_leave_the_function_as_it_is(name: str) -> None:
    model, shape = network(name)
    masks, before, size = sparse(model), model(batch(shape)), sizes(model)
    graph = unit_graph(model, shape)
    chosen = units.strongest(graph, units.norm(graph), 1000)
    assert len(chosen) > 4
    units.duplicate_(graph, chosen, masks)
    assert sizes(model) > 1.7 * size
    assert_consistent(model, masks, shape)
    assert torch.allclose(model(batch(shape)), before, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NETWORKS)
def test_new_units_leave_the_function_as_it_is_and_can_learn(name: str) -> None:
    model, shape = network(name)
    masks, before = sparse(model), model(batch(shape))
    graph = unit_graph(model, shape)
    chosen = units.strongest(graph, units.norm(graph), 1000)
    moves = units.insert_(graph, chosen, masks, generator=torch.Generator().manual_seed(0))
    assert_consistent(model, masks, shape)
    assert torch.allclose(model(batch(shape)), before, rtol=0, atol=1e-10)
    assert before.requires_grad, (
        "the graph of what was computed before is still there, as in a loop that holds its loss"
    )
    model(batch(shape)).square().sum().backward()
    read = [
        move.parameter.grad[:, move.new_columns].abs().max()
        for move in moves
        if move.parameter is not None and move.parameter.grad is not None and move.new_columns is not None
        if move.new_columns.any()
    ]
    assert sum(bool(one > 0.0) for one in read) > 0.9 * len(read)  # a rectifier may hold a new unit back
    assert all(masks[move.name][:, move.new_columns].all() for move in moves if move.new_columns is not None)


def test_noise_parts_twins_and_changes_little() -> None:
    model, shape = network("plain")
    masks, before = masking.full(model), model(batch(shape))
    graph = unit_graph(model, shape)
    units.duplicate_(graph, units.strongest(graph, units.norm(graph), 3, layer="hidden.0.linear"), masks, noise=0.01)
    change = (model(batch(shape)) - before).abs().max()
    assert 0.0 < change < 0.05 * before.abs().max()
    rows: Tensor = model.hidden[0].linear.weight  # type: ignore[union-attr,index]
    assert len(rows) == 9 and len({tuple(row.tolist()) for row in rows}) == 9


def test_a_twin_of_a_channel_behind_a_flattening_brings_all_its_pixels() -> None:
    model, shape = network("flattened")
    graph = unit_graph(model, shape)
    masks = masking.full(model)
    units.duplicate_(graph, units.strongest(graph, units.norm(graph), 1, layer="4"), masks)
    linear: Any = model[8]  # type: ignore[index]
    norm: Any = model[7]  # type: ignore[index]
    assert (linear.in_features, norm.num_features) == (28, 28)


def test_units_tied_by_a_sum_grow_together() -> None:
    model, shape = network("resnet")
    graph = unit_graph(model, shape)
    masks = masking.full(model)
    stem: Any = model.stem[0]  # type: ignore[index]
    units.duplicate_(graph, units.strongest(graph, units.norm(graph), 1, layer="stem.0"), masks)
    assert stem.out_channels == 5
    for block in range(3):
        assert model.blocks[block].conv2.out_channels == 5  # type: ignore[index,union-attr]
    assert model.blocks[3].shortcut[0].in_channels == 5  # type: ignore[index,union-attr]


def test_units_tied_by_a_padded_shortcut_grow_together() -> None:
    model, shape = network("padded")
    graph = unit_graph(model, shape)
    stem: Any = model.get_submodule("features.stem.conv")
    units.duplicate_(
        graph, units.strongest(graph, units.norm(graph), 1, layer="features.stem.conv"), masking.full(model)
    )
    assert stem.out_channels == 5
    for name, channels in (("stage0_block0", 5), ("stage1_block0", 9), ("stage1_block1", 9), ("stage2_block0", 17)):
        body: Any = model.get_submodule(f"features.{name}.sum.body")
        assert (body.last.conv.out_channels, body.squeeze.gate.expand.out_channels) == (channels, channels)


def test_groups_stay_equally_large() -> None:
    model: Any = network("grouped")[0]
    graph = unit_graph(model, SHAPE)
    masks = masking.full(model)
    units.duplicate_(graph, units.strongest(graph, units.norm(graph), 1, layer="0"), masks)
    assert (model[0].out_channels, model[2].in_channels, model[2].groups) == (12, 12, 4)


def test_neurons_that_meet_the_pixels_of_a_channel_can_leave_but_not_grow() -> None:
    class Meets(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.side, self.head = nn.Conv2d(1, 3, 1), nn.Linear(4, 12), nn.Linear(12, 2)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.head(torch.flatten(self.conv(x), 1) + self.side(torch.flatten(x, 1)))
            return y

    model = Meets().eval()
    graph = unit_graph(model, (1, 2, 2))
    assert len(units.strongest(graph, units.norm(graph), 10)) == 0
    masks = masking.full(model)
    units.remove_(graph, units.weakest(graph, units.norm(graph), 1), masks)
    assert (model.conv.out_channels, model.side.out_features, model.head.in_features) == (2, 8, 8)


# Removal


@pytest.mark.parametrize("name", NETWORKS)
def test_units_that_nobody_reads_can_go_without_a_trace(name: str) -> None:
    model, shape = network(name)
    masks = sparse(model)
    graph = unit_graph(model, shape)
    chosen = units.weakest(graph, units.gain(graph), 6)
    gone = torch.isin(torch.arange(len(graph.frozen)), chosen)
    with torch.no_grad():
        for part in graph.parts.values():
            if part.columns is not None:
                weight: Any = part.module.weight
                weight[:, gone[part.columns]] = 0.0
    before, size = model(batch(shape)), sizes(model)
    units.remove_(graph, chosen, masks)
    assert len(chosen) == 6 and sizes(model) < size
    assert_consistent(model, masks, shape)
    assert torch.allclose(model(batch(shape)), before, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NETWORKS)
def test_one_unit_of_every_layer_stays(name: str) -> None:
    model, shape = network(name)
    masks = masking.full(model)
    graph = unit_graph(model, shape)
    units.remove_(graph, units.weakest(graph, units.norm(graph), 10_000), masks)
    assert_consistent(model, masks, shape)
    assert all(min(weight.shape[:2]) >= 1 for weight in masking.weights(model).values())


@pytest.mark.parametrize("name", NETWORKS)
def test_compacted_is_masked(name: str) -> None:
    model, shape = network(name)
    masks = sparse(model, seed=3)
    for mask in masks.values():
        mask[torch.rand(len(mask)) < 0.3] = False
    masking.apply_(model, masks)
    small, small_masks = compact(model, shape, masks=masks)
    assert_consistent(small, small_masks, shape)
    assert sizes(small) < sizes(model)
    assert torch.allclose(small(batch(shape)), model(batch(shape)), rtol=0, atol=1e-5)


# Which


def test_gain_is_what_readers_get() -> None:
    model: Any = nn.Sequential(nn.Linear(2, 3, bias=False), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2, bias=False))
    model.eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0, 4.0], [0.0, 1.0], [1.0, 0.0]]))
        model[1].weight.copy_(torch.tensor([0.5, 2.0, 0.0]))
        model[3].weight.copy_(torch.tensor([[3.0, 0.0, 1.0], [4.0, 1.0, 1.0]]))
    graph = unit_graph(model, (2,))
    rows = next(part.rows for part in graph.parts.values() if part.name == "0")
    assert units.norm(graph)[rows].tolist() == pytest.approx([5.0, 1.0, 1.0])
    assert units.gain(graph)[rows].tolist() == pytest.approx([2.5, 2.0, 0.0])
    assert units.weakest(graph, units.gain(graph), 2).tolist() == rows[[2, 1]].tolist()
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    model[1].running_var.fill_(1.0 - model[1].eps)
    assert units.activity(model, graph, lambda net: net(x))[rows].tolist() == pytest.approx([1.75, 1.0, 0.0], rel=1e-4)


def test_what_cannot_be_done_is_refused_by_name() -> None:
    model, shape = network("plain")
    graph = unit_graph(model, shape)
    masks = masking.full(model)
    inputs = next(part.columns for part in graph.parts.values() if part.name == "hidden.0.linear")
    assert inputs is not None
    before = sizes(model)
    with pytest.raises(BadArgument, match="cannot be removed"):
        units.remove_(graph, inputs[:1], masks)
    with pytest.raises(BadArgument, match="cannot be multiplied"):
        units.duplicate_(graph, inputs[:1], masks)
    hidden = units.strongest(graph, units.norm(graph), 100, layer="hidden.1.linear")
    with pytest.raises(BadArgument, match="leave at least one"):
        units.remove_(graph, hidden, masks)
    with pytest.raises(BadArgument, match="once at a time"):
        units.duplicate_(graph, hidden[[0, 0]], masks)
    with pytest.raises(BadArgument, match=r"layers that do: hidden\.0\.linear"):
        units.strongest(graph, units.norm(graph), 1, layer="output")
    with pytest.raises(BadArgument, match="at least 0"):
        units.weakest(graph, units.norm(graph), -1)
    assert sizes(model) == before


# What follows


@pytest.mark.parametrize("make", [torch.optim.AdamW, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)])
def test_an_optimizer_goes_on_with_what_it_knew(make: Any) -> None:
    model, shape = network("flattened")
    model.train()
    optimizer = make(model.parameters())
    average = {name: value.clone() for name, value in model.state_dict().items()}

    def step() -> float:
        optimizer.zero_grad()
        loss = model(batch(shape)).square().mean()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    step()
    old = {name: copy.deepcopy(dict(optimizer.state[p])) for name, p in model.named_parameters()}
    model.eval()
    graph = unit_graph(model, shape)
    moves: list[Move] = units.duplicate_(
        graph, units.strongest(graph, units.norm(graph), 2, layer="0"), masking.full(model)
    )
    follow_(optimizer.state, moves)
    follow_average_(average, moves)
    assert {move.name for move in moves} >= {"0.weight", "0.bias", "1.running_mean", "4.weight"}
    for name, parameter in model.named_parameters():
        assert average[name].shape == parameter.shape
        for key, value in optimizer.state[parameter].items():
            if isinstance(value, Tensor) and value.ndim:
                assert value.shape == parameter.shape
                assert math.isclose(float(value.abs().sum()), float(old[name][key].abs().sum()), rel_tol=1e-9), (
                    "new ones are zero"
                )
    model.train()
    assert step() > step() > step()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(
    name=st.sampled_from(NETWORKS),
    edits=st.lists(st.tuples(st.sampled_from(["remove", "duplicate", "insert"]), st.integers(1, 4)), max_size=5),
    seed=st.integers(0, 100),
)
def test_any_edits_keep_network_and_masks_consistent(name: str, edits: list[tuple[str, int]], seed: int) -> None:
    model, shape = network(name)
    masks = sparse(model, seed)
    draw = torch.Generator().manual_seed(seed)
    for kind, count in edits:
        graph = unit_graph(model, shape)
        scores = torch.rand(len(graph.frozen), generator=draw)
        if kind == "remove":
            units.remove_(graph, units.weakest(graph, scores, count), masks)
        else:
            edit = units.duplicate_ if kind == "duplicate" else units.insert_
            edit(graph, units.strongest(graph, scores, count), masks, generator=draw)
        masking.apply_(model, masks)
    assert_consistent(model, masks, shape)
    small, small_masks = compact(model, shape, masks=masks)
    assert_consistent(small, small_masks, shape)
    assert torch.allclose(small(batch(shape)), model(batch(shape)), rtol=0, atol=1e-8)
