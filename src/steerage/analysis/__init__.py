"""What there is to see in a finished network and its search, as plain figures that the report draws."""

from __future__ import annotations

from steerage.analysis.genes import genes
from steerage.analysis.pictures import png
from steerage.analysis.predictions import predictions
from steerage.analysis.structure import structure

__all__ = ["genes", "png", "predictions", "structure"]
