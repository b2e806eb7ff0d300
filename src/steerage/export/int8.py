"""ONNX in 8-bit integers: static quantization by ONNX Runtime, compared with the float network on labelled rows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor

from steerage.bundle import Network
from steerage.errors import BadArgument, UnsupportedLayer
from steerage.export.graph import INPUT, batches, checked_rows, onnx_graph, quiet, strip_
from steerage.export.onnx import compare, predicted
from steerage.export.runtime import scores, session
from steerage.seeds import generator
from steerage.store import write_atomic

CALIBRATION_ROWS = 512  # whose outputs set the ranges of the layers
COMPARED_ROWS = 64  # of the float graph with PyTorch, before it is quantized
BATCH = 32
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
MAX_DROP = 0.01  # of accuracy or R², beyond which an export is to be looked at


@final
@dataclass(frozen=True)
class Quantized:
    """An ONNX file in 8-bit integers beside the one in float, both on the same labelled rows.

    ``error``, ``float_error``: share of wrong classes, in a regression 1 - R². ``agreement``: share of rows with the
    same class, in a regression R² of the float network's predictions as told by this one's. Sizes in bytes.
    """

    rows: int
    error: float
    float_error: float
    agreement: float
    bytes: int
    float_bytes: int

    @property
    def drop(self) -> float:
        """What the integers cost, as a fraction of 1: of accuracy, or of R²."""
        return self.error - self.float_error

    def to_json(self) -> dict[str, object]:
        """Figures by name."""
        return asdict(self)


def export_int8(
    network: Network, path: str | Path, *, calibration: Tensor, rows: Tensor, labels: Tensor, seed: int = 0
) -> Quantized:
    """Write ``network`` as an ONNX file of 8-bit integers; inputs, outputs and metadata as ``export_onnx`` has them.

    ``calibration``: encoded training rows (n, *preprocess.input_shape), of which up to 512, drawn with ``seed``, set
    the ranges. ``rows`` and ``labels``: encoded rows to compare on, and their class codes, or values in the target's
    units, (n,). Weights are quantized by output, symmetrically; activations by layer. What comes before the first
    layer with weights, the preprocessing above all, stays float; so do the scores.

    Raises: ExportMismatch if the float graph is not PyTorch's; UnsupportedLayer for a network that has no ONNX form,
    or cannot be quantized; BadArgument for rows of another shape.
    """
    rows, calibration = checked_rows(network, rows), checked_rows(network, calibration)
    if len(labels) != len(rows):
        raise BadArgument(f"there must be one label for each of the {len(rows)} rows, got {len(labels)}")
    graph = onnx_graph(network)
    plain = graph.SerializeToString()
    compare(network, plain, rows[:COMPARED_ROWS])
    data = quantized(graph, calibration, seed=seed).SerializeToString()
    ours, floats = scores(session(data), rows), predicted(network, rows)
    result = Quantized(
        rows=len(rows),
        error=1.0 - explained(ours, labels),
        float_error=1.0 - explained(floats, labels),
        agreement=explained(ours, answers(floats)),
        bytes=len(data),
        float_bytes=len(plain),
    )
    write_atomic(path, data)
    return result


def quantized(graph: onnx.ModelProto, calibration: Tensor, *, seed: int = 0) -> onnx.ModelProto:
    """``graph`` with its layers in 8-bit integers, their ranges from up to 512 of the encoded float32 rows.

    Raises: UnsupportedLayer.
    """
    some = torch.randperm(len(calibration), generator=generator(seed, "calibration"))[:CALIBRATION_ROWS]
    with tempfile.TemporaryDirectory() as folder, quiet():
        ready, result = Path(folder) / "ready.onnx", Path(folder) / "int8.onnx"
        try:
            quant_pre_process(graph, str(ready))
            quantize_static(
                str(ready),
                str(result),
                _Rows(calibration[some]),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,  # what kernels for x86 take; those for ARM take either
                weight_type=QuantType.QInt8,
                nodes_to_exclude=_left_float(onnx.load(ready).graph),
                # A regression would have 256 different answers otherwise, and classes would be tied.
                extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
            )
        except Exception as error:  # it has many error classes, for one cause
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise UnsupportedLayer(
                f"ONNX Runtime cannot quantize the network: {reason[0]}; export it without --int8"
            ) from error
        integers = onnx.load(result)
    if not any(node.op_type == "DequantizeLinear" for node in integers.graph.node):
        raise UnsupportedLayer("the network has no layer that could be in 8-bit integers; export it without --int8")
    strip_(integers)
    onnx.helper.set_model_props(integers, {entry.key: entry.value for entry in graph.metadata_props})
    return integers


def _left_float(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes that come before all layers with weights, or after them all."""
    return [*_not_reached(graph.node, "input", "output"), *_not_reached(reversed(graph.node), "output", "input")]


def _not_reached(nodes: Iterable[Any], takes: str, gives: str) -> list[str]:
    """Nodes, in the order of ``nodes``, to which nothing leads from a layer with weights."""
    reached: set[str] = set()
    others = []
    for node in nodes:
        if node.op_type in WEIGHTED or reached.intersection(getattr(node, takes)):
            reached.update(getattr(node, gives))
        else:
            others.append(node.name)
    return others


class _Rows(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is not typed
    """Rows in batches, as the calibration asks for them."""

    def __init__(self, rows: Tensor) -> None:
        self._batches = batches(rows, BATCH)

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch.numpy()}


def answers(scores: Tensor) -> Tensor:
    """Classes of scores (n, outputs), or the values themselves where there is one output: (n,)."""
    return scores.argmax(dim=1) if scores.shape[1] > 1 else scores[:, 0]


def explained(scores: Tensor, wanted: Tensor) -> float:
    """Share of scores (n, outputs) whose class is the one ``wanted``; of values (n, 1) R², 1 where nothing varies."""
    found = answers(scores)
    if scores.shape[1] > 1:
        return (found == wanted).double().mean().item()
    squared = (found.double() - wanted.double()).square().mean().item()
    spread = (wanted.double() - wanted.double().mean()).square().mean().item()
    return 1.0 - squared / spread if spread > 0 else 1.0
