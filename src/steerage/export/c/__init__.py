"""C99 for microcontrollers: a network with its preprocessing as plain files, and the proof that they do the same."""

from __future__ import annotations

from steerage.export.c.folder import export_c
from steerage.export.c.generate import Generated, Options, generate
from steerage.export.c.proof import Verified, verify
from steerage.export.c.quantized import Quantized, quantize

__all__ = ["Generated", "Options", "Quantized", "Verified", "export_c", "generate", "quantize", "verify"]
