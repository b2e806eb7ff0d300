"""Networks that come with the program: ``zoo:NAME`` stands for their folder wherever a network is asked for.

A folder of the zoo is that of a run without its workings: ``network``, ``run.json`` and ``summary.json``.
"""

from __future__ import annotations

from pathlib import Path

from steerage.errors import BadBundle

ZOO = Path(__file__).resolve().parents[1] / "zoo"
PREFIX = "zoo:"


def zoo_names() -> list[str]:
    """Names of the networks there are."""
    return sorted(path.parent.parent.name for path in ZOO.glob("*/network/network.json"))


def zoo_name(path: str | Path) -> str | None:
    """The name behind ``zoo:``; None for a path of another kind. Raises: BadBundle for a network that is not there."""
    text = str(path)
    if not text.startswith(PREFIX):
        return None
    name = text.removeprefix(PREFIX)
    if name not in zoo_names():  # compared and not opened, so that no name leads anywhere else
        known = ", ".join(zoo_names()) or "none"
        raise BadBundle(f"there is no network {name!r} in the zoo; it has {known}")
    return name


def resolved(path: str | Path) -> Path:
    """The folder that ``path`` stands for: that of the network itself where it is of the zoo. Raises: BadBundle."""
    name = zoo_name(path)
    return Path(path) if name is None else ZOO / name / "network"
