"""A network in ONNX Runtime on this machine: what it predicts, and how long that takes, beside PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import onnxruntime
import torch
from torch import Tensor

from steerage.bundle import Network
from steerage.cost.latency import ROUNDS, Latency, Runner, latencies
from steerage.export.examples import example_rows
from steerage.export.graph import INPUT, OUTPUT, Deployed, batches, checked_rows, onnx_graph
from steerage.export.int8 import answers, explained, quantized
from steerage.export.onnx import compare, predicted
from steerage.export.runtime import scores, session
from steerage.seeds import generator

ROWS = 64  # that are timed, one after the other
FLOAT, INT8, PYTORCH = "onnxruntime", "int8", "pytorch"


@final
@dataclass(frozen=True)
class Measured:
    """Latencies of one row, by ``"onnxruntime"``, ``"pytorch"`` (eager) and where asked ``"int8"``.

    ``difference``: the largest between ONNX Runtime and PyTorch, relative as in ``export.onnx.compare``;
    ``agreement``: share of rows with the same class, 1 in a regression. ``int8_agreement``: likewise for the integers,
    in a regression R² of PyTorch's predictions as told by theirs; None where it was not asked.
    """

    rows: int
    difference: float
    agreement: float
    int8_agreement: float | None
    latency: dict[str, Latency]

    def to_json(self) -> dict[str, Any]:
        """Figures by name."""
        return {**vars(self), "latency": {name: one.to_json() for name, one in self.latency.items()}}


def measure(network: Network, rows: Tensor, *, calibration: Tensor | None = None) -> Measured:
    """Compare the ONNX form of ``network`` with PyTorch on encoded ``rows``, and time both row by row, in turns.

    ``calibration``: encoded training rows, which ask for the form in 8-bit integers as well.
    Raises: ExportMismatch if a number differs by more than rounding; UnsupportedLayer for a network without ONNX form;
    BadArgument for rows of another shape.
    """
    rows = checked_rows(network, rows)
    graph = onnx_graph(network)
    data = graph.SerializeToString()
    difference, agreement = compare(network, data, rows)
    runners = {FLOAT: _in_runtime(session(data), rows)}
    int8_agreement = None
    if calibration is not None:
        integers = session(quantized(graph, checked_rows(network, calibration)).SerializeToString())
        runners[INT8] = _in_runtime(integers, rows)
        int8_agreement = explained(scores(integers, rows), answers(predicted(network, rows)))
    runners[PYTORCH] = _eager(network, rows)
    return Measured(len(rows), difference, agreement, int8_agreement, latencies(runners, rounds=ROUNDS))


def in_turns(networks: Sequence[Network], *, rounds: int) -> list[Latency]:
    """Latency of one made-up row for each of ``networks`` in ONNX Runtime, timed in turns.

    Raises: UnsupportedLayer for a network without ONNX form; ExportMismatch if ONNX Runtime cannot load it.
    """
    runners: dict[str, Runner] = {}
    for at, network in enumerate(networks):
        rows = example_rows(network.preprocess, ROWS, generator=generator(0, "latency")).float()
        runners[str(at)] = _in_runtime(session(onnx_graph(network).SerializeToString()), rows)
    return list(latencies(runners, rounds=rounds).values())


def _in_runtime(runner: onnxruntime.InferenceSession, rows: Tensor) -> Runner:
    inputs = [{INPUT: row.numpy()} for row in batches(rows[:ROWS], 1)]
    return lambda at: runner.run([OUTPUT], inputs[at % len(inputs)])


def _eager(network: Network, rows: Tensor) -> Runner:
    deployed, inputs = Deployed(network, network.model), list(batches(rows[:ROWS], 1))

    def run(at: int) -> Tensor:
        with torch.inference_mode():
            found: Tensor = deployed(inputs[at % len(inputs)])
        return found

    return run
