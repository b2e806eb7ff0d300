"""Facts about a published network as the measure."""

from __future__ import annotations

import pytest

from steerage.cost import dense_cost
from steerage.data import TaskSpec
from steerage.errors import BadArgument
from steerage.templates import Cnn, ResNet
from steerage.templates.like import published_like
from steerage.templates.template import RECIPE_GENES
from steerage.training.recipe import recipe_from

CIFAR = TaskSpec("classification", "image", (3, 32, 32), 10, 50_000)
TABLE = TaskSpec("classification", "table", (20,), 3, 1000)


def test_the_published_network_is_the_baseline() -> None:
    like = published_like("resnet20", CIFAR)
    assert like.name == "resnet"
    assert dense_cost(like, like.baseline(CIFAR), CIFAR) == dense_cost(
        ResNet(), ResNet().named(CIFAR)["resnet20"], CIFAR
    )
    assert like.depth(like.baseline(CIFAR)) == 20


def test_the_recipe_is_no_matter_of_the_search() -> None:
    like = published_like("resnet20", CIFAR)
    assert not RECIPE_GENES & set(like.space(CIFAR).names)
    recipes = {recipe_from(values, like.defaults(CIFAR)) for values in [*like.starts(CIFAR), like.baseline(CIFAR)]}
    assert len(recipes) == 1


def test_all_points_are_canonical_and_the_published_one_is_a_start() -> None:
    like = published_like("mobilenetv2", CIFAR)
    space, starts = like.space(CIFAR), like.starts(CIFAR)
    for values in [*starts, like.baseline(CIFAR), *space.sample_sobol(20, seed=0)]:
        assert space.normalize(space.validate(values)) == dict(values)
    keys = [space.key(values) for values in starts]
    assert len(set(keys)) == len(keys) and space.key(like.baseline(CIFAR)) in keys


@pytest.mark.parametrize(
    ("name", "spec", "template"),
    [("resnet19", CIFAR, None), ("resnet20", TABLE, None), ("resnet20", CIFAR, Cnn()), ("", CIFAR, None)],
)
def test_names_that_lead_nowhere_are_refused(name: str, spec: TaskSpec, template: Cnn | None) -> None:
    with pytest.raises(BadArgument, match="no published network is called"):
        published_like(name, spec, template)
