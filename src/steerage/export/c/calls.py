"""Statements that do an operation: the call of its function with its tables and places, or a formula."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from itertools import pairwise
from typing import Any, final

from steerage.export.c.text import array, number, wrapped
from steerage.micro.ir import (
    BYTES,
    Activate,
    Affine,
    Bins,
    Combine,
    Conv,
    DType,
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
    Shape,
    Softmax,
    Stack,
    Upright,
    Value,
    runs,
)
from steerage.micro.kernels import Kernel, acts_first, index_bits, layer_kernel, load_kind
from steerage.micro.layout import Layout
from steerage.micro.ramps import ramp_of
from steerage.micro.storage import PLACES
from steerage.micro.tables import Table

TYPES: Mapping[DType, str] = {"float32": "float", "uint8": "uint8_t", "int8": "int8_t", "int32": "int32_t"}


@final
class Writer:
    """Statements and tables of one layout. ``prefix``: name of the network, ``names``: of each value in C."""

    def __init__(self, layout: Layout, prefix: str, names: Mapping[Value, str]) -> None:
        self.layout, self.prefix, self.names = layout, prefix, names
        self.rows = tuple(kernel for kernel in layout.kernels if kernel.file.startswith("row_"))
        self.places: dict[Kernel | None, int] = {kernel: place for place, kernel in enumerate(self.rows)}
        self.acts = {act: place for place, act in enumerate(layout.acts, start=1)}

    def table(self, op: Op, name: str) -> str:
        """Name of a table; 0 where it is empty."""
        there = any(table.name == name for table in self.layout.tables[op])
        return f"{self.prefix}_{self.names[op.output]}_{name}" if there else "0"

    def place(self, value: Value) -> str:
        """Where a value is."""
        if value is self.layout.program.input:
            return "x"
        return self.memory(self.layout.plan.values[value], value.dtype)

    def memory(self, at: int, dtype: DType) -> str:
        """A place in the scratch, which counts in the type of a float network's numbers, or in bytes."""
        if not self.layout.program.quantized:
            place = f"s + {at // BYTES['float32']}"
            return place if dtype == "float32" else f"({TYPES[dtype]} *)(void *)({place})"
        return f"s + {at}" if dtype == "int8" else f"({TYPES[dtype]} *)(void *)(s + {at})"

    def extra(self, op: Op, name: str) -> str:
        at = self.layout.plan.extra.get((op, name))
        return "0" if at is None else self.memory(at, "int32" if name == "sums" else op.output.dtype)

    def rescale(self, op: Op) -> list[str]:
        """The argument for constants of integers: none of floats, 0 where an operation does without."""
        if op.output.dtype != "int8":
            return []
        name = self.table(op, "rescale")
        return [name if name == "0" else f"&{name}"]

    def call(self, function: str, *arguments: object) -> str:
        return f"{self.prefix}_{function}({', '.join(map(str, arguments))});"

    def statements(self, op: Op) -> list[str]:
        """What does the operation; nothing for what its inputs' makers have done."""
        return [*_STATEMENTS[type(op)](self, op)]

    def definition(self, op: Op, table: Table) -> str:
        """A table, with what it holds."""
        name = self.table(op, table.name)
        if table.type in ("conv", "plus", "pool", "rescale"):
            record: Mapping[str, Callable[[Any], dict[str, int]]] = {
                "conv": self._shape,
                "plus": self._plus,
                "pool": _pool_shape,
                "rescale": lambda op: asdict(op.rescale),
            }
            fields = record[table.type](op)
            return f"static const struct {self.prefix}_{table.type} {name} = {{\n{_fields(fields)}\n}};"
        return f"static const {table.type} {name}[{table.count}] = {{\n{array(table.values(), table.type)}\n}};"

    def _plus(self, op: Any) -> dict[str, int]:
        act = 0 if op.then is None else self.acts[op.then]
        return {"channels": op.plus.shape[0], "width": op.plus.shape[2], "stride": op.plus_stride, "activation": act}

    def _shape(self, op: Conv) -> dict[str, int]:
        channels, height, width = op.x.shape
        rows, columns = op.computed
        pool_y, pool_x = op.pool or (1, 1)
        (kernel_y, kernel_x), (pad_y, pad_x) = op.window.kernel, op.window.padding
        return {
            "channels": channels,
            "height": height,
            "width": width,
            "outputs": op.output.shape[0],
            "rows": rows,
            "columns": columns,
            "group_inputs": channels // op.groups,
            "group_outputs": op.output.shape[0] // op.groups,
            "padded": op.padded,
            "pool_y": pool_y,
            "pool_x": pool_x,
            "pooled": columns // pool_x,
            "across": PLACES // kernel_x + 1,
            "kernel_y": kernel_y,
            "kernel_x": kernel_x,
            "stride_y": op.window.stride[0],
            "pad_y": pad_y,
            "pad_x": pad_x,
            "load": load_kind(op),
            "row": self.places[layer_kernel(op, self.layout.stored[op])],
            "activation": 0 if op.act is None else self.acts[op.act],
            "pooling": _pooling(op),
        }


