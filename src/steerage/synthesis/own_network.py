"""A user's own network as a template of one point, so that refining it runs through the same phases."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, final

from torch import nn

from steerage.bundle import Architecture, FromFactory
from steerage.cost.count import count
from steerage.data.dataset import TaskSpec
from steerage.growprune import masks as masking
from steerage.space import Space, Values
from steerage.templates.recipe_genes import plain_recipe, recipe_genes
from steerage.templates.template import Template

if TYPE_CHECKING:
    from steerage.synthesis.candidate import Bench, Trained


@final
class OwnNetwork(Template):
    """``factory()`` gives the network, with whatever weights it has learnt; ``name`` is for messages and the bundle.

    ``architecture``: how the bundle of the refined network says it was built, ``FromFactory(name)`` where not given.
    """

    def __init__(
        self, name: str, factory: Callable[[], nn.Module], *, architecture: Architecture | None = None
    ) -> None:
        self.name, self.factory = name, factory
        self.architecture = architecture or FromFactory(name)

    def space(self, spec: TaskSpec) -> Space:
        return Space(recipe_genes(spec))

    def build(self, values: Values, spec: TaskSpec) -> nn.Module:
        return self.factory()

    def baseline(self, spec: TaskSpec) -> Values:
        return plain_recipe(spec)

    def start(self, bench: Bench, seed: int) -> Trained:
        """The network as it comes, with its zeros dormant."""
        from steerage.synthesis.candidate import Trained, build

        model = build(bench, self.baseline(bench.dataset.spec), seed)
        masks = masking.initial(model)
        cost = count(model, bench.dataset.spec.input_shape, masks=masks)
        return Trained(model, masks, bench.scores(model), cost, (), 0.0, 0.0)
