"""C99 for microcontrollers: a network with its preprocessing as a folder of plain files."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from steerage.bundle import Network
from steerage.errors import BadArgument
from steerage.export.c.printer import Style, code, header, makefile
from steerage.export.c.quantized import Quantized
from steerage.export.c.selftest import expected, selftest
from steerage.export.c.text import identifier
from steerage.export.examples import example_rows
from steerage.growprune.compact import compact
from steerage.micro import Units, build
from steerage.micro.layout import Layout, lay_out
from steerage.micro.storage import Prefer
from steerage.seeds import generator

ROWS = 8  # of the self-test, where none are given


@final
@dataclass(frozen=True)
class Options:
    """How code is to be. ``prefer``: as little flash or as few instructions as possible, layer by layer.

    ``static``: it keeps its own scratch, in place of one that the caller gives. ``softmax``: it returns probabilities
    in place of scores.
    """

    prefer: Prefer = "flash"
    static: bool = False
    softmax: bool = False


DEFAULT = Options()


@final
@dataclass(frozen=True, eq=False)
class Generated:
    """Files by name, and what they were printed from."""

    style: Style
    layout: Layout
    files: Mapping[str, str]


def generate(
    network: Network,
    *,
    name: str,
    options: Options = DEFAULT,
    rows: Tensor | None = None,
    int8: Quantized | None = None,
) -> Generated:
    """Text of the files for ``network``, which is compacted first: units that do nothing are not there.

    ``name``: any text; what is in the files begins with the identifier that it makes. ``rows``: encoded rows for the
    self-test, made up where not given. ``int8``: what ``quantize`` made of the network, for code that computes with
    8-bit integers.

    Raises: UnsupportedLayer naming the layer that has no C form; BadArgument for rows of another shape.
    """
    shape = tuple(network.preprocess.input_shape)
    if rows is None:
        rows = example_rows(network.preprocess, ROWS, generator=generator(0, "self-test"))
    if tuple(rows.shape[1:]) != shape or len(rows) == 0:
        raise BadArgument(
            f"rows must be encoded rows of shape (n, {', '.join(map(str, shape))}), got {tuple(rows.shape)}"
        )
    if bool(rows.isinf().any()):
        raise BadArgument(
            "encoded rows have numbers and NaN, and these have infinities; encode them with the network's own"
        )
    style = Style(identifier(name), options.static, options.softmax and network.spec.task == "classification")
    layout = layout_of(network, options, int8)
    if layout.program.input.dtype == "uint8":
        rows = rows.round().clamp(0, 255)
    files = {
        f"{style.name}.h": header(network, layout, style),
        f"{style.name}.c": code(network, layout, style),
        f"{style.name}_test.c": selftest(layout, style, rows, expected(network, layout, rows, softmax=style.softmax)),
        "Makefile": makefile(style),
    }
    return Generated(style, layout, files)


def layout_of(network: Network, options: Options = DEFAULT, int8: Quantized | None = None) -> Layout:
    """Storage and places of the code that would be generated for ``network``. Raises: UnsupportedLayer."""
    softmax = options.softmax and network.spec.task == "classification"
    if int8 is not None:
        return lay_out(int8.integers(softmax=softmax), prefer=options.prefer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what cannot be compacted is refused below, or is as it should be
        model, masks = compact(network.model, network.spec.input_shape, masks=dict(network.masks))
    units = None
    if network.spec.task == "regression":
        units = Units(network.target_mean, network.target_std)
    with torch.no_grad():
        program = build(model, network.preprocess, masks=masks, units=units, softmax=softmax)
    return lay_out(program, prefer=options.prefer)