def _pool_shape(op: Any) -> dict[str, int]:
    names = ("kernel", "stride", "pad")
    pairs = zip(names, (op.window.kernel, op.window.stride, op.window.padding), strict=True)
    sides = {f"{name}_{axis}": size for name, pair in pairs for axis, size in zip("yx", pair, strict=True)}
    channels, height, width = op.x.shape
    sizes = {"channels": channels, "height": height, "width": width}
    kinds = {"max": 0, "average": 1, "inside": 2}
    return {**sizes, "rows": op.output.shape[1], "columns": op.output.shape[2], **sides, "kind": kinds[op.kind]}


def _fields(fields: Mapping[str, int]) -> str:
    return "\n".join(wrapped([f".{name} = {value}" for name, value in fields.items()], "    "))


def _linear(out: Writer, op: Linear) -> Iterator[str]:
    how, y = out.layout.stored[op], out.place(op.output)
    kernel = layer_kernel(op, how)
    if kernel is None:
        yield from _formula(out, op)
    else:
        bias = out.table(op, "bias") if op.onto is None else out.place(op.onto)
        if bias == "0":
            yield out.call("fill", y, op.output.size)
            bias = y
        inputs = [op.weights.shape[1]] if how.format in ("dense", "bitmap") else []
        index = [] if how.index is None else [out.table(op, "index")]
        weights = out.table(op, "weights")
        codes = [out.table(op, "codes")] if op.output.dtype != "float32" else []
        yield out.call(kernel.name, out.place(op.x), *inputs, y, op.output.size, weights, *index, bias, *codes)
    if op.act is not None:
        yield out.call("activate", y, y, op.output.size, out.acts[op.act])


def _formula(out: Writer, op: Linear) -> Iterator[str]:
    """Each output as a sum of terms with the weights in it."""
    values, active = op.weights.values.numpy(), op.weights.active.numpy()
    bias = None if op.weights.bias is None else op.weights.bias.numpy()
    whole = op.output.dtype != "float32"
    sums = "int32_t" if whole else "float"
    constant: Callable[[float], str] = (lambda value: str(int(value))) if whole else number
    yield "{"
    if active.any():
        yield f"    const {TYPES[op.x.dtype]} *const p = {out.place(op.x)};"
    if op.onto is not None:
        yield f"    const {sums} *const b = {out.place(op.onto)};"
    yield f"    {TYPES[op.output.dtype]} *const y = {out.place(op.output)};"
    cast = "(float)" if op.x.dtype == "uint8" and not whole else ""
    yield f"    {sums} a;"
    for row in range(len(values)):
        line = f"    a = {f'b[{row}]' if op.onto is not None else constant(0.0 if bias is None else bias[row])};"
        for at in active[row].nonzero()[0].tolist():
            term = f"a = MAC({constant(values[row, at])}, {cast}p[{at}], a);"
            if len(line) + len(term) > 112:
                yield line
                line = "   "
            line += f" {term}"
        yield line
        yield f"    y[{row}] = {_stored(out, op, row)};"
    yield "}"


def _stored(out: Writer, op: Linear, row: int) -> str:
    """The sum in a formula as it is kept."""
    if op.weights.codes is None:
        return "a"
    code = int(op.weights.codes[row])
    scaled = f"(a * {8 + code // 32}) >> {code % 32}"
    return scaled if op.output.dtype == "int32" else f"{out.prefix}_narrow({scaled})"


