"""ONNX: preprocessing and network in one graph, compared with PyTorch before the file appears."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from steerage.bundle import Network
from steerage.errors import ExportMismatch
from steerage.export.examples import example_rows
from steerage.export.graph import Deployed, batches, checked_rows, onnx_graph
from steerage.export.runtime import BATCH_ROWS, scores, session
from steerage.seeds import generator
from steerage.store import write_atomic

ROWS = 64
BATCHES = (1, 7, ROWS)
TOLERANCE = 1e-4


def export_onnx(network: Network, path: str | Path, *, rows: Tensor | None = None) -> Path:
    """Write ``network`` as one ONNX file and return its path; units that do nothing are not in it.

    Input ``x``: encoded rows (``network.preprocess.encode``), float32 (batch, *preprocess.input_shape), NaN = missing.
    Output ``scores``: float32 (batch, outputs): one score per class, the largest wins (softmax gives probabilities);
    or, for regression, the prediction in the target's units. The file's metadata has the classes, and how each column
    is encoded, as JSON.

    ONNX Runtime must agree with PyTorch on ``rows`` (encoded; made up where not given) in batches of 1, 7 and more,
    within 1e-4 of each row's largest score, as ``compare`` has it. Raises: ExportMismatch when it does not, and then
    nothing is written; UnsupportedLayer for a network that has no ONNX form; BadArgument for rows of another shape.
    """
    if rows is None:
        rows = example_rows(network.preprocess, ROWS, generator=generator(0, "onnx"))
    rows = checked_rows(network, rows)
    data = onnx_graph(network).SerializeToString()
    try:
        compare(network, data, rows)
    except ExportMismatch as error:
        raise ExportMismatch(f"{path} was not written: {error}") from error
    write_atomic(path, data)
    return Path(path)


def compare(network: Network, data: bytes, rows: Tensor) -> tuple[float, float]:
    """Largest difference on ``rows`` between the ONNX file ``data`` and PyTorch, and the share of rows that agree.

    The difference is relative to the row's largest score (at least 1, in a regression the target's standard deviation);
    to agree is to give the same class, in a regression any number. Raises: ExportMismatch for more than 1e-4.
    """
    runner = session(data)
    wanted = predicted(network, rows)  # (n, outputs)
    # Row by row, so that one row of large scores does not excuse another; no winner beyond a near-tie can change.
    unit = float(torch.tensor(network.target_std).max()) if network.spec.task == "regression" else 1.0
    scale = wanted.abs().amax(dim=1, keepdim=True).clamp(min=unit)
    largest, agreement = 0.0, 1.0
    for batch in dict.fromkeys(min(batch, len(rows)) for batch in (*BATCHES, len(rows))):
        got = scores(runner, rows[:batch])
        if got.shape != wanted[:batch].shape:
            raise ExportMismatch(f"{batch} rows give {tuple(got.shape)} in ONNX Runtime")
        difference = (got - wanted[:batch]).abs()
        if not bool((difference <= TOLERANCE * scale[:batch]).all()):
            raise ExportMismatch(
                f"ONNX Runtime differs from PyTorch by {difference.max().item():.3g} on {batch} rows; "
                "leave out the layer that the versions disagree on, or update onnxruntime"
            )
        largest = max(largest, (difference / scale[:batch]).max().item())
        agreement = (_named(network, got) == _named(network, wanted[:batch])).double().mean().item()
    return largest, agreement


def _named(network: Network, outputs: Tensor) -> Tensor:
    """The class of each row, or which labels are on; in a regression the same for all."""
    return outputs > 0.0 if network.spec.task == "multilabel" else outputs.argmax(dim=1)


def predicted(network: Network, rows: Tensor) -> Tensor:
    """What PyTorch gives for encoded float32 ``rows``, as the graph returns it: (n, outputs)."""
    deployed = Deployed(network, network.model)
    with torch.inference_mode():
        return torch.cat([deployed(part) for part in batches(rows, BATCH_ROWS)])
