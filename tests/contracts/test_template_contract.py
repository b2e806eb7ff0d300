"""What every template must satisfy; a new one is one more line in ``CASES``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from steerage.cost import Cost, count, dense_cost
from steerage.cost.count import PRUNABLE
from steerage.cost.memory import memory
from steerage.data import TaskSpec
from steerage.data.dataset import Preprocess
from steerage.data.images import ImagePreprocess
from steerage.data.signals import SignalPreprocess
from steerage.data.tabular import Column, TablePreprocess
from steerage.nn.trace import trace
from steerage.space import Values
from steerage.templates import Cnn, Mlp, Mobile, ResNet, Signal, Template, architecture

TABLE = TaskSpec("classification", "table", (20,), 3, 1000)
SMALL = TaskSpec("regression", "table", (4,), 1, 100)
DIGITS = TaskSpec("classification", "image", (1, 8, 8), 10, 1400)
WIDE = TaskSpec("classification", "table", (70,), 2, 3000)
MNIST = TaskSpec("classification", "image", (1, 28, 28), 10, 60_000)
CIFAR = TaskSpec("classification", "image", (3, 32, 32), 10, 50_000)
ANGLE = TaskSpec("regression", "image", (1, 9, 13), 1, 500)
PHOTOS = TaskSpec("classification", "image", (3, 64, 64), 5, 9000)
GESTURES = TaskSpec("classification", "signal", (6, 128), 6, 2000)
PULSE = TaskSpec("regression", "signal", (1, 30), 1, 300)
SOUND = TaskSpec("classification", "signal", (1, 1000), 4, 900)

CASES = [
    *((Mlp(), spec) for spec in (TABLE, SMALL, WIDE, DIGITS, GESTURES)),
    *((Signal(), spec) for spec in (GESTURES, PULSE, SOUND)),
    *((Cnn(), spec) for spec in (DIGITS, MNIST, CIFAR, ANGLE)),
    *((template, spec) for template in (ResNet(), Mobile()) for spec in (DIGITS, ANGLE, PHOTOS)),
]
POINTS = 12

pytestmark = pytest.mark.parametrize(("template", "spec"), CASES, ids=lambda part: getattr(part, "name", None))


def points(template: Template, spec: TaskSpec) -> Iterator[Values]:
    yield template.baseline(spec)
    yield from template.starts(spec)
    yield from template.space(spec).sample_sobol(POINTS, seed=1)


def inputs(spec: TaskSpec, batch: int = 2) -> Tensor:
    return torch.randn(batch, *spec.input_shape, generator=torch.Generator().manual_seed(0))


def built(template: Template, values: Values, spec: TaskSpec, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return template.build(values, spec)


def preprocess(spec: TaskSpec) -> Preprocess:
    if spec.kind == "table":
        columns = tuple(Column(f"c{at}", "number", 0.0) for at in range(spec.input_shape[0]))
        return TablePreprocess(tuple(column.name for column in columns), columns)
    if spec.kind == "signal":
        channels, length = spec.input_shape
        return SignalPreprocess(channels, length, (1.0,) * channels, (2.0,) * channels)
    channels, height, width = spec.input_shape
    return ImagePreprocess(channels, height, width, (100.0,) * channels, (50.0,) * channels, "uint8")


def test_the_baseline_is_a_canonical_point_of_the_space(template: Template, spec: TaskSpec) -> None:
    space, baseline = template.space(spec), template.baseline(spec)
    assert template.accepts(spec)
    assert space.normalize(space.validate(baseline)) == dict(baseline)


def test_the_starts_are_different_canonical_points_of_the_space(template: Template, spec: TaskSpec) -> None:
    space, starts = template.space(spec), template.starts(spec)
    assert all(space.normalize(space.validate(start)) == dict(start) for start in starts)
    assert len({space.key(start) for start in starts}) == len(starts) >= 1


def test_named_networks_are_canonical_points_of_the_space(template: Template, spec: TaskSpec) -> None:
    space = template.space(spec)
    for name, values in template.named(spec).items():
        assert space.normalize(space.validate(values)) == dict(values), name


def test_points_build_and_train(template: Template, spec: TaskSpec) -> None:
    for values in points(template, spec):
        model = built(template, values, spec)
        scores = model(inputs(spec))
        assert scores.shape == (2, spec.outputs)
        scores.square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters()), values


def test_the_depth_is_the_longest_way_through_layers_with_weights(template: Template, spec: TaskSpec) -> None:
    for values in points(template, spec):
        if not values.get("squeeze"):  # gates are beside the way
            traced, longest = trace(built(template, values, spec).eval(), spec.input_shape), {}
            for node in traced.graph.nodes:
                own = node.op == "call_module" and isinstance(traced.root.get_submodule(str(node.target)), PRUNABLE)
                longest[node] = own + max((longest[source] for source in node.all_input_nodes), default=0)
            assert template.depth(values) == max(longest.values()), values


def test_one_row_gives_the_same_scores_alone_as_among_others(template: Template, spec: TaskSpec) -> None:
    for values in points(template, spec):
        model, x = built(template, values, spec).eval(), inputs(spec, batch=3)
        with torch.no_grad():
            torch.testing.assert_close(model(x[:1]), model(x)[:1], rtol=1e-4, atol=1e-5)


def test_canonical_points_lie_in_the_space_and_stay(template: Template, spec: TaskSpec) -> None:
    space = template.space(spec)
    for values in points(template, spec):
        canonical = space.validate(space.normalize(values))
        assert space.normalize(canonical) == canonical
        assert space.key(canonical) == space.key(values)


def test_points_with_the_same_canonical_point_are_the_same_network(template: Template, spec: TaskSpec) -> None:
    space = template.space(spec)
    units = torch.rand(POINTS, len(space), generator=torch.Generator().manual_seed(2)).tolist()
    for unit in units:
        raw = {gene.name: gene.from_unit(value) for gene, value in zip(space.genes, unit, strict=True)}
        one, other = (built(template, values, spec) for values in (raw, space.normalize(raw)))
        assert str(one) == str(other)
        state, same = one.state_dict(), other.state_dict()
        assert [*state] == [*same]
        assert all(torch.equal(state[name], same[name]) for name in state)


def test_the_seed_alone_decides_the_initial_weights(template: Template, spec: TaskSpec) -> None:
    values = template.baseline(spec)
    state, same = built(template, values, spec).state_dict(), built(template, values, spec).state_dict()
    assert all(torch.equal(state[name], same[name]) for name in state)


def test_the_cost_is_known_without_weights(template: Template, spec: TaskSpec) -> None:
    for values in points(template, spec):
        real = count(template.build(values, spec), spec.input_shape)
        with torch.device("meta"):
            meta = count(template.build(values, spec), spec.input_shape)
        assert real == meta == dense_cost(template, values, spec), values


def test_masks_of_all_active_weights_change_no_cost(template: Template, spec: TaskSpec) -> None:
    model = template.build(template.baseline(spec), spec)
    masks = {name: torch.ones_like(p, dtype=torch.bool) for name, p in model.named_parameters() if p.ndim > 1}
    cost = count(model, spec.input_shape, masks=masks)
    assert cost == Cost(cost.dense_params, cost.dense_params, cost.dense_macs, cost.dense_macs)


def test_networks_ignore_the_recipe_genes(template: Template, spec: TaskSpec) -> None:
    for values in points(template, spec):
        assert str(template.build(architecture(values), spec)) == str(template.build(values, spec))


def test_networks_train_under_bfloat16_autocast(template: Template, spec: TaskSpec) -> None:
    for values in [*points(template, spec)][:6]:
        model = built(template, values, spec)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scores = model(inputs(spec))
        scores.float().square().sum().backward()
        assert scores.isfinite().all()


def test_defaults_are_plain_recipe_settings(template: Template, spec: TaskSpec) -> None:
    defaults = template.defaults(spec)
    assert {"optimizer", "batch_size", "lr"} <= set(defaults)
    assert all(isinstance(value, int | float | str | bool) for value in defaults.values())


def test_networks_have_a_price_in_flash_and_ram(template: Template, spec: TaskSpec) -> None:
    for values in (template.baseline(spec), *template.starts(spec)[:2]):
        model = built(template, values, spec)
        price = memory(model, preprocess(spec))
        weights = sum(parameter.numel() for parameter in model.parameters() if parameter.ndim > 1)
        assert price.scratch > 0
        assert 4 * weights < price.tables < 6 * weights + 5000
