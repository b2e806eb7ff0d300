"""The main job through the command line, on real data: test error, budget, and the time it takes.

    python benchmarks/main_job.py [ROW ...] [--half] [--kept]

Each run is kept in ``results/main_job.rows.json`` and not made again while the package's source is the same. Two
processes may share the work, each with rows of its own and a core of its own (``taskset -c 0``): the figures tell how
many cores a row had. ``--half`` runs every row's first seed on one core, to see that the promised minutes hold on a
machine half as fast. ``--kept`` measures nothing: it writes the result from the rows that are there, whatever source
they were measured with, each with its commit.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import SHARED, Measured, row, write


@dataclass(frozen=True)
class Case:
    """One command of the table: its data, its budget, and the bar for the mean test figure over ``seeds``."""

    name: str
    data: str
    max_params: int
    minutes: float
    bar: float
    seeds: tuple[int, ...]
    regression: bool = False


CASES = (
    Case("digits", "digits", 1500, 2, 0.006, (0, 1, 2)),
    Case("letter", f"{SHARED}/tabular/letter.csv.gz", 20_000, 10, 0.024, (0,)),
    Case("satellite", f"{SHARED}/tabular/satellite.csv.gz", 2000, 5, 0.080, (0, 1, 2)),
    Case("california_housing", f"{SHARED}/tabular/california_housing.csv.gz", 4500, 5, 0.815, (0, 1, 2), True),
    Case("mnist", f"{SHARED}/mnist.npz", 5300, 20, 0.0040, (0,)),
)


def run(case: Case, seed: int, *, cores: int | None) -> dict[str, Any]:
    """One run of the command line in a fresh folder: its summary, its seconds, and its exit code."""
    folder = Path(tempfile.mkdtemp(prefix="main-job-"))
    command = ["synth", case.data, "--max-params", str(case.max_params), "--minutes", f"{case.minutes:g}"]
    words = [sys.executable, "-m", "steerage", *command, "--seed", str(seed), "--out", str(folder / "run"), "--json"]
    if cores is not None:
        words = ["taskset", "-c", ",".join(map(str, range(cores))), *words]
    began = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if done.returncode != 0:
        raise SystemExit(f"{case.name}, seed {seed}: exit code {done.returncode}\n{done.stderr}")
    summary = json.loads(done.stdout)
    shutil.rmtree(folder)
    return {"seconds": seconds, "summary": summary, "cores": cores or len(os.sched_getaffinity(0))}


def figures(case: Case, runs: list[dict[str, Any]], *, suffix: str = "") -> list[dict[str, Any]]:
    """Rows of the result file for one case."""
    metric, unit = ("r2", "R²") if case.regression else ("error", "fraction")
    summaries = [one["summary"] for one in runs]
    name = case.name + suffix
    rows = [
        row(
            f"{name}: test {metric}",
            [one[metric]["test"] for one in summaries],
            unit=unit,
            bar=case.bar,
            at_least=case.regression,
        ),
        row(f"{name}: parameters", [one["params"] for one in summaries], unit="parameters", bar=case.max_params),
        row(f"{name}: cores", [one["cores"] for one in runs], unit="cores", bar=None),
        row(
            f"{name}: seconds, longest run",
            [max(one["seconds"] for one in runs)],
            unit="s",
            bar=case.minutes * 60 * 1.15 + 20,
        ),
        row(
            f"{name}: the program's own share of the time",
            [one["summary"]["seconds"]["own"] / one["seconds"] for one in runs],
            unit="fraction",
            bar=0.05,
        ),
    ]
    for stage in ("baseline", "after_search"):
        values = [one[stage][metric]["test"] for one in summaries if one.get(stage)]
        rows.append(row(f"{name}: {stage} test {metric}", values, unit=unit, bar=None))
        costs = [one[stage]["params"] for one in summaries if one.get(stage)]
        rows.append(row(f"{name}: {stage} parameters", costs, unit="parameters", bar=None))
    commits = ", ".join(sorted({one["commit"] for one in runs}))
    return [one | {"commit": commits} for one in rows]


def main(words: list[str]) -> None:
    half, kept = "--half" in words, "--kept" in words
    wanted = [word for word in words if not word.startswith("--")]
    name = "main_job_half" if half else "main_job"
    measured, rows, total = Measured(name), [], 0.0
    for case in CASES:
        runs = []
        for seed in case.seeds[:1] if half else case.seeds:
            key = f"{case.name}-{seed}"
            if (found := measured.get(key, any_source=kept)) is None:
                if kept or (wanted and case.name not in wanted):
                    continue
                measured.put(key, run(case, seed, cores=1 if half else None))
                found = measured.get(key)
                assert found is not None, "commit the source before measuring"
                print(
                    key, json.dumps({**found["summary"].get("error", {}), **found["summary"].get("r2", {})}), flush=True
                )
            runs.append(found)
        if runs:
            rows += figures(case, runs)
            total += sum(one["seconds"] for one in runs)
    print(write(name, rows, command="python benchmarks/main_job.py" + (" --half" if half else ""), seconds=total))


if __name__ == "__main__":
    main(sys.argv[1:])
