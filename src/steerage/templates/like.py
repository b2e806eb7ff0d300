"""A published network as the measure: its template, with one recipe for it and for whatever is to beat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from torch import nn

from steerage.data.dataset import TaskSpec
from steerage.data.raw import listed
from steerage.errors import BadArgument
from steerage.space import Space, Value, Values
from steerage.templates.registry import TEMPLATES
from steerage.templates.template import RECIPE_GENES, LayerShape, Template, architecture


@final
class Like(Template):
    """``base``, whose baseline is the published network ``published`` and whose recipe is no matter of the search.

    All candidates are trained as ``base.defaults`` says, the baseline with them, so that what is gained is gained by
    the architecture.
    """

    def __init__(self, base: Template, published: str) -> None:
        self.base, self.published, self.name = base, published, base.name

    def accepts(self, spec: TaskSpec) -> bool:
        return self.base.accepts(spec)

    def space(self, spec: TaskSpec) -> Space:
        """Genes of the architecture alone."""
        whole, recipe = self.base.space(spec), self._recipe(spec)
        genes = {name: gene for name, gene in whole.distributions.items() if name not in RECIPE_GENES}
        return Space(genes, lambda values: architecture(whole.canonical({**recipe, **values})))

    def build(self, values: Values, spec: TaskSpec) -> nn.Module:
        return self.base.build(values, spec)

    def layers(self, values: Values, spec: TaskSpec) -> Sequence[LayerShape] | None:
        return self.base.layers(values, spec)

    def depth(self, values: Values) -> int | None:
        return self.base.depth(values)

    def baseline(self, spec: TaskSpec) -> Values:
        return architecture(self.base.named(spec)[self.published])

    def starts(self, spec: TaskSpec) -> Sequence[Values]:
        """Those of the template, and the published network itself."""
        space = self.space(spec)
        points = [architecture(values) for values in self.base.starts(spec)]
        distinct = {space.key(values): values for values in [*points, self.baseline(spec)]}
        return tuple(distinct.values())

    def named(self, spec: TaskSpec) -> Mapping[str, Values]:
        return {name: architecture(values) for name, values in self.base.named(spec).items()}

    def defaults(self, spec: TaskSpec) -> dict[str, Value]:
        return self.base.defaults(spec)

    def _recipe(self, spec: TaskSpec) -> Values:
        """Values of the recipe's genes, which only a canonical point of ``base`` asks for."""
        return {name: value for name, value in self.base.baseline(spec).items() if name in RECIPE_GENES}


def published_like(name: str, spec: TaskSpec, template: Template | None = None) -> Like:
    """The template of the published network ``name``, of all that take ``spec`` or of the one given.

    Raises: BadArgument for a name that none of them has, with those that there are.
    """
    able = [one for one in ([template] if template is not None else TEMPLATES.values()) if one.accepts(spec)]
    for one in able:
        if name in one.named(spec):
            return Like(one, name)
    known = [published for one in able for published in one.named(spec)]
    remedy = f"known are {listed(known)}" if known else "leave it out: there is none for such data"
    raise BadArgument(f"no published network is called {name!r} for such data; {remedy}")
