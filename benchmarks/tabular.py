"""Tables against LightGBM: test error and serialized size, with other perceptrons beside.

    python benchmarks/tabular.py [ROW ...] [--kept]

A ROW is a data set (``letter``), a method (``lightgbm``), or one of both (``letter-lightgbm``). Each is kept in
``results/tabular.rows.json`` as it is measured, with its commit, and not measured again while the package's source is
the same; rivals do not depend on it. ``--kept`` measures nothing: it writes the result from the rows that are there.

All methods have the same training and test rows. steerage is ``steerage synth DATA --minutes 5`` with its defaults, and
its size that of the bundle, preprocessing included; LightGBM's is its text file, gzip beside it; perceptrons are the
weights alone, in float32 safetensors.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common import Measured, row, write
from tabular_rows import rivals
from tabular_rows.ours import error_of, synthesized
from tabular_rows.table import DATA, load, path_of

MINUTES = 5.0
OURS, TREES = "steerage", "lightgbm"
BELOW, WORST, SMALLER = 5, 1.10, 50.0  # data sets of seven; times LightGBM's error; times its bytes


def ours(name: str) -> dict[str, Any]:
    """What the command line delivers, in a fresh folder."""
    with tempfile.TemporaryDirectory(prefix="tabular-") as folder:
        run = Path(folder) / "run"
        began = time.monotonic()
        summary = synthesized(path_of(name), "--minutes", f"{MINUTES:g}", out=run)
        seconds = time.monotonic() - began
        size = sum(file.stat().st_size for file in (run / "network").iterdir())
    return {
        "error": error_of(summary),
        "seconds": seconds,
        "bytes": size,
        "flash": summary["flash_bytes"],
        "params": summary["params"],
        "trials": summary["trials"],
        "values": summary["values"],
        "cores": len(os.sched_getaffinity(0)),
    }


METHODS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    OURS: ours,
    TREES: lambda name: rivals.trees(load(path_of(name))),
    "sklearn": lambda name: rivals.perceptron(load(path_of(name))),
    "optuna": lambda name: rivals.tuned(load(path_of(name)), minutes=MINUTES),
}


def figures(found: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the result file, by data and method; first what all of them together come to."""
    rows: list[dict[str, Any]] = []
    compared = [name for name in DATA if (name, OURS) in found and (name, TREES) in found]
    errors = {name: found[name, OURS]["error"] / found[name, TREES]["error"] for name in compared}
    sizes = {name: found[name, TREES]["bytes"] / found[name, OURS]["bytes"] for name in compared}
    if compared:
        below = sum(ratio < 1.0 for ratio in errors.values())
        every = len(compared) == len(DATA)  # the bars are for all seven
        rows += [
            row("data sets compared", [len(compared)], unit="rows", bar=None),
            row("error below LightGBM's", [below], unit="rows", bar=BELOW if every else None, at_least=True),
            row("error over LightGBM's, highest", [max(errors.values())], unit="ratio", bar=WORST),
            row("LightGBM's bytes over ours, lowest", [min(sizes.values())], unit="ratio", bar=SMALLER, at_least=True),
        ]
    for name in DATA:
        if name in errors:
            rows.append(row(f"{name}: error over LightGBM's", [errors[name]], unit="ratio", bar=WORST))
            smaller = f"{name}: LightGBM's bytes over ours"
            rows.append(row(smaller, [sizes[name]], unit="ratio", bar=SMALLER, at_least=True))
        for method in METHODS:
            if (one := found.get((name, method))) is None:
                continue
            unit = "rmse" if name == "california_housing" else "fraction"
            told = [("test error", one["error"], unit), ("bytes", one["bytes"], "bytes")]
            told += [
                (what, one[key], unit)
                for what, key, unit in (
                    ("bytes, gzip", "bytes_gzip", "bytes"),
                    ("flash of the C code", "flash", "bytes"),
                    ("parameters", "params", "parameters"),
                    ("trials", "trials", "rows"),
                    ("cores", "cores", "cores"),
                    ("seconds", "seconds", "s"),
                )
                if one.get(key) is not None
            ]
            for what, value, unit in told:
                rows.append(row(f"{name}: {method}, {what}", [value], unit=unit, bar=None) | {"commit": one["commit"]})
    return rows


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Tables against LightGBM.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"{', '.join(DATA)}; {', '.join(METHODS)}; DATA-METHOD")
    parser.add_argument("--kept", action="store_true", help="measure nothing, use what is there")
    asked = parser.parse_args(words)
    keys = {(name, method): f"{name}-{method}" for name in DATA for method in METHODS}
    known = {*DATA, *METHODS, *keys.values()}
    if unknown := [word for word in asked.rows if word not in known]:
        parser.error(f"rows are {', '.join(sorted(known))}; got {', '.join(unknown)}")
    measured, found = Measured("tabular"), {}
    for (name, method), key in keys.items():
        one = measured.get(key, any_source=asked.kept or method != OURS)
        if one is None and not asked.kept and (not asked.rows or {name, method, key} & {*asked.rows}):
            measured.put(key, METHODS[method](name))
            one = measured.get(key, any_source=True)
            assert one is not None
            print(key, f"error {one['error']:.4f}, {one['bytes']:,} bytes, {one['seconds']:.0f} s", flush=True)
        one = one or measured.get(key, any_source=True)
        if one is not None:
            found[name, method] = one
    seconds = sum(one["seconds"] for one in found.values())
    print(write("tabular", figures(found), command="python benchmarks/tabular.py", seconds=seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
