"""The command on code for devices: verify."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from steerage.cli.int8 import calibrated, measure_of, source_of
from steerage.cli.networks import OwnCode, open_network
from steerage.cli.session import Job, Session
from steerage.errors import BadArgument

if TYPE_CHECKING:
    from torch import Tensor

    from steerage.bundle import Network
    from steerage.export.c.proof import Verified
    from steerage.export.c.toolchain import Target

ROWS = 256  # made up where no data is given


def verification(
    path: Path,
    data: str | None,
    *,
    target: str,
    part: Literal["test", "all"],
    prefer: Literal["flash", "speed"],
    int8: bool,
    code: OwnCode,
    as_json: bool,
) -> Job:
    """Generated code on a target, compared with PyTorch on the rows of ``data``.

    ``int8``: that of integers, calibrated on the training rows of ``data`` or of the network's own run.
    """

    def job(session: Session) -> str:
        from steerage.export.c.generate import Options
        from steerage.export.c.proof import verify

        where, instead = _target(target)
        if instead:
            warnings.warn(instead, stacklevel=1)
        network = open_network(path, code)
        source = (data or source_of(path)) if int8 else data
        rows, labels = _rows(network, source, part)
        whole = calibrated(network, source) if int8 and source is not None else None
        verified = verify(network, where, rows, options=Options(prefer), int8=whole, labels=labels)
        return json.dumps(verified.to_json(), indent=2) + "\n" if as_json else in_words(verified, network.spec.task)

    return job


def _target(name: str) -> tuple[Target, str]:
    """The target of that name, or this machine where its tools are missing, and then a line that says so.

    Raises: BadArgument for an unknown name; MissingTool where there is no compiler at all.
    """
    from steerage.errors import MissingTool
    from steerage.export.c.toolchain import TARGETS, needed

    if name not in TARGETS:
        raise BadArgument(f"--target must be one of {', '.join(TARGETS)}, got {name!r}")
    try:
        needed(TARGETS[name])
    except MissingTool as missing:
        needed(TARGETS["host"])
        return TARGETS["host"], f"{missing}; verified on this machine instead"
    return TARGETS[name], ""


def _rows(network: Network, data: str | None, part: Literal["test", "all"]) -> tuple[Tensor, Tensor | None]:
    """Encoded rows of ``data`` and their labels if there are any, or made-up ones."""
    from steerage.data.load import load_labelled
    from steerage.export.examples import example_rows
    from steerage.seeds import generator

    if data is None:
        return example_rows(network.preprocess, ROWS, generator=generator(0, "verified")), None
    return load_labelled(
        data,
        preprocess=network.preprocess,
        classes=network.classes,
        target_name=network.target_name,
        task=network.spec.task,
        part=part,
    )


def in_words(verified: Verified, task: str) -> str:
    """Figures as a small table."""
    same = round(verified.agreement * verified.rows)
    lines = [
        f"{verified.target}: {same:,} of {verified.rows:,} predictions are PyTorch's, "
        f"numbers differ by {verified.difference:.1g} of the largest at most",
        *_in_integers(verified, task),
        f"{'bytes':<14}{'measured':>10}{'predicted':>11}",
        _line("tables", verified.tables, verified.predicted_tables, "flash, exact"),
        _line("code", verified.code, verified.predicted_code, f"flash, estimated for a {verified.core}"),
        _line("library", verified.library, verified.predicted_library, "flash, estimated: functions of the compiler's"),
        _line("static", verified.static_ram, 0, "RAM of the code's own"),
        _line("scratch", verified.scratch, verified.scratch, "RAM that the caller gives, exact"),
        _line("stack", verified.stack, verified.predicted_stack, "RAM, estimated"),
    ]
    if verified.instructions is not None:
        lines.append(f"{verified.instructions:,} instructions for a row at most")
    return "\n".join(lines) + "\n"


def _in_integers(verified: Verified, task: str) -> list[str]:
    """What to know of 8-bit integers besides."""
    if verified.numbers == "float32":
        return []
    lines = ["each integer is the one that it should be"]
    if verified.error is not None and verified.float_error is not None:
        lines.append(f"{measure_of(task)} {verified.error:.2%}, in floating point {verified.float_error:.2%}")
    return lines


def _line(name: str, measured: int | None, predicted: int | None, meaning: str) -> str:
    one, two = ("-" if number is None else f"{number:,}" for number in (measured, predicted))
    return f"{name:<14}{one:>10}{two:>11}  {meaning}"
