"""The command that proves what networks do on devices: verify."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from steerage.cli.int8 import calibrated, measure_of, source_of
from steerage.cli.networks import OwnCode, labelled, open_network
from steerage.cli.session import Job, Session

if TYPE_CHECKING:
    from torch import Tensor

    from steerage.bundle import Network
    from steerage.export.c.proof import Verified
    from steerage.export.c.toolchain import Target
    from steerage.export.measured import Measured

ROWS = 256  # made up where no data is given
RUNTIME = "onnxruntime"


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
    """Generated code on a target, or ONNX Runtime here, compared with PyTorch on the rows of ``data``.

    ``int8``: that of integers, calibrated on the training rows of ``data`` or of the network's own run.
    """

    def measurement(session: Session) -> str:
        from steerage.export.measured import measure

        network = open_network(path, code)
        source = (data or source_of(path)) if int8 else data
        calibration = labelled(network, source, "train")[0] if int8 and source is not None else None
        measured = measure(network, _rows(network, source, part)[0], calibration=calibration)
        if not all(one.steady for one in measured.latency.values()):
            warnings.warn(
                "the rounds of the measurement differ by more than a fifth: something else is using this machine; "
                "measure again when it is quiet",
                stacklevel=1,
            )
        return json.dumps(measured.to_json(), indent=2) + "\n" if as_json else latencies_in_words(measured)

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

    return measurement if target == RUNTIME else job


def _target(name: str) -> tuple[Target, str]:
    """The target of that name, or this machine where its tools are missing, and then a line that says so.

    A board's is its core. Raises: BadArgument for an unknown name; MissingTool where there is no compiler at all.
    """
    from steerage.cost.device import device
    from steerage.errors import MissingTool
    from steerage.export.c.toolchain import TARGETS, needed

    name = name if name in TARGETS else device(name).core
    try:
        needed(TARGETS[name])
    except MissingTool as missing:
        needed(TARGETS["host"])
        return TARGETS["host"], f"{missing}; verified on this machine instead"
    return TARGETS[name], ""


def _rows(network: Network, data: str | None, part: Literal["test", "all"]) -> tuple[Tensor, Tensor | None]:
    """Encoded rows of ``data`` and their labels if there are any, or made-up ones."""
    from steerage.export.examples import example_rows
    from steerage.seeds import generator

    if data is None:
        return example_rows(network.preprocess, ROWS, generator=generator(0, "verified")), None
    return labelled(network, data, part)


def latencies_in_words(measured: Measured) -> str:
    """Agreement, and a small table of milliseconds."""
    same = round(measured.agreement * measured.rows)
    lines = [
        f"{RUNTIME}: {same:,} of {measured.rows:,} predictions are PyTorch's, "
        f"numbers differ by {measured.difference:.1g} of the largest at most",
        f"{'ms for a row':<20}{'median':>9}{'quartiles':>19}",
    ]
    names = {RUNTIME: "ONNX Runtime", "int8": "8-bit integers", "pytorch": "PyTorch, eager"}
    for name, one in measured.latency.items():
        lines.append(f"{names[name]:<20}{one.median_ms:>9.4f}{one.low_ms:>10.4f} {one.high_ms:>8.4f}")
    calls = min(one.calls for one in measured.latency.values())
    lines.append(f"one thread, in turns, {calls:,} calls or more each")
    if measured.int8_agreement is not None:
        lines.append(f"8-bit integers agree with float: {measured.int8_agreement:.4f}")
    return "\n".join(lines) + "\n"


def in_words(verified: Verified, task: str) -> str:
    """Figures as a small table."""
    from steerage.cli.table import aligned

    same = round(verified.agreement * verified.rows)
    figures: list[tuple[str, int | None, int | None, str]] = [
        ("tables", verified.tables, verified.predicted_tables, "flash, exact"),
        ("code", verified.code, verified.predicted_code, f"flash, estimated for a {verified.core}"),
        ("library", verified.library, verified.predicted_library, "flash, estimated: the compiler's own"),
        ("static", verified.static_ram, 0, "RAM of the code's own"),
        ("scratch", verified.scratch, verified.scratch, "RAM that the caller gives, exact"),
        ("stack", verified.stack, verified.predicted_stack, "RAM, estimated"),
    ]
    if verified.instructions is not None:
        figures.append(("instructions", verified.instructions, verified.predicted_instructions, "a row, estimated"))
    rows = [(name, *("-" if one is None else f"{one:,}" for one in both)) for name, *both, _ in figures]
    header, *table = aligned(["bytes", "measured", "predicted"], rows)
    lines = [
        f"{verified.target}: {same:,} of {verified.rows:,} predictions are PyTorch's, "
        f"numbers differ by {verified.difference:.1g} of the largest at most",
        *_in_integers(verified, task),
        header,
        *(f"{line}  {meaning}" for line, (*_, meaning) in zip(table, figures, strict=True)),
    ]
    return "\n".join(lines) + "\n"


def _in_integers(verified: Verified, task: str) -> list[str]:
    """What to know of 8-bit integers besides."""
    if verified.numbers == "float32":
        return []
    lines = ["each integer is the one that it should be"]
    if verified.error is not None and verified.float_error is not None:
        lines.append(f"{measure_of(task)} {verified.error:.2%}, in floating point {verified.float_error:.2%}")
    return lines
