"""The folder of a generated network."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from steerage.bundle import Network
from steerage.export.c.generate import DEFAULT, Generated, Options, generate
from steerage.export.c.proof import verify
from steerage.export.c.quantized import Quantized
from steerage.export.c.toolchain import TARGETS, compiler
from steerage.export.examples import example_rows
from steerage.seeds import generator
from steerage.store import write_together

COMPARED = 64  # made-up rows


def export_c(
    network: Network,
    folder: str | Path,
    *,
    name: str | None = None,
    options: Options = DEFAULT,
    rows: Tensor | None = None,
    int8: Quantized | None = None,
) -> Generated:
    """Write ``network`` as C99 into ``folder``: ``NAME.h``, ``NAME.c``, ``NAME_test.c`` and a ``Makefile``.

    ``name``: that of the folder where not given; ``rows``: encoded ones for the self-test, made up where not given.
    ``int8``: what ``quantize`` made of the network, for code that computes with 8-bit integers.
    Where this machine has a C compiler, the code is compared with PyTorch before anything is written. Raises:
    UnsupportedLayer naming the layer that has no C form; ExportMismatch where the code returns something else;
    BadArgument for rows of another shape; SteerageError when the folder cannot be written.
    """
    folder = Path(folder)
    generated = generate(network, name=folder.name if name is None else name, options=options, rows=rows, int8=int8)
    if can_compare():
        made_up = example_rows(network.preprocess, COMPARED, generator=generator(0, "compared"))
        verify(network, TARGETS["host"], made_up, options=options, int8=int8)
    write_together({folder / file: text for file, text in generated.files.items()})
    return generated


def can_compare() -> bool:
    """Whether this machine has a C compiler."""
    return compiler(TARGETS["host"]) is not None
