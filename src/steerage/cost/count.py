"""Parameters and multiply-accumulates (MACs) of a network; connections that a mask makes dormant do not count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from steerage.cost.layers import BATCH_NORMS, LayerUse, layer_uses
from steerage.data.dataset import TaskSpec
from steerage.errors import BadArgument, SteerageError, TrainingFailed
from steerage.nn.encoding import PiecewiseLinear
from steerage.nn.reduction import Reduce
from steerage.space import Value, Values
from steerage.templates.template import Template, architecture

Masks = Mapping[str, Tensor]
PRUNABLE = (nn.Linear, nn.Conv1d, nn.Conv2d)  # layers whose connections grow-and-prune edits


@final
@dataclass(frozen=True)
class Cost:
    """Parameters and MACs per input row; the ``dense_`` ones count dormant connections too.

    ``flash`` and ``ram``: bytes that generated code takes, ``instructions``: those of a row, estimated; None where that
    was not asked.
    """

    params: int
    dense_params: int
    macs: int
    dense_macs: int
    flash: int | None = None
    ram: int | None = None
    instructions: int | None = None

    def to_json(self) -> dict[str, int]:
        """Counts by name, those that are known; ``Cost(**json)`` restores them."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def count(model: nn.Module, input_shape: Sequence[int], *, masks: Masks | None = None) -> Cost:
    """Cost of ``model`` on one input row of shape ``input_shape``; the model and its training mode stay as they are.

    ``masks`` maps names of parameters to boolean tensors of their shapes, True = active; what has no mask is active.

    Parameters are active weights, biases, fixed projections, edges of the live bins of encodings, and the affine
    parameters of normalizations that remain after folding: a batch norm directly after a convolution or linear layer
    becomes one bias per output there. MACs are active weights times the positions they are applied at, padding
    included, as in He et al. (2016), and one per live bin;
    normalization, activation and pooling count none. A layer of an unknown kind counts all its parameters, and as
    many MACs as PyTorch's operation counter finds.

    Raises: BadArgument for a mask of no parameter or of another shape, and for a model that cannot run on the input.
    """
    masks = masks or {}
    _check_masks(model, masks)
    layers, hidden_macs = layer_uses(model, tuple(input_shape))
    params = dense_params = 0
    for name, shape in _counted_tensors(model, layers):
        dense_params += shape.numel()
        params += _active(name, shape, masks)
    macs = dense_macs = hidden_macs
    for layer in layers:
        dense_macs += layer.encoded
        macs += layer.encoded
        if (weight := layer.weight) is not None:
            dense_macs += weight.numel() * layer.positions
            macs += _active(f"{layer.name}.weight", weight.shape, masks) * layer.positions
    return Cost(params, dense_params, macs, dense_macs)


def dense_cost(template: Template, values: Values, spec: TaskSpec) -> Cost:
    """Cost of a candidate without building its weights; kept for every architecture that was asked for.

    Raises: TrainingFailed if the template cannot build the candidate, or the network cannot run.
    """
    return _dense_cost(template, tuple(architecture(values).items()), spec)


def least_cost(template: Template, values: Values, spec: TaskSpec) -> Cost:
    """Cost of a candidate pruned as far as it goes with every unit alive: one connection and one bias per unit.

    ``dense_params`` and ``dense_macs`` are those of ``dense_cost``. Raises: TrainingFailed as ``dense_cost``.
    """
    return _least_cost(template, tuple(architecture(values).items()), spec)


def least_masks(model: nn.Module, spec: TaskSpec) -> dict[str, Tensor]:
    """Masks that leave each unit of ``model`` one connection."""
    return {
        f"{use.name}.weight": torch.arange(use.weight.numel()).view(use.weight.shape) % use.weight[0].numel() == 0
        for use in layer_uses(model, tuple(spec.input_shape))[0]
        if isinstance(use.module, PRUNABLE) and use.weight is not None
    }


