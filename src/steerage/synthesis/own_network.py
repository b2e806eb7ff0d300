"""A user's own network as a template of one point, so that refining it runs through the same phases."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, final

import torch
from torch import nn

from steerage.bundle import Architecture, FromFactory, FromProgram
from steerage.data.dataset import TaskSpec
from steerage.errors import BadArgument
from steerage.growprune import masks as masking
from steerage.nn.modes import evaluating
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
        return Trained(model, masks, bench.scores(model), bench.price(model, masks), (), 0.0, 0.0)


def exported_network(path: str | Path, spec: TaskSpec) -> OwnNetwork:
    """The network in a file of ``torch.export.save``, to be refined on data of ``spec``; its bundle needs no code.

    Raises: as ``load_program``; BadArgument for a network with other inputs or outputs than the data has.
    """
    from steerage.export.program import load_program

    program = load_program(path)
    shape = program.graph.input_shape
    if shape != tuple(spec.input_shape):
        raise BadArgument(
            f"{path} takes inputs of shape {shape}, and the data has inputs of shape {spec.input_shape}; "
            "give the data that it was made for"
        )
    with evaluating(program), torch.no_grad():
        outputs = program(torch.zeros(1, *shape)).shape[1]
    if outputs != spec.outputs:
        raise BadArgument(
            f"{path} has {outputs} outputs, and the data needs {spec.outputs}; give it a last layer of so many"
        )
    return OwnNetwork(str(path), lambda: copy.deepcopy(program), architecture=FromProgram(program.graph))
