"""From nodes of an exported graph to steps of a program: one form for what ATen says in several, and any batch size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from steerage.errors import UnsupportedLayer
from steerage.export.inplace import check_in_place
from steerage.export.nodes import Node, Nodes, Size
from steerage.nn.operators import FUNCTIONS, LAYERS
from steerage.nn.program import Step, references

Rule = Callable[["_Walk", Node], "tuple[str, dict[str, Any]]"]
# Operators that return the numbers of their first argument.
SAME = frozenset({"alias", "clone", "contiguous", "lift_fresh_copy", "to", "_to_copy", "type_as"})


def steps_of(nodes: Nodes) -> tuple[Step, ...]:
    """What the output of ``nodes`` needs, in order.

    Raises: UnsupportedLayer naming an operator that is not known, that changes what others read, or that has the
    size of the batch in its numbers.
    """
    check_in_place(nodes)
    return _Walk(nodes).steps()


class _Walk:
    """State of the translation: what stands for values that vanish, such as copies, tensors and single numbers."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.makers = {name: node for node in nodes.nodes for name in node.names}
        self.stands: dict[str, Any] = {name: {"tensor": tensor} for name, (tensor, _) in nodes.held.items()}

    def steps(self) -> tuple[Step, ...]:
        needed, steps = self._needed(), []
        for node in self.nodes.nodes:
            if needed.isdisjoint(node.names):
                continue
            op = node.op.removesuffix("_")
            if op in SAME:
                self._check_type(node)
                self.stands[node.names[0]] = self.resolved(node.options["self"])
                continue
            if op in ("scalar_tensor", "full") and self.nodes.shapes[node.names[0]] == ():
                self.stands[node.names[0]] = node.options["s" if op == "scalar_tensor" else "fill_value"]
                continue
            op, options = RULES[op](self, node) if op in RULES else (op, dict(node.options))
            steps.append(self._step(node, op, options))
        steps = self._without_unread(steps)
        output = self.resolved({"value": self.nodes.output})
        if output != {"value": self.nodes.output}:  # it ends with a copy, or never begins
            steps.append(Step((self.nodes.output,), "reshape", output, {"shape": [-1, *self.rest(self.nodes.output)]}))
        return tuple(steps)

    def shape(self, argument: Any) -> tuple[Size, ...]:
        """Shape, in the export, of the value that an argument refers to."""
        return self.nodes.shapes[argument["value"]]

    def rest(self, name: str) -> list[int]:
        """Sizes of a value besides its first one."""
        rest = self.nodes.shapes[name][1:]
        if not all(isinstance(size, int) for size in rest):
            raise UnsupportedLayer(f"{self.makers[name].label} puts rows of the batch into other dimensions")
        return [int(size) for size in rest]

    def resolved(self, argument: Any) -> Any:
        """``argument`` with what stands for its values."""
        if isinstance(argument, list):
            return [self.resolved(item) for item in argument]
        if isinstance(argument, Mapping) and "value" in argument:
            return self.stands.get(argument["value"], argument)
        return argument

    def transposed(self, argument: Any) -> Any:
        """The tensor whose transpose ``argument`` refers to, None if it is none of a tensor."""
        node = self.makers.get(argument["value"])
        turned = node is not None and (
            node.op == "t"
            or (node.op == "permute" and node.options["dims"] == [1, 0])
            or (node.op == "transpose" and {node.options["dim0"], node.options["dim1"]} in ({0, 1}, {-1, -2}))
        )
        if node is None or not turned:
            return None
        original = self.resolved(node.options["self"])
        return node.options["self"] if "tensor" in original and len(self.shape(node.options["self"])) == 2 else None

    def _step(self, node: Node, op: str, options: dict[str, Any]) -> Step:
        if op not in LAYERS and op not in FUNCTIONS:
            raise UnsupportedLayer(f"the operator {node.label} is none of those that steerage knows")
        options = {name: self.resolved(value) for name, value in options.items()}
        for name, value in options.items():
            if any("unknown" in reference for reference in references(value)):
                raise UnsupportedLayer(f"{node.label} has a {name} that is not followed; export with fixed sizes")
        x, *_ = options.values()
        others = {name: value for place, (name, value) in enumerate(options.items()) if place and value is not None}
        return Step(node.names if node.many else node.names[:1], op, x, others, node.many)

    def _needed(self) -> set[str]:
        """Values that the output depends on."""
        needed, left = set(), [self.nodes.output]
        while left:
            name = left.pop()
            if name in needed:
                continue
            needed.add(name)
            if (node := self.makers.get(name)) is not None:
                left += [one["value"] for one in references([*node.options.values()]) if "value" in one]
        return needed

    def _without_unread(self, steps: list[Step]) -> list[Step]:
        """``steps`` without those that no other reads any more, such as the transpose of a weight."""
        output = self.resolved({"value": self.nodes.output})
        read = set() if not isinstance(output, Mapping) else {str(output.get("value"))}
        kept: list[Step] = []
        for step in reversed(steps):
            if not read.isdisjoint(step.names):
                kept.append(step)
                read.update(step.reads("value"))
        return kept[::-1]

    def _check_type(self, node: Node) -> None:
        source = node.options["self"]["value"]
        if (source in self.nodes.floating) != (node.names[0] in self.nodes.floating):
            raise UnsupportedLayer(f"{node.label} makes other numbers than real ones, which is not followed")


