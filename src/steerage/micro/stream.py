"""Convolutions that feed each other row by row, so that the map between them is never there as a whole.

Where a map is large, a convolution needs only the rows of it under its kernel. The one before can make them when they
are needed, each once, as they go down the image together: less memory for the same arithmetic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest

from steerage.micro.ir import Conv, Op, Program, Value
from steerage.micro.plan import loads

BYTES = 256  # of memory that a link must save, since it takes as much of the stack


def streamed(program: Program) -> Program:
    """``program`` with convolutions feeding each other where that makes what is in use at one time less."""
    links: frozenset[Value] = frozenset()
    best = _profile(program, links)
    for value in sorted(_possible(program), key=lambda one: -one.size):
        tried = _profile(program, links | {value})
        if _is_less(tried, best):
            links, best = links | {value}, tried
    for value in _possible(program):  # what brings the peak no lower is not worth its place on the stack
        tried = _profile(program, links - {value})
        if value in links and tried[0] <= best[0]:
            links, best = links - {value}, tried
    return _with_links(program, links)


def _profile(program: Program, links: frozenset[Value]) -> list[int]:
    """Bytes in use at each step, the most first."""
    return sorted(loads(_with_links(program, links)), reverse=True)


def _is_less(tried: list[int], best: list[int]) -> bool:
    """Whether the largest of those that differ is smaller, by what a link takes of the stack at least."""
    pairs = zip_longest(tried, best, fillvalue=0)
    one, other = next((pair for pair in pairs if pair[0] != pair[1]), (0, 0))
    return one + BYTES <= other


def _possible(program: Program) -> list[Value]:
    """Maps that are made by a convolution and read by one more, row after row, and by nothing else."""
    readers = Counter(value for op in program.ops for value in op.inputs)
    made = {op.output for op in program.ops if isinstance(op, Conv)}
    found = []
    for op in program.ops:
        # A row that a stride leaves out would never be made.
        in_step = isinstance(op, Conv) and op.window.stride[0] <= op.window.kernel[0]
        if isinstance(op, Conv) and in_step and op.x in made and readers[op.x] == 1 and op.x is not program.output:
            found.append(op.x)
    return found


def _with_links(program: Program, links: frozenset[Value]) -> Program:
    """``program`` with what makes each value in ``links`` right before its reader, which it feeds."""
    makers = {op.output: op for op in program.ops}

    def chain(op: Op) -> Iterator[Op]:
        if not isinstance(op, Conv):
            yield op
            return
        fed = op.x in links
        if fed:
            yield from chain(makers[op.x])
        yield replace(op, fed=fed, feeds=op.output in links)

    ops = (one for op in program.ops if op.output not in links for one in chain(op))
    return replace(program, ops=tuple(ops))
