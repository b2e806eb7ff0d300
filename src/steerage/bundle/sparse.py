"""Weights with connections missing, as a file holds them: those that are there, and where they are."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BITS, GAPS, OLD = "bits:", "gaps:", "mask:"
ESCAPE = 255
SPARSEST = 64  # entries of a weight for each of its gaps, at most: what a small file can ask for stays bounded


def stored(state: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a file: those of ``state``, of masked ones only the active entries, in order: float (active,).

    ``masks``: bool, by name, of the shape of their tensors; False = the entry is zero. Where the active entries lie is
    in ``gaps:NAME``, uint8, the number of dormant ones before each (a 255 is 255 of them and no entry), or in
    ``bits:NAME``, uint8 (ceil(n / 8),), a bit for each entry, highest first, whichever is shorter.
    """
    tensors = dict(state)
    for name, mask in masks.items():
        active = mask.reshape(-1)
        tensors[name] = state[name].reshape(-1)[active].contiguous()
        prefix, where = _places(active.numpy())
        tensors[f"{prefix}{name}"] = torch.from_numpy(where)
    return tensors


def restored(
    tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """State and masks that ``stored`` gave ``tensors`` of; ``shapes`` of the state by name.

    Dense weights beside ``mask:NAME``, uint8 of their shape, are what earlier versions wrote.
    Raises: ValueError for places that do not fit the shape or the entries.
    """
    state = {name: tensor for name, tensor in tensors.items() if not name.startswith((BITS, GAPS, OLD))}
    masks = {name.removeprefix(OLD): tensor.bool() for name, tensor in tensors.items() if name.startswith(OLD)}
    for key, where in tensors.items():
        name = key[len(BITS) :]
        if not key.startswith((BITS, GAPS)):
            continue
        if name not in state or name not in shapes:
            raise ValueError(f"{key} is of no tensor")
        if where.dtype != torch.uint8 or where.ndim != 1 or state[name].ndim != 1:
            raise ValueError(f"{key} must be bytes beside a row of entries")
        active = _active(key, where.numpy(), math.prod(shapes[name]))
        if int(active.sum()) != len(state[name]):
            raise ValueError(f"{key} has {int(active.sum())} places for {len(state[name])} entries")
        masks[name] = torch.from_numpy(active).reshape(shapes[name])
        full = torch.zeros(shapes[name], dtype=state[name].dtype)
        full[masks[name]] = state[name]
        state[name] = full
    return state, masks


def _places(active: NDArray[np.bool_]) -> tuple[str, NDArray[np.uint8]]:
    """Where the active entries are, in the shorter of the two forms, and which it is."""
    bits = np.packbits(active)
    between = np.diff(np.flatnonzero(active), prepend=-1) - 1
    escapes = between // ESCAPE
    gaps = np.full(len(between) + int(escapes.sum()), ESCAPE, dtype=np.uint8)
    gaps[np.arange(len(between)) + np.cumsum(escapes)] = between % ESCAPE
    short = len(gaps) < len(bits) and len(active) <= SPARSEST * len(gaps)
    return (GAPS, gaps) if short else (BITS, bits)


def _active(key: str, where: NDArray[np.uint8], entries: int) -> NDArray[np.bool_]:
    """bool (entries,). Raises: ValueError."""
    if key.startswith(BITS):
        if len(where) != -(-entries // 8):
            raise ValueError(f"{key} has {len(where)} bytes for {entries} entries")
        return np.unpackbits(where, count=entries).astype(np.bool_)
    if entries > SPARSEST * len(where):
        raise ValueError(f"{key} has {len(where)} gaps for {entries} entries")
    places = (np.cumsum(where.astype(np.int64)) + np.cumsum(where != ESCAPE) - 1)[where != ESCAPE]
    if len(places) and places[-1] >= entries:
        raise ValueError(f"{key} reaches beyond {entries} entries")
    active = np.zeros(entries, dtype=np.bool_)
    active[places] = True
    return active
