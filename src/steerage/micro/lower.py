"""From a traced network to operations: the walk, and what it knows on its way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any, NoReturn, final

import numpy as np
import torch
from torch import Tensor, fx, nn

from steerage.errors import UnsupportedLayer
from steerage.micro.held import Held, Part, a_map, flattened, is_in_order
from steerage.micro.inputs import Start, as_map
from steerage.micro.ir import Conv, Gather, Ints, Join, Linear, Op, Pixels, Shape, Value
from steerage.nn.trace import Traced

Rule = Callable[["Walk", fx.Node, Any], Held]


@final
class Walk:
    """State of a walk over the nodes of a network: operations so far, and where the tensors are that they made.

    ``read_bins``: by label of an encoding, the bins that anything reads; all of one that is not named.
    """

    def __init__(
        self,
        model: nn.Module,
        traced: Traced,
        start: Start,
        masks: Mapping[str, Tensor],
        read_bins: Mapping[str, Set[int]],
    ) -> None:
        self.root, self.graph, self.shapes = traced.root, traced.graph, traced.shapes
        self.start, self.masks, self.read_bins = start, masks, read_bins
        self.names = {module: name for name, module in model.named_modules()}
        self.ops: list[Op] = [] if start.first is None else [start.first]
        self.held: dict[fx.Node, Held] = {}
        self.constants: dict[fx.Node, Tensor] = {}
        self.used_names: set[str] = {"x", "features", "upright"}
        self.joined: set[Value] = set()
        self.pixels: Value | None = None
        self.bins: dict[Value, tuple[str, Ints]] = {}  # label of the encoding, and which of its bins these are

    def run(self, rules: Mapping[Any, Rule]) -> Held:
        """What the network returns. ``rules`` by type of module, function, or name of method.

        Raises: UnsupportedLayer naming the layer or operation that has no rule, or that its rule cannot do.
        """
        for node in self.graph.nodes:
            if node.op == "placeholder":
                self.held[node] = self.start.held
            elif node.op == "get_attr":
                path, _, leaf = str(node.target).rpartition(".")
                self.constants[node] = getattr(self.root.get_submodule(path), leaf).detach()
            elif node.op == "output":
                return self.of(node, node.args[0])
            elif node in self.shapes:  # others are sizes, which are in the shapes already
                self.held[node] = self._made(node, rules)
        raise UnsupportedLayer("the network returns nothing")

    def _made(self, node: fx.Node, rules: Mapping[Any, Rule]) -> Held:
        module = self.root.get_submodule(str(node.target)) if node.op == "call_module" else None
        if module is not None and (module._forward_hooks or module._forward_pre_hooks):
            self.refuse(node, "it has hooks")
        rule = rules.get(node.target if module is None else type(module))
        if rule is None:
            self.refuse(node, "this kind of operation is not known")
        if self.shapes[node][:1] != (2,):
            self.refuse(node, "it puts rows of the batch into other dimensions")
        held = rule(self, node, module)
        if held.shape != self.shape(node):
            self.refuse(node, f"it returns {tuple(self.shapes[node][1:])} where {held.shape} was expected")
        return held

    def refuse(self, node: fx.Node, reason: str) -> NoReturn:
        """Raises: UnsupportedLayer, with the name of the layer and its kind."""
        raise UnsupportedLayer(f"{self.label(node)} ({self.kind(node)}) cannot become C code: {reason}")

    def label(self, node: fx.Node) -> str:
        """Name of the layer in the network, or of the operation in the trace."""
        if node.op != "call_module":
            return str(node.name)
        return self.names.get(self.root.get_submodule(str(node.target)), "") or "network"

    def kind(self, node: fx.Node) -> str:
        if node.op == "call_module":
            return type(self.root.get_submodule(str(node.target))).__name__
        return str(getattr(node.target, "__name__", node.target))

    def shape(self, node: fx.Node) -> Shape:
        """Of what a node returns for one row; a signal's is that of its map."""
        shape = tuple(self.shapes[node][1:])
        return (shape[0], *as_map(shape[1:], 1)) if self.start.signal and len(shape) == 2 else shape

    def of(self, reader: fx.Node, node: Any) -> Held:
        """Where the tensor of ``node`` is. Raises: UnsupportedLayer for what is no tensor that depends on the input."""
        if node not in self.held:
            self.refuse(reader, "it reads something else than a tensor made from the input")
        return self.held[node]

    def check_overwriting(self, node: fx.Node, module: nn.Module | None) -> None:
        """Raises: UnsupportedLayer for an operation in place on what others read as well."""
        named = str(getattr(node.target, "__name__", node.target))
        in_place = getattr(module, "inplace", False) or node.kwargs.get("inplace") or named.endswith("_")
        if in_place or named in ("iadd", "isub", "imul"):
            parts = self.of(node, node.args[0]).parts
            if any(len(one.users) > 1 for one, held in self.held.items() if any(_reads(held, p.value) for p in parts)):
                self.refuse(node, "it overwrites what is read elsewhere")

    def argument(self, node: fx.Node, place: int, name: str, default: Any = None) -> Any:
        """An argument of a function or method by place or name."""
        return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)

    def value(self, name: str, shape: Shape) -> Value:
        """A new value; its name tells it from all others."""
        unique, number = name, 1
        while unique in self.used_names:
            number += 1
            unique = f"{name}_{number}"
        self.used_names.add(unique)
        return Value(unique, shape)

    def add(self, op: Op) -> Value:
        """Put an operation at the end; its output."""
        self.ops.append(op)
        return op.output

    def mask(self, module: nn.Module, weight: Tensor) -> Tensor:
        """Which of a layer's weights are active: bool, of the shape of ``weight``."""
        name = self.names.get(module, "")
        mask = self.masks.get(f"{name}.weight" if name else "weight")
        return torch.ones(weight.shape, dtype=torch.bool) if mask is None else mask.detach().cpu()

    def sole(self, node: Any) -> list[int]:
        """Places of the operations that made a value which nothing reads but the one reader of ``node``.

        They are one convolution, or linear operations that add onto each other; empty where something else made it.
        """
        held = self.held[node]
        (part, *others) = held.parts
        if others or any(len(one.users) != 1 for one, kept in self.held.items() if _reads(kept, part.value)):
            return []
        places: list[int] = []
        wanted: Value | None = part.value
        for place in reversed(range(len(self.ops))):
            op = self.ops[place]
            if op.output is wanted and isinstance(op, Conv | Linear):
                places.append(place)
                wanted = op.onto if isinstance(op, Linear) else None
        return places[::-1]

    def map(self, node: fx.Node, held: Held) -> Value:
        """A map as it is stored: an image is brought into that form."""
        (part, *others) = held.parts
        if len(held.shape) != 3:
            self.refuse(node, f"it needs a map (channels, height, width), and gets {held.shape}")
        if others or part.order is not None:  # the channels of a single pixel
            channels = self._free(self.line(node, held))
            return self.add(Join("pixel", (channels,), self.value("pixel", held.shape)))
        return self._pixels() if part.raw else part.value

    def _pixels(self) -> Value:
        """The image as a map of normalized pixels."""
        if self.pixels is None:
            (image,) = self.start.held.parts
            scale, shift = image.affine()
            output = self.value("pixels", image.value.shape)
            self.pixels = self.add(Pixels("pixels", image.value, output, -shift / scale, scale))
        return self.pixels

    def line(self, node: fx.Node, held: Held) -> Value:
        """A vector whose numbers lie in order in one place."""
        part = self.one(node, held)
        assert part.order is not None
        if is_in_order(part.order) and len(part.order) == held.size:
            return part.value
        index: Ints = np.full(held.size, -1)
        index[part.order[part.order >= 0]] = np.flatnonzero(part.order >= 0)
        if (index < 0).any():
            self.refuse(node, "it needs numbers that the network never computes")
        return self.add(Gather("order", part.value, self.value("order", (held.size,)), index))

    def one(self, node: fx.Node, held: Held) -> Part:
        """A vector as plain numbers in one place, in any order."""
        parts = [self._plain(node, part) for part in flattened(held).parts]
        return parts[0] if len(parts) == 1 else self.join(parts)

    def complete(self, node: fx.Node, held: Held) -> Part:
        """As ``one``, for what makes something else of the zeros that are not stored."""
        part = self.one(node, held)
        assert part.order is not None
        if len(np.unique(part.order[part.order >= 0])) != held.size:
            self.refuse(node, "it reads bins of an encoding that are always zero")
        return part

    def _plain(self, node: fx.Node, part: Part) -> Part:
        if part.plain:
            return part
        if not part.raw:
            self.refuse(node, "it reads numbers that only a linear layer can scale")
        (pixels,) = flattened(a_map(self._pixels())).parts
        assert part.order is not None and pixels.order is not None
        return Part(pixels.value, part.order[pixels.order])  # where in the image each number of the map belongs

    def join(self, parts: list[Part]) -> Part:
        """Parts side by side in one place. One that is part of something else already is copied."""
        scaled = any(part.scale is not None for part in parts)
        affines = [part.affine() for part in parts]
        values = [self._free(part.value) for part in parts]
        output = self.value("joined", (sum(value.size for value in values),))
        self.add(Join(output.name, tuple(values), output))
        orders = [part.order for part in parts if part.order is not None]
        scale, shift = (torch.cat(each) for each in zip(*affines, strict=True))
        return Part(output, np.concatenate(orders), scale if scaled else None, shift if scaled else None)

    def _free(self, value: Value) -> Value:
        """A value that can become part of another one, as it is or as a copy; it is part of that from now on."""
        if value in self.joined:
            value = self.add(Gather("copy", value, self.value("copy", (value.size,))))
        self.joined.add(value)
        return value


def _reads(held: Held, value: Value) -> bool:
    return any(part.value is value for part in held.parts)
