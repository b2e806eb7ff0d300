"""Data sets that come over the network: OpenML, torchvision."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from steerage.data.build import raw_from_arrays
from steerage.data.raw import Raw, listed
from steerage.errors import BadData, MissingDependency

TORCHVISION = ("MNIST", "FashionMNIST", "KMNIST", "CIFAR10", "CIFAR100", "SVHN")
CACHE = Path("~/.cache/steerage")


def read_openml(name: str, *, target: str | None = None) -> Raw:
    """``NAME`` or ``NAME@VERSION`` from openml.org, cached by scikit-learn. Raises: BadData, also when offline."""
    from sklearn.datasets import fetch_openml

    title, _, version = name.partition("@")
    if version and not version.isdigit():
        raise BadData(f"openml:{name} must have a whole number as its version, got {version!r}; write NAME or NAME@2")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # several active versions, outdated descriptions
            bunch: Any = fetch_openml(
                title,
                version=int(version) if version else "active",
                target_column=target or "default-target",
                as_frame=True,
                parser="auto",
            )
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadData(f"openml:{name} cannot be fetched ({reason}); check the name and the network") from error
    labels = bunch.target
    if not isinstance(labels, pd.Series):
        raise BadData(f"openml:{name} must have one target column, got {type(labels).__name__}; name one with --target")
    return Raw(title, "table", bunch.data, labels, target_name=str(labels.name))


def read_torchvision(name: str) -> Raw:
    """One of ``TORCHVISION``, downloaded once. Raises: MissingDependency; BadData for other names, or when offline."""
    if name not in TORCHVISION:
        raise BadData(f"there is no data set {name!r} of torchvision here; known are {listed(TORCHVISION)}")
    try:
        module = importlib.import_module("torchvision.datasets")
    except ImportError as error:
        raise MissingDependency(
            f"torchvision:{name} needs the package torchvision; install it with pip install 'steerage-nn[vision]'"
        ) from error
    root = CACHE.expanduser()
    try:
        root.mkdir(parents=True, exist_ok=True)
        parts = [_part(getattr(module, name), root, name, train) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        raise BadData(f"torchvision:{name} cannot be fetched ({error}); check the network") from error
    return raw_from_arrays(name, *parts[0], *parts[1])


def _part(dataset: Any, root: Path, name: str, train: bool) -> tuple[np.ndarray, np.ndarray]:
    if name == "SVHN":
        part = dataset(str(root), split="train" if train else "test", download=True)
        return np.asarray(part.data), np.asarray(part.labels)
    part = dataset(str(root), train=train, download=True)
    return np.asarray(part.data), np.asarray(part.targets)
