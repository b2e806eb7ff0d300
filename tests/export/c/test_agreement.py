"""Generated code computes what PyTorch does: each layer, each way of storing weights, each preprocessing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from compilers import agrees, built, needs_board, needs_host, store_as
from torch import Tensor, nn
from torch.nn import functional as F

from networks import TABLE, around, network, pruned
from steerage.data.tablefit import fit_table
from steerage.errors import BadArgument, BadData
from steerage.export.c import Options, generate, verify
from steerage.export.c.toolchain import TARGETS
from steerage.export.examples import example_rows
from steerage.micro.storage import Format
from steerage.nn import ACTIVATIONS, PiecewiseLinear, Reduce, fit_inputs
from steerage.nn.activations import activation
from steerage.nn.residual import PaddedResidual, Residual
from steerage.nn.squeeze import SqueezeExcitation

pytestmark = needs_host
FORMATS: tuple[Format, ...] = ("dense", "index8", "index16", "delta", "bitmap", "unrolled")


@pytest.mark.parametrize(
    ("template", "genes"),
    [
        ("mlp", {}),
        ("mlp", {"bins": 8, "skips": True, "activation": "gelu", "dropout": 0.2}),
        ("mlp", {"depth": 3, "skips": True, "activation": "silu"}),
        ("cnn", {}),
        ("cnn", {"separable": True, "residual": True, "head": "gap", "blocks": 2, "activation": "hardswish"}),
        ("cnn", {"pooling": "stride", "kernel": 5, "head": "flatten", "channels": 8}),
        ("cnn", {"pooling": "avg", "activation": "silu", "channels": 9}),
        ("resnet", {"shortcut": "pad", "squeeze": True, "width": 8}),
        ("resnet", {"shortcut": "projection", "block": "bottleneck", "width": 8}),
        ("mobile", {"squeeze": True, "width": 0.25, "stages": 4}),
        ("signal", {"blocks": 2, "residual": True, "growth": 1.0, "channels": 9}),
        ("signal", {"separable": True, "blocks": 2, "head": "hidden", "pooling": "avg", "activation": "silu"}),
        ("signal", {"pooling": "stride", "head": "flatten", "kernel": 9}),
    ],
)
def test_networks_of_all_templates(template: str, genes: dict[str, Any]) -> None:
    net = network(template, **genes)
    agrees(net)
    agrees(pruned(net, 0.3), prefer="speed")


@pytest.mark.parametrize("density", [0.03, 0.3, 1.0])
@pytest.mark.parametrize("format", FORMATS)
def test_all_ways_of_storing_weights(format: Format, density: float, monkeypatch: pytest.MonkeyPatch) -> None:
    store_as(monkeypatch, format)
    body = nn.Sequential(nn.Conv2d(2, 9, 3, padding=1), nn.ReLU(), nn.Conv2d(9, 6, 3, groups=3), nn.MaxPool2d(2))
    agrees(pruned(around(nn.Sequential(body, nn.Flatten(), nn.Linear(6 * 36, 4)), (2, 14, 14)), density))
    agrees(pruned(network(skips=True, depth=2, width=16), density))


OTHERS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "hardsigmoid": nn.Hardsigmoid,
    "elu": lambda: nn.ELU(0.7),
    "tanh gelu": lambda: nn.GELU("tanh"),
    "hardtanh": lambda: nn.Hardtanh(-0.5, 0.3),
}
POOLS = {"max": nn.MaxPool2d(2), "average": nn.AvgPool2d(2), "none": nn.Identity()}


@pytest.mark.parametrize(
    ("name", "pool"),
    [*((name, "max") for name in (*ACTIVATIONS, *OTHERS)), ("relu", "average"), ("gelu", "average"), ("silu", "none")],
)
def test_all_activations(name: str, pool: str) -> None:
    act = OTHERS[name]() if name in OTHERS else activation(name)
    body = nn.Sequential(nn.Conv2d(1, 3, 3), act, POOLS[pool], act, nn.Flatten())
    size = body(torch.zeros(2, 1, 8, 8)).shape[1]
    agrees(around(nn.Sequential(body, nn.Linear(size, 4), act, nn.Linear(4, 4)), (1, 8, 8), dtype="float32"))


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 6, 3, stride=2, padding=1),
        nn.Conv2d(4, 6, (1, 5), stride=(3, 2), padding=(2, 0), bias=False),
        nn.Conv2d(4, 8, 3, padding=1, groups=4),
        nn.Conv2d(4, 6, 2, groups=2, padding=1),
        nn.Conv2d(4, 6, 3, padding="same"),
        nn.Conv2d(4, 6, 1, stride=2),
        nn.Conv2d(4, 6, 1, stride=3),
        nn.Conv2d(4, 6, (9, 11)),
    ],
    ids=repr,
)
def test_all_geometries_of_convolutions(conv: nn.Conv2d) -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), conv, nn.BatchNorm2d(conv.out_channels), nn.Flatten())
    size = model.eval()(torch.zeros(1, 2, 9, 11)).shape[1]
    agrees(around(nn.Sequential(model, nn.Linear(size, 4)), (2, 9, 11)))
    direct = nn.Sequential(conv, nn.Flatten())  # reads the image itself
    size = direct(torch.zeros(1, 4, 9, 11)).shape[1]
    agrees(around(nn.Sequential(direct, nn.Linear(size, 4)), (4, 9, 11), dtype="float32"))


class Free(nn.Module):
    """What users write besides the blocks of templates: 3 x 6 x 10 -> 4."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 2, 1)
        self.shift = nn.Parameter(torch.randn(1, 6, 1, 1))
        self.reduce, self.expand = nn.Linear(6, 3), nn.Linear(3, 6)
        self.norm, self.out = nn.BatchNorm2d(6), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat((F.relu(self.first(x)), self.second(x)), dim=1)
        x = self.norm(1.0 - (x * 2.0 + self.shift) / 3.0)
        gate = torch.sigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3))))))
        x = F.dropout(x * gate.view(-1, 6, 1, 1), 0.5, self.training)
        x = F.max_pool2d(x, 3, 2, 1) - F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        return self.out(torch.cat((x.amax((2, 3)), F.adaptive_avg_pool2d(x, 1).flatten(1)), 1))


