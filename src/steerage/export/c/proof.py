"""Proof: generated code is compiled and run over rows, and each prediction is compared with PyTorch's."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, final

import numpy as np
import torch
from torch import Tensor

from steerage.bundle import Network
from steerage.errors import BadArgument, BadData, ExportMismatch
from steerage.export.c.generate import DEFAULT, Generated, Options, generate
from steerage.export.c.printer import score_type, score_units
from steerage.export.c.quantized import Quantized, error_of
from steerage.export.c.selftest import expected, reference, tolerance
from steerage.export.c.toolchain import CLOCK, Target, compile_object, execute, library_bytes, link, sections
from steerage.micro.codesize import CORES, Core
from steerage.micro.layout import Layout

BOARD = Path(__file__).parent / "board"


@final
@dataclass(frozen=True)
class Verified:
    """What was measured, in bytes, beside what was predicted; None for what cannot be told on the target.

    ``code``: of the network itself; ``library``: mathematical functions and arithmetic that come with it; ``tables``
    are in neither. Code is predicted for ``core``, which
    is not the target where that is this machine. ``difference``: the largest of any number from PyTorch's, over the
    largest one of its row (of 1 at least); of ``numbers`` "int8", which are the integers that they should be exactly,
    what rounding to 8 bits made. ``agreement``: share of rows with the same class, 1 in a regression. ``error``,
    ``float_error``: shares of rows that the code and PyTorch predict wrongly, or of the target's variance that they do
    not explain; None without labels. ``instructions``: the most that a row took; ``predicted_instructions`` are for
    ``core``, None where that is not the target.
    """

    target: str
    numbers: Literal["float32", "int8"]
    core: str
    rows: int
    difference: float
    agreement: float
    error: float | None
    float_error: float | None
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
    predicted_instructions: int | None

    def to_json(self) -> dict[str, object]:
        """Figures by name."""
        return asdict(self)


def verify(
    network: Network,
    target: Target,
    rows: Tensor,
    *,
    options: Options = DEFAULT,
    int8: Quantized | None = None,
    labels: Tensor | None = None,
) -> Verified:
    """Compile the code of ``network``, run it over encoded ``rows``, and compare all that it returns.

    ``int8``: as for ``generate``; then each integer must be the one that ``steerage.micro`` computes. ``labels`` (n,):
    codes of classes, or targets in their own units, for the errors.

    Raises: MissingTool where the target's tools are not there; UnsupportedLayer for a network without C form;
    ExportMismatch if the code does not compile, or a number differs by more than rounding; BadArgument for rows of
    another shape, BadData for images with fractions where the code takes bytes.
    """
    shape = tuple(network.preprocess.input_shape)
    if tuple(rows.shape[1:]) != shape or len(rows) == 0:
        raise BadArgument(f"rows must be encoded rows of shape {('n', *shape)}, got {tuple(rows.shape)}")
    generated = generate(network, name="net", options=replace(options, static=False), rows=rows[:1], int8=int8)
    with tempfile.TemporaryDirectory() as folder:
        return _verified(network, generated, target, rows, labels, Path(folder))


def _verified(
    network: Network, generated: Generated, target: Target, rows: Tensor, labels: Tensor | None, folder: Path
) -> Verified:
    for name, text in generated.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    bytes_in = generated.layout.program.input.dtype == "uint8"
    if bytes_in and rows.is_floating_point() and not bool((rows == rows.round().clamp(0, 255)).all()):
        raise BadData("the code takes images of bytes, and these have fractions; give images like the training data's")
    flat = rows.reshape(len(rows), -1)
    (folder / "rows").write_bytes(flat.numpy().astype(np.uint8 if bytes_in else np.float32).tobytes())
    source = "host.c" if target.board is None else "board.c"
    runner = (BOARD / source).read_text(encoding="utf-8")
    words = {"INPUT row": f"{'uint8_t' if bytes_in else 'float'} row", "SCORE": score_type(generated.layout)}
    for word, value in {**words, "UPPER": "NET", "NAME": "net"}.items():
        runner = runner.replace(word, value)
    (folder / source).write_text(runner, encoding="utf-8")
    net = compile_object(target, folder / "net.c")
    harness = compile_object(target, folder / source, extra=("-std=gnu99",), strict=False)
    script = None if target.board is None else BOARD / "board.ld"
    execute(target, link(target, [harness, net], script))
    layout, softmax = generated.layout, generated.style.softmax
    wanted = expected(network, layout, rows, softmax=softmax)
    data = np.fromfile(folder / "scores", dtype=layout.program.output.dtype)
    if data.size != wanted.numel():
        raise ExportMismatch(f"on {target.name} {data.size} numbers came back for {len(rows)} rows")
    got = torch.from_numpy(data).reshape(wanted.shape).double()
    _check_same(got, wanted, target, layout)
    floats = reference(network, rows, softmax=softmax)
    if layout.program.output.dtype != "float32":
        scale, shift = score_units(network, layout)
        got = got * scale + shift
    largest = floats.abs().amax(dim=1, keepdim=True).clamp(min=1.0)
    sizes = sections(target, net)
    stack, ticks = np.fromfile(folder / "figures", dtype=np.uint32).tolist() if target.board else (None, None)
    tables, predicted = layout.table_bytes, layout
    core: Core = next((core for core in CORES if core == target.name), CORES[0])
    return Verified(
        target=target.name,
        numbers="int8" if layout.program.quantized else "float32",
        core=core,
        rows=len(rows),
        difference=((got - floats).abs() / largest).max().item(),
        agreement=(got.argmax(dim=1) == floats.argmax(dim=1)).double().mean().item(),
        error=None if labels is None else error_of(got, labels, task=network.spec.task),
        float_error=None if labels is None else error_of(floats, labels, task=network.spec.task),
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
        predicted_instructions=None if ticks is None else predicted.instructions(core),
    )


def _check_same(got: Tensor, wanted: Tensor, target: Target, layout: Layout) -> None:
    """Raises: ExportMismatch for more than rounding explains, and of integers for any difference."""
    absolute, relative = tolerance(layout)
    allowed = absolute + relative * wanted.abs().amax(dim=1, keepdim=True)
    apart = (got - wanted).abs()
    if not bool((apart <= allowed).all()):
        row = int((apart - allowed).nan_to_num(torch.inf).amax(dim=1).argmax())
        whose = "its integers are" if layout.program.quantized else "PyTorch has"
        raise ExportMismatch(
            f"on {target.name} row {row} gives {got[row].tolist()[:4]}, and {whose} {wanted[row].tolist()[:4]}; "
            "this is a fault of the generator, or of the compiler"
        )
