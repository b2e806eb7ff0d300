"""Fits what the loops of generated code take, in instructions: src/steerage/micro/instructions.json, and its errors.

    python benchmarks/instructions.py            # networks, random in shapes, connections and storage; then the fit
    python benchmarks/instructions.py --held     # the errors on other networks, as the generator stores them

To be run after a change of the functions in src/steerage/export/c/kernels, with the Arm compiler and QEMU installed.
Each network is run once, the operations told apart by the emulated clock: an operation is a row of the fit. What was
measured is kept network by network, and a run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from common import RESULTS, row, write
from scipy.optimize import nnls
from torch import nn

from steerage.bundle import FromFactory, FromTemplate, Network
from steerage.cost import count
from steerage.data.dataset import Preprocess, TaskSpec
from steerage.data.images import ImagePreprocess
from steerage.data.signals import SignalPreprocess
from steerage.data.straighten import Straighten
from steerage.data.tabular import Column, TablePreprocess
from steerage.export.c.generate import Generated, Options, generate
from steerage.export.c.proof import BOARD, verify
from steerage.export.c.quantized import quantize
from steerage.export.c.toolchain import CLOCK, TARGETS, compile_object, execute, link
from steerage.export.examples import example_rows
from steerage.micro import layout, speed
from steerage.micro.codesize import CORES
from steerage.micro.ir import Join, steps
from steerage.micro.storage import Format, Layer, Stored
from steerage.micro.terms import Terms, operation_terms, program_terms
from steerage.nn.residual import PaddedResidual, Residual
from steerage.nn.squeeze import SqueezeExcitation
from steerage.templates import TEMPLATES

FIT, HELD = 136, 18  # networks
PLAIN = 120  # from here on those of the fit have many channels
TIE = 1e-3  # of what an outer loop takes, beside errors
MARK = 4  # instructions by which the clock is read
NUMBERS: tuple[speed.Numbers, ...] = ("float32", "int8")
ACTS: tuple[Callable[[], nn.Module], ...] = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, lambda: nn.GELU("tanh"), nn.SiLU, nn.Sigmoid, nn.Tanh),
    *(nn.Hardsigmoid, nn.Hardswish),
)
KEPT = RESULTS / "instructions.rows.jsonl"
Part = Literal["fit", "held"]
ROWS: Mapping[Part, int] = {"fit": 4, "held": 12}  # of made-up data that a network is run on


def table(rng: random.Random) -> TablePreprocess:
    columns = [
        Column(
            f"c{at}",
            "number",
            0.0,
            mean=rng.choice([0.0, rng.gauss(0, 1), 50.0]),
            std=1.0,
            indicator=rng.random() < 0.3,
            log_unit=1.0 if rng.random() < 0.15 else 0.0,
        )
        for at in range(rng.choice([2, 5, 12, 30]))
    ]
    for at in range(rng.randint(0, 4)):
        names = tuple("abcdefgh"[: rng.randint(2, 8)])
        columns.append(Column(f"k{at}", "category", -1.0, names, one_hot=len(names)))
    return TablePreprocess(tuple(one.name for one in columns), tuple(columns))


def image(rng: random.Random, most: int) -> ImagePreprocess:
    channels, side = rng.choice([1, 1, 3]), rng.randint(7, most)
    kind: Literal["uint8", "float32"] = rng.choice(["uint8", "float32"])
    mean, std = (110.0, 60.0) if kind == "uint8" else (0.4, 0.3)
    return ImagePreprocess(channels, side, rng.choice([side, side + 1]), (mean,) * channels, (std,) * channels, kind)


def signal(rng: random.Random) -> SignalPreprocess:
    channels = rng.choice([1, 3, 6])
    return SignalPreprocess(channels, rng.choice([32, 50, 96]), (0.0,) * channels, (1.0,) * channels)


def from_template(rng: random.Random, name: str, held: bool) -> Network:
    """A candidate of a template's space, but not wide."""
    preprocess: Preprocess = (
        (table(rng) if rng.random() < 0.75 else image(rng, 12))
        if name == "mlp"
        else signal(rng)
        if name == "signal"
        else image(rng, 20)
    )
    kind = {TablePreprocess: "table", SignalPreprocess: "signal"}.get(type(preprocess), "image")
    spec = TaskSpec("classification", kind, preprocess.output_shape, rng.randint(2, 11), 1000)  # type: ignore[arg-type]
    template = TEMPLATES[name]
    small = {
        "mlp": {"width": rng.choice([8, 16, 30, 64, 100]), "reduction": "none"},
        "cnn": {"channels": rng.choice([3, 4, 8, 12]), "hidden": 16, "stages": rng.randint(1, 3), "blocks": 1},
        "signal": {"channels": rng.choice([3, 4, 8, 12]), "hidden": 16, "blocks": 1},
        "resnet": {"width": rng.choice([2, 4, 6]), "stages": 2, "hidden": 16, "blocks0": 1, "blocks1": 1},
        "mobile": {"width": 0.25, "stages": rng.randint(2, 3), "expansion": rng.randint(1, 3), "last": 32}
        | {f"blocks{stage}": 1 for stage in range(8)},
    }[name]
    drawn = template.space(spec).random(np.random.default_rng(rng.randrange(2**31)))
    values = {**template.baseline(spec), **drawn, **small}
    return finished(template.build(values, spec), FromTemplate(name, values), spec, preprocess)


