from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from networks import network, pruned, rows
from steerage._version import __version__
from steerage.errors import BadArgument, ExportMismatch, UnsupportedLayer
from steerage.export import export_onnx
from steerage.export import onnx as exporter
from steerage.export.examples import example_rows
from steerage.export.graph import onnx_graph
from steerage.export.onnx import compare


def run(path: Path, encoded: Tensor) -> np.ndarray[Any, Any]:
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return session.run(["scores"], {"x": encoded.float().numpy()})[0]


@pytest.mark.parametrize(
    ("template", "genes"),
    [
        ("mlp", {"bins": 8, "skips": True, "activation": "gelu", "dropout": 0.2}),
        ("cnn", {"separable": True, "residual": True, "head": "gap", "blocks": 2, "activation": "hardswish"}),
        ("resnet", {"blocks0": 1, "blocks1": 1, "blocks2": 1, "shortcut": "pad", "squeeze": True, "hidden_layers": 1}),
        ("mobile", {"stages": 2, "squeeze": True, "last": 40}),
        ("signal", {"separable": True, "blocks": 2, "residual": True, "growth": 1.0, "head": "hidden"}),
    ],
)
def test_onnx_takes_encoded_rows_and_gives_the_same_scores(
    tmp_path: Path, template: str, genes: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    net = pruned(network(template, **genes))
    encoded = net.preprocess.encode(rows(net))
    path = export_onnx(net, tmp_path / "net.onnx", rows=encoded)
    assert capfd.readouterr() == ("", "")
    for part in (encoded, encoded[:1], encoded[:7]):
        assert np.allclose(run(path, part), net.scores(part).numpy(), rtol=1e-4, atol=1e-4)
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]
    graph = onnx.load(path)
    properties = {entry.key: entry.value for entry in graph.metadata_props}
    assert json.loads(properties["classes"]) == ["2", "10", "-7"]
    assert json.loads(properties["preprocess"]) == net.preprocess.to_json()
    assert properties["steerage_version"] == __version__
    assert not any(node.metadata_props for node in graph.graph.node)


def test_a_regression_gives_values_in_the_units_of_the_target(tmp_path: Path) -> None:
    net = network(regression=True)
    path = export_onnx(net, tmp_path / "net.onnx")
    encoded = net.preprocess.encode(rows(net))
    assert np.allclose(run(path, encoded)[:, 0], net.predict(rows(net)), rtol=1e-4)


def test_units_that_do_nothing_are_not_in_the_file(tmp_path: Path) -> None:
    net = network(depth=1, width=32, taper=1.0, bins=0, skips=False)
    with torch.no_grad():
        weight = net.model.get_parameter("net.output.weight")
        weight[:, 5:] = 0.0
    whole = sum(tensor.numel() for tensor in net.model.parameters())
    path = export_onnx(replace(net, masks={"net.output.weight": weight != 0}), tmp_path / "net.onnx")
    sizes = [int(np.prod(tensor.dims)) for tensor in onnx.load(path).graph.initializer]
    assert max(sizes) <= 5 * net.spec.input_shape[0] < whole / 3


def test_a_regression_is_compared_in_standard_deviations_of_its_target() -> None:
    net = replace(network(regression=True), target_mean=0.0, target_std=1e6)
    data = onnx_graph(net).SerializeToString()
    encoded = net.preprocess.encode(rows(net))
    assert compare(net, data, encoded)[0] < 1e-6  # although some predictions are near 0, in millions
    with pytest.raises(ExportMismatch):
        compare(replace(net, target_mean=200.0), data, encoded)


def test_a_graph_that_predicts_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = network(regression=True)
    wrong = onnx.helper.make_model(
        onnx.helper.make_graph(
            [
                onnx.helper.make_node("IsNaN", ["x"], ["missing"]),
                onnx.helper.make_node("Where", ["missing", "one", "x"], ["filled"]),
                onnx.helper.make_node("ReduceSum", ["filled", "axis"], ["scores"]),
            ],
            "wrong",
            [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 4])],
            [onnx.helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["batch", 1])],
            [
                onnx.numpy_helper.from_array(np.array([1], np.int64), "axis"),
                onnx.numpy_helper.from_array(np.ones(1, np.float32), "one"),
            ],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 18)],
        ir_version=9,
    )
    monkeypatch.setattr(exporter, "onnx_graph", lambda network: wrong)
    with pytest.raises(ExportMismatch, match=r"net\.onnx was not written: ONNX Runtime differs from PyTorch by"):
        export_onnx(net, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


class Moody(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, :3] if x.sum() > 0 else -x[:, :3]


def test_a_network_without_an_onnx_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedLayer, match="no ONNX form"):
        export_onnx(replace(network(), model=Moody()), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_rows_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=r"shape \(n, 4\), got \(5, 9\)"):
        export_onnx(network(), tmp_path / "net.onnx", rows=torch.zeros(5, 9))


def test_made_up_rows_look_like_the_training_rows() -> None:
    table = network().preprocess
    made = example_rows(table, 500, generator=torch.Generator().manual_seed(0))
    assert made.shape == (500, 4)
    assert 0 < made.isnan().float().mean() < 0.2
    assert set(made[:, 2][~made[:, 2].isnan()].tolist()) == {0.0, 1.0, 2.0}
    assert table.module()(made).isfinite().all()
    images = example_rows(network("cnn").preprocess, 50, generator=torch.Generator().manual_seed(0))
    assert images.shape == (50, 1, 8, 8)
    assert images.min() >= 0
    assert images.max() <= 255
