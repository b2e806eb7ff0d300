"""Networks in the form that other programs run, and from the form in which PyTorch exports them."""

from __future__ import annotations

from steerage.export.c import export_c
from steerage.export.onnx import export_onnx
from steerage.export.program import load_program

__all__ = ["export_c", "export_onnx", "load_program"]
