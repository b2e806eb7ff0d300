"""Neural-network synthesis: global search for an architecture, then grow-and-prune to a budget."""

from __future__ import annotations

from steerage._version import __version__

__all__ = ["__version__"]
