"""ONNX: preprocessing and network in one graph, compared with PyTorch before the file appears."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from steerage._version import __version__
from steerage.bundle import Network
from steerage.errors import BadArgument, ExportMismatch, UnsupportedLayer
from steerage.export.examples import example_rows
from steerage.seeds import generator
from steerage.store import write_atomic

INPUT, OUTPUT = "x", "scores"
ROWS = 64
BATCHES = (1, 7, ROWS)
TOLERANCE = 1e-4


def export_onnx(network: Network, path: str | Path, *, rows: Tensor | None = None) -> Path:
    """Write ``network`` as one ONNX file and return its path.

    Input ``x``: encoded rows (``network.preprocess.encode``), float32 (batch, *preprocess.input_shape), NaN = missing.
    Output ``scores``: float32 (batch, outputs): one score per class, the largest wins (softmax gives probabilities);
    or, for regression, the prediction in the target's units. The file's metadata has the classes, and how each column
    is encoded, as JSON.

    ONNX Runtime must agree with PyTorch on ``rows`` (encoded; made up where not given) in batches of 1, 7 and more,
    within 1e-4 of each row's largest score. Raises: ExportMismatch when it does not, and then nothing is written;
    UnsupportedLayer for a network that has no ONNX form; BadArgument for rows of another shape.
    """
    shape = network.preprocess.input_shape
    if rows is None:
        rows = example_rows(network.preprocess, ROWS, generator=generator(0, "onnx"))
    elif tuple(rows.shape[1:]) != tuple(shape) or len(rows) == 0:
        raise BadArgument(
            f"rows must be encoded rows of shape (n, {', '.join(map(str, shape))}), got {tuple(rows.shape)}"
        )
    deployed = _Deployed(network).eval()
    model = _exported(deployed, rows.float())
    onnx.helper.set_model_props(model, _metadata(network))
    data = model.SerializeToString()
    _compare(deployed, data, rows.float(), path=Path(path))
    write_atomic(path, data)
    return Path(path)


class _Deployed(nn.Module):
    """Encoded rows -> scores, or values in the target's units."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.preprocess, self.model = network.preprocess.module(), network.model
        self.rescale = network.spec.task == "regression"
        self.mean, self.std = (torch.tensor(scale) for scale in (network.target_mean, network.target_std))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.model(self.preprocess(x))
        return scores * self.std + self.mean if self.rescale else scores


def _exported(deployed: nn.Module, rows: Tensor) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder, _quiet():
        file = Path(folder) / "network.onnx"
        try:
            torch.onnx.export(
                deployed,
                (rows[:1].repeat(2, *[1] * (rows.ndim - 1)),),  # a batch of one would be taken for a constant
                file,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # the exporter has many error classes of its own, for one cause
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise UnsupportedLayer(f"the network has no ONNX form: {reason[0]}; replace the layer it names") from error
        model = onnx.load(file)
    _strip_(model.graph)
    return model


def _strip_(graph: onnx.GraphProto) -> None:
    """Drop the exporter's notes on each node: larger than a small network, and with the paths of this machine."""
    del graph.value_info[:]
    for item in [graph, *graph.node, *graph.input, *graph.output, *graph.initializer]:
        item.ClearField("doc_string")
        del item.metadata_props[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter talks on every channel there is; what matters comes back as an exception."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _metadata(network: Network) -> dict[str, str]:
    return {
        "steerage_version": __version__,
        "task": network.spec.task,
        "classes": json.dumps(network.classes),
        "target": network.target_name or "",
        "preprocess": json.dumps(network.preprocess.to_json()),
    }


def _compare(deployed: nn.Module, data: bytes, rows: Tensor, *, path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes are not public
        raise ExportMismatch(f"{path} was not written: ONNX Runtime cannot load the network ({error})") from error
    with torch.inference_mode():
        expected = deployed(rows)  # (n, outputs)
    # Row by row, so that one row of large scores does not excuse another; no winner beyond a near-tie can change.
    allowed = TOLERANCE * expected.abs().amax(dim=1, keepdim=True).clamp(min=1.0)
    for batch in dict.fromkeys(min(batch, len(rows)) for batch in BATCHES):
        got = torch.from_numpy(session.run([OUTPUT], {INPUT: rows[:batch].numpy()})[0])
        if got.shape != expected[:batch].shape:
            raise ExportMismatch(f"{path} was not written: {batch} rows give {tuple(got.shape)} in ONNX Runtime")
        difference = (got - expected[:batch]).abs()
        if not bool((difference <= allowed[:batch]).all()):
            raise ExportMismatch(
                f"{path} was not written: ONNX Runtime differs from PyTorch by {difference.max().item():.3g} "
                f"on {batch} rows; leave out the layer that the versions disagree on, or update onnxruntime"
            )
