"""One seed in, all randomness derived from it by name, the same in every process."""

from __future__ import annotations

import hashlib

import torch


def child_seed(seed: int, *names: str | int) -> int:
    """Seed in [0, 2**32) from ``seed`` and ``names`` alone (never from ``hash``, which differs per process)."""
    text = "/".join([str(seed), *(f"{type(name).__name__}:{name}" for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def generator(seed: int, *names: str | int) -> torch.Generator:
    """CPU generator seeded with ``child_seed(seed, *names)``."""
    return torch.Generator().manual_seed(child_seed(seed, *names))
