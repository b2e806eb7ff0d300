"""A network as a list of steps: data that says which known operators are applied to what, and the module that does it.

Such a list can be read from a file of anyone's: nothing in it is code, and only what ``operators`` has is ever called.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor, nn

from steerage.errors import UnsupportedLayer
from steerage.nn.operators import FUNCTIONS, LAYERS, ROLES

# An argument is a number, a string, None, a list of arguments, or a reference: {"value": what a step returned},
# {"tensor": one of the program's}, {"batch": rows of the input}, {"number": one that JSON has not, as "-inf"}.
Argument = Any
DTYPES = {"float32": torch.float32, "int64": torch.int64, "bool": torch.bool}


@final
@dataclass(frozen=True)
class Step:
    """``names`` of what ``op`` returns for the argument ``x`` and ``options``; several for one that returns a list."""

    names: tuple[str, ...]
    op: str
    x: Argument
    options: Mapping[str, Argument] = field(default_factory=dict)
    many: bool = False

    def reads(self, kind: str) -> list[str]:
        """Names that the step refers to as ``kind``, ``"value"`` or ``"tensor"``."""
        return [reference[kind] for reference in references([self.x, *self.options.values()]) if kind in reference]


@final
@dataclass(frozen=True)
class Held:
    """A tensor of a program; ``trained`` tells a parameter from a buffer."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    trained: bool = True


@final
@dataclass(frozen=True)
class Graph:
    """Steps from the ``input``, rows of ``input_shape`` each, to the ``output``, and the tensors that they use."""

    input: str
    input_shape: tuple[int, ...]
    output: str
    tensors: Mapping[str, Held]
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        """Raises: UnsupportedLayer for an operator that is not known; ValueError for what fits nothing."""
        known = {self.input}
        for step in self.steps:
            if step.op not in LAYERS and step.op not in FUNCTIONS:
                raise UnsupportedLayer(f"the operator {step.op!r} is none of those that steerage knows")
            if not (known.issuperset(step.reads("value")) and self.tensors.keys() >= set(step.reads("tensor"))):
                raise ValueError(f"the step {step.names} reads what is not there")
            known.update(step.names)
        if self.output not in known:
            raise ValueError(f"nothing returns the output {self.output!r}")
        for name, held in self.tensors.items():
            if held.dtype not in DTYPES or not all(isinstance(size, int) and size >= 0 for size in held.shape):
                raise ValueError(f"{name} cannot be of shape {held.shape} and type {held.dtype}")


def graph_from_json(document: Mapping[str, Any]) -> Graph:
    """The graph whose ``dataclasses.asdict`` went through JSON. Raises: UnsupportedLayer; KeyError, TypeError,
    ValueError for what is no graph."""
    tensors = {name: Held(**{**held, "shape": tuple(held["shape"])}) for name, held in document["tensors"].items()}
    steps = tuple(Step(**{**step, "names": tuple(step["names"])}) for step in document["steps"])
    return Graph(document["input"], tuple(document["input_shape"]), document["output"], tensors, steps)


def references(argument: Argument) -> Iterator[Mapping[str, Any]]:
    """All references in an argument."""
    if isinstance(argument, Mapping):
        yield argument
    elif isinstance(argument, (list, tuple)):
        for item in argument:
            yield from references(item)


