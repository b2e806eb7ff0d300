"""What a minute brings where the machine is slow or busy: what is delivered now, beside another commit's.

    python benchmarks/short_runs.py [--beside COMMIT] [DATA ...]

Both commits run at a time, for the same minute, with the same seed: each has what the other and whoever else is at work
leave of the cores, and ``load`` says how many processes wanted them when a pair began. Tables, whose rows a network can
learn by heart; the figures are test errors, 1 - R² where numbers are told. Goes on where it stopped, pair by pair.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import ROOT, SHARED, Measured, commit, commits, row, write

BEFORE = "550e7dd"  # the last training took all the time that was left, whether or not that was seen to help
SEEDS = (0, 1)
MINUTES = 1
# Data, and the parameters that are allowed.
TABLES = {
    "diabetes": 500,
    "vowel": 1500,
    "credit_g": 1000,
    "soybean": 3000,
    "dna": 1500,
    "satellite": 3000,
    "letter": 3000,
    "california_housing": 2000,
}


def source(name: str) -> str:
    file = SHARED / "tabular" / f"{name}.csv.gz"
    return str(file) if file.is_file() else name


def run(source_tree: Path, name: str, seed: int, out: Path) -> subprocess.Popen[bytes]:
    words = ["synth", source(name), "--max-params", str(TABLES[name]), "--minutes", str(MINUTES), "--seed", str(seed)]
    return subprocess.Popen(
        [sys.executable, "-m", "steerage", *words, "--out", str(out)],
        env={**os.environ, "PYTHONPATH": str(source_tree)},
        stdout=subprocess.DEVNULL,
    )


def pair(trees: dict[str, Path], name: str, seed: int, folder: Path) -> dict[str, dict[str, float]]:
    """Figures by commit, of runs at the same time."""
    load = os.getloadavg()[0]
    running = {label: run(tree, name, seed, folder / label) for label, tree in trees.items()}
    codes = {label: process.wait() for label, process in running.items()}
    assert not any(codes.values()), codes
    found = {}
    for label in trees:
        summary = json.loads((folder / label / "summary.json").read_text())
        told = summary["error"]["test"] if "error" in summary else 1.0 - summary["r2"]["test"]
        found[label] = {
            "error": told,
            "epochs": summary["epochs"],
            "seconds": summary["seconds"]["total"],
            "load": load,
        }
    return found


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description="A minute on a busy machine.")
    parser.add_argument("data", nargs="*", metavar="DATA", help=", ".join(TABLES))
    parser.add_argument("--beside", default=BEFORE, metavar="COMMIT")
    asked = parser.parse_args(words)
    if unknown := [name for name in asked.data if name not in TABLES]:
        parser.error(f"data are {', '.join(TABLES)}, got {', '.join(unknown)}")
    began, measured, rows = time.monotonic(), Measured("short_runs"), []
    with tempfile.TemporaryDirectory() as place:
        other = Path(place) / "other"
        subprocess.run(["git", "worktree", "add", "-q", "--detach", str(other), asked.beside], cwd=ROOT, check=True)
        try:
            trees = {commit(): ROOT / "src", asked.beside: other / "src"}
            for name in TABLES:
                for seed in SEEDS if not asked.data or name in asked.data else ():
                    key = f"{name}, {seed}, beside {asked.beside}"
                    if measured.get(key) is None:
                        measured.put(key, {"found": pair(trees, name, seed, Path(place) / f"{name}-{seed}")})
                        print(key, measured.get(key), flush=True)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(other)], cwd=ROOT, check=True)
    for name in TABLES:
        kept = [measured.get(f"{name}, {seed}, beside {asked.beside}", any_source=True) for seed in SEEDS]
        pairs = [one for one in kept if one is not None]
        for label in dict.fromkeys(label for one in pairs for label in one["found"]):
            found = [one["found"][label] for one in pairs if label in one["found"]]
            for what, unit in (("error", "fraction"), ("epochs", "epochs"), ("seconds", "s"), ("load", "processes")):
                figures = row(f"{name}, {label}: {what}", [one[what] for one in found], unit=unit, bar=None)
                rows.append(figures | commits(pairs))
    print(write("short_runs", rows, command="benchmarks/short_runs.py", seconds=time.monotonic() - began))


if __name__ == "__main__":
    main(sys.argv[1:])
