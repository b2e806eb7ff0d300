"""Values of an Optuna study as values of a space, and back: a choice that no gene can have gets a name in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

from optuna.distributions import BaseDistribution, CategoricalDistribution

from steerage.space import Space, Value, Values


@final
@dataclass(frozen=True)
class Vocabulary:
    """A ``space``, and by gene the choices of the study, by the name that stands for each in the space.

    Genes whose choices are plain values have no names: what is in the space is what is in the study.
    """

    space: Space
    choices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @staticmethod
    def of(distributions: Mapping[str, BaseDistribution]) -> Vocabulary:
        """Vocabulary of Optuna's ``distributions``; choices that Optuna holds for equal are one."""
        genes, choices = dict(distributions), dict[str, dict[str, Any]]()
        for name, distribution in distributions.items():
            if not isinstance(distribution, CategoricalDistribution) or _is_plain(distribution):
                continue
            kept = {int(distribution.to_internal_repr(choice)) for choice in distribution.choices}
            # Genes with the same choices have the same names, so that the predictor can count them together.
            choices[name] = {f"{i}: {distribution.choices[i]!r}": distribution.choices[i] for i in sorted(kept)}
            genes[name] = CategoricalDistribution(tuple(choices[name]))
        return Vocabulary(Space(genes), choices)

    def params(self, values: Values) -> dict[str, Any]:
        """``values`` of the space as parameters of the study."""
        return {name: self.choices[name][str(v)] if name in self.choices else v for name, v in values.items()}

    def values(self, params: Mapping[str, Any]) -> dict[str, Value] | None:
        """The point of the space at or next to ``params``, as in ``Space.nearest``; None if there is none."""
        return self.space.nearest({name: self._name(name, value) for name, value in params.items()})

    def _name(self, gene: str, value: Any) -> Any:
        """What stands for ``value`` of ``gene`` in the space; ``value`` itself where nothing does."""
        for name, choice in self.choices.get(gene, {}).items():
            if choice is value or choice == value or (choice != choice and value != value):  # nan is not equal to nan
                return name
        return value


def _is_plain(distribution: CategoricalDistribution) -> bool:
    """Whether a gene can have all these choices, and none is equal to another."""
    choices = distribution.choices
    plain = all(isinstance(choice, bool | int | float | str) and choice == choice for choice in choices)
    return plain and len(set(choices)) == len(choices)
