"""Flash and RAM of the C code that would be generated for a network, known before it is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import final

from torch import Tensor, nn

from steerage.data.dataset import Preprocess
from steerage.micro.build import Units, build
from steerage.micro.codesize import Core
from steerage.micro.layout import Layout, lay_out
from steerage.micro.storage import Prefer

SURE = 1.02  # by which code is rather thought too large, so that a budget that is kept on paper is kept in the flash


@final
@dataclass(frozen=True)
class Memory:
    """Bytes. ``tables`` (constants, in flash) and ``scratch`` (RAM) are exact; the others are estimates.

    ``code``: functions and their calls; ``library``: mathematical functions and, on a core without a floating-point
    unit, arithmetic; both in flash. ``stack``: RAM that a call takes besides ``scratch``.
    """

    tables: int
    code: int
    library: int
    scratch: int
    stack: int

    @property
    def flash(self) -> int:
        """Tables, code and library."""
        return self.tables + self.code + self.library

    @property
    def ram(self) -> int:
        """Scratch and stack."""
        return self.scratch + self.stack

    def to_json(self) -> dict[str, int]:
        """Bytes by name; ``Memory(**json)`` restores them."""
        return asdict(self)


def memory(
    model: nn.Module,
    preprocess: Preprocess,
    *,
    masks: Mapping[str, Tensor] | None = None,
    units: Units | None = None,
    softmax: bool = False,
    prefer: Prefer = "flash",
    core: Core = "cortex-m4",
) -> Memory:
    """Bytes of the code that ``model`` behind ``preprocess`` would become, as it is: dead units count, too.

    The values of weights do not matter, so they need not be there (meta device). ``masks``: by name of parameter,
    True = active; what has none is all active. ``units``: those of a regression's target. ``softmax``, ``prefer``: as
    the code would be generated.

    Raises: UnsupportedLayer naming the layer that has no C form; BadArgument if the model cannot run on its input.
    """
    program = build(model, preprocess, masks=masks, units=units, softmax=softmax)
    return memory_of(lay_out(program, prefer=prefer), core=core)


def memory_of(layout: Layout, *, core: Core = "cortex-m4") -> Memory:
    """Bytes of a layout."""
    code, library, stack = layout.code_bytes(core), layout.library_bytes(core), layout.stack_bytes(core)
    return Memory(layout.table_bytes, math.ceil(SURE * code), library, layout.scratch_bytes, stack)
