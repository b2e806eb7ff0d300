"""The folder of a finished network: ``network.json`` says what it is, ``weights.safetensors`` holds the numbers."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from steerage._version import __version__
from steerage.bundle import bounds
from steerage.bundle.network import Architecture, FromFactory, FromProgram, FromTemplate, Network
from steerage.bundle.rebuild import groups_of, resize_, shapes_of
from steerage.bundle.sparse import restored, stored
from steerage.bundle.zoo import network_folder
from steerage.cost.count import Cost
from steerage.data.dataset import Kind, Scale, Task, TaskSpec
from steerage.data.preprocess import preprocess_from_json
from steerage.errors import BadBundle, SteerageError
from steerage.nn.program import Program, graph_from_json
from steerage.store import parse_json, plain, read_bytes, write_atomic
from steerage.templates import TEMPLATES, Template

FORMAT, VERSION = "steerage-network", 4
# 1: masked weights are dense, each mask beside them; 2: columns of a table are described one by one; 3: images are as
# they are
READABLE = (1, 2, 3, VERSION)
DESCRIPTION, WEIGHTS = "network.json", "weights.safetensors"
MAX_HEADER = 100_000_000  # bytes before the numbers of a safetensors file, by its definition

# What building a network from a description that is wrong may raise.
_WRONG = (
    *(SteerageError, LookupError, TypeError, ValueError, AttributeError, RuntimeError),
    *(ArithmeticError, AssertionError, MemoryError, EOFError),
)

T = TypeVar("T")


def save_network(path: str | Path, network: Network, *, template: Template | None = None) -> None:
    """Write ``network`` into the folder ``path``, which is created if missing.

    Dormant weights must be zero. The network is rebuilt from the bytes before they reach the disk: one that could
    not be loaded again is refused. ``template``: the one it was built with, if it is not one of
    steerage's own. Raises: BadBundle; SteerageError when the folder cannot be written.
    """
    files = packed(network, template=template, where=str(path))
    # The description goes last: until it is there, a folder that held another network fails its checksum.
    write_atomic(Path(path) / WEIGHTS, files[WEIGHTS])
    write_atomic(Path(path) / DESCRIPTION, files[DESCRIPTION])


def packed(network: Network, *, template: Template | None = None, where: str = "the network") -> dict[str, bytes]:
    """Content of the files that ``save_network`` writes, by name; ``where`` names the network in messages.

    ``template`` as there. Raises: BadBundle.
    """
    state = {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in network.model.state_dict().items()
    }
    masks = {name: mask.detach().to("cpu", torch.bool) for name, mask in network.masks.items()}
    for name, mask in masks.items():
        if name not in state or mask.shape != state[name].shape:
            raise BadBundle(f"the mask {name!r} fits no parameter of the network; masks are named like parameters")
        if state[name][~mask].any():
            raise BadBundle(f"{name} has dormant weights that are not zero; apply the masks before saving")
    weights = safetensors.torch.save(stored(state, masks))
    description = _described(network, hashlib.sha256(weights).hexdigest())
    if not isinstance(network.architecture, FromFactory):
        _check_round_trip(network, _Source(where, description, weights), template)
    return {WEIGHTS: weights, DESCRIPTION: _text(description)}


def unpacked(files: Mapping[str, bytes], *, template: Template | None = None) -> Network:
    """The network that ``packed`` gave ``files`` of; ``template`` as for ``load_network``. Raises: BadBundle."""
    where = "the packed network"
    if missing := {WEIGHTS, DESCRIPTION} - files.keys():
        raise BadBundle(f"{where} lacks {', '.join(sorted(missing))}; pack it again")
    document = _fields(parse_json(files[DESCRIPTION], name=f"{where}/{DESCRIPTION}"), f"{where}/{DESCRIPTION}")
    return _assembled(_Source(where, document, files[WEIGHTS]), template, None)


def load_network(
    path: str | Path, *, template: Template | None = None, factory: Callable[[], nn.Module] | None = None
) -> Network:
    """The network in the folder ``path``, its own or that of its run, or in the zoo (``"zoo:NAME"``).

    No code that is or is named there is run. ``template``, or ``factory`` (no arguments, returns the module), is needed
    for a network whose architecture is neither one of steerage's templates nor from an exported program. The
    generators' states are left as they were.
    Raises: BadBundle when anything is missing, damaged, of an unknown version, does not fit together, or is larger than
    what the bundle holds can be (``steerage.bundle.bounds``).
    """
    path = network_folder(path)
    if not path.is_dir():
        raise BadBundle(f"{path} is not a folder; give the folder that holds {DESCRIPTION} and {WEIGHTS}")
    name = str(path / DESCRIPTION)
    described = read_bytes(path / DESCRIPTION, at_most=bounds.MAX_DESCRIPTION)
    document = _fields(parse_json(described, name=name), name)
    # As long as its tensors may be at most, of 8 bytes a number and with their masks; no file is read for longer.
    at_most = 9 * _claimed(document, str(path)) + MAX_HEADER
    source = _Source(str(path), document, read_bytes(path / WEIGHTS, at_most=at_most))
    return _assembled(source, template, factory)


@dataclass(frozen=True, eq=False)
class _Source:
    """What a folder holds, checked for nothing yet; ``where`` is its name in messages."""

    where: str
    description: Mapping[str, Any]
    weights: bytes

    def field(self, name: str, kind: type[T]) -> T:
        value = self.description.get(name)
        if not isinstance(value, kind):
            raise BadBundle(
                f"{self.where}/{DESCRIPTION}: {name!r} must be of type {kind.__name__}, got {value!r}; "
                "the file is damaged"
            )
        return value


def _fields(document: object, name: str) -> Mapping[str, Any]:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise BadBundle(
            f"{name} does not describe a steerage network; give the folder that a run or save_network wrote"
        )
    if document.get("version") not in READABLE:
        raise BadBundle(
            f"{name} has version {document.get('version')!r}, and steerage {__version__} reads {VERSION} and before; "
            "update steerage"
        )
    if document.get("sha256") != _checksum(document):
        raise BadBundle(f"{name} is damaged: its checksum differs; restore the folder from a copy")
    return document


def _described(network: Network, weights_sha256: str) -> Mapping[str, Any]:
    described = plain(
        {
            "format": FORMAT,
            "version": VERSION,
            "architecture": {
                **asdict(network.architecture),
                "shapes": shapes_of(network.model),
                "groups": groups_of(network.model),
            },
            "spec": asdict(network.spec),
            "preprocess": network.preprocess.to_json(),
            "classes": network.classes,
            "target_name": network.target_name,
            **({} if network.group_name is None else {"group_name": network.group_name}),
            "target_mean": _plain_scale(network.target_mean),
            "target_std": _plain_scale(network.target_std),
            "cost": asdict(network.cost),
            "error": network.error,
            "versions": {"steerage": __version__, "torch": str(torch.__version__), "python": platform.python_version()},
            "weights_sha256": weights_sha256,
        }
    )
    assert isinstance(described, dict)
    return {**described, "sha256": _checksum(described)}


def _text(description: Mapping[str, Any]) -> bytes:
    """JSON without spaces, which would be a tenth of a small network's file."""
    return (json.dumps(description, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n").encode()


def _checksum(document: Mapping[str, Any]) -> str:
    content = {name: value for name, value in document.items() if name != "sha256"}
    try:
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    except RecursionError:
        return "none, of lists within lists within lists"


def _claimed(document: Mapping[str, Any], where: str) -> int:
    """Elements of all tensors that a description says there are. Raises: BadBundle."""
    try:
        shapes = [tuple(shape) for shape in document["architecture"]["shapes"].values()]
        for shape in shapes:
            if not all(type(size) is int and size >= 0 for size in shape):
                raise ValueError(f"there is no tensor of shape {shape}")
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise BadBundle(f"{where} says nothing of its tensors ({error}); restore the folder from a copy") from error
    return sum(map(math.prod, shapes))


def _assembled(source: _Source, template: Template | None, factory: Callable[[], nn.Module] | None) -> Network:
    where = source.where
    if hashlib.sha256(source.weights).hexdigest() != source.field("weights_sha256", str):
        raise BadBundle(f"{where}/{WEIGHTS} is damaged: its checksum differs; restore the folder from a copy")
    try:
        tensors = safetensors.torch.load(source.weights)
    except (ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise BadBundle(f"{where}/{WEIGHTS} is damaged: it is not a safetensors file ({error})") from error
    try:
        document = source.field("architecture", dict)
        shapes = {name: tuple(shape) for name, shape in document["shapes"].items()}
        state, masks = restored(tensors, shapes)
        _check_tensors(state, masks, shapes, where)
        spec = _spec(source.field("spec", dict))
        architecture = _architecture(document)
        cost = Cost(**source.field("cost", dict))
        preprocess = preprocess_from_json(source.field("preprocess", dict))
        if tuple(preprocess.output_shape) != spec.input_shape:
            raise ValueError(f"preprocessing gives {preprocess.output_shape}, the network takes {spec.input_shape}")
        if not isinstance(architecture, FromFactory):
            given = bounds.rehearse(
                lambda: _built(architecture, spec, template, factory, where),
                lambda model: resize_(model, shapes, groups=document["groups"]),
                tensors=len(shapes),
                elements=sum(map(math.prod, shapes.values())),
                input_shape=spec.input_shape,
            )
            _check_outputs(given, spec)
        model = _built(architecture, spec, template, factory, where)
        resize_(model, shapes, groups=document["groups"])
        for name, tensor in model.state_dict().items():
            if tensor.dtype != state[name].dtype:
                raise TypeError(f"{name} is {state[name].dtype} and must be {tensor.dtype}")
        model.load_state_dict(state)
        if isinstance(architecture, FromFactory):
            with torch.inference_mode():
                _check_outputs(tuple(model.eval()(torch.zeros(2, *spec.input_shape)).shape), spec)
    except BadBundle:
        raise
    except _WRONG as error:
        raise BadBundle(
            f"{where} cannot be rebuilt from its {DESCRIPTION}: {type(error).__name__}: {error}; "
            "restore the folder from a copy"
        ) from error
    return Network(
        model=model,
        architecture=architecture,
        spec=spec,
        preprocess=preprocess,
        cost=cost,
        masks=masks,
        classes=_classes(source, spec),
        target_name=source.description.get("target_name"),
        group_name=source.description.get("group_name"),
        target_mean=_scale(source, "target_mean", spec),
        target_std=_scale(source, "target_std", spec),
        error=source.field("error", dict),
    )


def _spec(document: Mapping[str, Any]) -> TaskSpec:
    spec = TaskSpec(**{**document, "input_shape": tuple(document["input_shape"])})
    bounds.check_shape((*spec.input_shape, spec.outputs), "input_shape and outputs")
    if spec.task not in get_args(Task) or spec.kind not in get_args(Kind) or type(spec.rows) is not int:
        raise ValueError(f"there is no task {spec.task!r} of kind {spec.kind!r}")
    return spec


def _architecture(document: Mapping[str, Any]) -> Architecture:
    if "factory" in document:
        return FromFactory(document["factory"])
    if "program" in document:
        program = graph_from_json(document["program"])
        for name, held in program.tensors.items():
            bounds.check_shape(held.shape, f"the shape of {name}")
        return FromProgram(program)
    values = dict(document["values"])
    bounds.check_values(values)
    return FromTemplate(document["template"], values)


def _plain_scale(scale: Scale) -> float | list[float]:
    return [*map(float, scale)] if isinstance(scale, tuple) else float(scale)


def _scale(source: _Source, name: str, spec: TaskSpec) -> Scale:
    """A number, or one for each of several targets. Raises: BadBundle."""
    value = source.description.get(name)
    if not isinstance(value, list):
        return source.field(name, float)
    if len(value) != spec.outputs or not all(isinstance(number, int | float) for number in value):
        raise BadBundle(f"{source.where}: {name} must be {spec.outputs} numbers, got {value!r}; the file is damaged")
    return tuple(map(float, value))


def _classes(source: _Source, spec: TaskSpec) -> tuple[str, ...]:
    classes = tuple(source.field("classes", list))
    if not all(isinstance(name, str) for name in classes):
        raise BadBundle(f"{source.where}: classes must have names; the file is damaged")
    if len(classes) != (0 if spec.task == "regression" else spec.outputs):
        raise BadBundle(f"{source.where} has {len(classes)} classes for {spec.outputs} outputs; the file is damaged")
    return classes


def _built(
    architecture: Architecture,
    spec: TaskSpec,
    template: Template | None,
    factory: Callable[[], nn.Module] | None,
    where: str,
) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        if isinstance(architecture, FromFactory):
            if factory is None:
                raise BadBundle(
                    f"{where} was made from {architecture.factory}, and code named in a file is never run; "
                    "import it yourself and give it: load_network(path, factory=Net)"
                )
            return factory()
        if isinstance(architecture, FromProgram):
            return Program(architecture.program)
        found = template or TEMPLATES.get(architecture.template)
        if found is None or found.name != architecture.template:
            raise BadBundle(
                f"{where} was built by the template {architecture.template!r}, "
                f"and steerage has {', '.join(TEMPLATES)}; give it: load_network(path, template=MyTemplate())"
            )
        return found.build(architecture.values, spec)


def _check_tensors(
    state: Mapping[str, Tensor], masks: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], where: str
) -> None:
    def refuse(problem: str) -> BadBundle:
        return BadBundle(f"{where}/{WEIGHTS} {problem}; restore the folder from a copy")

    if missing := sorted(shapes.keys() - state.keys()):
        raise refuse(f"lacks the tensor {', '.join(missing[:3])}")
    if extra := sorted(state.keys() - shapes.keys()):
        raise refuse(f"has the unknown tensor {', '.join(extra[:3])}")
    for name, shape in shapes.items():
        if tuple(state[name].shape) != shape:
            raise refuse(f"has {name} of shape {tuple(state[name].shape)}, not {shape}")
    for name, mask in masks.items():
        if name not in state or mask.shape != state[name].shape:
            raise refuse(f"has a mask for {name} that fits no parameter")


def _check_outputs(given: tuple[int, ...], spec: TaskSpec) -> None:
    """The model gives ``spec.outputs`` numbers for each of two rows."""
    if given != (2, spec.outputs):
        raise ValueError(f"two rows give {given}, not {(2, spec.outputs)}")


def _check_round_trip(network: Network, source: _Source, template: Template | None) -> None:
    loaded = _assembled(source, template, None)
    x = torch.randn(4, *network.spec.input_shape, generator=torch.Generator().manual_seed(0))
    device = next((tensor.device for tensor in network.model.parameters()), x.device)
    with torch.inference_mode():
        expected, got = network.model(x.to(device)).cpu(), loaded.model(x)
    if not torch.allclose(expected, got, rtol=1e-4, atol=1e-4 * max(1.0, expected.abs().max().item()), equal_nan=True):
        raise BadBundle(
            f"{source.where}: the network, rebuilt from what it was made from, predicts something else; "
            "change nothing but weights and numbers of units in a network that is to be saved"
        )
