"""What the C code that would be generated for a network takes, known before it is trained: bytes and instructions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import final

from torch import Tensor, nn

from steerage.data.dataset import Preprocess
from steerage.micro.build import Units, build, valued
from steerage.micro.calibrate import assumed, scheme
from steerage.micro.codesize import Core
from steerage.micro.layout import Layout, lay_out
from steerage.micro.quantize import quantized
from steerage.micro.storage import Prefer

SURE = 1.03  # by which code is rather thought too large, so that a budget that is kept on paper is kept in the flash


@final
@dataclass(frozen=True)
class Memory:
    """Bytes. ``tables`` (constants, in flash) and ``scratch`` (RAM) are exact; the others are estimates.

    ``code``: functions and their calls; ``library``: mathematical functions and, on a core without a floating-point
    unit, arithmetic; both in flash. ``stack``: RAM that a call takes besides ``scratch``. ``instructions``: of a row,
    no bytes.
    """

    tables: int
    code: int
    library: int
    scratch: int
    stack: int
    instructions: int

    @property
    def flash(self) -> int:
        """Tables, code and library."""
        return self.tables + self.code + self.library

    @property
    def ram(self) -> int:
        """Scratch and stack."""
        return self.scratch + self.stack

    def to_json(self) -> dict[str, int]:
        """Figures by name; ``Memory(**json)`` restores them."""
        return asdict(self)


def memory(
    model: nn.Module,
    preprocess: Preprocess,
    *,
    masks: Mapping[str, Tensor] | None = None,
    units: Units | None = None,
    softmax: bool = False,
    prefer: Prefer = "flash",
    int8: bool = False,
    core: Core = "cortex-m4",
) -> Memory:
    """What the code takes that ``model`` behind ``preprocess`` would become, as it is: dead units count, too.

    The values of weights do not matter, so they need not be there (meta device). ``masks``: by name of parameter,
    True = active; what has none is all active. ``units``: those of a regression's target. ``softmax``, ``prefer``,
    ``int8``: as the code would be generated.

    Raises: UnsupportedLayer naming the layer that has no C form; BadArgument if the model cannot run on its input.
    """
    program = build(model, preprocess, masks=masks, units=None if int8 else units, softmax=softmax, clip=not int8)
    if int8:
        program = valued(program)
        program = quantized(program, scheme(program, assumed(program)))
    return memory_of(lay_out(program, prefer=prefer), core=core)


def memory_of(layout: Layout, *, core: Core = "cortex-m4") -> Memory:
    """Bytes and instructions of a layout."""
    return Memory(
        tables=layout.table_bytes,
        code=math.ceil(SURE * layout.code_bytes(core)),
        library=layout.library_bytes(core),
        scratch=layout.scratch_bytes,
        stack=layout.stack_bytes(core),
        instructions=layout.instructions(core),
    )