class Program(nn.Module):
    """Runs the steps of ``graph``: (n, *graph.input_shape) -> what it returns for n rows.

    Linear layers, convolutions, batch norms and dropouts are modules, at the places that their tensors' names tell.
    A tensor that serves anything else is a parameter or buffer. ``origin``: name in the graph of each tensor here.
    Raises: UnsupportedLayer for a batch norm that shares its tensors; as the modules do for sizes that do not fit.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.origin: dict[str, str] = {}
        self._layers: dict[tuple[str, ...], str] = {}  # path of the module that does a step
        self._places: dict[str, str] = {}  # name here of a tensor that no module has
        made: dict[str, str] = {}
        keys = {step.names: _key(step) for step in graph.steps if step.op in LAYERS}
        sharers: defaultdict[str, set[str]] = defaultdict(set)
        for step in graph.steps:
            for tensor in step.reads("tensor"):
                sharers[tensor].add(keys.get(step.names, "function"))
        for step in graph.steps:
            if step.op in LAYERS and self._can_be_module(step, sharers):
                key = keys[step.names]
                if key not in made or step.op.endswith("dropout"):
                    made[key] = self._add_layer(step)
                self._layers[step.names] = made[key]
            elif step.op not in FUNCTIONS:
                raise UnsupportedLayer(f"{step.names[0]}: a {step.op} whose tensors are used elsewhere as well")
        for step in graph.steps:
            for tensor in step.reads("tensor") if step.names not in self._layers else ():
                if tensor not in self._places:
                    self._add_tensor(tensor)
        self._frees = _last_reads(graph)

    def forward(self, x: Tensor) -> Any:
        values: dict[str, Any] = {self.graph.input: x}
        for step, done_with in zip(self.graph.steps, self._frees, strict=True):
            if step.names in self._layers:
                result = self.get_submodule(self._layers[step.names])(self._resolved(step.x, values))
            else:
                options = {name: self._resolved(option, values) for name, option in step.options.items()}
                result = FUNCTIONS[step.op](self._resolved(step.x, values), **options)
            if step.many:
                values.update((name, result[place]) for place, name in enumerate(step.names))
            else:
                values[step.names[0]] = result
            for name in done_with:
                del values[name]
        return values[self.graph.output]

    def _resolved(self, argument: Argument, values: Mapping[str, Any]) -> Any:
        if isinstance(argument, (list, tuple)):
            return tuple(self._resolved(item, values) for item in argument)
        if not isinstance(argument, Mapping):
            return argument
        if "value" in argument:
            return values[argument["value"]]
        if "tensor" in argument:
            path, _, leaf = self._places[argument["tensor"]].rpartition(".")
            return getattr(self.get_submodule(path), leaf)
        return values[self.graph.input].size(0) if "batch" in argument else float(argument["number"])

    def _can_be_module(self, step: Step, sharers: Mapping[str, set[str]]) -> bool:
        """Whether the step's tensors are its own, and are trained exactly if those of such a module are."""
        roles: dict[str, Argument] = {role: step.options[role] for role in ROLES if role in step.options}
        if any(not isinstance(reference, Mapping) or "tensor" not in reference for reference in roles.values()):
            return False
        if step.reads("tensor") != [reference["tensor"] for reference in roles.values()]:
            return False
        held = {role: self.graph.tensors[reference["tensor"]] for role, reference in roles.items()}
        trained = all(one.trained is (role in ("weight", "bias")) for role, one in held.items())
        return trained and all(len(sharers[reference["tensor"]]) == 1 for reference in roles.values())

    def _add_layer(self, step: Step) -> str:
        """Make the module of a step; its path."""
        names = {role: step.options[role]["tensor"] for role in ROLES if role in step.options}
        module = LAYERS[step.op]({role: self.graph.tensors[name].shape for role, name in names.items()}, step.options)
        wanted = step.names[0]
        if names:
            role, name = next(iter(names.items()))
            wanted = wanted if name == role else name.removesuffix(f".{role}")
        parent, path = self._place(wanted)
        parent.add_module(path.rpartition(".")[2], module)
        self.origin.update((f"{path}.{role}", name) for role, name in names.items())
        if "running_mean" in names:
            count = "num_batches_tracked"
            self.origin[f"{path}.{count}"] = f"{names['running_mean'].removesuffix('running_mean')}{count}"
        return path

    def _add_tensor(self, name: str) -> None:
        held = self.graph.tensors[name]
        zeros = torch.zeros(held.shape, dtype=DTYPES[held.dtype])
        parent, path = self._place(name)
        if held.trained:
            parent.register_parameter(path.rpartition(".")[2], nn.Parameter(zeros))
        else:
            parent.register_buffer(path.rpartition(".")[2], zeros)
        self._places[name], self.origin[path] = path, name

    def _place(self, path: str) -> tuple[nn.Module, str]:
        """The module that ``path`` leads into, made if need be; the path, or one beside all others if it is taken."""
        *way, leaf = path.split(".")
        parent: nn.Module = self
        for name in way:
            if name and not hasattr(parent, name):
                parent.add_module(name, nn.Module())
            found = parent._modules.get(name)
            if found is None or type(found) is not nn.Module:
                return self._place(path.replace(".", "_"))
            parent = found
        while not leaf or hasattr(parent, leaf):
            leaf += "_"
        return parent, ".".join([*way, leaf])


def _key(step: Step) -> str:
    """The same for steps that one module can do."""
    return json.dumps([step.op, *(step.options.get(role) for role in ROLES), dict(step.options)], sort_keys=True)


def _last_reads(graph: Graph) -> list[tuple[str, ...]]:
    """What no step after each one reads."""
    left = Counter(name for step in graph.steps for name in set(step.reads("value")))
    left.update([graph.output, graph.input])  # the input tells the number of rows until the end
    frees = []
    for step in graph.steps:
        left.subtract(set(step.reads("value")))
        frees.append(tuple(name for name in {*step.reads("value"), *step.names} if left[name] == 0))
    return frees


def as_argument(number: float) -> Argument:
    """A number as JSON can hold it."""
    return number if math.isfinite(number) else {"number": str(number)}
