"""Fitting a freshly built module to tensors whose shapes differ, because units were added to it or removed."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from steerage.nn.reduction import Reduce


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor in the model's state, by name."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def groups_of(model: nn.Module) -> dict[str, int]:
    """Groups of every grouped convolution, by name: the one thing that shapes alone do not tell."""
    return {name: module.groups for name, module in model.named_modules() if _is_grouped(module)}


def _is_grouped(module: nn.Module) -> bool:
    return isinstance(module, _ConvNd) and module.groups != 1


def resize_(model: nn.Module, shapes: Mapping[str, tuple[int, ...]], *, groups: Mapping[str, int]) -> None:
    """Give the model's parameters and buffers the shapes given, with zeros in those that change.

    A bias may also appear or vanish. Raises: KeyError for a name that the model has no place for, or a tensor of the
    model that ``shapes`` lacks.
    """
    present = shapes_of(model)
    for name in [*shapes, *(name for name in present if name not in shapes)]:
        path, _, leaf = name.rpartition(".")
        try:
            module = model.get_submodule(path)
        except AttributeError as error:
            raise KeyError(name) from error
        if shapes.get(name) != present.get(name):
            _replace_(module, leaf, shapes.get(name), name)
    for name, module in model.named_modules():
        _agree_(module, groups.get(name, 1))


def _replace_(module: nn.Module, leaf: str, shape: tuple[int, ...] | None, name: str) -> None:
    if leaf == "bias" and isinstance(module, nn.Linear | _ConvNd):
        fresh = None if shape is None else nn.Parameter(torch.zeros(shape, dtype=module.weight.dtype))
        module.register_parameter("bias", fresh)
        return
    old = getattr(module, leaf, None)
    if shape is None or not isinstance(old, Tensor):
        raise KeyError(name)
    zeros = torch.zeros(shape, dtype=old.dtype)
    setattr(module, leaf, nn.Parameter(zeros) if isinstance(old, nn.Parameter) else zeros)


def _agree_(module: nn.Module, groups: int) -> None:
    """Make the sizes that a module keeps as numbers agree with its tensors."""
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        module.groups = groups
        module.in_channels, module.out_channels = module.weight.shape[0], module.weight.shape[1] * groups
    elif isinstance(module, _ConvNd):
        module.groups = groups
        module.out_channels, module.in_channels = module.weight.shape[0], module.weight.shape[1] * groups
    elif isinstance(module, _NormBase):
        tensor = module.weight if module.weight is not None else module.running_mean
        if tensor is not None:
            module.num_features = len(tensor)
    elif isinstance(module, nn.LayerNorm) and module.weight is not None:
        module.normalized_shape = tuple(module.weight.shape)
    elif isinstance(module, nn.GroupNorm) and module.weight is not None:
        module.num_channels = len(module.weight)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)
    elif isinstance(module, Reduce):
        if module.projection is not None:
            module.k, module.features = module.projection.shape
        elif module.index is not None:
            module.k = len(module.index)
