"""What learning from made-up rows brings: ``synth`` on tables with it and without, seed by seed.

    python benchmarks/distillation.py [TABLE ...] [--kept]

Each table is the training part of the one in ``benchmarks/tabular.py``, whose test rows choices must not see; of that
part a fifth are the test rows here. Both have the same minutes, so what it costs is in the comparison. The seed draws
validation rows and weights; the test rows are the same. One core each; goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from common import Measured, commits, row, write
from tabular_rows.ours import error_of, synthesized
from tabular_rows.table import DATA, load, path_of

KINDS = {"with": (), "without": ("--no-distill",)}
SEEDS, MINUTES = (0, 1, 2), 2.0


def training_part(table: str) -> pd.DataFrame:
    """The training rows, target last."""
    whole = load(path_of(table))
    target = [f"class {code}" for code in whole.y] if whole.classes else whole.y
    return whole.x.assign(target=target)


def run(table: str, kind: str, seed: int) -> dict[str, Any]:
    """Errors of one run, the losses of its trainings outside the search, and how long it took."""
    with tempfile.TemporaryDirectory(prefix="distillation-") as folder:
        out = Path(folder) / "run"
        data = Path(folder) / f"{table}.csv"
        training_part(table).to_csv(data, index=False)
        words = ["--minutes", f"{MINUTES:g}", "--seed", str(seed), "--jobs", "1", *KINDS[kind]]
        summary = synthesized(str(data), *words, out=out)
        told = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    losses = {one["name"]: one["loss"] for one in told if one["event"] == "NetworkTrained"}
    return {
        "error": error_of(summary),
        "validation": error_of(summary, "validation"),
        "params": summary["params"],
        "losses": losses,
        "seconds": summary["seconds"]["total"],
        "cores": len(os.sched_getaffinity(0)),
    }


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Tables with and without distillation.")
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(DATA))
    parser.add_argument("--kept", action="store_true", help="measure nothing, use what is there")
    asked = parser.parse_args(words)
    if unknown := [name for name in asked.tables if name not in DATA]:
        parser.error(f"tables are {', '.join(DATA)}; got {', '.join(unknown)}")
    measured, rows, seconds, gains = Measured("distillation"), [], 0.0, list[float]()
    for seed in SEEDS:
        for table in asked.tables or DATA:
            for kind in KINDS:
                key = f"{table}, {kind}, {seed}"
                if measured.get(key, any_source=True) is None and not asked.kept:
                    measured.put(key, run(table, kind, seed))
                    print(key, measured.get(key, any_source=True)["error"], flush=True)  # type: ignore[index]
    for table in DATA:
        unit = "rmse" if table == "california_housing" else "fraction"
        found: dict[str, list[dict[str, Any]]] = {}
        for kind in KINDS:
            several = [measured.get(f"{table}, {kind}, {seed}", any_source=True) for seed in SEEDS]
            found[kind] = [one for one in several if one is not None]
            if found[kind]:
                about = commits(found[kind])
                for what, key in (("test error", "error"), ("parameters", "params")):
                    name, values = f"{table}: {kind} it, {what}", [one[key] for one in found[kind]]
                    rows.append(row(name, values, unit=unit if key == "error" else "parameters", bar=None) | about)
                seconds += sum(one["seconds"] for one in found[kind])
        pairs = list(zip(found["with"], found["without"], strict=False))
        if pairs:
            ratios = [one["error"] / other["error"] for one, other in pairs]
            gains.append(sum(ratios) / len(ratios))
            rows.append(row(f"{table}: error with it over that without", ratios, unit="ratio", bar=None))
    if gains:
        rows.append(row("all tables: mean of error with it over that without", gains, unit="ratio", bar=1.0))
    print(write("distillation", rows, command="python benchmarks/distillation.py", seconds=seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