def _pooling(op: Conv) -> int:
    """How a convolution's output is pooled, and whether the activation comes after it."""
    if op.pool is None:
        return 0
    if op.pooling != "max":
        return 3
    return 2 if acts_first(op) else 1


def _conv(out: Writer, op: Conv) -> Iterator[str]:
    """What a convolution works with, which the last one of those that feed each other sets going."""
    own = out.names[op.output]
    fields = {
        "shape": f"&{out.table(op, 'shape')}",
        "x": "0" if op.fed else out.place(op.x),
        "before": f"&{out.names[op.x]}" if op.fed else "0",
        "window": out.extra(op, "window"),
        "line": out.extra(op, "line"),
        **{name: out.table(op, name) for name in ("weights", "index", "bias", "codes", "mean")},
        **_steps(out, op),
        "plus": "0" if op.plus is None else f"&{out.table(op, 'plus')}",
        "added": "0" if op.plus is None else out.place(op.plus),
    }
    words = [f".{name} = {value}" for name, value in fields.items() if value != "0"]
    yield f"struct {out.prefix}_rows {own} = {{"
    yield from wrapped(words, "    ")
    yield "};"
    if not op.feeds:
        yield out.call("conv", f"&{own}", out.place(op.output))


def _steps(out: Writer, op: Conv) -> dict[str, str]:
    """What a convolution of integers needs besides."""
    if op.output.dtype != "int8":
        return {}
    assert op.x.quantization is not None
    found = {"rescale": "".join(out.rescale(op)), "sums": out.extra(op, "sums")}
    if op.mean is None:
        found["zero"] = str(int(op.x.quantization.zero[0]))
    elif op.x.dtype == "float32":
        found |= {name: str(value) for name, value in asdict(ramp_of(op.x.quantization)).items()}
    return found


def _features(out: Writer, op: Features) -> Iterator[str]:
    bits, at = index_bits(op.x.size - 1), out.layout.plan.values[op.output]
    size = BYTES["float32"]
    kind = "clipped" if op.clipped else "numbers"
    scaled = ("low", "high") if op.clipped else ("mean", "scale")

    def group(function: str, name: str, count: int, *tables: str) -> str:
        columns = (out.table(op, f"{name}_{table}") for table in ("at", *tables))
        return out.call(f"{function}{bits}", "x", out.memory(at, "float32"), count, *columns)

    if op.numbers:
        yield group(kind, "numbers", len(op.numbers), "fill", *scaled)
        at += size * len(op.numbers)
    if op.logs:
        yield group("logs", "logs", len(op.logs), "fill", "unit", "mean", "scale")
        at += size * len(op.logs)
    if op.missing:
        yield group("missing", "missing", len(op.missing))
        at += size * len(op.missing)
    if op.hot:
        yield group("hot", "hot", len(op.hot), "codes", "fill")


def _encode(out: Writer, op: Encode) -> Iterator[str]:
    bits, at = index_bits(op.x.size - 1), out.layout.plan.values[op.output]
    truth = (op.off, op.on)
    groups = (
        ("ramps", "columns", len(op.columns), len(op.columns), ("start", "factor", "power", "filled"), ()),
        ("absent", "missing", len(op.missing), len(op.missing), (), truth),
        ("categories", "hot", len(op.hot), sum(one.codes for one in op.hot), ("codes", "fill"), truth),
        ("flags", "flags", len(op.flags), len(op.flags), ("code", "fill", "off", "on"), ()),
    )
    for function, name, columns, numbers, tables, others in groups:
        if columns:
            given = (out.table(op, f"{name}_{table}") for table in ("at", *tables))
            yield out.call(f"{function}{bits}", "x", out.memory(at, "int8"), columns, *given, *others)
        at += numbers


def _rows_of(shape: Shape) -> tuple[int, int, int]:
    """Rows, channels and columns; numbers are channels of one pixel."""
    return (shape[1], shape[0], shape[2]) if len(shape) == 3 else (1, shape[0], 1)


def _combine(out: Writer, op: Combine) -> Iterator[str]:
    places = (out.place(op.x), out.place(op.y), out.place(op.output))
    if not op.padded:
        kind = "add" if op.rescale is not None and op.kind == "subtract" else op.kind
        yield out.call(kind, *places, op.output.size, *out.rescale(op))
    else:
        shape = (*_rows_of(op.output.shape), op.y.shape[0], op.y.shape[2], op.stride)
        yield out.call("add_padded", *places, *shape, *out.rescale(op))


