"""The paper's table (STEERAGE, arXiv 1912.05831), one row a command: what it claims, and what is reached here.

    python benchmarks/paper.py [ROW ...] [--runs FOLDER] [--kept]

Each row runs the command that a user would type, seed after seed, and writes ``results/paper_ROW.json``: the test error
of what was delivered, of the network after the search and of the plain baseline, and what the search cost. Runs are
folders below ``--runs`` (``runs/paper``): one that was cut off goes on where it stopped. ``--kept`` measures nothing.
The network of a row's first seed goes into the zoo.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import ROOT, SHARED, Measured, commits, row, write
from paper_rows import by_chance, cifar, lenet
from paper_rows.kept import ZOO


@dataclass(frozen=True)
class Case:
    """``bar``: for the mean test error of the delivered networks, a fraction. ``options``: of the command line."""

    data: str
    options: tuple[str, ...]
    seeds: tuple[int, ...]
    bar: float | None
    budget: int | None = None
    claim: str = ""
    zoo: str = ""


def mnist(size: int, bar: float, zoo: str, *, seeds: tuple[int, ...] = (0,)) -> Case:
    """The whole pipeline in half an hour."""
    options = ("--template", "cnn", "--max-params", str(size), "--minutes", "30")
    return Case("mnist.npz", options, seeds, bar, size, "0.66% with about 50,000 parameters", zoo)


CASES = {
    "mnist-50k": mnist(50_000, 0.0025, "mnist-50k"),
    "mnist-10k": mnist(10_000, 0.0030, "mnist-10k"),
    "mnist-5k": mnist(5300, 0.0033, "mnist-5k", seeds=(0, 1, 2)),
    "mnist-3k": mnist(2700, 0.0045, "mnist-3k"),
    "mnist-1k": mnist(1200, 0.0065, "mnist-1k"),
}


# The paper's rows of full size, which need a machine with a GPU: the claim, and the command that runs the row there.
ELSEWHERE = {
    "CIFAR-10, ResNet-18": (
        "2.52 points above ResNet-18 at its parameters and FLOPs (95.54% against 93.02%)",
        "steerage synth cifar10.parquet --like resnet18 --trials 200 --epochs 200 --minutes 600",
    ),
    "CIFAR-10, 40 layers": (
        "3.86% error with 40 layers",
        "steerage synth cifar10.parquet --template resnet --depth 40 --trials 200 --epochs 200 --minutes 600",
    ),
    "CIFAR-10, ResNet-101": (
        "1.74 points above ResNet-101, and 0.16 above ResNet-1001, with the network of the first row",
        "steerage synth cifar10.parquet --like resnet101 --max-params 11.2M --max-macs 560M --trials 200 --epochs 200",
    ),
}
OTHER_CLAIMS = {
    lenet.NAME: "LeNet-5 with 431,080 parameters, about 0.8%: what its figures for MNIST are told against",
    cifar.NAME: "2.52 points above ResNet-18 at its cost; here, ResNet-20 at 272,474 parameters and 41 M MACs",
}
OTHERS: dict[str, Callable[..., list[dict[str, Any]]]] = {lenet.NAME: lenet.figures, cifar.NAME: cifar.figures}


def command_of(name: str) -> str:
    """What a user would type for the first seed of a row."""
    return " ".join(["steerage", "synth", CASES[name].data, *CASES[name].options])


def run(name: str, case: Case, seed: int, folder: Path) -> dict[str, Any]:
    """The summary of one run, which is called again while it says that it has not come to its end."""
    data = f"../{SHARED.relative_to(ROOT.parent)}/{case.data}"
    words = ["synth", data, *case.options, "--seed", str(seed), "--out", str(folder), "--json"]
    while True:
        done = subprocess.run([sys.executable, "-m", "steerage", *words], cwd=ROOT, capture_output=True, text=True)
        if done.returncode == 0:
            cores = len(os.sched_getaffinity(0))
            return {"summary": json.loads(done.stdout), "command": command_of(name), "cores": cores}
        if done.returncode != 3:
            raise SystemExit(f"{name}, seed {seed}: exit code {done.returncode}\n{done.stderr}")


def keep(name: str, folder: Path) -> None:
    """Put the network of a run into the zoo, with what was asked and what came of it."""
    place = ZOO / name
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder / "network", place / "network")
    shutil.copy(folder / "summary.json", place / "summary.json")
    asked = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    asked["command"] = command_of(name)  # and not where it was measured
    (place / "run.json").write_text(json.dumps(asked, indent=2) + "\n", encoding="utf-8")


def figures(name: str, case: Case, runs: list[dict[str, Any]], chance: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Rows of the result file; ``chance``: what random candidates came to beside the search of the first seed."""
    summaries = [one["summary"] for one in runs]
    rows = [
        row(f"{name}: test error", [one["error"]["test"] for one in summaries], unit="fraction", bar=case.bar),
        row(f"{name}: parameters", [one["params"] for one in summaries], unit="parameters", bar=case.budget),
        row(f"{name}: MACs", [one["macs"] for one in summaries], unit="parameters", bar=None),
    ]
    for stage in ("after_search", "baseline"):
        if all(one.get(stage) for one in summaries):
            errors = [one[stage]["error"]["test"] for one in summaries]
            rows.append(row(f"{name}: {stage} test error", errors, unit="fraction", bar=None))
            sizes = [one[stage]["params"] for one in summaries]
            rows.append(row(f"{name}: {stage} parameters", sizes, unit="parameters", bar=None))
    rows.append(row(f"{name}: trials", [one["trials"] for one in summaries], unit="trials", bar=None))
    hours = [one["seconds"]["total"] / 3600 for one in summaries]
    rows.append(row(f"{name}: hours", hours, unit="hours", bar=None))
    rows.append(row(f"{name}: cores", [one["cores"] for one in runs], unit="cores", bar=None))
    if chance is not None:
        rows += by_chance.figures(name, chance)
    about = {"claim": case.claim, "asked": runs[0]["command"]} | commits(runs)
    return [one | about for one in rows]


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description="The paper's table, measured.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join([*CASES, *OTHERS]))
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "paper")
    parser.add_argument("--kept", action="store_true", help="measure nothing, use what is there")
    parser.add_argument("--epochs", type=int, default=cifar.EPOCHS, help=f"of the trainings of {cifar.NAME}")
    parser.add_argument(
        "--kinds",
        nargs="+",
        default=cifar.ALL,
        choices=cifar.ALL,
        help=f"of {cifar.NAME}",
    )
    asked = parser.parse_args(words)
    if unknown := [name for name in asked.rows if name not in (*CASES, *OTHERS)]:
        parser.error(f"rows are {', '.join([*CASES, *OTHERS])}, got {', '.join(unknown)}")
    measured = Measured("paper")
    for name in asked.rows or [*CASES, *OTHERS]:
        if name in OTHERS:
            own = {"epochs": asked.epochs, "asked": asked.kinds} if name == cifar.NAME else {}
            file = cifar.named(asked.epochs) if own else name
            if rows := OTHERS[name](measured, asked.runs.resolve(), kept=asked.kept, **own):
                hours = sum(one["value"] * one["n"] for one in rows if one["unit"] == "hours")
                print(write(f"paper_{file}", rows, command=f"benchmarks/paper.py {name}", seconds=3600 * hours))
            continue
        case, runs = CASES[name], []
        for seed in case.seeds:
            key, folder = f"{name}-{seed}", asked.runs.resolve() / f"{name}-{seed}"
            found = measured.get(key, any_source=True)  # half an hour each: they stay, with the commit they are of
            if found is None and not asked.kept:
                measured.put(key, run(name, case, seed, folder))
                found = measured.get(key, any_source=True)
                if seed == case.seeds[0] and case.zoo:
                    keep(case.zoo, folder)
            if found is not None:
                runs.append(found)
                print(key, json.dumps(found["summary"]["error"]), flush=True)
        key = f"{name} by chance"
        if runs and measured.get(key, any_source=True) is None and not asked.kept:
            folder = asked.runs.resolve()
            measured.put(key, by_chance.best_of(folder / f"{name}-0", SHARED / case.data, checkpoints=folder))
        if runs:
            seconds = sum(one["summary"]["seconds"]["total"] for one in runs)
            print(
                write(
                    f"paper_{name}",
                    figures(name, case, runs, measured.get(key, any_source=True)),
                    command=f"benchmarks/paper.py {name}",
                    seconds=seconds,
                )
            )


if __name__ == "__main__":
    main(sys.argv[1:])
