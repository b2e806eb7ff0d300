"""The ONNX graph of a network: preprocessing inside, units that do nothing taken out, any number of rows at a time."""

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
import torch
from torch import Tensor, nn

from steerage._version import __version__
from steerage.bundle import Network
from steerage.errors import BadArgument, UnsupportedLayer
from steerage.export.examples import example_rows
from steerage.growprune.compact import compact
from steerage.seeds import generator

INPUT, OUTPUT = "x", "scores"


class Deployed(nn.Module):
    """Encoded rows (n, *preprocess.input_shape) -> scores (n, outputs), or values in the target's units."""

    def __init__(self, network: Network, model: nn.Module) -> None:
        super().__init__()
        self.preprocess, self.model = network.preprocess.module(), model
        self.rescale = network.spec.task == "regression"
        self.mean, self.std = (torch.tensor(scale) for scale in (network.target_mean, network.target_std))
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.model(self.preprocess(x))
        return scores * self.std + self.mean if self.rescale else scores


def deployed(network: Network) -> nn.Module:
    """``network`` with its preprocessing, compacted, as one module that exporters take: any number of encoded rows,
    float32 (n, *preprocess.input_shape) -> scores (n, outputs), or values in the target's units.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch.fx cannot trace is left as it is
        model, _ = compact(network.model, network.spec.input_shape, masks=dict(network.masks))
    return Deployed(network, model)


def onnx_graph(network: Network) -> onnx.ModelProto:
    """Graph of ``network``, compacted: ``x`` float32 (batch, *preprocess.input_shape) -> ``scores`` (batch, outputs).

    Its metadata has the task, classes, the target's name, how each column is encoded, and steerage's version.
    Raises: UnsupportedLayer for a network that has no ONNX form.
    """
    row = example_rows(network.preprocess, 1, generator=generator(0, "onnx graph")).float()
    rows = row.repeat(2, *[1] * (row.ndim - 1))  # a batch of one would be taken for a constant
    with tempfile.TemporaryDirectory() as folder, quiet():
        file = Path(folder) / "network.onnx"
        try:
            torch.onnx.export(
                deployed(network),
                (rows,),
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
        graph = onnx.load(file)
    strip_(graph)
    onnx.helper.set_model_props(graph, _metadata(network))
    return graph


def strip_(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes on each node: larger than a small network, and with the paths of this machine."""
    graph = model.graph
    del graph.value_info[:]
    for item in [graph, *graph.node, *graph.input, *graph.output, *graph.initializer]:
        item.ClearField("doc_string")
        del item.metadata_props[:]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The exporter talks on every channel there is; what matters comes back as an exception."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def checked_rows(network: Network, rows: Tensor) -> Tensor:
    """``rows`` as the graph takes them. Raises: BadArgument for none, or rows of another shape."""
    shape = tuple(network.preprocess.input_shape)
    if tuple(rows.shape[1:]) != shape or len(rows) == 0:
        raise BadArgument(
            f"rows must be encoded rows of shape (n, {', '.join(map(str, shape))}), got {tuple(rows.shape)}"
        )
    return rows.float()


def batches(rows: Tensor, size: int) -> Iterator[Tensor]:
    """``rows`` in parts of ``size``, the last one smaller."""
    return (rows[at : at + size] for at in range(0, len(rows), size))


def _metadata(network: Network) -> dict[str, str]:
    return {
        "steerage_version": __version__,
        "task": network.spec.task,
        "classes": json.dumps(network.classes),
        "target": network.target_name or "",
        "preprocess": json.dumps(network.preprocess.to_json()),
    }
