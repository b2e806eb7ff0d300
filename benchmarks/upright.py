"""What it brings to put drawn images upright (``steerage.data.straighten``), by the size of the network.

    python benchmarks/upright.py [CASE ...]

Networks of template cnn, pruned to a budget in so many epochs, on MNIST as it is and upright: loss and error on 10,000
validation rows, and on as many of those that were learnt. Goes on where it stopped. One thread.
"""

from __future__ import annotations

import argparse
import sys
import time

import torch
from common import SHARED, Measured, commits, row, write
from taught import HELD, TEACHER_SEED, UNITS, Pupil, trained, values_of

from steerage.cost.budget import Budget
from steerage.data.load import load_dataset
from steerage.data.straightened import straightened
from steerage.synthesis.candidate import Bench
from steerage.synthesis.clock import RunClock
from steerage.templates.registry import load_template

CASES = {  # by the networks of taught.py
    "flat-1k": (Pupil(1200, 10, (1, 2, 3)),),
    "bet-3k": (Pupil(2700, 10, (1, 2)),),
    "second-5k": (Pupil(5300, 8, (1, 2)), Pupil(5300, 20)),
}
HOW = {"as they are": False, "upright": True}


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Networks for images as they are, and put upright.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--kept", action="store_true", help="measure nothing, use what is there")
    options = parser.parse_args(words)
    if unknown := [name for name in options.cases if name not in CASES]:
        parser.error(f"cases are {', '.join(CASES)}, got {', '.join(unknown)}")
    began, measured, rows = time.monotonic(), Measured("upright"), []
    torch.set_num_threads(1)
    plain, template = load_dataset(str(SHARED / "mnist.npz")), load_template("cnn")
    order = torch.randperm(len(plain.y), generator=torch.Generator().manual_seed(TEACHER_SEED))
    for name, pupils in CASES.items():
        for pupil in pupils:
            found: dict[str, list[dict[str, float]]] = {how: [] for how in HOW}
            for seed in pupil.seeds:
                for how, wanted in HOW.items():
                    key = f"{name}, {pupil.epochs} epochs, {how}, {seed}"
                    known = measured.get(key, any_source=True)
                    if known is None and not options.kept and (not options.cases or name in options.cases):
                        dataset = straightened(plain, wanted)
                        bench = Bench(dataset, template, Budget(pupil.params), order[HELD:], order[:HELD], RunClock())
                        _, figures = trained(bench, values_of(name, dataset), pupil, seed=seed)
                        measured.put(key, figures)
                        print(key, figures, flush=True)
                        known = measured.get(key, any_source=True)
                    if known is not None:
                        found[how].append(known)
            for how, ones in found.items():
                for what, unit in UNITS.items() if ones else ():
                    label = f"{name}, {pupil.epochs} epochs, {how}: {what}"
                    rows.append(row(label, [one[what] for one in ones], unit=unit, bar=None) | commits(ones))
    print(write("upright", rows, command="python benchmarks/upright.py", seconds=time.monotonic() - began))


if __name__ == "__main__":
    main(sys.argv[1:])
