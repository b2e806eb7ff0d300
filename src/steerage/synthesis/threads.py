"""How many threads train a network of this kind best."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from steerage.data.dataset import Dataset


@contextmanager
def threads_for(dataset: Dataset) -> Iterator[None]:
    """One thread for tables and tiny images, whose operations are too small to share; all that torch has for others.

    A rule and not a measurement, so that a seed gives the same network every time.
    """
    before = torch.get_num_threads()
    pixels = dataset.x[0].numel() if len(dataset.x) else 0
    if dataset.spec.kind == "table" or pixels < 256:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
