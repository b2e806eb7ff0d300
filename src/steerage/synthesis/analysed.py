"""analysis.json of a run: what the report draws of the delivered network and of the search."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from steerage.analysis import genes, predictions, structure
from steerage.search.run import study_file
from steerage.search.trials import observed, relevant_trials
from steerage.synthesis.candidate import Trained
from steerage.synthesis.stage import Run

VERSION = 1


def analysed(run: Run, final: Trained) -> dict[str, Any]:
    """``predictions`` on ``part``, the test rows or, without any, the validation rows; ``structure``; ``genes``.

    At the very end of a run, like everything that looks at test rows. ``steerage.analysis`` says what is in each. A
    part that fails is left out with a warning: the network is there, and what is drawn of it must not be in its way.
    """
    bench, dataset = run.bench, run.bench.dataset
    testable = len(dataset.y_test) > 0
    found: dict[str, Any] = {"version": VERSION, "part": "test" if testable else "validation"}

    def of_predictions() -> Any:
        rows = bench.validation_rows
        x, y = (dataset.x_test, dataset.y_test) if testable else (dataset.x[rows], dataset.y[rows])
        with bench.clock.counted():
            return predictions(final.model, dataset, x, y) if len(y) else None

    def of_genes() -> Any:
        if run.plan.local_only or not run.directory.study.is_file():
            return None
        space = bench.template.space(dataset.spec)
        with study_file(run.directory.study) as study:
            return genes(space, observed(relevant_trials(study, space), space), seed=run.seed)

    parts: dict[str, Callable[[], Any]] = {
        "predictions": of_predictions,
        "structure": lambda: structure(final.model, dataset, final.masks),
        "genes": of_genes,
    }
    for name, part in parts.items():
        try:
            found[name] = part()
        except Exception as error:
            warnings.warn(f"the report goes without {name}: {error}", stacklevel=1)
    return found
