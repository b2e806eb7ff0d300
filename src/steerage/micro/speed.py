"""Estimated instructions of a row: of a layer, by which the fastest way of storing it is chosen, and of a network.

``benchmarks/instructions.py`` fits ``instructions.json`` to what networks took in QEMU, for each core and type of
numbers, with the compiler that the file names, at -O2. Another compiler, version or level needs other numbers of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from steerage.micro.codesize import Core
from steerage.micro.ir import Program
from steerage.micro.storage import Layer, Stored
from steerage.micro.terms import Terms, layer_terms, program_terms

Numbers = Literal["float32", "int8"]
TABLE = Path(__file__).with_name("instructions.json")


def layer_instructions(layer: Layer, how: Stored, core: Core = "cortex-m4") -> float:
    """Of a layer without what comes before and after its sums."""
    return estimated(layer_terms(layer, how), core, "float32" if layer.output.dtype == "float32" else "int8")


def instructions(program: Program, stored: Mapping[Layer, Stored], core: Core = "cortex-m4") -> int:
    """Of a call of NAME_scores."""
    return round(estimated(program_terms(program, stored), core, "int8" if program.quantized else "float32"))


def estimated(terms: Terms, core: Core, numbers: Numbers) -> float:
    """Instructions of so many terms; what the table does not name takes none of its own."""
    each: Mapping[str, float] = _table()[core][numbers]
    return sum(each.get(name, 0.0) * count for name, count in terms.items())


@cache
def _table() -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return document
