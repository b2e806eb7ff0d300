"""ONNX Runtime on one thread of this machine's processor, which is what devices with Linux have to spare."""

from __future__ import annotations

import onnxruntime
import torch
from torch import Tensor

from steerage.errors import ExportMismatch
from steerage.export.graph import INPUT, OUTPUT, batches

BATCH_ROWS = 1024


def session(data: bytes) -> onnxruntime.InferenceSession:
    """What runs the ONNX file ``data``. Raises: ExportMismatch if ONNX Runtime cannot load it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes are not public
        raise ExportMismatch(f"ONNX Runtime cannot load the network ({error})") from error


def scores(runner: onnxruntime.InferenceSession, rows: Tensor) -> Tensor:
    """What the graph gives for encoded float32 ``rows``: (n, outputs)."""
    parts = [runner.run([OUTPUT], {INPUT: part.numpy()})[0] for part in batches(rows, BATCH_ROWS)]
    return torch.cat([torch.from_numpy(part) for part in parts])
