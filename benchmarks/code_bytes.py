"""Measures the sizes of what generated code is made of, for the cost model: src/steerage/micro/code_bytes.json.

    python benchmarks/code_bytes.py

To be run after a change of the functions in src/steerage/export/c/kernels, with the Arm compiler installed.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from steerage.bundle import FromTemplate, Network
from steerage.cost import count
from steerage.data.dataset import TaskSpec
from steerage.data.images import ImagePreprocess
from steerage.data.tabular import Column, TablePreprocess
from steerage.export.c.generate import generate
from steerage.export.c.printer import attributes
from steerage.export.c.quantized import quantize
from steerage.export.c.sources import ACTIVATIONS, source
from steerage.export.c.toolchain import TARGETS, compile_object, library_bytes, link, needed
from steerage.export.examples import example_rows
from steerage.micro import codesize, layout
from steerage.micro.ir import Act
from steerage.micro.kernels import Kernel
from steerage.micro.storage import BLOCKS, WHOLE_BLOCKS
from steerage.templates import TEMPLATES

BOARD = Path(__file__).resolve().parents[1] / "src/steerage/export/c/board/board.ld"
ACT_NUMBERS = {"clip": (0.0, 6.0), "leaky_relu": (0.01,), "elu": (1.0,)}
PLAIN = ("next", "fill", "pool", "add_padded", "gate", "affine", "stack", "softmax")
PLACED = ("numbers", "clipped", "logs", "missing", "hot", "bins", "gather")
FORMATS = ("dense", "delta", "bitmap", "index8", "index16")


def all_kernels() -> Iterator[Kernel]:
    """Every function in every variant that the generator knows, but for activations."""
    yield from (Kernel(name) for name in PLAIN)
    yield from (Kernel("combine", f"_{kind}") for kind in ("add", "subtract", "multiply"))
    yield from (Kernel(name, bits) for name in PLACED for bits in ("", "16"))
    yield from (Kernel("pixels", "", frozenset({kind})) for kind in ("uint8", "float32"))
    for format, kind in itertools.product(FORMATS, ("", "_bytes")):
        name, bits = ("index", format.removeprefix("index")) if format.startswith("index") else (format, "")
        yield Kernel(f"linear_{name}", f"{bits}{kind}")
    for format, block, stride in itertools.product(FORMATS, BLOCKS["speed"], range(1, codesize.STRIDES + 1)):
        name, bits = ("index", format.removeprefix("index")) if format.startswith("index") else (format, "")
        yield Kernel(f"row_{name}", f"{bits}_{block}_{stride}")
    yield Kernel("load", "", frozenset({"map"}))
    yield Kernel("load", "", frozenset({"map", "chain"}))
    for kind, chain in itertools.product(("uint8", "float32"), ((), ("chain",))):
        yield Kernel("load", "", frozenset({kind, "image", *chain}))
        yield Kernel("load", "", frozenset({kind, "image", "map", "image_or_map", *chain}))
    for flags in ({"only_max"}, {"only_average", "average"}, {"both", "average"}):
        yield Kernel("pool_row", "", frozenset(flags))
    for load, pool, act, indexed in itertools.product(
        (("direct",), ("load",), ("load", "direct", "load_or_direct")), *[(False, True)] * 3
    ):
        pools, index = {"pooled"} if pool else set(), {"indexed"} if indexed else set()
        for plus in (set(), {"plus"}):
            lined = {"lined"} if pool or plus else set()
            for acts in activated(act, bool(lined)):
                yield Kernel("conv_row", "", frozenset({*load, *pools, *acts, *index, *plus, *lined}))
    yield Kernel("conv")
    yield Kernel("plus_row")
    yield Kernel("upright")
    yield from all_int8()


def activated(act: bool, lined: bool) -> list[set[str]]:
    """Flags of what activates the rows of convolutions: all at once, some before they are pooled or added to."""
    return [set()] if not act else [{"act"}, {"act", "act_first"}] if lined else [{"act"}]


def int8(file: str, variant: str = "", *flags: str) -> Kernel:
    return Kernel(file, variant, frozenset({"int8", *flags}))


def all_int8() -> Iterator[Kernel]:
    """The same for integers."""
    yield int8("activate", "", "table")
    yield from (int8(name) for name in ("pool", "add_padded", "gate", "affine", "stack", "conv"))
    yield from (
        int8("combine", f"_{kind}", arithmetic) for kind, arithmetic in (("add", "sum"), ("multiply", "product"))
    )
    yield from (int8("gather", f"{bits}_int8") for bits in ("", "16"))
    yield from (int8(name, bits) for name in ("ramps", "absent", "categories", "flags") for bits in ("", "16"))
    yield from (int8("softmax", wide) for wide in ("", "_wide"))
    yield from (Kernel("quantize"), Kernel("average_row"), int8("pool_row", "", "only_max"))
    yield from (int8("pixels", "", "uint8", "shifted"), int8("pixels", "", "float32", "ramped"))
    yield int8("plus_row")
    for format, kind, wide in itertools.product(FORMATS, ("", "_bytes"), ("", "_wide")):
        name, bits = ("index", format.removeprefix("index")) if format.startswith("index") else (format, "")
        yield int8(f"linear_{name}", f"{bits}{kind}{wide}")
    for format, block, stride in itertools.product(FORMATS, WHOLE_BLOCKS, range(1, codesize.STRIDES + 1)):
        name, bits = ("index", format.removeprefix("index")) if format.startswith("index") else (format, "")
        yield int8(f"row_{name}", f"{bits}_{block}_{stride}")
    for chain in ((), ("chain",)):
        yield int8("load", "", "map", "map_int8", *chain)
        for kind in ("uint8", "float32"):
            yield int8("load", "", kind, "image", "image_int8", *chain)
            yield int8("load", "", kind, "image", "both_int8", *chain)
            yield int8("load", "", kind, "image", "map", "image_or_map", "both_int8", *chain)
    pools: tuple[tuple[str, ...], ...] = (
        (),
        ("pooled",),
        ("averaged",),
        ("pooled", "averaged", "average_or_max"),
    )
    loads = (("direct",), ("load",), ("load", "direct", "load_or_direct"))
    for load, pool, act, indexed, plus in itertools.product(loads, pools, *[(False, True)] * 3):
        lined = ["lined"] if pool or plus else []
        others = [name for name, there in (("indexed", indexed), ("plus", plus)) if there]
        for acts in activated(act, bool(lined)):
            yield int8("conv_row", "", *load, *pool, *acts, *lined, *others)


def text_of(kernel: Kernel, rows: tuple[Kernel, ...], acts: tuple[Act, ...]) -> str:
    """A file with the function and all that it calls."""
    parts = [] if kernel.file == "next" else [Kernel("next")]
    parts += [Kernel("first"), Kernel("positive")]
    whole = {"int8"} & kernel.flags or ({"int8"} if kernel.file in ("quantize", "average_row") else set[str]())
    shape = Kernel("conv_shape", "", frozenset({"chain", "image", "plus", *whole}))
    if whole:
        parts = [*map(Kernel, ("narrow", "scaled", "rescale", "bits", "none", "fixed", "ramp")), *parts]
        shape = int8("conv_shape", "", "chain", "image", "plus", "floats", "averaged", "rescale")
    if kernel.file in ("load", "pool_row", "plus_row", "conv", "conv_row", "average_row") or kernel.file.startswith(
        "row_"
    ):
        parts.append(shape)
    if kernel.file in ("load", "conv"):
        parts.append(Kernel("conv_row_first", "", frozenset(whole)))
    if kernel.file == "conv_row":
        load = {"map", "map_int8"} if whole else {"map"}
        parts += [Kernel("activate", "", frozenset({"relu", *whole})), Kernel("load", "", frozenset({*load, *whole}))]
        parts += [Kernel("pool_row", "", frozenset({"only_max", *whole}))]
        parts += [Kernel("plus_row", "", frozenset(whole)), *rows]
        parts += [Kernel("average_row")] if whole else []
    body = "\n".join(source(part, acts=acts, rows=rows) for part in [*parts, kernel])
    head = "\n".join(["#include <stdint.h>", "#include <math.h>", *attributes("NET", quantized=bool(whole))])
    head += "\nextern const int8_t net_tables[9][256];" if whole else ""
    body = body.replace("NAME", "net").replace("KERNEL", "NET_KERNEL").replace(" MAC(", " NET_MAC(")
    return f"{head}\n{body}"


class Measurer:
    """Compiles for one core in one folder."""

    def __init__(self, core: str, folder: Path) -> None:
        self.target, self.folder = TARGETS[core], folder

    def symbols(self, text: str) -> dict[str, int]:
        """Bytes of each function of a file."""
        (self.folder / "net.c").write_text(text)
        done = compile_object(self.target, self.folder / "net.c", extra=("-fkeep-static-functions",), strict=False)
        nm = needed(self.target).replace("gcc", "nm")
        lines = subprocess.run([nm, "-S", str(done)], capture_output=True, text=True, check=True).stdout.splitlines()
        words = [line.split() for line in lines]
        return {one[3].removeprefix("net_"): int(one[1], 16) for one in words if len(one) == 4 and one[2] in "tT"}

    def function(self, kernel: Kernel, rows: tuple[Kernel, ...] = (), acts: tuple[Act, ...] = ()) -> int:
        name = kernel.variant.removeprefix("_") if kernel.file == "combine" else kernel.name
        return rounded(self.symbols(text_of(kernel, rows, acts))[name])

    def library(self, statement: str) -> int:
        """What libraries add to a program of one statement on the numbers a and b."""
        (self.folder / "net.c").write_text(
            "#include <math.h>\nvolatile float a, b; volatile int i; float p[99]; void start(void); "
            f"void start(void) {{ {statement} for (;;) ; }}\nint stack_top;\n"
        )
        link(self.target, [compile_object(self.target, self.folder / "net.c", strict=False)], BOARD)
        return library_bytes(self.folder)


def rounded(size: int) -> int:
    """As the linker places it."""
    return (size + 3) // 4 * 4


def measure(core: str, folder: Path) -> dict[str, Any]:
    one = Measurer(core, folder)
    dense = Kernel("row_dense", "_8_1")

    def rows_of(kernel: Kernel) -> tuple[Kernel, ...]:
        return () if kernel.file == "conv" else (int8("row_dense", "_4_1") if "int8" in kernel.flags else dense,)

    kernels = {codesize.kernel_key(kernel): one.function(kernel, rows_of(kernel)) for kernel in all_kernels()}
    whole = (int8("row_dense", "_4_1"), int8("row_dense", "_1_1"))
    row = int8("conv_row", "", "load")
    kernels["row_case:int8"] = one.function(row, whole) - one.function(row, whole[:1])
    both = (dense, Kernel("row_dense", "_4_1"))
    conv = Kernel("conv_row", "", frozenset({"load"}))
    kernels["row_case"] = one.function(conv, both) - one.function(conv, (dense,))
    kernels["activate"] = one.function(Kernel("activate"))
    for kind in ACTIVATIONS:
        act = Act(kind, ACT_NUMBERS.get(kind, ()))
        kernels[f"activate:{kind}"] = (
            one.function(Kernel("activate", "", frozenset({kind})), (), (act,)) - kernels["activate"]
        )
    if core == codesize.CORES[0]:  # networks are generated below, and how depends on these
        write({core: {"kernels": kernels, "unrolled": [12.0, 16.0], "unrolled_int8": [8.0, 20.0]}})
    basic = one.library("a = a * b + a;")
    more = {
        "subtract": "a = a - b;",
        "compare": "if (a < b) a = b; if (a > b) b = a; if (a == b) b = 1.0f;",
        "divide": "a = a / b;",
        "convert": "a = a + (float)i;",
        "copy": "int n = i; for (int k = 0; k < n; ++k) p[k] = p[k + n]; n = i; for (int k = 0; k < n; ++k) p[k] = 0;",
    }
    library = {name: max(0, one.library(f"a = a * b + a; {statement}") - basic) for name, statement in more.items()}
    everything = " ".join(["a = a * b + a;", *(statement for name, statement in more.items() if name != "copy")])
    empty = one.library("i = i + 1;")
    library["quotient"] = one.library("i = i / (i + 1);") - empty
    library["moments"] = (
        one.library("long long k = i, n = i, m = i; m = k * n / m; k = i; i = (int)(m < k ? m : k) % (i + 1);") - empty
    )
    for name in sorted({name for names in codesize.TAKEN.values() for name in names} - {*more}):
        library[name] = max(0, one.library(f"{everything} a = {name}(b);") - one.library(everything))
    return {
        "kernels": dict(sorted(kernels.items())),
        "library": {"basic": basic, **library},
        "unrolled": unrolled(one),
        "unrolled_int8": unrolled(one, whole=True),
        "calls": calls(one),
        "calls_int8": calls(one, whole=True),
    }


def table_network(columns: int, **genes: Any) -> Network:
    generator = np.random.default_rng(columns)
    made = tuple(
        Column(f"c{at}", "number", 0.0, mean=float(generator.normal()), std=1.0, indicator=at % 3 == 0)
        for at in range(columns)
    )
    hot = Column("k", "category", -1.0, ("a", "b", "c"), one_hot=3)
    return network("mlp", TablePreprocess(tuple(one.name for one in (*made, hot)), (*made, hot)), **genes)


def network(template: str, preprocess: Any, **genes: Any) -> Network:
    """An untrained network whose norms have seen data."""
    kind = "table" if isinstance(preprocess, TablePreprocess) else "image"
    spec = TaskSpec("classification", kind, preprocess.output_shape, 5, 1000)
    values = {**TEMPLATES[template].baseline(spec), **genes}
    model = TEMPLATES[template].build(values, spec)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_()
    cost = count(model, spec.input_shape)
    return Network(model, FromTemplate(template, values), spec, preprocess, cost, classes=tuple("abcde"))


def networks() -> Iterator[Network]:
    torch.manual_seed(0)
    for columns in (4, 9):
        yield table_network(columns, width=16, depth=2)
        yield table_network(columns, width=16, depth=3, skips=True, bins=8)
    image = ImagePreprocess(1, 16, 16, (30.0,), (70.0,), "uint8")
    yield network("mlp", image, width=16, depth=2)
    yield network("cnn", image, channels=8, stages=2, head="gap")
    yield network("cnn", image, channels=8, stages=3, head="hidden", hidden=16, separable=True, residual=True, blocks=2)
    yield network("resnet", image, width=8, squeeze=True)
    yield network("resnet", image, width=8, shortcut="projection")
    yield network("mobile", image, width=0.25, stages=3, squeeze=True)


def calls(one: Measurer, *, whole: bool = False) -> list[float]:
    """Bytes of NAME_scores and NAME_class: fixed, and of each that ``codesize.calling`` counts; fitted."""
    rows, sizes = [], []
    for net in networks():
        rows_seen = example_rows(net.preprocess, 32, generator=torch.Generator().manual_seed(0))
        generated = generate(net, name="net", int8=quantize(net, rows_seen) if whole else None)
        for file, text in generated.files.items():
            (one.folder / file).write_text(text)
        found = one.symbols(generated.files["net.c"])
        rows.append([1.0, *codesize.calling(generated.layout.program.ops, generated.layout.stored)])
        sizes.append(rounded(found["scores"]) + rounded(found["class"]))
    scale = 1.0 / np.sqrt(sizes)  # small networks are to be right as well
    fitted = np.linalg.lstsq(np.array(rows) * scale[:, None], np.array(sizes) * scale, rcond=None)[0]
    return [round(float(number), 3) for number in fitted]


def unrolled(one: Measurer, *, whole: bool = False) -> list[float]:
    """Bytes per weight and per output of a formula; fitted."""
    rows, sizes = [], []
    for width, density in itertools.product((6, 12), (0.2, 0.5)):
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, width), nn.ReLU(), nn.Linear(width, 5))
        net = network("mlp", ImagePreprocess(1, 4, 4, (0.0,), (1.0,), "float32"))
        masks = {name: torch.rand_like(p) < density for name, p in model.named_parameters() if p.ndim > 1}
        with torch.no_grad():
            for name, mask in masks.items():
                model.get_parameter(name).mul_(mask)
        chosen, layout._smallest = layout._smallest, lambda options: dict.fromkeys(options, "unrolled")  # type: ignore[assignment]
        masked = replace(net, model=model, masks=masks)
        generated = generate(masked, name="net", int8=quantize(masked, torch.randn(64, 1, 4, 4)) if whole else None)
        layout._smallest = chosen
        (one.folder / "net.h").write_text(generated.files["net.h"])
        layers = [op.weights for op in generated.layout.stored]
        rows.append([sum(int(w.active.sum()) for w in layers), sum(w.shape[0] for w in layers)])
        sizes.append(one.symbols(generated.files["net.c"])["scores"] - 40)
    return [round(float(n), 3) for n in np.linalg.lstsq(np.array(rows, float), np.array(sizes, float), rcond=None)[0]]


def write(document: dict[str, Any]) -> None:
    codesize.TABLE.write_text(json.dumps(document, indent=1) + "\n")
    codesize._table.cache_clear()


def main() -> None:
    """Write the table."""
    document: dict[str, Any] = {}
    for core in codesize.CORES:
        with tempfile.TemporaryDirectory() as folder:
            version = subprocess.run(["arm-none-eabi-gcc", "--version"], capture_output=True, text=True, check=True)
            document["compiler"] = f"{version.stdout.splitlines()[0]}, -O2"
            document[core] = measure(core, Path(folder))
            print(core, {name: value for name, value in document[core].items() if name != "kernels"})
    write(document)


if __name__ == "__main__":
    main()
