"""Networks in the form that other programs run."""

from __future__ import annotations

from steerage.export.onnx import export_onnx

__all__ = ["export_onnx"]
