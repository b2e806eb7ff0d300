"""Synthesis of a network for a data set and a budget: global search, then grow-and-prune, then a bundle and a report."""

from __future__ import annotations

from steerage.synthesis.main import Result, synthesize

__all__ = ["Result", "synthesize"]
