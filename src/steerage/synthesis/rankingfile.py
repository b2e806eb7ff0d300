"""ranking.csv and front.csv: candidates of the search, for a spreadsheet or another program."""

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
    rows = [[rank, *row] for rank, row in enumerate(_rows(trials, genes), start=1)]
    _write(path, [[*COLUMNS, *_heads(genes)], *rows])


def write_front(path: Path, trials: Sequence[RankedTrial], genes: Sequence[str]) -> None:
    """Write the ``trials`` of a front, by rising cost, with the columns of ``write_ranking`` but for the rank."""
    _write(path, [[*COLUMNS[1:], *_heads(genes)], *_rows(trials, genes)])


def _heads(genes: Sequence[str]) -> list[str]:
    return [f"gene {name}" if name in COLUMNS else name for name in genes]


def _rows(trials: Sequence[RankedTrial], genes: Sequence[str]) -> list[list[object]]:
    return [
        [
            trial.number,
            trial.metrics.get("error", trial.error),
            *(trial.metrics.get(name, "") for name in ("params", "macs")),
            trial.trainings,
            *(trial.values[name] for name in genes),
        ]
        for trial in trials
    ]


def _write(path: Path, rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    store.write_atomic(path, text.getvalue())
