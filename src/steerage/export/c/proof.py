"""Proof: generated code is compiled and run over rows, and each prediction is compared with PyTorch's."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from steerage.bundle import Network
from steerage.errors import BadArgument, BadData, ExportMismatch
from steerage.export.c.generate import DEFAULT, Generated, Options, generate
from steerage.export.c.selftest import ABSOLUTE, RELATIVE, expected
from steerage.export.c.toolchain import CLOCK, Target, compile_object, execute, library_bytes, link, sections
from steerage.micro.codesize import CORES, Core

BOARD = Path(__file__).parent / "board"


@final
@dataclass(frozen=True)
class Verified:
    """What was measured, in bytes, beside what was predicted; None for what cannot be told on the target.

    ``code``: of the network itself; ``library``: mathematical functions and arithmetic that come with it; ``tables``
    are in neither. Code is predicted for ``core``, which
    is not the target where that is this machine. ``difference``: the largest of
    any number, over the largest one of its row (of 1 at least). ``agreement``: share of rows with the same class, 1 in
    a regression. ``instructions``: the most that a row took.
    """

    target: str
    core: str
    rows: int
    difference: float
    agreement: float
    tables: int | None
    code: int | None
    library: int | None
    static_ram: int | None
    stack: int | None
    instructions: int | None
    scratch: int
    predicted_tables: int
    predicted_code: int
    predicted_library: int
    predicted_stack: int

    def to_json(self) -> dict[str, object]:
        """Figures by name."""
        return asdict(self)


def verify(network: Network, target: Target, rows: Tensor, *, options: Options = DEFAULT) -> Verified:
    """Compile the code of ``network``, run it over encoded ``rows``, and compare all that it returns.

    Raises: MissingTool where the target's tools are not there; UnsupportedLayer for a network without C form;
    ExportMismatch if the code does not compile, or a number differs by more than rounding; BadArgument for rows of
    another shape, BadData for images with fractions where the code takes bytes.
    """
    shape = tuple(network.preprocess.input_shape)
    if tuple(rows.shape[1:]) != shape or len(rows) == 0:
        raise BadArgument(f"rows must be encoded rows of shape {('n', *shape)}, got {tuple(rows.shape)}")
    generated = generate(network, name="net", options=replace(options, static=False), rows=rows[:1])
    with tempfile.TemporaryDirectory() as folder:
        return _verified(network, generated, target, rows, Path(folder))


def _verified(network: Network, generated: Generated, target: Target, rows: Tensor, folder: Path) -> Verified:
    for name, text in generated.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    bytes_in = generated.layout.program.input.dtype == "uint8"
    if bytes_in and rows.is_floating_point() and not bool((rows == rows.round().clamp(0, 255)).all()):
        raise BadData("the code takes images of bytes, and these have fractions; give images like the training data's")
    flat = rows.reshape(len(rows), -1)
    (folder / "rows").write_bytes(flat.numpy().astype(np.uint8 if bytes_in else np.float32).tobytes())
    source = "host.c" if target.board is None else "board.c"
    runner = (BOARD / source).read_text(encoding="utf-8")
    for word, value in (("INPUT row", f"{'uint8_t' if bytes_in else 'float'} row"), ("UPPER", "NET"), ("NAME", "net")):
        runner = runner.replace(word, value)
    (folder / source).write_text(runner, encoding="utf-8")
    net = compile_object(target, folder / "net.c")
    harness = compile_object(target, folder / source, extra=("-std=gnu99",), strict=False)
    script = None if target.board is None else BOARD / "board.ld"
    execute(target, link(target, [harness, net], script))
    wanted = expected(network, rows, softmax=generated.style.softmax)
    data = np.fromfile(folder / "scores", dtype=np.float32)
    if data.size != wanted.numel():
        raise ExportMismatch(f"on {target.name} {data.size} numbers came back for {len(rows)} rows")
    difference, agreement = _compared(torch.from_numpy(data).reshape(wanted.shape).double(), wanted, target)
    sizes = sections(target, net)
    stack, ticks = np.fromfile(folder / "figures", dtype=np.uint32).tolist() if target.board else (None, None)
    tables, predicted = generated.layout.table_bytes, generated.layout
    core: Core = next((core for core in CORES if core == target.name), CORES[0])
    return Verified(
        target=target.name,
        core=core,
        rows=len(rows),
        difference=difference,
        agreement=agreement,
        tables=tables if sizes else None,
        code=sizes["text"] - tables if sizes else None,
        library=None if script is None else library_bytes(folder),
        static_ram=sizes["data"] + sizes["bss"] if sizes else None,
        stack=stack,
        instructions=None if ticks is None else ticks * CLOCK,
        scratch=predicted.scratch_bytes,
        predicted_tables=tables,
        predicted_code=predicted.code_bytes(core),
        predicted_library=predicted.library_bytes(core),
        predicted_stack=predicted.stack_bytes(core),
    )


def _compared(got: Tensor, wanted: Tensor, target: Target) -> tuple[float, float]:
    """Largest difference, and share of equal classes. Raises: ExportMismatch for more than rounding explains."""
    largest = wanted.abs().amax(dim=1, keepdim=True)
    apart = (got - wanted).abs()
    if not bool((apart <= ABSOLUTE + RELATIVE * largest).all()):
        row = int((apart - RELATIVE * largest).nan_to_num(torch.inf).amax(dim=1).argmax())
        raise ExportMismatch(
            f"on {target.name} row {row} gives {got[row].tolist()[:4]}, and PyTorch has {wanted[row].tolist()[:4]}; "
            "this is a fault of the generator, or of the compiler"
        )
    same = (got.argmax(dim=1) == wanted.argmax(dim=1)).double().mean().item()
    return (apart / largest.clamp(min=1.0)).max().item(), same
