"""What a network costs where its budget is kept: counts, and on a device the code that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import torch
from torch import Tensor, nn

from steerage.cost.count import Cost, count, least_masks
from steerage.cost.memory import memory
from steerage.data.dataset import Dataset
from steerage.errors import SteerageError, TrainingFailed, UnsupportedLayer
from steerage.micro.build import Units, build
from steerage.micro.codesize import Core
from steerage.micro.plan import at_peak
from steerage.micro.storage import Prefer
from steerage.micro.stream import streamed
from steerage.space import Value, Values
from steerage.templates.template import Template, architecture

DEFAULT: Core = "cortex-m4"
REAL = 300_000  # parameters up to which computing with weights takes less time than doing without


@final
@dataclass(frozen=True, eq=False)
class Price:
    """Costs of networks for rows of ``dataset``; with ``core``, those of their code on such a processor, too.

    Code is priced as ``steerage export --to c`` writes it, ``int8``: of 8-bit integers. ``prefer``: each layer is
    stored as small as can be, or for speed, where fewer connections never take longer.
    """

    dataset: Dataset
    core: Core | None = None
    int8: bool = False
    prefer: Prefer = "flash"

    def __call__(self, model: nn.Module, masks: Mapping[str, Tensor] | None = None) -> Cost:
        """Cost of ``model`` as it is, its dead units included; ``masks`` by name of parameter, True = active.

        Raises: as ``steerage.cost.count``; UnsupportedLayer for a layer that has no C form.
        """
        cost = count(model, self.dataset.spec.input_shape, masks=masks)
        return cost if self.core is None else self._with_code(cost, model, masks)

    def if_any(self, model: nn.Module, masks: Mapping[str, Tensor] | None = None) -> Cost:
        """Cost with that of the code where there is a C form, on a Cortex-M4 unless there is another ``core``."""
        try:
            return replace(self, core=self.core or DEFAULT)(model, masks)
        except UnsupportedLayer:
            return count(model, self.dataset.spec.input_shape, masks=masks)

    def crowding(self, model: nn.Module, masks: Mapping[str, Tensor] | None = None) -> frozenset[str]:
        """Names of the layers whose outputs are in RAM when most of it is in use. Raises: UnsupportedLayer."""
        program = streamed(build(model, self.dataset.preprocess, masks=masks, units=self._units))
        makers = {op.output: op.label for op in program.ops}
        return frozenset(makers[value] for value in at_peak(program) if value in makers)

    def least(self, template: Template, values: Values) -> Cost:
        """Cost of a candidate with one connection and one bias per unit, as far as it can be pruned with all units.

        ``ram`` is that of the dense candidate, which pruning alone can promise. Kept for every architecture.
        Raises: TrainingFailed if the template cannot build the candidate, or it has no C form.
        """
        return self._ends(template, values)[0]

    def dense(self, template: Template, values: Values) -> Cost:
        """Cost of a candidate with all connections, kept likewise. Raises: TrainingFailed, as ``least``."""
        return self._ends(template, values)[1]

    def _ends(self, template: Template, values: Values) -> tuple[Cost, Cost]:
        shape = architecture(values)
        key = (template, tuple(shape.items()))
        if key not in self._known:
            self._known[key] = self._priced(template, shape)
        return self._known[key]

    def _priced(self, template: Template, values: Values) -> tuple[Cost, Cost]:
        spec = self.dataset.spec
        try:
            with torch.device("meta"):
                model = template.build(values, spec)
            masks = least_masks(model, spec)
            if sum(one.numel() for one in model.parameters()) <= REAL:
                with torch.random.fork_rng(devices=[]):
                    model = template.build(values, spec)
            dense = self(model)
            return replace(self(model, masks), ram=dense.ram), dense
        except SteerageError as error:
            raise TrainingFailed(f"the candidate cannot become code: {error}") from error
        except Exception as error:  # a user's template can raise anything
            raise TrainingFailed(f"template {template.name} cannot build {values}: {error}") from error

    @cached_property
    def _known(self) -> dict[tuple[Template, tuple[tuple[str, Value], ...]], tuple[Cost, Cost]]:
        return {}

    @cached_property
    def _units(self) -> Units | None:
        dataset = self.dataset
        return Units(dataset.target_mean, dataset.target_std) if dataset.spec.task == "regression" else None

    def _with_code(self, cost: Cost, model: nn.Module, masks: Mapping[str, Tensor] | None) -> Cost:
        assert self.core is not None
        code = memory(
            model,
            self.dataset.preprocess,
            masks=masks,
            units=self._units,
            prefer=self.prefer,
            int8=self.int8,
            core=self.core,
        )
        return replace(cost, flash=code.flash, ram=code.ram, instructions=code.instructions)
