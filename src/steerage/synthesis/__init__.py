"""From a data set and a budget to a network: global search, grow-and-prune, bundle and report."""

from __future__ import annotations

from steerage.synthesis.main import Result, synthesize

__all__ = ["Result", "synthesize"]
