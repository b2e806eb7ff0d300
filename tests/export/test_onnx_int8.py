"""ONNX files of 8-bit integers, beside the float ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from networks import network, pruned
from steerage.bundle import Network
from steerage.errors import BadArgument, UnsupportedLayer
from steerage.export.examples import example_rows
from steerage.export.graph import INPUT, OUTPUT
from steerage.export.int8 import Quantized, explained, export_int8, quantized
from steerage.export.runtime import scores, session

CASES: dict[str, dict[str, Any]] = {
    "table": {"template": "mlp", "bins": 8, "skips": True},
    "regression": {"template": "mlp", "regression": True, "activation": "gelu"},
    "image": {"template": "cnn", "separable": True, "residual": True, "head": "gap", "activation": "hardswish"},
}


@dataclass(frozen=True)
class Made:
    """A network, what it says itself about some rows, and its file of integers."""

    network: Network
    rows: Tensor
    labels: Tensor
    figures: Quantized
    file: bytes


def data(net: Network, n: int = 96) -> Tensor:
    return example_rows(net.preprocess, n, generator=torch.Generator().manual_seed(3)).float()


@pytest.fixture(scope="module", params=list(CASES))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    net = pruned(network(**CASES[request.param]))
    rows, path = data(net), tmp_path_factory.mktemp("int8") / "net.onnx"
    found = net.scores(rows)
    labels = found.argmax(dim=1)
    if net.spec.task == "regression":
        labels = found[:, 0] * net.target_std + net.target_mean
    figures = export_int8(net, path, calibration=data(net, 200), rows=rows, labels=labels)
    assert [file.name for file in path.parent.iterdir()] == ["net.onnx"]
    return Made(net, rows, labels, figures, path.read_bytes())


def test_integers_say_what_the_float_network_says(made: Made) -> None:
    assert made.figures.rows == 96
    assert made.figures.float_error < 1e-6
    assert made.figures.error == pytest.approx(1.0 - made.figures.agreement, abs=1e-6)
    assert made.figures.agreement > 0.9
    assert made.figures.bytes == len(made.file)


def test_a_batch_may_be_of_any_size(made: Made) -> None:
    runner, whole = session(made.file), scores(session(made.file), made.rows)
    for batch in (1, 5):
        assert np.allclose(scores(runner, made.rows[:batch]), whole[:batch], atol=1e-5 * whole.abs().max().item())


def test_weights_are_integers_and_the_preprocessing_is_not(made: Made) -> None:
    graph = onnx.load_from_string(made.file).graph
    weights = [one for one in graph.initializer if one.data_type == onnx.TensorProto.INT8 and len(one.dims) > 1]
    layers = [one for one in made.network.model.modules() if isinstance(one, nn.Linear | nn.Conv2d)]
    assert len(weights) == len(layers)
    first = next(at for at, node in enumerate(graph.node) if node.op_type == "QuantizeLinear")
    before = {node.op_type for node in graph.node[:first]}
    assert not before & {"Gemm", "MatMul", "Conv"}
    assert before >= ({"Sub", "Div"} if made.network.spec.kind == "image" else {"Where", "Clip", "Div"})


def test_scores_are_as_fine_as_floats(made: Made) -> None:
    found = scores(session(made.file), made.rows)
    assert len(found.unique()) > 0.9 * len(made.labels)
    graph = onnx.load_from_string(made.file).graph
    assert graph.node[-1].op_type in ("Gemm", "Add")


def test_inputs_outputs_and_metadata_are_those_of_the_float_file(made: Made) -> None:
    model = onnx.load_from_string(made.file)
    properties = {one.key: one.value for one in model.metadata_props}
    assert properties.keys() == {"steerage_version", "task", "classes", "target", "preprocess"}
    assert properties["task"] == made.network.spec.task
    assert [one.name for one in model.graph.input] == [INPUT]
    assert [one.name for one in model.graph.output] == [OUTPUT]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param


def plain_graph(operator: str) -> onnx.ModelProto:
    """``operator`` between x and scores."""
    floats, helper = onnx.TensorProto.FLOAT, onnx.helper
    weight = onnx.numpy_helper.from_array(np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3), "w")
    return helper.make_model(
        helper.make_graph(
            [helper.make_node(operator, [INPUT, *(["w"] if operator == "MatMul" else [])], [OUTPUT], name="one")],
            "plain",
            [helper.make_tensor_value_info(INPUT, floats, ["batch", 4])],
            [helper.make_tensor_value_info(OUTPUT, floats, ["batch", 3 if operator == "MatMul" else 4])],
            [weight] if operator == "MatMul" else [],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )


def test_the_seed_alone_decides_which_rows_set_the_ranges() -> None:
    rows = torch.randn(2000, 4, generator=torch.Generator().manual_seed(0))
    one, same, other = (quantized(plain_graph("MatMul"), rows, seed=seed).SerializeToString() for seed in (0, 0, 1))
    assert one == same
    assert one != other


def test_a_network_without_weights_is_not_quantized() -> None:
    with pytest.raises(UnsupportedLayer, match="no layer that could be in 8-bit integers"):
        quantized(plain_graph("Relu"), torch.randn(9, 4))


def test_rows_of_another_shape_and_missing_labels_are_refused(tmp_path: Path) -> None:
    net = network()
    rows, labels = data(net), torch.zeros(96).long()
    with pytest.raises(BadArgument, match=r"shape \(n, 4\), got \(5, 9\)"):
        export_int8(net, tmp_path / "net.onnx", calibration=torch.zeros(5, 9), rows=rows, labels=labels)
    with pytest.raises(BadArgument, match="one label for each of the 96 rows, got 3"):
        export_int8(net, tmp_path / "net.onnx", calibration=rows, rows=rows, labels=labels[:3])


def test_what_is_explained_is_a_share_of_rows_or_of_variance() -> None:
    assert explained(torch.eye(4), torch.tensor([0, 1, 2, 0])) == 0.75
    values = torch.tensor([[1.0], [2.0], [3.0]])
    assert explained(values, values[:, 0]) == 1.0
    assert explained(values + 1.0, values[:, 0]) == pytest.approx(1.0 - 1.0 / (2.0 / 3.0))
