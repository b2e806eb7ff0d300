"""Time of a row on this machine: generated code and ONNX Runtime, one thread, in turns in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from common import row

from device_rows.library import Library
from device_rows.networks import kept, kind, rows_of
from steerage.export.c import Options, generate
from steerage.export.graph import INPUT, OUTPUT, batches, onnx_graph
from steerage.export.runtime import session

ROWS = 64
ROUNDS = 60
ROUND_SECONDS = 0.01
FLAGS = (("-O2",), ("-O3", "-march=native"))
RUNTIME = "onnxruntime"
BARS = {"feed-forward": 10.0, "convolutional": 1.5}


def measured_of(name: str, runs: Path) -> dict[str, Any]:
    """Microseconds a row of each way: median and quartiles over rounds; times that the code is faster, by round."""
    net = kept(name, runs)
    rows = rows_of(name, net, "test")[0][:ROWS].float()
    ways: dict[str, Callable[[int], None]] = {}
    for prefer in ("flash", "speed"):
        generated = generate(net, name="net", options=Options(prefer=prefer))  # type: ignore[arg-type]
        for flags in FLAGS:
            ways[f"C, --prefer {prefer}, gcc {' '.join(flags)}"] = Library(generated, "gcc", flags, rows)
    runner = session(onnx_graph(net).SerializeToString())
    ways[f"{RUNTIME}, run"] = plain(runner, [{INPUT: one.numpy()} for one in batches(rows, 1)])
    ways[f"{RUNTIME}, bound"] = bound(runner, [one.numpy() for one in batches(rows, 1)], net.spec.outputs)
    taken: dict[str, list[float]] = {way: [] for way in ways}
    times = {way: repeats(call) for way, call in ways.items()}
    for _ in range(ROUNDS):
        for way, call in ways.items():
            taken[way].append(clocked(call, times[way]) / (times[way] * ROWS) * 1e6)
    found: dict[str, Any] = {}
    for way, values in taken.items():
        low, median, high = statistics.quantiles(values, n=4)
        found[way] = {"low": low, "median": median, "high": high}
    ours, theirs = (
        min((way for way in ways if way.startswith(word)), key=lambda way: found[way]["median"])
        for word in ("C", RUNTIME)
    )
    ratios = [their / our for our, their in zip(taken[ours], taken[theirs], strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4)
    return {
        "ways": found,
        "ours": ours,
        "theirs": theirs,
        "times": {"low": low, "median": median, "high": high},
        "kind": kind(name),
    }


def plain(runner: onnxruntime.InferenceSession, inputs: list[dict[str, Any]]) -> Callable[[int], None]:
    def call(times: int) -> None:
        for _ in range(times):
            for one in inputs:
                runner.run([OUTPUT], one)

    return call


def bound(runner: onnxruntime.InferenceSession, inputs: list[Any], outputs: int) -> Callable[[int], None]:
    bindings = []
    for one in inputs:
        binding = runner.io_binding()
        binding.bind_cpu_input(INPUT, one)
        binding.bind_ortvalue_output(
            OUTPUT, onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros((1, outputs), np.float32))
        )
        bindings.append(binding)

    def call(times: int) -> None:
        for _ in range(times):
            for binding in bindings:
                runner.run_with_iobinding(binding)

    return call


def clocked(call: Callable[[int], None], times: int) -> float:
    """CPU seconds, which what else runs on the core takes no part in."""
    began = time.thread_time()
    call(times)
    return time.thread_time() - began


def repeats(call: Callable[[int], None]) -> int:
    """How often all rows make a round."""
    call(1)
    return max(1, round(ROUND_SECONDS / max(1e-7, min(clocked(call, 3) / 3 for _ in range(3)))))


def figures(found: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for way, one in found["ways"].items():
        figure = row(f"x86, µs a row: {way}", [one["median"]], unit="µs", bar=None)
        rows.append(figure | {"low": one["low"], "high": one["high"], "n": ROUNDS})
    times, bar = found["times"], BARS[found["kind"]]
    what = f"x86, times as fast as {found['theirs']}: {found['ours']}"
    ratio = row(what, [times["median"]], unit="ratio", bar=bar, at_least=True)
    return [*rows, ratio | {"low": times["low"], "high": times["high"], "n": ROUNDS}]
