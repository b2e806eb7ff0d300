"""Units of a network: which rows and columns of which layers belong to one channel, found by tracing it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast, final

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from steerage.growprune import operations as ops
from steerage.nn.kinds import NORMS
from steerage.nn.residual import padded_sum
from steerage.nn.trace import Traced, trace


@final
@dataclass(frozen=True, eq=False)
class Part:
    """A module with tensors to cut: a layer that makes units, or a norm or depthwise convolution that passes them on.

    ``rows``, ``columns``: unit of each row and column of its weight; ``columns`` is None for what passes units on. In a
    grouped convolution the units at one place of all groups share one fate, and so one number. ``row_blocks``,
    ``column_blocks``: which neighbours belong together, such as the pixels of one channel behind a flattening.
    ``source``: what it reads. ``norm``: the batch norm that alone reads a layer's output, None if there is none.
    """

    name: str
    module: nn.Module
    rows: Tensor
    columns: Tensor | None
    row_blocks: Tensor
    column_blocks: Tensor | None
    source: fx.Node
    norm: _BatchNorm | None = None

    def tensor_name(self, leaf: str) -> str:
        """Name in the network of the tensor that the module calls ``leaf``."""
        return f"{self.name}.{leaf}" if self.name else leaf

    @property
    def grouped(self) -> bool:
        """Whether a column of the weight is read from several inputs, one of each group."""
        return self.columns is not None and getattr(self.module, "groups", 1) > 1


@final
@dataclass(frozen=True, eq=False)
class UnitGraph:
    """Operations in order, the parts among them, and which units no edit may touch: ``frozen`` is (units,) bool.

    ``rigid``: (units,) bool, those that can leave but of which there can be no more.
    """

    steps: tuple[Step, ...]
    parts: dict[fx.Node, Part]
    frozen: Tensor
    rigid: Tensor


@final
@dataclass(frozen=True, eq=False)
class Step:
    """Constants that a node returns, as a function of those of its ``inputs`` and the weights as they are then."""

    node: fx.Node
    inputs: tuple[fx.Node, ...]
    constants: Callable[..., Tensor]


def unit_graph(model: nn.Module, input_shape: tuple[int, ...]) -> UnitGraph:
    """Graph of ``model``, which is in evaluation mode, for inputs of shape (batch, *input_shape).

    Raises: UnsupportedLayer if the model cannot be traced, BadArgument if it cannot run on such an input.
    """
    traced = trace(model, input_shape)
    walk = _Walk(model, traced)
    for node in traced.graph.nodes:
        walk.visit(node)
    return walk.finished()


class _Walk:
    """State of a walk over a traced model: units of every tensor, numbered as met; equal ones are merged at the end."""

    def __init__(self, model: nn.Module, traced: Traced) -> None:
        self.root, self.shapes = traced.root, traced.shapes
        self.names = {module: name for name, module in model.named_modules()}
        self.calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
        self.owners = Counter(id(tensor) for module in model.modules() for tensor in _tensors(module))
        for node in traced.graph.nodes:
            if node.op == "get_attr":  # read past the module that owns it
                path, _, leaf = str(node.target).rpartition(".")
                self.owners[id(getattr(self.root.get_submodule(path), leaf))] += 1
        self.count = 0
        self.units: dict[fx.Node, Tensor] = {}
        self.blocks: dict[fx.Node, Tensor] = {}  # of each position of a tensor along its units
        self.frozen: list[Tensor] = []
        self.rigid: list[Tensor] = []
        self.merged: list[tuple[Tensor, Tensor]] = []
        self.parts: dict[fx.Node, Part] = {}
        self.steps: list[Step] = []

    def visit(self, node: fx.Node) -> None:
        """Follow the units through a node, or freeze all that it touches."""
        if ops.is_batch_size(node) or (ops.is_size(node) and all(ops.is_batch_size(user) for user in node.users)):
            return
        if node.op in ("call_module", "call_function", "call_method") and self._known(node):
            return
        for source in node.all_input_nodes:
            self.frozen.append(self.units.get(source, torch.empty(0, dtype=torch.long)))
        shape = self.shapes.get(node, ())
        width = shape[1] if len(shape) > 1 and node.op != "output" else 0
        self.frozen.append(self._new(node, width))
        self._step(node, (), lambda: ops.nothing_constant(width))

    def finished(self) -> UnitGraph:
        """The graph, with merged units under one number."""
        number = torch.arange(self.count)
        nothing = torch.empty((2, 0), dtype=torch.long)
        first, second = torch.cat([nothing, *(torch.stack(pair) for pair in self.merged)], dim=1)
        both = torch.cat((first, second))
        while True:
            lowest = torch.minimum(number[first], number[second]).repeat(2)
            lower = number.scatter_reduce(0, both, lowest, "amin")
            if torch.equal(lower, number):
                break
            number = lower
        frozen, rigid = torch.zeros((2, self.count), dtype=torch.bool)
        for marked, found in ((frozen, self.frozen), (rigid, self.rigid)):
            for units in found:
                marked[number[units]] = True
        parts = {}
        for node, part in self.parts.items():
            users = list(node.users)
            reader = self.parts[users[0]].module if len(users) == 1 and users[0] in self.parts else None
            norm = reader if isinstance(reader, NORMS) and reader.running_mean is not None else None
            columns = None if part.columns is None else number[part.columns]
            parts[node] = replace(part, rows=number[part.rows], columns=columns, norm=norm)
        return UnitGraph(tuple(self.steps), parts, frozen, rigid | frozen)

    def _new(self, node: fx.Node, width: int) -> Tensor:
        self.units[node], self.blocks[node] = torch.arange(self.count, self.count + width), torch.arange(width)
        self.count += width
        return self.units[node]

    def _step(self, node: fx.Node, inputs: tuple[fx.Node, ...], constants: Callable[..., Tensor]) -> bool:
        self.steps.append(Step(node, inputs, constants))
        return True

    def _module(self, node: fx.Node) -> nn.Module | None:
        return self.root.get_submodule(str(node.target)) if node.op == "call_module" else None

    def _known(self, node: fx.Node) -> bool:
        """Follow the units through a node, if there is a rule for it."""
        module, sources = self._module(node), node.all_input_nodes
        if node not in self.shapes or not sources or any(len(self.shapes.get(source, ())) < 2 for source in sources):
            # Only reshaping reads something besides tensors: the size of the batch.
            return node in self.shapes and ops.kind(node, module) in ops.RESHAPES and self._reshape(node)
        if ops.in_place(node, module) and self._is_read_elsewhere(node):
            return False
        if module is not None and (node.kwargs or len(node.args) != 1 or not self._is_plain(node, module)):
            return False
        kind, x = ops.kind(node, module), sources[0]
        if kind in ops.LINEAR or kind in NORMS:
            return self._part(node, cast(nn.Module, module), x)
        if kind in ops.CONCATENATIONS:
            return self._concatenation(node)
        if kind is padded_sum:
            return self._padded_sum(node)
        if kind in ops.FUNCTIONS:
            return self._function(node)
        if node.args[:1] != (x,) or len(sources) > 1:
            return False
        if kind in ops.FLATTENS:
            return self._flatten(node, x)
        return self._passed(node, module, x)

    def _passed(self, node: fx.Node, module: nn.Module | None, x: fx.Node) -> bool:
        """Operations that look at one unit at a time, at one position or at many."""
        rule = ops.passing(node, module, ranks=len(self.shapes[x]))
        if rule is None or self.shapes[node][:2] != self.shapes[x][:2]:
            return False
        self.units[node], self.blocks[node] = self.units[x], self.blocks[x]
        return self._step(node, (x,), rule)

    def _part(self, node: fx.Node, module: Any, x: fx.Node) -> bool:
        if len(self.shapes[x]) != len(self.shapes[node]):
            return False
        if isinstance(module, NORMS):
            self._passing_part(node, module, x)
            return self._step(node, (x,), lambda values: ops.normalized(module, values))
        ranks = 2 if isinstance(module, nn.Linear) else len(module.kernel_size) + 2
        groups = 1 if isinstance(module, nn.Linear) else module.groups
        if len(self.shapes[x]) != ranks:
            return False
        if groups > 1 and groups == module.in_channels:
            if module.out_channels != groups:
                return False
            self._passing_part(node, module, x)
            return self._step(node, (x,), lambda values: ops.depthwise(module, values))
        rows = self._new(node, len(module.weight))
        for units in (self.units[x], rows) if groups > 1 else ():
            alike = units.view(groups, -1)
            self.merged.append((alike[:1].expand_as(alike).flatten(), units))
        columns = self.units[x][: module.weight.shape[1]]
        blocks = self.blocks[x][: module.weight.shape[1]]
        self.parts[node] = Part(self.names[module], module, rows, columns, self.blocks[node], blocks, x)
        return self._step(node, (), lambda: ops.unread(module))

    def _passing_part(self, node: fx.Node, module: nn.Module, x: fx.Node) -> None:
        self.units[node], self.blocks[node] = self.units[x], self.blocks[x]
        self.parts[node] = Part(self.names[module], module, self.units[x], None, self.blocks[x], None, x)

    def _function(self, node: fx.Node) -> bool:
        """Elementwise functions and sums: the units of several inputs become one."""
        sources = node.all_input_nodes
        shapes = {(len(self.shapes[source]), self.shapes[source][1]) for source in (*sources, node)}
        if len(shapes) > 1 or "out" in node.kwargs:  # several shapes: broadcast along the units
            return False
        for source in sources[1:]:
            self.merged.append((self.units[sources[0]], self.units[source]))
            if not torch.equal(self.blocks[sources[0]], self.blocks[source]):
                self.rigid.append(self.units[source])  # a channel's pixels meet neurons that know nothing of them
        self.units[node], self.blocks[node] = self.units[sources[0]], self.blocks[sources[0]]

        def apply(*values: Tensor) -> Tensor:
            given = dict(zip(sources, values, strict=True))
            args: Any = fx.map_arg(node.args, given.__getitem__)
            kwargs: Any = fx.map_arg(node.kwargs, given.__getitem__)
            if isinstance(node.target, str):
                return cast(Tensor, getattr(args[0], node.target)(*args[1:], **kwargs))
            return cast(Tensor, node.target(*args, **kwargs))

        product = len(sources) > 1 and ops.kind(node, None) in ops.PRODUCTS
        constants = ops.multiplied if product else ops.evaluated
        return self._step(node, tuple(sources), lambda *values: constants(apply, *values))

    def _padded_sum(self, node: fx.Node) -> bool:
        """The first units of one become those of the other, which are fewer."""
        y, x = cast("tuple[fx.Node, fx.Node]", node.args[:2])
        self.merged.append((self.units[x], self.units[y][: len(self.units[x])]))
        self.units[node], self.blocks[node] = self.units[y], self.blocks[y]
        return self._step(node, (y, x), ops.added)

    def _concatenation(self, node: fx.Node) -> bool:
        dim = [*node.args[1:2], node.kwargs.get("dim", 0)][0]
        parts = node.args[0] if node.args else None
        if dim not in (1, 1 - len(self.shapes[node])) or not isinstance(parts, (list, tuple)):
            return False
        sources = cast("tuple[fx.Node, ...]", tuple(parts))
        self.units[node] = torch.cat([self.units[source] for source in sources])
        starts, blocks = 0, []
        for source in sources:
            blocks.append(self.blocks[source] + starts)
            starts += len(blocks[-1])
        self.blocks[node] = torch.cat(blocks)
        return self._step(node, sources, lambda *values: torch.cat(values))

    def _flatten(self, node: fx.Node, x: fx.Node) -> bool:
        shape = self.shapes[x]
        pixels = math.prod(shape[2:])
        if self.shapes[node] != (shape[0], shape[1] * pixels):
            return False
        self.units[node] = self.units[x].repeat_interleave(pixels)
        self.blocks[node] = self.blocks[x].repeat_interleave(pixels)
        return self._step(node, (x,), lambda values: values.repeat_interleave(pixels))

    def _reshape(self, node: fx.Node) -> bool:
        """``x.view(x.size(0), -1)`` is a flattening; sizes written out are not followed."""
        x, sizes = next(iter(node.args), None), [*node.args[1:]]
        if len(sizes) == 1 and isinstance(sizes[0], (list, tuple)):
            sizes = [*sizes[0]]
        plain = len(sizes) == 2 and ops.is_batch_size(sizes[0]) and sizes[1] in (-1,) and not node.kwargs
        return plain and isinstance(x, fx.Node) and len(self.shapes.get(x, ())) > 1 and self._flatten(node, x)

    def _is_plain(self, node: fx.Node, module: nn.Module) -> bool:
        """Whether a module does what its type says, and its tensors serve nothing else."""
        if module._forward_hooks or module._forward_pre_hooks:
            return False
        own = list(_tensors(module))
        if isinstance(module, ops.LINEAR) and not isinstance(module.weight, nn.Parameter):
            return False
        return not own or (self.calls[node.target] == 1 and all(self.owners[id(tensor)] == 1 for tensor in own))

    def _is_read_elsewhere(self, node: fx.Node) -> bool:
        """Whether something else reads the memory that ``node`` overwrites."""
        source = node.all_input_nodes[0]
        while len(source.users) == 1:
            if not ops.is_view(source, self._module(source)):
                return False
            source = source.all_input_nodes[0]
        return True


def _tensors(module: nn.Module) -> list[Tensor]:
    """Parameters and buffers of a module's own."""
    return [*module.parameters(recurse=False), *module.buffers(recurse=False)]
