"""What a search is told against: as many candidates drawn at random, each trained as a trial of the search was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common import row
from optuna import load_study

from steerage.cost.budget import Budget
from steerage.data.load import load_dataset
from steerage.seeds import child_seed
from steerage.synthesis.candidate import MAX_EXPANSION, Bench, synthesize_candidate
from steerage.synthesis.clock import RunClock
from steerage.synthesis.feasible import violation_of
from steerage.synthesis.trial import TRIAL_SCHEME
from steerage.templates.like import published_like
from steerage.templates.registry import load_template
from steerage.training.split import validation_split

DRAWN = 4000  # points among which as many candidates are that could be pruned into the budget


def best_of(run: Path, data: Path, *, epochs: int | None = None, checkpoints: Path) -> dict[str, Any]:
    """The best validation errors of ``run``'s search and of as many random candidates, with trials and hours.

    ``epochs`` of a trial, where those are counted; their seconds otherwise, as the run has them. Goes on from the
    networks in ``checkpoints``.
    """
    asked, summary = (json.loads((run / name).read_text()) for name in ("run.json", "summary.json"))
    study = load_study(study_name=None, storage=f"sqlite:///{(run / 'study.db').resolve()}")
    seconds = study.user_attrs.get("trial_seconds")
    dataset = load_dataset(str(data))
    rows, validation = validation_split(dataset, asked["seed"])
    template = published_like(asked["like"], dataset.spec) if asked.get("like") else load_template(asked["template"])
    budget, expansion = Budget(**summary["budget"]), asked.get("max_expansion", MAX_EXPANSION)
    bench = Bench(dataset, template, budget, rows, validation, RunClock(), max_expansion=expansion)
    fits, drawn = violation_of(bench), template.space(dataset.spec).sample_sobol(DRAWN, seed=asked["seed"])
    chosen = [values for values in drawn if fits(values) == 0][: summary["trials"]]
    errors, hours = [], 0.0
    for place, values in enumerate(chosen):
        file = checkpoints / f"{run.name}-random-{place}.json"
        if not file.is_file():
            began = bench.clock()
            trained = synthesize_candidate(
                bench,
                values,
                name=f"random {place}",
                seed=child_seed(asked["seed"], "trial", place),
                seconds=None if epochs is not None else seconds,
                epochs=epochs,
                scheme=TRIAL_SCHEME,
                exact=False,
            )
            file.write_text(json.dumps({"error": trained.scores.error, "hours": (bench.clock() - began) / 3600}))
        one = json.loads(file.read_text())
        errors.append(one["error"])
        hours += one["hours"]
    told = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    found = min(event["error"] for event in told if event.get("event") == "TrialFinished")
    return {"searched": found, "random": min(errors), "trials": len(chosen), "hours": hours}


def figures(name: str, chance: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the result file for what ``best_of`` gave."""
    rows = []
    for what, key in (("best trial of the search", "searched"), ("best of as many random candidates", "random")):
        rows.append(row(f"{name}: {what}, validation error", [chance[key]], unit="fraction", bar=None))
    return [*rows, row(f"{name}: trainings of random candidates", [chance["hours"]], unit="hours", bar=None)]
