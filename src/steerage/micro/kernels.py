"""Which functions a program is made of when it is generated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

from steerage.micro.ir import (
    Act,
    Activate,
    Affine,
    Bins,
    Combine,
    Conv,
    Encode,
    Features,
    Gate,
    Gather,
    Join,
    Linear,
    Op,
    Pixels,
    Pool,
    Quantize,
    Softmax,
    Stack,
    Upright,
    is_whole,
)
from steerage.micro.storage import Layer, Stored

# Activations that never fall: the largest of several may be taken before them.
MONOTONE = frozenset({"relu", "clip", "sigmoid", "tanh", "hardsigmoid"})


@final
@dataclass(frozen=True)
class Kernel:
    """A function of the generated code: a source ``file``, and the ``variant`` of it, part of the function's name.

    ``flags``: which of its lines are there.
    """

    file: str
    variant: str = ""
    flags: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Of the function, without the network's."""
        return f"{self.file}{self.variant}"


def layer_kernel(layer: Layer, how: Stored) -> Kernel | None:
    """The function that a layer needs for the way its weights are stored; None where it is a formula."""
    kind, bits = ("index", how.format.removeprefix("index")) if how.format.startswith("index") else (how.format, "")
    flags = _flags(layer.output.dtype != "float32")
    if isinstance(layer, Conv):
        return Kernel(f"row_{kind}", f"{bits}_{how.block}_{layer.window.stride[1]}", flags)
    if how.format == "unrolled":
        return None
    wide = "_wide" if layer.output.dtype == "int32" else ""
    return Kernel(f"linear_{kind}", f"{bits}{'_bytes' if layer.x.dtype == 'uint8' else ''}{wide}", flags)


def _flags(whole: bool, *others: str) -> frozenset[str]:
    """Flags of a function, for integers or not."""
    return frozenset({"int8", *others} if whole else others)


def index_bits(largest: int) -> str:
    """Width of the numbers up to ``largest`` in a table, as part of a function's name: "" for bytes, "16" for pairs."""
    return "" if largest <= 255 else "16"


def activations(ops: tuple[Op, ...]) -> tuple[Act, ...]:
    """Activations in the order of their numbers, which begin with 1; each of integers has a table of its own."""
    acts = [op.act for op in ops if isinstance(op, Linear | Conv | Activate)]
    acts += [op.then for op in ops if isinstance(op, Conv)]
    given = [act for act in acts if act is not None]
    return tuple(given if any(op.output.dtype == "int8" for op in ops) else dict.fromkeys(given))


def kernels(ops: tuple[Op, ...], stored: Mapping[Layer, Stored]) -> tuple[Kernel, ...]:
    """Functions of the generated code, each once, those first that others call."""
    found = dict.fromkeys(kernel for op in ops for kernel in _of(op, stored))
    found |= dict.fromkeys(_of_convolutions([op for op in ops if isinstance(op, Conv)], ops, stored))
    acts = activations(ops)
    whole = any(is_whole(op) for op in ops)
    streams = any(stored[op].format == "delta" for op in ops if isinstance(op, Linear | Conv))
    bits = any(stored[op].format == "bitmap" for op in ops if isinstance(op, Conv))
    first = [*_inlined(ops)] if whole else []
    first += [Kernel("next")] if streams else []
    first += [Kernel("first")] if bits else []
    if not whole and any(act.kind == "relu" for act in acts):
        first.append(Kernel("positive"))
    if acts:
        first.append(Kernel("activate", "", _flags(whole, *(act.kind for act in acts))))
    return (*first, *found)


def _inlined(ops: tuple[Op, ...]) -> Iterator[Kernel]:
    """What functions of integers have inside."""
    yield from (Kernel("narrow"), Kernel("scaled"))
    if any(isinstance(op, Pool) or getattr(op, "rescale", None) is not None for op in ops):
        yield Kernel("rescale")
    images = [op for op in ops if isinstance(op, Pixels) or (isinstance(op, Conv) and op.mean is not None)]
    floats = any(isinstance(op, Quantize) for op in ops) or any(op.x.dtype == "float32" for op in images)
    tables = [op for op in ops if isinstance(op, Encode)]
    parts = {
        "bits": floats or bool(tables),
        "none": bool(tables),
        "fixed": floats or any(op.columns or op.hot or op.flags for op in tables),
        "ramp": floats or any(op.columns for op in tables),
    }
    yield from (Kernel(name) for name, needed in parts.items() if needed)


