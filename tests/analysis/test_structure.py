"""Layers, what they read, and what is wired to the input."""

from __future__ import annotations

import base64
import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from steerage.analysis import structure
from steerage.analysis.pictures import shrunk
from steerage.cost import count
from steerage.data.build import dataset_from_arrays
from steerage.data.dataset import Dataset
from steerage.templates import TEMPLATES


def images() -> Dataset:
    rng = np.random.default_rng(0)
    return dataset_from_arrays(rng.integers(0, 256, (40, 4, 4), dtype=np.uint8), np.arange(40) % 3, name="noise")


def table() -> Dataset:
    rng = np.random.default_rng(0)
    return dataset_from_arrays(rng.normal(size=(60, 3)), np.arange(60) % 2, name="columns")


class Skipping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(3, 5), nn.Linear(5, 5), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.second(torch.relu(self.first(x)))
        return self.last(torch.cat([x, hidden], dim=1))


def pixels(text: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_layers_say_which_others_they_read() -> None:
    layers = structure(Skipping(), table(), {})["layers"]
    assert [layer["name"] for layer in layers] == ["first", "second", "last"]
    assert [layer["reads"] for layer in layers] == [[-1], [0], [-1, 1]]
    assert [layer["wires"] for layer in layers] == [[15], [25], [6, 10]]


def test_a_skip_is_there_as_long_as_it_has_a_connection() -> None:
    mask = torch.ones(2, 8, dtype=torch.bool)
    mask[:, 1:3] = False
    assert structure(Skipping(), table(), {"last.weight": mask})["layers"][2]["wires"] == [2, 10]
    mask[:, 0] = False
    assert structure(Skipping(), table(), {"last.weight": mask})["layers"][2]["reads"] == [1]


def test_a_gate_is_read_as_what_it_opens() -> None:
    class Gated(Skipping):
        def forward(self, x: Tensor) -> Tensor:
            hidden = torch.relu(self.first(x))
            hidden = hidden * torch.sigmoid(self.second(hidden))
            return self.last(torch.cat([x, hidden], dim=1))

    layers = structure(Gated(), table(), {})["layers"]
    assert [layer["reads"] for layer in layers] == [[-1], [0], [-1, 0, 1]]
    assert layers[2]["wires"] == [6, 10, 10]


def test_connections_and_macs_are_those_of_the_cost_model() -> None:
    data = images()
    for name in ("mlp", "cnn", "resnet"):
        model = TEMPLATES[name].build(TEMPLATES[name].baseline(data.spec), data.spec)
        cost = count(model, data.spec.input_shape)
        layers = structure(model, data, {})["layers"]
        assert sum(layer["macs"] for layer in layers) == cost.macs
        assert all(layer["weights"] == layer["dense"] for layer in layers)


def test_what_reads_the_input_is_counted_by_column() -> None:
    mask = torch.ones(5, 3, dtype=torch.bool)
    mask[:, 1] = False
    mask[0, 0] = False
    last = torch.zeros(2, 8, dtype=torch.bool)
    last[1, 2] = True
    found = structure(Skipping(), table(), {"first.weight": mask, "last.weight": last})
    assert found["inputs"] == {"columns": {"x0": 4, "x1": 0, "x2": 6}, "wired": 2}
    assert (pixels(found["layers"][0]["mask"]) > 0).tolist() == mask.tolist()


def test_pixels_are_counted_by_the_kernels_that_cover_them() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
    mask = torch.zeros(2, 1, 3, 3, dtype=torch.bool)
    mask[0, 0, 1, 1] = True  # each pixel once
    mask[1, 0, 0, 0] = True  # and what has a neighbour below and to the right once more
    inputs = structure(model, images(), {"0.weight": mask})["inputs"]
    drawn = pixels(inputs["picture"])
    assert inputs["wired"] == 16
    assert (drawn[:3, :3] == 255).all() and (drawn[3] == 128).all() and (drawn[:, 3] == 128).all()


def test_what_reads_a_signal_is_counted_by_channel() -> None:
    rng = np.random.default_rng(0)
    data = dataset_from_arrays(rng.normal(size=(40, 2, 6)), np.arange(40) % 2, kind="signal")
    mask = torch.ones(3, 2, 1, dtype=torch.bool)
    mask[1:, 1] = False
    model = nn.Sequential(nn.Conv1d(2, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(18, 2))
    inputs = structure(model, data, {"0.weight": mask})["inputs"]
    assert inputs == {"columns": {"channel 0": 18, "channel 1": 6}, "wired": 2}


def test_a_network_that_cannot_be_traced_has_layers_all_the_same() -> None:
    class Branching(Skipping):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x if x.sum() > 0 else -x)

    found = structure(Branching(), table(), {})
    assert len(found["layers"]) == 3
    assert "inputs" not in found and "reads" not in found["layers"][0]


def test_large_patterns_are_averaged() -> None:
    values = np.zeros((7, 500))
    values[:, :250] = 1.0
    small = shrunk(values)
    assert small.shape == (7, 125)
    assert small[:, :62].min() == 1.0 and small[:, 63:].max() == 0.0
