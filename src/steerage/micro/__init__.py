"""Networks as flat lists of operations over buffers: what the C generator prints, and the cost model prices."""

from __future__ import annotations

from steerage.micro.build import Units, build
from steerage.micro.ir import Program

__all__ = ["Program", "Units", "build"]