def _of(op: Op, stored: Mapping[Layer, Stored]) -> Iterator[Kernel]:
    whole = is_whole(op)
    if isinstance(op, Linear):
        if not whole and op.weights.bias is None and op.onto is None and stored[op].format != "unrolled":
            yield Kernel("fill")
        kernel = layer_kernel(op, stored[op])
        if kernel is not None:
            yield kernel
    elif isinstance(op, Features):
        yield from _of_features(op)
    elif isinstance(op, Encode):
        bits = index_bits(op.x.size - 1)
        groups = (("ramps", op.columns), ("absent", op.missing), ("categories", op.hot), ("flags", op.flags))
        yield from (Kernel(name, bits, _flags(whole)) for name, group in groups if group)
    elif isinstance(op, Bins):
        yield Kernel("bins", index_bits(op.x.size - 1))
    elif isinstance(op, Gather):  # there may be one of floats, too
        yield Kernel("gather", f"{index_bits(op.x.size - 1)}{'_int8' if whole else ''}", _flags(whole))
    elif isinstance(op, Pixels):
        yield Kernel("pixels", "", _flags(whole, op.x.dtype, *(["ramped" if op.ramps else "shifted"] if whole else [])))
    elif isinstance(op, Combine):
        kind = "add" if whole and op.kind == "subtract" else op.kind
        arithmetic = [] if not whole else ["product"] if kind == "multiply" else ["sum"]
        combine = Kernel("combine", f"_{kind}", _flags(whole, *arithmetic))
        yield Kernel("add_padded", "", _flags(whole)) if op.padded else combine
    elif isinstance(op, Softmax):
        yield Kernel("softmax", "_wide" if op.x.dtype == "int32" else "", _flags(op.x.dtype != "float32"))
    elif not isinstance(op, Join | Activate | Conv):
        yield Kernel(_PLAIN[type(op)], "", frozenset() if isinstance(op, Quantize | Upright) else _flags(whole))


_PLAIN: Mapping[type[Op], str] = {
    **{Pool: "pool", Gate: "gate", Affine: "affine", Stack: "stack"},
    **{Quantize: "quantize", Upright: "upright"},
}


def _of_features(op: Features) -> Iterator[Kernel]:
    bits = index_bits(op.x.size - 1)
    if op.numbers:
        yield Kernel("clipped" if op.clipped else "numbers", bits)
    for name, group in (("logs", op.logs), ("missing", op.missing), ("hot", op.hot)):
        if group:
            yield Kernel(name, bits)


def _of_convolutions(convs: list[Conv], ops: tuple[Op, ...], stored: Mapping[Layer, Stored]) -> Iterator[Kernel]:
    """What all convolutions of a program share, and the rows of each."""
    if not convs:
        return
    whole = convs[0].output.dtype == "int8"
    sources = {load_kind(op) for op in convs}
    sums = [op for op in convs if op.plus is not None]
    pools = {op.pooling == "max" for op in convs if op.pool is not None}
    averaged = whole and False in pools
    floats = whole and any(op.mean is not None and op.x.dtype == "float32" for op in convs)
    parts = {
        "chain": 3 in sources,
        "image": 2 in sources,
        "plus": bool(sums),
        "floats": floats,
        "averaged": averaged,
        "rescale": whole and (bool(sums) or averaged),
    }
    yield Kernel("conv_shape", "", _flags(whole, *(flag for flag, there in parts.items() if there)))
    flags = {"direct"} if 0 in sources else set()
    if 3 in sources:
        yield Kernel("conv_row_first", "", _flags(whole))
    if sources != {0}:
        yield Kernel("load", "", _load_flags(convs, sources, whole))
        flags |= {"load", "load_or_direct"} if 0 in sources else {"load"}
    if pools:
        if averaged:
            flags |= {"averaged", "average_or_max"} if True in pools else {"averaged"}
            yield Kernel("average_row")
        if not averaged or True in pools:
            flags.add("pooled")
            yield Kernel("pool_row", "", _flags(True, "only_max") if whole else _pool_flags(pools))
    if sums:
        flags.add("plus")
        yield Kernel("plus_row", "", _flags(whole))
    if pools or sums:
        flags.add("lined")
    if any(op.act is not None or op.then is not None for op in convs):
        flags |= {"act", "act_first"} if any(op.act is not None and acts_first(op) for op in convs) else {"act"}
    if any(stored[op].format != "dense" for op in convs):
        flags.add("indexed")
    yield from dict.fromkeys(kernel for op in convs if (kernel := layer_kernel(op, stored[op])) is not None)
    yield Kernel("conv_row", "", _flags(whole, *flags))
    yield Kernel("conv", "", _flags(whole))


def acts_first(op: Conv) -> bool:
    """Whether the activation of a convolution comes before its pooling, or before what is added."""
    late = op.pooling == "max" and (op.act is None or op.act.kind in MONOTONE)
    return op.plus is not None or (op.pool is not None and not late)


def load_kind(op: Conv) -> int:
    """Where a convolution's rows come from: 0 in place, 1 copied from a map, 2 from an image, 3 made by another."""
    return 3 if op.fed else 2 if op.mean is not None else int(op.loads)


def _load_flags(convs: list[Conv], sources: set[int], whole: bool) -> frozenset[str]:
    flags = {"chain"} if 3 in sources else set()
    if 2 in sources:
        flags |= {"image", next(str(op.x.dtype) for op in convs if op.mean is not None)}
    if 1 in sources or sources.isdisjoint({1, 2}):  # the latter is never called, and must compile
        flags |= {"map"}
    if whole:
        flags.add("map_int8" if 2 not in sources else "image_int8" if sources <= {0, 2} else "both_int8")
    return _flags(whole, *flags, *(["image_or_map"] if {1, 2} <= sources else []))


def _pool_flags(pools: set[bool]) -> frozenset[str]:
    if len(pools) == 2:
        return frozenset({"both", "average"})
    return frozenset({"only_max"}) if True in pools else frozenset({"only_average", "average"})
