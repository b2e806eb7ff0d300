"""analysis.json of a run: what the report draws of the delivered network and of the search."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from torch import Tensor

from steerage.analysis import genes, predictions, structure
from steerage.search.run import study_file
from steerage.search.trials import observed, relevant_trials
from steerage.synthesis.candidate import Trained
from steerage.synthesis.stage import Run
from steerage.training.evaluate import predict

VERSION = 1


def analysed(run: Run, final: Trained, outputs: Tensor | None) -> dict[str, Any]:
    """``predictions`` on ``part``, the test rows or, without any, the validation rows; ``structure``; ``genes``.

    ``outputs``: of the network for the test rows, None without any. At the very end of a run, like everything that
    looks at test rows. ``steerage.analysis`` says what is in each. A part that fails is left out with a warning: the
    network is there, and what is drawn of it must not be in its way.
    """
    bench, dataset = run.bench, run.bench.dataset
    found: dict[str, Any] = {"version": VERSION, "part": "validation" if outputs is None else "test"}

    def of_predictions() -> Any:
        if outputs is not None:
            return predictions(outputs, dataset, dataset.x_test, dataset.y_test)
        x, y = dataset.x[bench.validation_rows], dataset.y[bench.validation_rows]
        with bench.clock.counted():
            return predictions(predict(final.model, dataset, x), dataset, x, y) if len(y) else None

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
