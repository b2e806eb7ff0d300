"""ranking.csv: every candidate of the search, best first, for a spreadsheet or another program."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from steerage import store
from steerage.search.ranking import RankedTrial

COLUMNS = ("rank", "trial", "error", "params", "macs", "trainings")


def write_ranking(path: Path, trials: Sequence[RankedTrial], genes: Sequence[str]) -> None:
    """Write ``trials``, best first, with a column for each of ``genes`` after ``COLUMNS``; atomically.

    ``error``: of the validation rows, in [0, 1] (regression: 1 - R²), the mean over the trainings; what was not
    measured is left empty. A gene that is called like one of ``COLUMNS`` has "gene " before its name.
    """
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([*COLUMNS, *(f"gene {name}" if name in COLUMNS else name for name in genes)])
    for rank, trial in enumerate(trials, start=1):
        costs = [trial.metrics.get(name, "") for name in ("params", "macs")]
        error = trial.metrics.get("error", trial.error)
        lines.writerow([rank, trial.number, error, *costs, trial.trainings, *(trial.values[name] for name in genes)])
    store.write_atomic(path, text.getvalue())