def _reshape(walk: _Walk, node: Node) -> tuple[str, dict[str, Any]]:
    """Any change of shape that leaves the rows apart: sizes as they were in the export, but for the first."""
    x, name = node.options["self"], node.names[0]
    before, after, rest = walk.shape(x), walk.nodes.shapes[name], walk.rest(name)
    if not after or "tensor" in walk.resolved(x):
        return "reshape", {"self": x, "shape": [after[0], *rest] if after else []}
    if len(after) == 2 and len(before) > 2 and after[0] == before[0]:
        return "flatten", {"self": x, "start_dim": 1}
    batch = walk.nodes.batch
    if isinstance(batch, int) and isinstance(after[0], int) and after[0] % batch:
        raise UnsupportedLayer(f"{node.label} puts rows of the batch into other dimensions")
    return "reshape", {"self": x, "shape": [-1, *rest]}


def _expand(walk: _Walk, node: Node) -> tuple[str, dict[str, Any]]:
    after, rest = walk.nodes.shapes[node.names[0]], walk.rest(node.names[0])
    fixed = isinstance(after[0], int) and after[0] != walk.nodes.batch
    return "expand", {"self": node.options["self"], "size": [after[0] if fixed else {"batch": True}, *rest]}


def _squeeze(walk: _Walk, node: Node) -> tuple[str, dict[str, Any]]:
    shape, dims = walk.shape(node.options["self"]), node.options.get("dim")
    if dims is None:  # all of size 1, but not the batch, even where it was exported with one row
        dims = range(1, len(shape))
    # Those of other sizes stay: an open batch, too, which may have one row now.
    there = [dim for dim in ([dims] if isinstance(dims, int) else dims) if shape[dim] == 1]
    return "squeeze", {"self": node.options["self"], "dim": there}


def _addmm(walk: _Walk, node: Node) -> tuple[str, dict[str, Any]]:
    weight, options = walk.transposed(node.options["mat2"]), node.options
    if weight is None or len(options) > 3 or len(walk.shape(options["self"])) != 1:
        return "addmm", dict(options)
    return "linear", {"input": options["mat1"], "weight": weight, "bias": options["self"]}


def _mm(walk: _Walk, node: Node) -> tuple[str, dict[str, Any]]:
    weight, options = walk.transposed(node.options["mat2"]), node.options
    if weight is None:
        return "matmul", {"self": options["self"], "other": options["mat2"]}
    return "linear", {"input": options["self"], "weight": weight}


def _turn(walk: _Walk, node: Node) -> tuple[str, dict[str, Any]]:
    return "transpose", {"self": node.options["self"], "dim0": 0, "dim1": 1}