def _stack(out: Writer, op: Stack) -> Iterator[str]:
    channels, rows, columns = op.output.shape
    at = out.layout.plan.values[op.output]
    for value in op.inputs:
        count = value.shape[0] * columns
        place = out.memory(at, op.output.dtype)
        yield out.call("stack", out.place(value), place, rows, count, channels * columns)
        at += count * BYTES[op.output.dtype]


def _pixels(out: Writer, op: Pixels) -> Iterator[str]:
    tables = [out.table(op, name) for name in (("start", "factor", "power") if op.ramps else ("mean", "scale"))]
    channels, rows, columns = op.x.shape
    shift = [op.shift] if op.output.dtype == "int8" and op.x.dtype == "uint8" else []
    yield out.call("pixels", out.place(op.x), out.place(op.output), channels, rows, columns, *tables, *shift)


def _upright(out: Writer, op: Upright) -> Iterator[str]:
    yield out.call("upright", out.place(op.x), out.place(op.output), *op.x.shape, op.background)


def _pool(out: Writer, op: Pool) -> Iterator[str]:
    yield out.call("pool", f"&{out.table(op, 'shape')}", out.place(op.x), out.place(op.output), *out.rescale(op))


def _gate(out: Writer, op: Gate) -> Iterator[str]:
    places = (out.place(op.x), out.place(op.gate), out.place(op.output))
    yield out.call("gate", *places, *_rows_of(op.x.shape), *out.rescale(op))


def _affine(out: Writer, op: Affine) -> Iterator[str]:
    tables = (out.table(op, name) for name in ("scale", "shift"))
    shape = op.x.shape if op.scale.numel() == op.x.shape[0] else (op.x.size,)  # a map as numbers: flattened
    bits = [op.bits] if op.output.dtype == "int8" else []
    yield out.call("affine", out.place(op.x), out.place(op.output), *_rows_of(shape), *tables, *bits)


def _activate(out: Writer, op: Activate) -> Iterator[str]:
    yield out.call("activate", out.place(op.x), out.place(op.output), op.x.size, out.acts[op.act])


def _bins(out: Writer, op: Bins) -> Iterator[str]:
    tables = (out.table(op, name) for name in ("inputs", "bins", "edges"))
    yield out.call(f"bins{index_bits(op.x.size - 1)}", out.place(op.x), out.place(op.output), len(op.runs), *tables)


def _gather(out: Writer, op: Gather) -> Iterator[str]:
    bits = f"{index_bits(op.x.size - 1)}{'_int8' if op.output.dtype == 'int8' else ''}"
    yield out.call(f"gather{bits}", out.place(op.x), out.place(op.output), op.output.size, out.table(op, "index"))


def _softmax(out: Writer, op: Softmax) -> Iterator[str]:
    one = op.x.quantization
    name, scale = ("softmax", []) if one is None else ("softmax", [number(float(one.scale[0]))])
    name += "_wide" if op.x.dtype == "int32" else ""
    yield out.call(name, out.place(op.x), out.place(op.output), op.x.size, *scale)


def _quantize(out: Writer, op: Quantize) -> Iterator[str]:
    """Call after call for numbers of one quantization."""
    one = op.output.quantization
    assert one is not None
    x, y = out.place(op.x), out.place(op.output)
    for begin, end in pairwise(runs(op)):
        ramp = asdict(ramp_of(one, begin)).values()
        yield out.call("quantize", f"{x} + {begin}", f"{y} + {begin}", end - begin, *ramp)


def _nothing(out: Writer, op: Join) -> Iterator[str]:
    yield from ()


_STATEMENTS: Mapping[type[Op], Callable[[Writer, Any], Iterator[str]]] = {
    Features: _features,
    Encode: _encode,
    Pixels: _pixels,
    Upright: _upright,
    Quantize: _quantize,
    Linear: _linear,
    Conv: _conv,
    Pool: _pool,
    Combine: _combine,
    Gate: _gate,
    Affine: _affine,
    Activate: _activate,
    Bins: _bins,
    Gather: _gather,
    Stack: _stack,
    Join: _nothing,
    Softmax: _softmax,
}
