"""Networks of 8-bit integers, as the commands make them: calibrated on the training rows of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from steerage.cli.networks import labelled
from steerage.errors import BadArgument

if TYPE_CHECKING:
    from steerage.bundle import Network
    from steerage.export.c.quantized import Quantized


def calibrated(network: Network, source: str) -> Quantized:
    """The network in integers, tuned where that helps, with the training rows of ``source``."""
    from steerage.export.c.quantized import quantize

    rows, labels = labelled(network, source, "train")
    return quantize(network, rows, labels=labels)


def source_of(path: Path) -> str:
    """The data set of the run of a network, where it is one that comes with scikit-learn. Raises: BadArgument."""
    from steerage import store
    from steerage.bundle.zoo import network_folder
    from steerage.data.load import load_dataset
    from steerage.data.sources import SKLEARN

    folder = network_folder(path)
    found = [file for file in (folder / "run.json", folder.parent / "run.json") if file.is_file()]
    document = store.read_json(found[0]) if found else {}
    name = document.get("data") if isinstance(document, dict) else None
    if name in SKLEARN and load_dataset(str(name)).fingerprint == document.get("fingerprint"):
        return str(name)  # and no file of that name
    raise BadArgument(
        "--int8 needs rows to find the ranges of numbers by; give the data that the network is from (--data DATA, or "
        "DATA of verify)"
    )


def in_words(made: Quantized, task: str) -> str:
    """How it was made, in a line."""
    if not made.errors:
        return "8-bit integers, whose ranges are those of the training rows"
    found = made.errors
    told = f"8-bit integers: {measure_of(task)} {found['calibrated']:.2%} on rows held out"
    told += f", {found['float']:.2%} in floating point"
    if "tuned" not in found:
        return told
    kept = "was kept" if made.tuned else "was not kept"
    return f"{told}; training on with the rounding made it {found['tuned']:.2%}, and {kept}"


def measure_of(task: str) -> str:
    """What the errors of integers and floats are shares of."""
    return "error" if task == "classification" else "variance not explained"
