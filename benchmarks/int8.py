"""What 8-bit integers cost and save beside floats: errors, flash, RAM and instructions of generated code, in QEMU.

    python benchmarks/int8.py

Networks of several templates, trained briefly here, and the one that comes with the program. Ranges are those of
training rows; errors are on test rows, that nothing was chosen by. Needs arm-none-eabi-gcc and qemu-system-arm.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from common import SHARED, Measured, row, write
from torch import Tensor

import steerage
from steerage.bundle import Network
from steerage.cost.budget import Budget
from steerage.data import load_dataset, load_labelled
from steerage.export.c import Options, quantize, verify
from steerage.export.c.quantized import error_of
from steerage.export.c.toolchain import TARGETS
from steerage.growprune import schemes
from steerage.synthesis.as_network import as_network
from steerage.synthesis.candidate import Bench, compacted, synthesize_candidate
from steerage.synthesis.clock import RunClock
from steerage.templates import TEMPLATES
from steerage.training.split import validation_split

CORES = ("cortex-m4", "cortex-m3", "cortex-m0")
RUN = 12  # rows that are emulated


@dataclass(frozen=True)
class Task:
    """A network to train: a starting point of a template, pruned to a budget; of the zoo where there is no template."""

    name: str
    data: str
    template: str = ""
    start: int = 0
    params: int = 0
    epochs: int = 0
    genes: tuple[tuple[str, Any], ...] = ()


TABLES = SHARED / "tabular"
TASKS = (
    Task("digits, zoo:digits-1500", "digits"),
    Task("satellite, mlp", str(TABLES / "satellite.csv.gz"), "mlp", 1, 2_000, 60),
    Task("California housing, mlp", str(TABLES / "california_housing.csv.gz"), "mlp", 1, 2_000, 40),
    Task("digits, resnet", "digits", "resnet", 0, 4_000, 120, (("width", 8), ("shortcut", "projection"))),
    Task("digits, mobile", "digits", "mobile", 0, 4_000, 80, (("width", 0.25),)),
)


def in_units(net: Network, scores: torch.Tensor) -> torch.Tensor:
    """Of a regression in the units of its target."""
    return net.in_units(scores) if net.spec.task == "regression" else scores


def network(task: Task) -> Network:
    """Trained for a few minutes at most."""
    if not task.template:
        return steerage.load(task.name.split()[-1])
    dataset, template = load_dataset(task.data), TEMPLATES[task.template]
    rows, validation = validation_split(dataset, 0)
    bench = Bench(dataset, template, Budget(max_params=task.params), rows, validation, RunClock())
    values = {**template.starts(dataset.spec)[task.start], **dict(task.genes)}
    scheme = schemes.gradual(exchange=0.2)
    found = synthesize_candidate(bench, values, name=task.name, seed=0, epochs=task.epochs, scheme=scheme)
    trained = compacted(found, bench)
    return as_network(bench, values, trained, {})


def figures(task: Task) -> dict[str, float]:
    """By name, "int8" or "float" at the end."""
    net = network(task)
    known = {"preprocess": net.preprocess, "classes": net.classes, "target_name": net.target_name}
    x, y = load_labelled(task.data, **known, task=net.spec.task, part="train")  # type: ignore[arg-type]
    rows, labels = load_labelled(task.data, **known, task=net.spec.task)  # type: ignore[arg-type]
    assert y is not None and labels is not None
    made = quantize(net, x, labels=y)
    plain = quantize(net, x)

    def error(scores: Tensor) -> float:
        units = net.in_units(scores) if net.spec.task == "regression" else scores
        return error_of(units, labels, task=net.spec.task)

    kind = "error" if net.spec.task == "classification" else "1 - R²"
    found = {
        "parameters": float(net.cost.params),
        f"{kind}, float": error(net.scores(rows).double()),
        f"{kind}, int8": error(made.scores(rows)),
        f"{kind}, int8 without training on": error(plain.scores(rows)),
        "rows": float(len(rows)),
    }
    for core in CORES:
        for name, int8 in (("float", None), ("int8", made)):
            done = verify(net, TARGETS[core], rows[:RUN], options=Options(), int8=int8)
            assert done.tables is not None and done.code is not None and done.library is not None
            assert done.stack is not None and done.instructions is not None
            found |= {
                f"flash on a {core}, {name}": float(done.tables + done.code + done.library),
                f"tables, {name}": float(done.tables),
                f"RAM on a {core}, {name}": float(done.scratch + done.stack),
                f"scratch, {name}": float(done.scratch),
                f"instructions on a {core}, {name}": float(done.instructions),
            }
    return found


def rows_of(name: str, found: dict[str, float]) -> Iterator[dict[str, Any]]:
    """Figures of one network, and ratios of them."""
    for what, value in found.items():
        first = what.split()[0].rstrip(",")
        unit = {"parameters": first, "rows": first, "instructions": first, "error": "fraction", "1": "fraction"}.get(
            first, "bytes"
        )
        yield row(f"{name}: {what}", [value], unit=unit, bar=None)
    for kind in ("error", "1 - R²"):
        if f"{kind}, float" in found:
            lost = found[f"{kind}, int8"] - found[f"{kind}, float"]
            yield row(f"{name}: {kind}, int8 less float", [lost], unit="fraction", bar=0.005)
    for core in CORES:
        ratio = found[f"instructions on a {core}, float"] / found[f"instructions on a {core}, int8"]
        bar = None if core == "cortex-m4" else 2.0
        name_of = f"{name}: instructions on a {core}, float over int8"
        yield row(name_of, [ratio], unit="ratio", bar=bar, at_least=True)


def main() -> None:
    began, measured, rows = time.monotonic(), Measured("int8"), []
    torch.set_num_threads(1)
    for task in TASKS:
        found = measured.get(task.name)
        if found is None:
            found = figures(task)
            measured.put(task.name, found)
        found.pop("commit", None)
        print(task.name, {name: round(value, 4) for name, value in found.items()}, flush=True)
        rows += rows_of(task.name, found)
    print(write("int8", rows, command="python benchmarks/int8.py", seconds=time.monotonic() - began))


if __name__ == "__main__":
    main()