@lru_cache(maxsize=100_000)
def _least_cost(template: Template, values: tuple[tuple[str, Value], ...], spec: TaskSpec) -> Cost:
    dense = _dense_cost(template, values, spec)
    layers = template.layers(dict(values), spec)
    if layers is None:
        with torch.device("meta"):
            model = template.build(dict(values), spec)
        least = count(model, spec.input_shape, masks=least_masks(model, spec))
        return replace(dense, params=least.params, macs=least.macs)
    units = sum(layer.biases for layer in layers)
    fixed = sum(layer.weights for layer in layers if layer.biases == 0)  # nothing that could be pruned
    macs = sum((layer.biases or layer.weights) * layer.positions for layer in layers)
    return replace(dense, params=2 * units + fixed, macs=macs)


@lru_cache(maxsize=100_000)
def _dense_cost(template: Template, values: tuple[tuple[str, Value], ...], spec: TaskSpec) -> Cost:
    try:
        if (layers := template.layers(dict(values), spec)) is not None:
            params = sum(layer.weights + layer.biases for layer in layers)
            macs = sum(layer.weights * layer.positions for layer in layers)
            return Cost(params, params, macs, macs)
        with torch.device("meta"):
            model = template.build(dict(values), spec)
        return count(model, spec.input_shape)
    except SteerageError:
        raise
    except Exception as error:  # a user's template can raise anything
        raise TrainingFailed(f"template {template.name} cannot build {dict(values)}: {error}") from error


def _counted_tensors(model: nn.Module, layers: Sequence[LayerUse]) -> Iterator[tuple[str, torch.Size]]:
    """Name and shape of every tensor of a deployed network: each parameter once, folded norms as biases."""
    done: set[Tensor] = set()
    modules = dict(model.named_modules())
    for layer in layers:
        module = layer.module
        if isinstance(module, Reduce) and module.projection is not None and module.projection not in done:
            done.add(module.projection)
            yield f"{layer.name}.projection", module.projection.shape
        if isinstance(module, PiecewiseLinear) and module.edges not in done:
            done.add(module.edges)
            yield f"{layer.name}.edges", torch.Size([module.stored_edges()])
        if isinstance(module, BATCH_NORMS):
            yield from _norm_tensors(
                layer, module, None if layer.folds_into is None else modules[layer.folds_into], done
            )
    for name, parameter in model.named_parameters():  # those of norms are done
        if parameter not in done:
            yield name, parameter.shape


def _norm_tensors(
    layer: LayerUse, norm: _BatchNorm, absorber: nn.Module | None, done: set[Tensor]
) -> Iterator[tuple[str, torch.Size]]:
    """What remains of a batch norm: a bias where its layer had none, or else one scale and one shift per feature."""
    own = [parameter for parameter in (norm.weight, norm.bias) if parameter is not None]
    if absorber is not None:
        done.update(own)
        if absorber.bias is None:
            yield f"{layer.name}.bias", torch.Size([norm.num_features])
    elif not own and norm.running_mean is not None and norm.running_mean not in done:
        done.add(norm.running_mean)  # without an affine part of its own, the statistics are one
        yield f"{layer.name}.statistics", torch.Size([2, norm.num_features])


def _active(name: str, shape: torch.Size, masks: Masks) -> int:
    """Entries of a tensor that are active."""
    return int(masks[name].count_nonzero()) if name in masks else shape.numel()


def _check_masks(model: nn.Module, masks: Masks) -> None:
    """Raises: BadArgument for a mask that belongs to no parameter, or is no boolean tensor of its shape."""
    parameters = dict(model.named_parameters()) if masks else {}
    for name, mask in masks.items():
        if name not in parameters:
            raise BadArgument(f"mask {name!r} belongs to no parameter of the network")
        if mask.shape != parameters[name].shape or mask.dtype != torch.bool:
            wanted = tuple(parameters[name].shape)
            raise BadArgument(f"mask {name!r} must be boolean of shape {wanted}, got {mask.dtype} {tuple(mask.shape)}")