def _convolution(walk: _Walk, node: Node) -> tuple[str, dict[str, Any]]:
    options = dict(node.options)
    rank = len(walk.shape(options["weight"])) - 2
    turned, spread = options.pop("transposed"), options.pop("output_padding")
    return (f"conv_transpose{rank}d", {**options, "output_padding": spread}) if turned else (f"conv{rank}d", options)


def _batch_norm(walk: _Walk, node: Node) -> tuple[str, dict[str, Any]]:
    ranks = len(walk.shape(node.options["input"]))
    wanted = ("input", "weight", "bias", "running_mean", "running_var", "momentum", "eps")
    return f"batch_norm{max(1, ranks - 2)}d", {name: node.options.get(name) for name in wanted}


def _dropout(walk: _Walk, node: Node) -> tuple[str, dict[str, Any]]:
    op = "feature_dropout" if node.op.startswith("feature") else node.op
    return op, {"input": node.options["input"], "p": node.options["p"]}


def _pool(walk: _Walk, node: Node) -> tuple[str, dict[str, Any]]:
    options = {name: value for name, value in node.options.items() if value != []}  # stride: that of the kernel
    return node.op.removesuffix("_with_indices").removeprefix("_"), options


def _softmax(walk: _Walk, node: Node) -> tuple[str, dict[str, Any]]:
    return node.op.removeprefix("_"), {name: node.options[name] for name in ("self", "dim")}


def _layer_norm(walk: _Walk, node: Node) -> tuple[str, dict[str, Any]]:
    wanted = ("input", "normalized_shape", "weight", "bias", "eps")
    return "layer_norm", {name: node.options.get(name) for name in wanted}


def _group_norm(walk: _Walk, node: Node) -> tuple[str, dict[str, Any]]:
    options = node.options
    groups = options["num_groups"] if "num_groups" in options else options["group"]
    rest = {name: options.get(name) for name in ("weight", "bias", "eps")}
    return "group_norm", {"input": options["input"], "num_groups": groups, **rest}


def _split(walk: _Walk, node: Node) -> tuple[str, dict[str, Any]]:
    sizes = node.options["split_sizes"] if "split_sizes" in node.options else node.options["split_size"]
    return "split", {"self": node.options["self"], "sizes": sizes, "dim": node.options.get("dim", 0)}


def _pad(walk: _Walk, node: Node) -> tuple[str, dict[str, Any]]:
    return "pad", dict(node.options)


def _full_like(walk: _Walk, node: Node) -> tuple[str, dict[str, Any]]:
    like, made = node.options["self"], node.names[0]
    if like["value"] not in walk.nodes.floating or made not in walk.nodes.floating:
        raise UnsupportedLayer(f"{node.label} makes other numbers than real ones, which is not followed")
    return "full_like", {"self": like, "fill_value": node.options["fill_value"]}


def _detach(walk: _Walk, node: Node) -> tuple[str, dict[str, Any]]:
    raise UnsupportedLayer(f"{node.label} hides a part of the network from training; export without it")


RULES: dict[str, Rule] = {
    **dict.fromkeys(("view", "reshape", "_unsafe_view", "unflatten"), _reshape),
    **dict.fromkeys(("expand", "expand_as"), _expand),
    "squeeze": _squeeze,
    "addmm": _addmm,
    "mm": _mm,
    "t": _turn,
    "convolution": _convolution,
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout"), _dropout),
    **dict.fromkeys(
        [
            *(f"{kind}_pool{rank}d" for kind in ("max", "avg", "adaptive_max", "adaptive_avg") for rank in (1, 2, 3)),
            *(f"max_pool{rank}d_with_indices" for rank in (2, 3)),
            *(f"_adaptive_avg_pool{rank}d" for rank in (2, 3)),
        ],
        _pool,
    ),
    **dict.fromkeys(("_softmax", "_log_softmax"), _softmax),
    **dict.fromkeys(("layer_norm", "native_layer_norm"), _layer_norm),
    **dict.fromkeys(("group_norm", "native_group_norm"), _group_norm),
    **dict.fromkeys(("split", "split_with_sizes"), _split),
    "constant_pad_nd": _pad,
    "full_like": _full_like,
    "detach": _detach,
}
