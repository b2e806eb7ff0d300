"""Everything that is to be decided before code is printed: the place of each value, the way each layer is stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from steerage.micro.codesize import (
    Core,
    calls_bytes,
    kernel_bytes,
    library_bytes,
    rows_bytes,
    unrolled_bytes,
)
from steerage.micro.ir import Act, Conv, Linear, Op, Program
from steerage.micro.kernels import Kernel, activations, kernels, layer_kernel
from steerage.micro.plan import Plan, plan
from steerage.micro.speed import instructions, layer_instructions
from steerage.micro.stacksize import stack_bytes
from steerage.micro.storage import Format, Layer, Prefer, Stored, choices
from steerage.micro.stream import streamed
from steerage.micro.tables import ACT_BYTES, Table, tables


@final
@dataclass(frozen=True, eq=False)
class Layout:
    """A program ready to be printed. ``stored``: the weights of each layer; ``tables``: the constants of each op."""

    program: Program
    plan: Plan
    stored: Mapping[Layer, Stored]
    tables: Mapping[Op, tuple[Table, ...]]
    kernels: tuple[Kernel, ...]
    acts: tuple[Act, ...]

    @property
    def table_bytes(self) -> int:
        """Flash of the constants, exactly."""
        activations = ACT_BYTES * len(self.acts) if self.program.quantized else 0
        return activations + sum(table.bytes for several in self.tables.values() for table in several)

    def code_bytes(self, core: Core = "cortex-m4") -> int:
        """Flash of the code, estimated: functions, their calls, and formulas."""
        layers = [op for op in self.stored if self.stored[op].format == "unrolled"]
        functions = sum(kernel_bytes(kernel, core) for kernel in self.kernels) + rows_bytes(self.kernels, core)
        calls = calls_bytes(self.program.ops, self.stored, core)
        return functions + calls + sum(unrolled_bytes(layer, core) for layer in layers)

    def library_bytes(self, core: Core = "cortex-m4") -> int:
        """Flash of what comes from the compiler's libraries, estimated."""
        formulas = any(how.format == "unrolled" for how in self.stored.values())
        return library_bytes(self.kernels, core, formulas=formulas)

    def stack_bytes(self, core: Core = "cortex-m4") -> int:
        """RAM of the stack, estimated."""
        return stack_bytes(self.program.ops, self.stored, self.kernels, core)

    def instructions(self, core: Core = "cortex-m4") -> int:
        """Of a call for one row, estimated."""
        return instructions(self.program, self.stored, core)

    @property
    def scratch_bytes(self) -> int:
        """RAM that the caller gives, exactly."""
        return self.plan.bytes


def lay_out(program: Program, *, prefer: Prefer = "flash") -> Layout:
    """Decide on storage, with as little flash or as few instructions as possible, and on places."""
    program = streamed(program)
    options = {op: choices(op, prefer) for op in program.ops if isinstance(op, Linear | Conv)}
    formats = _smallest(options) if prefer == "flash" else _fastest(options)
    stored = {layer: options[layer][format] for layer, format in formats.items()}
    return Layout(
        program,
        plan(program),
        stored,
        {op: tables(op, stored) for op in program.ops},
        kernels(program.ops, stored),
        activations(program.ops),
    )


def _fastest(options: Mapping[Layer, Mapping[Format, Stored]]) -> dict[Layer, Format]:
    return {layer: min(ways, key=lambda way: layer_instructions(layer, ways[way])) for layer, ways in options.items()}


def _smallest(options: Mapping[Layer, Mapping[Format, Stored]]) -> dict[Layer, Format]:
    """The smallest tables and the functions that read them: one that serves little is given up for another one."""
    chosen = {layer: min(ways, key=lambda way: _bytes(layer, ways[way])) for layer, ways in options.items()}
    while True:
        users: defaultdict[Kernel | None, list[Layer]] = defaultdict(list)
        for layer, way in chosen.items():
            users[layer_kernel(layer, options[layer][way])].append(layer)
        best, saved = None, 0
        for kernel, layers in users.items():
            if kernel is None:
                continue
            others = {layer: _without(layer, kernel, options[layer], users) for layer in layers}
            if any(way is None for way in others.values()):
                continue
            moved = {layer: way for layer, way in others.items() if way is not None}
            before = kernel_bytes(kernel) + sum(_bytes(layer, options[layer][chosen[layer]]) for layer in layers)
            gain = before - sum(_bytes(layer, options[layer][way]) for layer, way in moved.items())
            if gain > saved:
                best, saved = moved, gain
        if best is None:
            return chosen
        chosen |= best


def _without(
    layer: Layer, kernel: Kernel, ways: Mapping[Format, Stored], users: Mapping[Kernel | None, list[Layer]]
) -> Format | None:
    """The smallest way of storing a layer that needs no function but those in use, without ``kernel``."""
    needs = {way: layer_kernel(layer, how) for way, how in ways.items()}
    free = [way for way, needed in needs.items() if needed != kernel and (needed is None or needed in users)]
    return min(free, key=lambda way: _bytes(layer, ways[way]), default=None)


def _bytes(layer: Layer, how: Stored) -> int:
    """Flash for a layer alone."""
    return unrolled_bytes(layer) if how.format == "unrolled" else how.table_bytes