class Again(nn.Module):
    """A vector that is part of several others: 1 x 2 x 3 -> 4."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 3), nn.Linear(9, 3), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.tanh(self.a(x.flatten(1)))
        z = self.b(torch.cat((y, y, y), 1))
        return self.c(torch.cat((y, z, y, z), 1))


class Gates(nn.Module):
    """Any-to-later connections over an image, of which the first part is read as bytes: 1 x 5 x 6 -> 4."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(30, 7), nn.Linear(37, 5, bias=False), nn.Linear(42, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        x = torch.cat((x, torch.tanh(self.a(x))), 1)
        return self.c(torch.cat((x, self.b(x)), 1))


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (Free(), (3, 6, 10)),
        (Gates(), (1, 5, 6)),
        (Again(), (1, 2, 3)),
        (
            nn.Sequential(Residual(nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 1)), nn.Flatten(), nn.Linear(60, 4)),
            (2, 5, 6),
        ),
        (nn.Sequential(PaddedResidual(nn.Conv2d(2, 5, 3, 2, 1), 2), nn.Flatten(), nn.Linear(60, 4)), (2, 7, 5)),
        (
            nn.Sequential(SqueezeExcitation(3, 2), nn.AdaptiveMaxPool2d((1, 2)), nn.Flatten(), nn.Linear(6, 4)),
            (3, 4, 6),
        ),
        (nn.Sequential(nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(24), nn.Linear(24, 4)), (2, 3, 4)),
        (
            nn.Sequential(
                nn.AvgPool2d(2),
                nn.Conv2d(2, 4, 2),
                nn.AdaptiveAvgPool2d(1),
                nn.Conv2d(4, 4, 3, padding=1),
                nn.Flatten(),
            ),
            (2, 6, 6),
        ),
        (nn.Sequential(nn.Flatten(), Reduce(20, 9, method="select"), nn.Linear(9, 4)), (1, 4, 5)),
        (nn.Sequential(nn.Flatten(), Reduce(20, 5, method="pca"), nn.ReLU(), nn.Linear(5, 4)), (1, 4, 5)),
        (nn.Sequential(nn.Conv2d(1, 4, 4), nn.Flatten()), (1, 4, 4)),
        (nn.Sequential(nn.MaxPool2d(2, 1), nn.Flatten()), (1, 3, 3)),
    ],
)
def test_other_networks(model: nn.Module, shape: tuple[int, int, int]) -> None:
    agrees(around(model, shape))
    agrees(pruned(around(model, shape, dtype="float32"), 0.5), prefer="speed")


def table(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "plain": rng.normal(50, 4, n),
            "far": rng.normal(1e6, 1.0, n),
            "tail": np.exp(3 * rng.normal(size=n)) * rng.choice([-1, 1], n),
            "gaps": np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)),
            "few": rng.choice(["a", "b", "c", None], n),
            "two": rng.choice(["p", "q"], n),
            "many": [f"k{at % 40}" for at in range(n)],
        }
    )


