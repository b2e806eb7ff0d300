"""What a network costs, known without training it."""

from __future__ import annotations

from steerage.cost.budget import Budget, parse_size
from steerage.cost.count import Cost, count, dense_cost
from steerage.cost.device import Device, device
from steerage.cost.layers import LayerUse, layer_uses
from steerage.cost.memory import Memory, memory
from steerage.cost.price import Price

__all__ = [
    "Budget",
    "Cost",
    "Device",
    "LayerUse",
    "Memory",
    "Price",
    "count",
    "dense_cost",
    "device",
    "layer_uses",
    "memory",
    "parse_size",
]
