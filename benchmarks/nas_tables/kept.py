"""Runs that are kept as they are measured, one line each, and made by one-threaded processes."""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from common import RESULTS, commit, same_source

OURS = "ours"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@final
@dataclass(frozen=True)
class Run:
    """One measurement: ``size`` is whatever the section varies, the trials of a search for instance."""

    section: str
    table: str
    budget: str
    method: str
    size: int
    seed: int


Measure = Callable[[Run], dict[str, Any]]
Found = dict[Run, dict[str, Any]]


@final
class Kept:
    """Runs in ``results/NAME.rows.jsonl``. Appended, so that several processes can share the work.

    A peer's run holds whatever happens to the package; one of ours only for the source it was made with, unless
    ``any_source``.
    """

    def __init__(self, name: str, *, any_source: bool) -> None:
        self._path = RESULTS / f"{name}.rows.jsonl"
        self._commit = commit()
        valid = functools.cache(same_source)
        self.found: Found = {}
        for line in self._path.read_text().splitlines() if self._path.is_file() else ():
            row = json.loads(line)
            run = Run(**row.pop("run"))
            if any_source or run.method != OURS or valid(row["commit"]):
                self.found[run] = row

    def make(self, runs: Iterable[Run], measure: Measure, *, jobs: int, fresh: bool) -> None:
        """Make those of ``runs`` that are missing, ``jobs`` at a time, with ``fresh`` each in a process of its own."""
        missing = [run for run in runs if run not in self.found]
        if not missing:
            return
        # Read when numpy is imported, which a spawned process does after this.
        os.environ.update(dict.fromkeys(THREADS, "1"))
        context = multiprocessing.get_context("spawn")
        with context.Pool(min(jobs, len(missing)), maxtasksperchild=1 if fresh else None) as pool:
            for run, row in pool.imap_unordered(functools.partial(_made, measure), missing, chunksize=1):
                self._put(run, row)

    def _put(self, run: Run, row: dict[str, Any]) -> None:
        self.found[run] = {**row, "commit": self._commit}
        RESULTS.mkdir(exist_ok=True)
        with Path.open(self._path, "a") as file:
            file.write(json.dumps({"run": vars(run), **self.found[run]}) + "\n")


def _made(measure: Measure, run: Run) -> tuple[Run, dict[str, Any]]:
    import torch

    torch.set_num_threads(1)
    return run, measure(run)
