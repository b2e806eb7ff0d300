"""From a data set and a budget to a network: global search, grow-and-prune, bundle and report."""

from __future__ import annotations

from steerage.synthesis.main import Interrupted, Result, refine, synthesize
from steerage.synthesis.own_network import OwnNetwork

__all__ = ["Interrupted", "OwnNetwork", "Result", "refine", "synthesize"]
