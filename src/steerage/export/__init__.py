"""Networks in the form that other programs run, and from the form in which PyTorch exports them."""

from __future__ import annotations

from steerage.export.c import export_c
from steerage.export.graph import deployed
from steerage.export.int8 import export_int8
from steerage.export.measured import measure
from steerage.export.onnx import export_onnx
from steerage.export.program import load_program

__all__ = ["deployed", "export_c", "export_int8", "export_onnx", "load_program", "measure"]
