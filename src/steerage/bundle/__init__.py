"""Finished networks: what they are, and the folder that holds one (safetensors and JSON, no pickle, no code)."""

from __future__ import annotations

from steerage.bundle.files import load_network, packed, save_network, unpacked
from steerage.bundle.network import Architecture, FromFactory, FromProgram, FromTemplate, Network

__all__ = [
    "Architecture",
    "FromFactory",
    "FromProgram",
    "FromTemplate",
    "Network",
    "load_network",
    "packed",
    "save_network",
    "unpacked",
]
