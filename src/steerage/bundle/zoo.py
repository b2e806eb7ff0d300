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


def network_folder(path: str | Path) -> Path:
    """Folder of the network itself, where ``path`` may be that of its run, or the name of one in the zoo.

    Raises: BadBundle for an unfinished run, or a name that is not in the zoo.
    """
    name = zoo_name(path)
    folder = Path(path) if name is None else ZOO / name / "network"
    if (folder / "network.json").is_file() or not (folder / "run.json").is_file():
        return folder
    if not (folder / "network" / "network.json").is_file():
        raise BadBundle(f"{folder} has no network yet; give the command of that run again, which goes on with it")
    return folder / "network"
