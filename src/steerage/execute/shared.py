"""Tensors that many processes read: in one file, which each maps into its memory, so that all share the pages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor

from steerage import store


def share(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write ``tensors`` for ``mapped``. Raises: SteerageError when the disk is full or cannot be written to."""
    store.write_atomic(path, safetensors.torch.save({name: one.contiguous() for name, one in tensors.items()}))


def mapped(path: Path) -> dict[str, Tensor]:
    """The tensors in ``path``, read when they are touched; what is written into them stays with this process."""
    return safetensors.torch.load_file(path)
