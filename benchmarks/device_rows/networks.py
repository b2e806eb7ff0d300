"""The networks that the table of devices compares on, trained briefly once and kept as bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from common import SHARED
from int8 import Task, network
from torch import Tensor

import steerage
from steerage.bundle import Network, save_network
from steerage.data import load_labelled

MNIST = str(SHARED / "mnist.npz")
Kind = Literal["feed-forward", "convolutional"]
SLIM = (("channels", 8), ("blocks", 1), ("head", "flatten"), ("stages", 2))
TASKS = {
    # A tenth of the 2,410 parameters of 64-32-10.
    "digits 90% sparse": Task(
        "digits 90% sparse", "digits", "mlp", 0, 276, 400, (("width", 32), ("depth", 1), ("skips", False))
    ),
    "digits skips": Task("digits skips", "digits", "mlp", 0, 458, 400, (("width", 16), ("depth", 3), ("taper", 1.0))),
    "mnist 5,300": Task("zoo:mnist-5k", MNIST),
    "mnist 1,200": Task("mnist 1,200", MNIST, "cnn", 0, 1_200, 3, SLIM),
    "digits depthwise": Task(
        "digits depthwise", "digits", "cnn", 0, 2_000, 80, (("separable", True), ("channels", 40), ("stages", 2))
    ),
    "digits residual": Task(
        "digits residual", "digits", "resnet", 0, 2_000, 120, (("width", 8), ("shortcut", "projection"))
    ),
}


def kind(name: str) -> Kind:
    return "feed-forward" if TASKS[name].template == "mlp" else "convolutional"


def kept(name: str, runs: Path) -> Network:
    """The network, trained at the first call."""
    task, folder = TASKS[name], runs / "networks" / name.replace(" ", "-").replace(",", "").replace("%", "")
    if not task.template:
        return steerage.load(task.name)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        save_network(folder, network(task))
    return steerage.load(folder)


def rows_of(name: str, net: Network, part: Literal["train", "test"]) -> tuple[Tensor, Tensor]:
    """Encoded rows of the data that a network is from, and their labels."""
    known: dict[str, Any] = {
        "preprocess": net.preprocess,
        "classes": net.classes,
        "target_name": net.target_name,
        "task": net.spec.task,
    }
    x, y = load_labelled(TASKS[name].data, **known, part=part)
    assert y is not None
    return x, y
