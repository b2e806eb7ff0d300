"""Feed-forward networks in which, if asked, any earlier neuron or input may feed any later one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import cast, final

import torch
from torch import Tensor, nn

from steerage.errors import BadArgument
from steerage.nn.activations import activation as make_activation


@final
class FeedForward(nn.Module):
    """Hidden layers in order of depth, then a linear output layer: (batch, inputs) -> (batch, outputs).

    With ``skips`` each layer, the output included, reads the inputs and *all* earlier layers side by side (SCANN,
    arXiv 1904.09090): its weight has the columns [inputs, hidden 0, hidden 1, ...]. Without, it reads only the layer
    before it. ``dropout`` in [0, 1) follows each activation; ``norm`` puts a BatchNorm1d before it.

    The forward pass takes every size from the layers themselves, so a network whose units were added or removed
    needs nothing but consistent weights.

    Raises: BadArgument for a size below 1, a dropout outside [0, 1), or an unknown activation.
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        inputs: int,
        outputs: int,
        activation: str = "relu",
        norm: bool = True,
        dropout: float = 0.0,
        skips: bool = False,
    ) -> None:
        super().__init__()
        if min(inputs, outputs, *widths) < 1:
            raise BadArgument(f"sizes must be at least 1, got inputs={inputs}, widths={[*widths]}, outputs={outputs}")
        if not 0.0 <= dropout < 1.0:
            raise BadArgument(f"dropout must be in [0, 1), got {dropout}")
        self.skips = skips
        self.hidden = nn.ModuleList()
        reads = inputs
        for width in widths:
            self.hidden.append(_hidden_layer(reads, width, activation=activation, norm=norm, dropout=dropout))
            reads = reads + width if skips else width
        self.output = nn.Linear(reads, outputs)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            y = layer(x)  # (batch, width)
            x = torch.cat((x, y), dim=1) if self.skips else y
        scores: Tensor = self.output(x)  # (batch, outputs)
        return scores

    def readers(self) -> list[nn.Linear]:
        """Linear layers that read the inputs: the first columns of their weights belong to them."""
        linears = [*(layer.get_submodule("linear") for layer in self.hidden), self.output]
        return cast("list[nn.Linear]", linears if self.skips else linears[:1])

    def adjacent(self) -> Iterator[tuple[nn.Linear, Tensor]]:
        """Each linear layer, and which of its columns, (reads,) bool, are of the layer just before it."""
        before = None
        for linear in [*(layer.get_submodule("linear") for layer in self.hidden), self.output]:
            assert isinstance(linear, nn.Linear)
            columns = torch.ones(linear.in_features, dtype=torch.bool)
            if self.skips and before is not None:
                columns[: linear.in_features - before] = False
            yield linear, columns
            before = linear.out_features


def _hidden_layer(inputs: int, width: int, *, activation: str, norm: bool, dropout: float) -> nn.Sequential:
    """Linear, norm, activation, dropout: (batch, inputs) -> (batch, width)."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["linear"] = nn.Linear(inputs, width, bias=not norm)  # the norm has a bias of its own
    if norm:
        parts["norm"] = nn.BatchNorm1d(width)
    parts["activation"] = make_activation(activation)
    if dropout > 0.0:
        parts["dropout"] = nn.Dropout(dropout)
    return nn.Sequential(parts)