@pytest.mark.parametrize("columns", [["plain", "gaps"], ["far", "two", "few"], [*table().columns]])
@pytest.mark.parametrize("bins", [0, 5])
def test_preprocessing_of_tables(columns: list[str], bins: int) -> None:
    frame = table()[columns]
    net, preprocess = network(), fit_table(frame)
    features = preprocess.output_shape[0]
    model: nn.Module = nn.Linear(features * (1 + bins), 3)
    if bins:
        model = nn.Sequential(PiecewiseLinear(features, bins), model)
        fit_inputs(model, preprocess.module()(preprocess.encode(frame)), torch.zeros(60).long(), seed=0)
    spec = replace(net.spec, input_shape=(features,))
    made = replace(net, model=model, spec=spec, preprocess=preprocess, masks={})
    rows = torch.cat(
        [preprocess.encode(frame), example_rows(preprocess, 60, generator=torch.Generator().manual_seed(0))]
    )
    extreme = torch.tensor([[value] * len(preprocess.columns) for value in (torch.nan, 1e30, -1e30, 7.0, 0.0, 0.5)])
    assert agrees(made, rows=torch.cat([rows, extreme]), n=0).rows == 126


class Bent(nn.Module):
    """Reads features beside others, and not linearly."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(features, 2), nn.Linear(features + 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.relu(torch.cat((x, self.a(x)), 1)))


def test_features_that_are_not_read_linearly() -> None:
    net = network()
    agrees(replace(net, model=Bent(net.spec.input_shape[0]), masks={}))


def test_infinity_is_missing_as_when_rows_are_encoded(tmp_path: Path) -> None:
    net = network()
    rows = net.preprocess.encode(TABLE.assign(a=np.inf))
    assert rows[:, 0].isnan().all()
    generated = generate(net, name="net", rows=rows)
    files = {**generated.files, "net_test.c": generated.files["net_test.c"].replace("NAN", "INFINITY")}
    assert subprocess.run([built(files, tmp_path, name="net", flags=())], check=False).returncode == 0
    with pytest.raises(BadArgument, match="infinities"):
        generate(net, name="net", rows=torch.where(rows.isnan(), torch.inf, rows))


def test_a_regression_is_in_the_units_of_the_target() -> None:
    agrees(network(regression=True))
    agrees(pruned(network(regression=True, skips=True, bins=4), 0.3))


def test_probabilities_where_they_are_asked_for() -> None:
    net = network()
    agrees(net, softmax=True)
    agrees(around(nn.Sequential(nn.Flatten(), nn.Linear(9, 4), nn.ReLU()), (1, 3, 3)), softmax=True)


def test_features_that_nothing_reads_are_not_computed() -> None:
    net = network()
    features = net.spec.input_shape[0]
    net = replace(net, model=nn.Linear(features, 3), masks={})
    whole = agrees(net)
    mask = torch.zeros(3, features, dtype=torch.bool)
    mask[:, 1] = True
    net.model.get_parameter("weight").data.mul_(mask)
    less = agrees(replace(net, masks={"weight": mask}))
    assert (whole.scratch, less.scratch) == (4 * (features + 3), 4 * (1 + 3))
    assert less.predicted_tables < whole.predicted_tables


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadArgument, match=r"\('n', 4\), got \(5, 9\)"):
        verify(network(), TARGETS["host"], torch.zeros(5, 9))
    with pytest.raises(BadData, match="images of bytes"):
        verify(network("cnn"), TARGETS["host"], torch.full((2, 1, 8, 8), 0.5), options=Options())


@needs_board
@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m3", "cortex-m0"])
def test_microcontrollers_return_the_same_in_an_emulator(target: str) -> None:
    for net in (
        pruned(network(bins=8, skips=True, activation="gelu", width=16), 0.4),
        pruned(network("cnn", channels=8), 0.2),
    ):
        verified = agrees(net, target=target, n=5)
        assert verified.code is not None and verified.library is not None and verified.stack is not None
        assert verified.predicted_code == pytest.approx(verified.code, rel=0.06)
        flash = verified.predicted_tables + verified.predicted_code + verified.predicted_library
        assert flash == pytest.approx(verified.predicted_tables + verified.code + verified.library, rel=0.03)
        assert 0 < verified.stack < 500
        assert verified.instructions is not None and verified.instructions > 1000
