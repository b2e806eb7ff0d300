"""What a network costs, known without training it."""

from __future__ import annotations

from steerage.cost.budget import Budget, parse_size
from steerage.cost.count import Cost, count, dense_cost
from steerage.cost.layers import LayerUse, layer_uses
from steerage.cost.memory import Memory, memory

__all__ = ["Budget", "Cost", "LayerUse", "Memory", "count", "dense_cost", "layer_uses", "memory", "parse_size"]