def finished(model: nn.Module, architecture: Any, spec: TaskSpec, preprocess: Preprocess) -> Network:
    """A network whose norms have seen data."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_(0.0, 0.3)
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
            nn.init.ones_(module.weight)
    classes = tuple(map(str, range(spec.outputs)))
    return Network(model.eval(), architecture, spec, preprocess, count(model, spec.input_shape), classes=classes)


def pieces(rng: random.Random, channels: int) -> list[nn.Module]:
    """Some layers that may follow a map of so many channels."""
    outputs, side = rng.choice([1, 2, 4, 6, 9]), rng.randint(1, 3)

    def act() -> nn.Module:
        return rng.choice(ACTS)()

    kernel, stride = rng.randint(1, 5), rng.choice([1, 1, 2, 3])
    conv = nn.Conv2d(channels, outputs, kernel, stride, rng.randint(0, 2), bias=rng.random() < 0.6)
    pool = rng.choice([nn.MaxPool2d, nn.AvgPool2d])
    same = nn.Conv2d(channels, channels, 3, padding=1)
    return rng.choice(
        [
            [conv],
            [conv, nn.BatchNorm2d(outputs), act()],
            [conv, act(), pool(rng.choice([(2, 2), (1, 2), (3, 3)]))],
            [nn.Conv2d(channels, 2 * channels, 3, rng.choice([1, 2]), 1, groups=channels), act()],
            [pool(side, rng.randint(1, 3), rng.randint(0, side // 2))],
            [Residual(nn.Sequential(same, act())), act()],
            [Residual(nn.Conv2d(channels, outputs, 3, padding=1), nn.Conv2d(channels, outputs, 1)), nn.ReLU()],
            [PaddedResidual(nn.Conv2d(channels, channels + side, 3, 2, 1), 2)],
            [SqueezeExcitation(channels, 2)],
            [nn.BatchNorm2d(channels), act()],
        ]
    )


def of_pieces(rng: random.Random) -> Network:
    preprocess = image(rng, 16)
    shape = preprocess.output_shape
    body, x = nn.Sequential(), torch.zeros(2, *shape)
    for _ in range(rng.randint(2, 6)):
        for layer in pieces(rng, x.shape[1]):
            try:
                y = layer.eval()(x)
            except RuntimeError:  # the map is too small for it
                break
            if 0 in y.shape:
                break
            body.append(layer)
            x = y
    features = x[0].numel()
    hidden = rng.choice([5, 8, 17])
    norm = [nn.BatchNorm1d(features)] if rng.random() < 0.3 else []
    body.extend([nn.Flatten(), *norm, nn.Linear(features, hidden), rng.choice(ACTS)(), nn.Linear(hidden, 5)])
    return finished(body, FromFactory("net.py:Net"), TaskSpec("classification", "image", shape, 5, 100), preprocess)


def of_wide_maps(rng: random.Random) -> Network:
    """Many channels, whose weights are far from each other."""
    side = rng.choice([2, 3, 4, 5, 6, 8, 9, 16, 17, 18])
    preprocess = ImagePreprocess(1, 2 * side, side, (0.4,), (0.3,), "float32")
    widths = [rng.choice([20, 28, 40, 56]) if side < 10 else rng.choice([6, 8, 10]) for _ in range(2)]
    body = nn.Sequential(
        *(nn.Conv2d(1, widths[0], 3, padding=1), nn.ReLU(), nn.AvgPool2d((2, 1))),
        *(nn.Conv2d(widths[0], widths[1], 3, 1, rng.choice([0, 1]) if side > 2 else 1), nn.ReLU()),
        *(nn.Conv2d(widths[1], 8, rng.choice([1, 2])), rng.choice(ACTS)()),
    )
    if side < 4:
        body = body[:5]
    features = body.eval()(torch.zeros(1, *preprocess.output_shape)).numel()
    body.extend([nn.Flatten(), nn.Linear(features, 5)])
    spec = TaskSpec("classification", "image", preprocess.output_shape, 5, 100)
    return finished(body, FromFactory("net.py:Net"), spec, preprocess)


def pruned(net: Network, density: float) -> Network:
    masks = {name: torch.rand_like(p) < density for name, p in net.model.named_parameters() if p.ndim > 1}
    with torch.no_grad():
        for name, mask in masks.items():
            net.model.get_parameter(name).mul_(mask)
    return replace(net, masks=masks)


def network(part: Part, seed: int) -> tuple[Network, random.Random]:
    """The network of that number; those of the two parts have nothing in common."""
    rng = random.Random(f"{part} {seed}")
    torch.manual_seed(rng.randrange(2**31))
    held = part == "held"
    kinds = ["mlp", "cnn", "signal", "resnet", "mobile", "mlp"] + ([] if held else ["pieces"] * 3)
    kind = kinds[seed % len(kinds)]
    if part == "fit" and seed >= PLAIN:
        return pruned(of_wide_maps(rng), rng.choice([0.03, 0.1, 0.25, 0.5])), rng
    net = of_pieces(rng) if kind == "pieces" else from_template(rng, kind, held)
    return pruned(net, rng.choice([0.1, 0.25, 0.5, 0.9] if held else [0.03, 0.1, 0.25, 0.5, 0.9, 1.0])), rng


def code_of(part: Part, seed: int, numbers: speed.Numbers) -> tuple[Generated, torch.Tensor]:
    """Code of a network: in the fit each layer is stored in any way that there is."""
    net, rng = network(part, seed)
    rows = example_rows(net.preprocess, 64, generator=torch.Generator().manual_seed(seed))
    options = Options(prefer=rng.choice(["flash", "speed"]), softmax=rng.random() < 0.2)
    int8 = quantize(net, rows) if numbers == "int8" else None

    def any_way(ways: Mapping[Layer, Mapping[Format, Stored]]) -> dict[Layer, Format]:
        wide = seed >= PLAIN  # for what there is only there
        return {
            layer: "delta" if wide and "delta" in several and rng.random() < 0.7 else rng.choice([*several])
            for layer, several in ways.items()
        }

    chosen = layout._smallest, layout._fastest
    if part == "fit":
        layout._smallest = layout._fastest = any_way  # type: ignore[assignment]
    try:
        return generate(net, name="net", options=options, rows=rows[:1], int8=int8), rows[: ROWS[part]]
    finally:
        layout._smallest, layout._fastest = chosen


def measure(generated: Generated, rows: torch.Tensor, core: str, folder: Path) -> dict[str, Any]:
    """Instructions of the row that takes most: ``total``, and of each of its ``steps``."""
    program = generated.layout.program
    marks = 1 + sum(not isinstance(step[-1], Join) for step in steps(program.ops))
    for name, text in generated.files.items():
        (folder / name).write_text(marked(text, marks) if name == "net.c" else text)
    whole = program.input.dtype == "uint8"
    (folder / "rows").write_bytes(
        rows.reshape(len(rows), -1).numpy().astype(np.uint8 if whole else np.float32).tobytes()
    )
    board = (BOARD / "board.c").read_text()
    kinds = {"float32": "float", "int8": "int8_t", "int32": "int32_t"}
    for word, text in {
        "figures[2]": f"figures[{2 + marks}]",
        "figures[1] = ticks > figures[1] ? ticks : figures[1];": (
            f"if (ticks > figures[1]) {{ figures[1] = ticks; for (int k = 0; k < {marks}; ++k) "
            "figures[2 + k] = net_marks[k]; }"
        ),
        "static NAME_scratch scratch;": f"static NAME_scratch scratch; extern volatile uint32_t net_marks[{marks}];",
        "INPUT row": f"{'uint8_t' if whole else 'float'} row",
        "SCORE": kinds[program.output.dtype],
        "UPPER": "NET",
        "NAME": "net",
    }.items():
        assert word in board
        board = board.replace(word, text)
    (folder / "board.c").write_text(board)
    target = TARGETS[core]
    net = compile_object(target, folder / "net.c", strict=False)
    harness = compile_object(target, folder / "board.c", extra=("-std=gnu99",), strict=False)
    execute(target, link(target, [harness, net], BOARD / "board.ld"))
    _, total, first, *times = np.fromfile(folder / "figures", dtype=np.uint32).tolist()
    times = [first or 2**24, *times]  # a clock that was just set to zero begins at its end
    taken = [CLOCK * (one - two) - MARK for one, two in pairwise(times)]
    return {"total": total * CLOCK - MARK * marks, "steps": taken}


def marked(text: str, marks: int) -> str:
    """Code that notes the clock before each step and at the end."""
    head, begin, rest = text.partition("net_scores(")
    before, body, after = rest.partition("\n}\n")
    lines, made, at = before.split("\n"), [], 0
    here = '__asm__ volatile("" ::: "memory");'  # the compiler moves nothing across
    mark = f"    {here} net_marks[{{}}] = *(volatile uint32_t *)0xE000E018u; {here}"
    for place, line in enumerate(lines):
        block = line == "    {" and lines[place + 1].startswith("        /* ")
        if block or re.match(r"    (/\* |return )", line):
            made.append(mark.format(at))
            at += 1
        made.append(line)
    assert at == marks, (at, marks)
    declared = head.rpartition("\n")
    head = f"{declared[0]}\nextern volatile uint32_t net_marks[];\nvolatile uint32_t net_marks[{marks}];\n{declared[2]}"
    return head + begin + "\n".join(made) + body + after


def kept() -> dict[tuple[str, int, str, str], dict[str, Any]]:
    if not KEPT.is_file():
        return {}
    rows = [json.loads(line) for line in KEPT.read_text().splitlines()]
    return {(one["part"], one["seed"], one["numbers"], one["core"]): one for one in rows}


def collect(part: Part, number: int) -> None:
    """Measure what was not yet."""
    done = kept()
    for seed in range(number):
        for numbers in NUMBERS:
            missing = [core for core in CORES if (part, seed, numbers, core) not in done]
            if not missing:
                continue
            generated, rows = code_of(part, seed, numbers)
            for core in missing:
                with tempfile.TemporaryDirectory() as folder:
                    found = measure(generated, rows, core, Path(folder))
                line = {"part": part, "seed": seed, "numbers": numbers, "core": core, **found}
                with KEPT.open("a") as file:
                    file.write(json.dumps(line) + "\n")


def equations(part: Part, numbers: speed.Numbers, number: int) -> Iterator[tuple[int, list[Terms], Terms]]:
    """Terms of the steps of each network, and of it as a whole."""
    for seed in range(number):
        generated, _ = code_of(part, seed, numbers)
        program, stored = generated.layout.program, generated.layout.stored
        each = operation_terms(program, stored)
        together = [
            sum((each[op] for op in step), Terms()) for step in steps(program.ops) if not isinstance(step[-1], Join)
        ]
        yield seed, together, program_terms(program, stored)


def fit(number: int) -> dict[str, Any]:
    """Instructions of each term, by core and type: non-negative least squares of relative errors."""
    found: dict[str, Any] = {core: {} for core in CORES}
    measured = kept()
    for numbers in NUMBERS:
        made = [*equations("fit", numbers, number)]
        for core in CORES:
            systems = []
            for seed, parts, whole in made:
                one = measured[("fit", seed, numbers, core)]
                assert len(parts) == len(one["steps"]), (seed, numbers)
                systems += [*zip(parts, one["steps"], strict=True), (whole, one["total"])]
            found[core][numbers] = solved(systems, soft=numbers == "float32" and core != "cortex-m4")
    for core in CORES:
        about = upright(core)  # the same function for both
        for numbers in NUMBERS:
            found[core][numbers] |= about
    return found


def upright(core: str) -> dict[str, float]:
    """Of what puts images upright, which no network of the fit has: the difference that it makes to a small one."""
    systems = []
    for channels, height, width in ((1, 16, 16), (1, 28, 28), (3, 17, 21), (1, 20, 40), (3, 32, 32)):
        shape, mean, std = (channels, height, width), (30.0,) * channels, (70.0,) * channels
        preprocess = ImagePreprocess(*shape, mean, std, "uint8")
        spec = TaskSpec("classification", "image", shape, 2, 1000)
        values = {**TEMPLATES["mlp"].baseline(spec), "width": 2, "depth": 1}
        model = TEMPLATES["mlp"].build(values, spec)
        network = finished(model, FromTemplate("mlp", values), spec, preprocess)
        rows = torch.zeros(6, *shape, dtype=torch.uint8)
        for place, one in enumerate(rows):
            for y in range(2, height - 3):
                one[:, y, (2 + place + y * (place + 1) // 6) % (width - 3) :][..., :3] = 200
        slanted = replace(network, preprocess=replace(preprocess, straighten=Straighten(0)))
        with_it, without = (verify(each, TARGETS[core], rows).instructions or 0 for each in (slanted, network))
        terms = {"upright": 1, "upright:line": channels * height, "upright:number": channels * height * width}
        systems.append((Terms(terms), with_it - without))
    return solved(systems, soft=False)


def solved(systems: list[tuple[Terms, int]], *, soft: bool) -> dict[str, float]:
    """``soft``: products are calls of functions."""
    names = sorted({name for terms, _ in systems for name in terms if soft or not name.startswith("multiply")})
    place = {name: at for at, name in enumerate(names)}
    matrix, right = np.zeros((len(systems), len(names))), np.zeros(len(systems))
    for at, (terms, taken) in enumerate(systems):
        weight = 1.0 / (max(taken, 0) + 10 * CLOCK)  # the clock of the board is coarse
        for name, number in terms.items():
            if name in place:
                matrix[at, place[name]] = weight * number
        right[at] = weight * taken
    lengths = np.sqrt((matrix**2).sum(axis=0)) + 1e-300
    # Where no two networks tell the loops of a function apart, the innermost has all of it.
    outer = np.diag([TIE * name.endswith((":row", ":block")) for name in names])
    system = np.concatenate([matrix / lengths, outer]), np.concatenate([right, np.zeros(len(names))])
    answer, _ = nnls(*system, maxiter=100 * len(names))
    return {name: round(float(value), 4) for name, value in zip(names, answer / lengths, strict=True)}


def errors(number: int) -> list[dict[str, Any]]:
    """Relative errors of estimates on the networks that were held out."""
    measured, rows = kept(), []
    for numbers in NUMBERS:
        wholes = {seed: whole for seed, _, whole in equations("held", numbers, number)}
        for core in CORES:
            off = []
            for seed, whole in wholes.items():
                true = measured[("held", seed, numbers, core)]["total"]
                off.append(abs(speed.estimated(whole, core, numbers) / true - 1.0))
            bar = 0.1 if (core, numbers) == ("cortex-m4", "float32") else 0.2
            for name, value in (("median", statistics.median(off)), ("worst", max(off))):
                rows.append(
                    row(f"{core}, {numbers}: {name} error", [value], unit="fraction", bar=bar) | {"n": len(off)}
                )
            print(core, numbers, f"median {statistics.median(off):.3f}, worst {max(off):.3f}", flush=True)
    return rows


def main() -> None:
    """Write the table, or its errors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--held", action="store_true")
    parser.add_argument("--networks", type=int, default=None)
    given = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    number = given.networks or (HELD if given.held else FIT)
    if not given.held:
        collect("fit", number)
        version = subprocess.run(["arm-none-eabi-gcc", "--version"], capture_output=True, text=True, check=True)
        document = {"compiler": f"{version.stdout.splitlines()[0]}, -O2", **fit(number)}
        speed.TABLE.write_text(json.dumps(document, indent=1) + "\n")
        return
    collect("held", number)
    command = "python benchmarks/instructions.py && python benchmarks/instructions.py --held"
    write("instructions", errors(number), command=command, seconds=time.monotonic() - began)


if __name__ == "__main__":
    main()
