"""Generated code of 8-bit integers: each number is the one that the model of its arithmetic computes."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from compilers import needs_board, needs_host, store_as
from test_random import FORMATS, random_network
from torch import Tensor, nn

import networks
from networks import around, network, pruned
from steerage.bundle import Network
from steerage.errors import BadArgument, UnsupportedLayer
from steerage.export.c import Options, Quantized, Verified, generate, quantize, verify
from steerage.export.c.toolchain import TARGETS
from steerage.export.examples import example_rows
from steerage.micro.integers import compute
from steerage.micro.storage import Format
from steerage.templates import TEMPLATES


def rows_of(net: Network, n: int, seed: int) -> Tensor:
    return example_rows(net.preprocess, n, generator=torch.Generator().manual_seed(seed))


def quantized(net: Network) -> Quantized:
    return quantize(net, rows_of(net, 60, 2))


def is_exact(net: Network, *, target: str = "host", n: int = 8, **options: object) -> Verified:
    """Verified on rows of which a third is far outside of what was calibrated on."""
    rows = rows_of(net, n, 1)
    far = rows[::3] * 20 if rows.is_floating_point() and net.spec.kind == "table" else 255 - rows[::3]
    rows = torch.cat([rows, far])
    made = verify(net, TARGETS[target], rows, options=Options(**options), int8=quantized(net))  # type: ignore[arg-type]
    assert made.numbers == "int8"
    assert made.tables in (None, made.predicted_tables)
    assert made.static_ram in (None, 0)
    return made


@needs_host
@pytest.mark.parametrize("density", [1.0, 0.4])
@pytest.mark.parametrize("template", ["mlp", "cnn", "signal", "resnet", "mobile"])
def test_every_template_is_exact(template: str, density: float) -> None:
    net = network(template, **({"bins": 4, "skips": True, "depth": 3} if template == "mlp" else {}))
    is_exact(pruned(net, density) if density < 1 else net)


@needs_host
def test_a_regression_comes_near_its_value_in_the_units_of_the_target() -> None:
    net = network("mlp", regression=True, width=16)
    made = is_exact(net)
    assert made.difference < 0.1
    files = generate(net, name="net", int8=quantized(net)).files
    assert "return (float)net_scores(x, scratch)[0] * NET_SCALE + NET_SHIFT;" in files["net.c"]
    assert f"#define NET_SHIFT {net.target_mean:.1f}f" in files["net.h"]


def two_targets() -> Network:
    one = network("mlp", regression=True, width=16)
    spec = replace(one.spec, outputs=2)
    model = TEMPLATES["mlp"].build(one.architecture.values, spec)  # type: ignore[union-attr]
    return replace(one, model=model, spec=spec, target_mean=(100.0, -3.0), target_std=(10.0, 0.5))


@needs_host
def test_several_targets_have_each_their_units() -> None:
    net = two_targets()
    made = is_exact(net)
    assert made.difference < 0.1
    header = generate(net, name="net", int8=quantized(net)).files["net.h"]
    assert "#define NET_SHIFTS {100.0f, -3.0f}" in header
    (scales,) = re.findall(r"#define NET_SCALES \{([\d.e-]+)f, ([\d.e-]+)f\}", header)
    assert float(scales[0]) == pytest.approx(20.0 * float(scales[1]))


def test_what_rounding_costs_several_targets_is_told() -> None:
    net = two_targets()
    rows = rows_of(net, 60, 2)
    made = quantize(net, rows, labels=net.in_units(net.scores(rows)).float())
    assert made.errors["float"] == pytest.approx(0.0, abs=1e-6)
    assert 0.0 < made.errors["calibrated"] < 0.2


@needs_host
@pytest.mark.parametrize("genes", [{}, {"pooling": "avg", "activation": "silu", "head": "hidden"}])
def test_signals_are_exact(genes: dict[str, str]) -> None:
    is_exact(network("signal", **genes))


@needs_host
@pytest.mark.parametrize("format", [*FORMATS[1:], "unrolled"])
def test_every_way_of_storing_weights_is_exact(format: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    store_as(monkeypatch, format)
    image = nn.Sequential(nn.Conv2d(2, 6, 3, 1, 1), nn.ReLU(), nn.Conv2d(6, 5, 3, 2), nn.Flatten(), nn.Linear(60, 4))
    is_exact(pruned(around(image, (2, 9, 8)), 0.4))
    is_exact(pruned(network("mlp", width=20, depth=2), 0.3))


@needs_host
def test_an_image_that_several_layers_read_is_summed_up_in_parts() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(64, 9), nn.Linear(73, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(1)
            return self.b(torch.cat((x, self.a(x).sigmoid()), 1))  # type: ignore[no-any-return]

    for dtype in ("uint8", "float32"):
        is_exact(around(Skip(), (1, 8, 8), dtype=dtype))  # type: ignore[arg-type]
        is_exact(pruned(around(Skip(), (1, 8, 8), dtype=dtype), 0.3), prefer="speed")  # type: ignore[arg-type]


@needs_host
@pytest.mark.parametrize("seed", range(200, 214))
def test_any_network_is_exact(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    format = FORMATS[seed % len(FORMATS)]
    if format is not None:
        store_as(monkeypatch, format)
    is_exact(random_network(seed), n=4, prefer="flash" if format is not None or seed % 4 else "speed")


@needs_board
@pytest.mark.parametrize(("seed", "target"), [(300, "cortex-m4"), (301, "cortex-m0"), (302, "cortex-m3")])
def test_any_network_is_exact_on_a_microcontroller(seed: int, target: str) -> None:
    is_exact(random_network(seed), n=3, target=target)


@needs_host
def test_probabilities_come_from_integers() -> None:
    net = network("cnn")
    made = is_exact(net, softmax=True)
    assert made.difference < 0.05


@needs_host
def test_the_self_test_has_the_integers() -> None:
    net = network("cnn")
    generated = generate(net, name="net", rows=rows_of(net, 3, 5), int8=quantized(net))
    wanted = compute(generated.layout.program, rows_of(net, 3, 5)).long().tolist()
    for row in wanted:
        assert ", ".join(map(str, row)) in generated.files["net_test.c"]


def test_the_same_network_takes_less_of_everything() -> None:
    net = pruned(network("cnn"), 0.5)
    whole, floats = generate(net, name="net", int8=quantized(net)).layout, generate(net, name="net").layout
    assert whole.table_bytes < 0.6 * floats.table_bytes
    assert whole.scratch_bytes < 0.32 * floats.scratch_bytes


@pytest.fixture
def without_logarithms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of which no column is taken as a logarithm."""
    monkeypatch.setattr("networks.TABLE", networks.TABLE[["a", "b", "c"]])


