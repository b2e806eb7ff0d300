"""Small data sets that are learnt within a second, and small networks for them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steerage.data import Dataset, dataset_from_arrays

FEATURES, CLASSES = 6, 3


def clouds(rows: int = 150, *, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Three overlapping clouds of points: (rows, FEATURES) and (rows,)."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % CLASSES
    centres = rng.normal(size=(CLASSES, FEATURES)) * 2
    return centres[y] + rng.normal(size=(rows, FEATURES)), y


def table(rows: int = 150, *, seed: int = 0) -> Dataset:
    return dataset_from_arrays(*clouds(rows, seed=seed), name="clouds")


def waves(rows: int = 150, *, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A smooth function of the features, in units far from standardized ones."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, FEATURES))
    y = 100 + 20 * (x[:, 0] + np.sin(2 * x[:, 1]) + 0.1 * rng.normal(size=rows))
    return x, y


def numbers(rows: int = 150, *, seed: int = 0) -> Dataset:
    return dataset_from_arrays(*waves(rows, seed=seed), task="regression", name="waves")


def pictures(rows: int = 120, *, seed: int = 0) -> Dataset:
    """Horizontal and vertical bars on black 8 x 8 pixels."""
    rng = np.random.default_rng(seed)
    x = np.zeros((rows, 8, 8), dtype=np.uint8)
    y = np.arange(rows) % 2
    for row, upright in enumerate(y):
        at, level = rng.integers(2, 6), rng.integers(100, 255)
        x[row, 1:7, at] = level * upright
        x[row, at, 1:7] += np.uint8(level * (1 - upright))
    return dataset_from_arrays(x, y, name="bars")


def perceptron(*, dropout: float = 0.0, outputs: int = CLASSES) -> nn.Module:
    """787 parameters, 738 of them weights."""
    hidden = [nn.Linear(FEATURES, 24), nn.ReLU(), nn.Dropout(dropout), nn.Linear(24, 22), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(22, outputs))


def convolutional(*, channels: int = 8) -> nn.Module:
    """Batch norms fold: no biases of its own."""
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, 2),
    )


class Branched(nn.Module):
    """A network as users write them: a skip, a function in forward, a frozen layer and one that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(FEATURES, 20)
        self.second = nn.Linear(20, 20, bias=False)
        self.frozen = nn.Linear(20, 20).requires_grad_(False)
        self.unused = nn.Linear(4, 4)
        self.last = nn.Linear(20, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        x = x + torch.relu(self.second(x)) + torch.tanh(self.frozen(x))
        scores: Tensor = self.last(x)
        return scores


def bars(n: int, *, seed: int, slant: float, side: int = 20, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Bars of some lengths, with feet by their class, that lean by up to ``slant`` columns a row, anywhere."""
    rng = np.random.default_rng(seed)
    images, labels = np.zeros((n, side, side), np.uint8), rng.integers(0, classes, n)
    for image, label in zip(images, labels, strict=True):
        lean, begin, left = rng.uniform(-slant, slant), int(rng.integers(2, 5)), int(rng.integers(7, 11))
        for row in range(begin, begin + 12):
            column = round(left + lean * (row - begin - 6))
            wide = 2 + 3 * bool(label) * (row - begin > 9)
            image[row, max(0, column) : max(0, column + wide)] = rng.integers(150, 256)
    return images, labels
