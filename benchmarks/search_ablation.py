"""What each part of the global search is worth: searches in tables of trained networks, one part changed at a time.

    python benchmarks/search_ablation.py [VARIANT ...] [--seeds N] [--tables NAME ...] [--kept]

A training shows one recorded repeat. Told are the regrets after 30 and 60 trials of the candidate that is named, and of
the best that was trained, which has no luck in it. Each run is kept in ``results/search_ablation.rows.json``; two
processes may share the work, each with variants of its own. ``--kept`` measures nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
from common import SHARED, Measured, row, write
from nas_tables import ours
from nas_tables.data import Table, load
from nas_tables.trials import Task, Trials

from steerage.search import belief, gp, predictor, propose
from steerage.search.features import Columns, Matrix
from steerage.search.predictor import Predictor, normal_scores

COUNTS = (30, 60)
WHOLE = "as it is"


class Mixture:
    """The accuracy predictor in the place of the Gaussian process."""

    def __init__(self, fitted: Predictor) -> None:
        self._fitted = fitted

    @staticmethod
    def fit(x: Matrix, y: Matrix, layout: Columns, rng: np.random.Generator) -> Mixture:
        """Fitted to ``y`` itself, not to its ranks."""
        with mock.patch.object(predictor, "normal_scores", lambda values: values):
            return Mixture(Predictor(layout).fit(x, y, rng))

    def predict(self, x: Matrix) -> tuple[Matrix, Matrix]:
        """Mean and standard deviation."""
        return self._fitted.predict(x)


def best_shown(layout: Columns, x: Matrix, errors: Matrix, rng: np.random.Generator, **more: Any) -> belief.Belief:
    """A belief whose best is the best that was shown."""
    found = BELIEF(layout, x, errors, rng, **more)
    return dataclasses.replace(found, best=float((-more["best"] - found.center) / found.unit))


BELIEF = belief.Belief.of
PATCHES: dict[str, Callable[[], contextlib.AbstractContextManager[Any]]] = {
    WHOLE: contextlib.nullcontext,
    "four at a time": lambda: mock.patch.object(ours, "BATCH", 4),
    "start of 20": lambda: mock.patch.object(ours, "START", 20),
    "trees, linear base and process": lambda: mock.patch.object(belief, "GaussianProcess", Mixture),
    # What is believed is no error then, so it has no say in the naming.
    "ranks in place of errors": lambda: mock.patch.multiple(
        propose, tempered=lambda e: -normal_scores(-e), expected_errors=lambda shown, counts, believed: shown
    ),
    "bad errors not drawn in": lambda: mock.patch.object(propose, "tempered", lambda errors: errors),
    "best shown is to be improved on": lambda: mock.patch.object(belief.Belief, "of", best_shown),
    "prior noise a tenth": lambda: mock.patch.object(
        gp, "_prior_mean", lambda layout: PRIOR(layout) + np.eye(len(layout.groups) + 3)[-1] * np.log(5.0)
    ),
    "no random picks": lambda: mock.patch.object(
        ours.product, "propose", functools.partial(propose.propose, exploration=0.0)
    ),
    "named as shown": lambda: mock.patch.object(propose, "expected_errors", lambda shown, counts, believed: shown),
}
PRIOR = gp._prior_mean


@contextlib.contextmanager
def changed(variant: str) -> Iterator[None]:
    """The package with one part changed."""
    with PATCHES[variant]():
        yield


def measure(table: Table, variant: str, seed: int) -> dict[str, Any]:
    """Regrets after each count: of the candidate named, and of the best trained."""
    began = time.process_time()
    with changed(variant):
        trials = Trials(Task(table, seed), max(COUNTS))
        ours.search(trials, lambda *words, **options: ours.product.propose(*words, **options))
        rows, best = list(trials.shown), float(table.truth.max())
        named = [best - float(table.truth[ours.named(trials, rows[:count])[0]]) for count in COUNTS]
    trained = [best - float(table.truth[rows[:count]].max()) for count in COUNTS]
    return {"named": named, "trained": trained, "seconds": round(time.process_time() - began, 2)}


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description="One part of the global search changed at a time.")
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=", ".join(PATCHES))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--tables", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--kept", action="store_true")
    asked = parser.parse_args(words)
    if unknown := [one for one in asked.variants if one not in PATCHES]:
        parser.error(f"variants are {', '.join(PATCHES)}, got {', '.join(unknown)}")
    paths = [path for path in sorted((SHARED / "nas").glob("*.npz")) if not asked.tables or path.stem in asked.tables]
    kept, rows, seconds = Measured("search_ablation"), [], 0.0
    for variant in asked.variants or PATCHES:
        for path in paths:
            found = []
            for seed in range(asked.seeds):
                key = f"{variant}: {path.stem} {seed}"
                one = kept.get(key, any_source=asked.kept)
                if one is None and not asked.kept:
                    one = measure(load(path), variant, seed)
                    kept.put(key, one)
                found += [one] if one is not None else []
            for at, count in enumerate(COUNTS if found else ()):
                for what in ("named", "trained"):
                    values = [one[what][at] for one in found]
                    name = f"{variant}: {path.stem}, {count} trials, {what}: regret"
                    rows.append(row(name, values, unit="accuracy", bar=None))
                    print(
                        f"{name} {rows[-1]['value']:.4f} ± {(rows[-1]['std'] or 0) / len(values) ** 0.5:.4f}",
                        flush=True,
                    )
            seconds += sum(one["seconds"] for one in found)
    if rows:
        print(
            write(
                "search_ablation",
                rows,
                command=" ".join(["python benchmarks/search_ablation.py", *words]),
                seconds=seconds,
            )
        )


if __name__ == "__main__":
    main(sys.argv[1:])