@pytest.mark.usefixtures("without_logarithms")
@pytest.mark.parametrize("bins", [0, 4])
def test_a_table_of_integers_needs_no_floats_of_the_compiler(bins: int) -> None:
    net = network("mlp", bins=bins)
    assert generate(net, name="net", int8=quantized(net)).layout.library_bytes("cortex-m0") == 0
    assert generate(net, name="net").layout.library_bytes("cortex-m0") > 1000


@needs_host
@pytest.mark.usefixtures("without_logarithms")
@pytest.mark.parametrize("genes", [{}, {"bins": 4, "skips": True, "depth": 3}], ids=["numbers", "bins"])
@pytest.mark.parametrize("density", [1.0, 0.2])
def test_columns_without_floats_are_exact(genes: dict[str, int], density: float) -> None:
    net = network("mlp", **genes)
    is_exact(pruned(net, density) if density < 1 else net, n=40)


@needs_board
@pytest.mark.usefixtures("without_logarithms")
@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m4"])
def test_columns_without_floats_are_exact_on_a_microcontroller(target: str) -> None:
    made = is_exact(network("mlp", bins=4), target=target, n=40)
    assert made.library == 0


@needs_board
def test_signals_of_integers_need_no_floats_of_the_compiler() -> None:
    net = network("signal")
    made = is_exact(net, target="cortex-m0")
    assert made.library == made.predicted_library < 600  # moving memory, and a quotient
    assert generate(net, name="net").layout.library_bytes("cortex-m0") > 1000


@needs_host
def test_probabilities_and_scores_agree_on_classes() -> None:
    net = network("resnet")
    made = quantized(net)
    rows = rows_of(net, 20, 3)
    scores, probabilities = compute(made.integers(), rows), compute(made.integers(softmax=True), rows)
    assert scores.argmax(1).tolist() == probabilities.argmax(1).tolist()


def test_weights_that_are_not_finite_are_refused() -> None:
    net = network("mlp")
    with torch.no_grad():
        next(one for one in net.model.parameters() if one.ndim == 2)[0, 0] = torch.inf
    with pytest.raises(UnsupportedLayer, match="weights that are not finite"):
        quantized(net)


def test_rows_of_another_shape_are_refused() -> None:
    with pytest.raises(BadArgument, match="calibration rows must be encoded rows of shape"):
        quantize(network("cnn"), torch.zeros(3, 1, 9, 9))
    with pytest.raises(BadArgument, match="calibration rows"):
        quantize(network("cnn"), torch.zeros(0, 1, 8, 8))
