"""The nodes of an exported graph, read from its JSON: which operators there are, in order, and what they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from steerage.errors import BadArgument, UnsupportedLayer
from steerage.export.archive import DTYPES, Archive
from steerage.nn.program import as_argument

Size = int | str  # a number, or the formula of one that is open


@final
@dataclass(frozen=True)
class Node:
    """One call of the ATen operator ``op`` (without its overload); ``options`` by name, in the operator's order."""

    names: tuple[str, ...]
    op: str
    options: Mapping[str, Any]
    many: bool

    @property
    def label(self) -> str:
        """For messages."""
        return f"{self.op} ({self.names[0]})" if self.names else self.op


@final
@dataclass(frozen=True)
class Nodes:
    """``nodes`` from the value ``input`` to the value ``output``.

    ``shapes`` of all values, as they were in the export; ``floating``: those that hold real numbers; ``held``: name of
    the tensor that a value stands for, and whether it is a parameter.
    """

    input: str
    output: str
    nodes: tuple[Node, ...]
    shapes: Mapping[str, tuple[Size, ...]]
    floating: frozenset[str]
    held: Mapping[str, tuple[str, bool]]

    @property
    def batch(self) -> Size:
        """Rows in the export: their number, or the formula of an open one."""
        return self.shapes[self.input][0]


def read_nodes(archive: Archive) -> Nodes:
    """The nodes of ``archive``.

    Raises: BadArgument for several inputs or outputs, or an input without rows; UnsupportedLayer for an argument of
    an unknown kind; KeyError, TypeError, ValueError, IndexError for a damaged graph.
    """
    inputs, held = [], {}
    for spec in archive.signature["input_specs"]:
        ((kind, one),) = spec.items()
        if kind == "user_input":
            inputs.append(one["arg"])
        elif kind in ("parameter", "buffer", "tensor_constant"):
            held[one["arg"]["name"]] = (one[f"{kind}_name"], kind == "parameter")
        else:
            raise UnsupportedLayer(f"the exported program has an input of the kind {kind}, which cannot be refined")
    outputs = list(archive.signature["output_specs"])
    changed = sorted({kind for spec in outputs for kind in spec} - {"user_output"})
    if changed:
        raise UnsupportedLayer(f"the exported program returns a {changed[0]}; export it in evaluation mode")
    ends = [spec["user_output"]["arg"] for spec in outputs]
    for what, found in (("inputs", inputs), ("outputs", ends)):
        if len(found) != 1 or "as_tensor" not in found[0]:
            raise BadArgument(f"a network needs one tensor each way, and the exported program has {len(found)} {what}")
    graph = archive.graph
    first = inputs[0]["as_tensor"]["name"]
    shapes = {name: tuple(_size(size) for size in meta["sizes"]) for name, meta in graph["tensor_values"].items()}
    floating = frozenset(name for name, meta in graph["tensor_values"].items() if _is_floating(meta["dtype"]))
    if len(shapes[first]) < 2 or first not in floating:
        raise BadArgument(f"the exported program must take rows of real numbers, and takes {shapes[first]}")
    symbols = {name: _size(value) for name, value in graph["sym_int_values"].items()}
    nodes = tuple(_node(one, symbols, shapes[first][0]) for one in graph["nodes"])
    return Nodes(first, ends[0]["as_tensor"]["name"], nodes, shapes, floating, held)


def _size(size: Mapping[str, Any]) -> Size:
    """A formula stays text: it is compared, never evaluated."""
    return int(size["as_int"]) if "as_int" in size else str(size["as_expr"]["expr_str"])


def _is_floating(dtype: int) -> bool:
    return dtype in DTYPES and DTYPES[dtype].is_floating_point


def _node(document: Mapping[str, Any], symbols: Mapping[str, Size], batch: Size) -> Node:
    target = str(document["target"])
    op = target.removeprefix("torch.ops.aten.").partition(".")[0] if target.startswith("torch.ops.aten.") else target
    names: list[str] = []
    many = False
    for output in document["outputs"]:
        if "as_tensors" in output:
            names += [one["name"] for one in output["as_tensors"]]
            many = True
        elif "as_tensor" in output:
            names.append(output["as_tensor"]["name"])
    options = {one["name"]: _argument(one["arg"], op, symbols, batch) for one in document["inputs"]}
    return Node(tuple(names), op, options, many)


def _argument(document: Mapping[str, Any], op: str, symbols: Mapping[str, Size], batch: Size) -> Any:
    ((kind, value),) = document.items()
    if kind == "as_none":
        return None
    if kind == "as_tensor":
        return {"value": value["name"]}
    if kind == "as_tensors":
        return [{"value": one["name"]} for one in value]
    if kind in ("as_float", "as_floats"):
        return [as_argument(float(one)) for one in value] if kind == "as_floats" else as_argument(float(value))
    if kind in ("as_int", "as_ints", "as_bool", "as_bools", "as_string", "as_strings"):
        return value
    if kind in ("as_sym_int", "as_sym_ints"):
        several = [_symbol(one, symbols, batch) for one in (value if kind == "as_sym_ints" else [value])]
        return several if kind == "as_sym_ints" else several[0]
    if kind == "as_scalar_type" and _is_floating(value):
        return None  # all real numbers are of one type here
    return {"unknown": kind}  # an error only where something needs it


def _symbol(document: Mapping[str, Any], symbols: Mapping[str, Size], batch: Size) -> Any:
    if "as_int" in document:
        return int(document["as_int"])
    name = document["as_name"]
    return {"batch": True} if symbols[name] == batch else {"unknown": "as_sym_int"}
